/** Where the kernels lie. Spelt out one by one: bundlers (ours too) find assets by this pattern and put their own place in. */

import type { WasmFile } from "./platform.ts";

export const wasmUrls: Record<WasmFile, URL> = {
  "kernels_cpp.simd": new URL("../../build/wasm/kernels_cpp.simd.wasm", import.meta.url),
  "kernels_cpp.relaxed": new URL("../../build/wasm/kernels_cpp.relaxed.wasm", import.meta.url),
  "kernels_as.simd": new URL("../../build/wasm/kernels_as.simd.wasm", import.meta.url),
  "kernels_as.relaxed": new URL("../../build/wasm/kernels_as.relaxed.wasm", import.meta.url),
};
