/** Files of torch.save and of NumPy: those that test/conformance/known.json promises. */

import { testKnown } from "./conformance/golden.ts";

await testKnown("files");
