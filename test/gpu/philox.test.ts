/** webgpu's random numbers and the cpu's. */

import * as torch from "kindling";
import { comparePhilox } from "./philox_streams.ts";

await torch.webgpu.init();
comparePhilox("webgpu");
