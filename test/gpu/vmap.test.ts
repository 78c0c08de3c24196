/** vmap and the transforms that stand on it on webgpu (Dawn) as on the cpu. */

import { testVmap } from "../func/vmap_devices.ts";

testVmap("webgpu");
