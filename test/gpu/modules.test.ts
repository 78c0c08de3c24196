/** nn's modules and functions on webgpu (Dawn) as on the cpu. */

import { testModules } from "../nn/device_table.ts";

testModules("webgpu");
