import { describe, expect, it } from "vitest";
import { createCpuDevice } from "../../wasm/device/index.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";

const device = await createCpuDevice(nodePlatform(), { threads: 1 });
const bytes = (values: ArrayLike<number>): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

describe("cpu device: memory", () => {
  it("reads what was written", async () => {
    const buffer = device.alloc(16);
    device.write(buffer, 4, bytes([1.5, -2]));
    expect(new Float32Array((await device.read(buffer, 4, 8)).buffer)).toEqual(Float32Array.of(1.5, -2));
    expect(() => device.write(buffer, 12, bytes([1, 2]))).toThrow("cpu: write of 8 bytes at 12 of a buffer of 16 bytes");
  });
});
