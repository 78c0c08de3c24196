/** Modules, optimisers, runs and models on webgpu (Dawn) against PyTorch's: the same list as on the cpu. */

import { testKnown } from "./conformance/golden.ts";

await testKnown("training", "webgpu");
