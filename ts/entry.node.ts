/** Kindling in Node: the cpu device is ready at import. */

import { createCpuDevice } from "../wasm/device/index.ts";
import "./io/files.node.ts";
import "./worker.node.ts";
import { registerDevice } from "./ops/devices.ts";
import { nodePlatform } from "../wasm/device/platform.node.ts";

registerDevice(await createCpuDevice(nodePlatform()));

export * from "./torch.ts";
