/** Kindling in browsers and their workers: the cpu device is ready at import, others when they are asked for. */

import { webGpuFactory } from "../gpu/webgpu/init.ts";
import { browserWebGpu } from "../gpu/webgpu/platform.browser.ts";
import { createCpuDevice } from "../wasm/device/index.ts";
import { browserPlatform } from "../wasm/device/platform.browser.ts";
import { registerDevice } from "./ops/devices.ts";
import { announce } from "./workers/platform.browser.ts";
import { _registerWebGpu } from "./webgpu.ts";

const platform = browserPlatform();
registerDevice(await createCpuDevice(platform).catch(announce));
_registerWebGpu(webGpuFactory(browserWebGpu(platform)));

export * from "./torch.ts";
