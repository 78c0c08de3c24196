/** Modules, optimisers, schedules, runs and models against PyTorch's: those that test/conformance/known.json promises. */

import { testKnown } from "./conformance/golden.ts";

await testKnown("training");
