/** Kindling in browsers and their workers: the cpu device is ready at import. */

import { createCpuDevice } from "../wasm/device/index.ts";
import { browserPlatform } from "../wasm/device/platform.browser.ts";
import { announce } from "./worker.browser.ts";
import { registerDevice } from "./ops/devices.ts";

registerDevice(await createCpuDevice(browserPlatform()).catch(announce));

export * from "./torch.ts";
