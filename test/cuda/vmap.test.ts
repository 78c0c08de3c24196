/** vmap and the transforms that stand on it on cuda (stand-ins) as on the cpu. */

import { unavailable } from "./environment.ts";
import { it } from "vitest";
import { testVmap } from "../func/vmap_devices.ts";

if (unavailable === null) testVmap("cuda");
else it.skip(unavailable);
