/** Operations on webgpu (Dawn) against PyTorch's: the same list as on the cpu, half of it. */

import { testKnown } from "./conformance/golden.ts";

await testKnown("ops", "webgpu", { part: [0, 2] });
