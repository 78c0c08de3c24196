/** nn's modules and functions on cuda (stand-ins) as on the cpu. */

import { unavailable } from "./environment.ts";
import { it } from "vitest";
import { testModules } from "../nn/device_table.ts";

if (unavailable === null) testModules("cuda");
else it.skip(unavailable);
