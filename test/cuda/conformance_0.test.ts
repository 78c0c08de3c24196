/** Operations on cuda against PyTorch's: the same list as on the cpu, half of it, through CUDA C++ that the stand-ins run. */

import { unavailable } from "./environment.ts";
import { it } from "vitest";
import { testKnown } from "../conformance/golden.ts";

if (unavailable === null) await testKnown("ops", "cuda", { part: [0, 2], concurrency: 16 });
else it.skip(unavailable);
