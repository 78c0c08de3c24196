/** Operations against PyTorch's values, gradients and errors: those that test/conformance/known.json promises. */

import { testKnown } from "./conformance/golden.ts";

await testKnown("ops");
