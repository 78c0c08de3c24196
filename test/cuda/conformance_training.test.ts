/** Modules, optimisers and whole runs on cuda against PyTorch's, as on the cpu. */

import { unavailable } from "./environment.ts";
import { it } from "vitest";
import { testKnown } from "../conformance/golden.ts";

if (unavailable === null) await testKnown("training", "cuda");
else it.skip(unavailable);
