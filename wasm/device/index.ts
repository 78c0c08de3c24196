/** The cpu device's public face, for the entry files. */

export { type CpuOptions, CpuDevice, createCpuDevice } from "./device.ts";
export { CpuBuffer } from "./allocator.ts";
export type { Platform } from "./platform.ts";
