/** Kindling in Node: the cpu device is ready at import, others when they are asked for. */

import { cudaFactory } from "../gpu/cuda/init.ts";
import { nodeCuda } from "../gpu/cuda/platform.node.ts";
import { webGpuFactory } from "../gpu/webgpu/init.ts";
import { nodeWebGpu } from "../gpu/webgpu/platform.node.ts";
import { createCpuDevice } from "../wasm/device/index.ts";
import "./io/files.node.ts";
import { _registerCuda } from "./cuda.ts";
import { registerDevice } from "./ops/devices.ts";
import "./workers/platform.node.ts";
import { nodePlatform } from "../wasm/device/platform.node.ts";
import { _registerWebGpu } from "./webgpu.ts";

const platform = nodePlatform();
registerDevice(await createCpuDevice(platform));
_registerCuda(cudaFactory(nodeCuda(platform)));
_registerWebGpu(webGpuFactory(nodeWebGpu(platform)));

export * from "./torch.ts";
