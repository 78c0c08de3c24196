/** What NVIDIA's own compiler makes of the kernels with matrix units: registers that suffice, and several workgroups on a processor. */

import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CUDA_PRELUDE } from "../../gpu/lower/cuda.ts";
import type { View } from "../../ts/core/device.ts";
import { bfloat16, type DType, float32 } from "../../ts/core/dtype.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import type { AttentionSpec, ConvSpec } from "../../ts/kernel/spec.ts";
import { CUDA_CAPS, cudaRecordingDevice } from "./cuda_recording.ts";

function hasNvcc(): boolean {
  try {
    execFileSync("nvcc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    console.error("NOT RUN (there is no nvcc in the PATH): what registers kernels with matrix units need");
    return false;
  }
}

/** Bytes: the compiler may spill a word or two where that lets another workgroup in. */
const SPILLED = 16;

/** Registers of a processor, and their grain for a warp. */
const REGISTERS = 65536;
const GRAIN = 8;

describe.skipIf(!hasNvcc())("registers of", () => {
  let folder = "";
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "kindling-nvcc-"))));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  // As if there were few processors: small shapes get the tiles of large ones.
  const { device, backend } = cudaRecordingDevice({ ...CUDA_CAPS.sm_90, processors: 2 });
  const view = (dtype: DType, shape: readonly number[], strides = contiguousStrides(shape)): View => ({
    buffer: device.alloc(numelOf(shape) * dtype.itemsize, dtype),
    dtype,
    shape,
    strides,
    offset: 0,
  });

  function matmul(dtype: DType, [m, n, k]: readonly [number, number, number], turned: string, tf32 = true): void {
    const a = turned.includes("a") ? view(dtype, [1, m, k], [0, 1, m]) : view(dtype, [1, m, k]);
    const b = turned.includes("b") ? view(dtype, [1, k, n], [0, 1, k]) : view(dtype, [1, k, n]);
    const kernel = device.prepare({ kind: "matmul", dtype, bias: false });
    device.run(kernel, [a, b], [view(dtype, [1, m, n])], { alpha: 1, beta: 0, tf32 });
  }
  function conv(dtype: DType, mode: ConvSpec["mode"], size: 1 | 3): void {
    const [x, w, y] = [
      [4, 128, 1, 16, 16],
      [128, 128, 1, size, size],
      [4, 128, 1, 16, 16],
    ].map((shape) => view(dtype, shape));
    const [inputs, output] = mode === "forward" ? [[x, w], y] : mode === "input_grad" ? [[y, w], x] : [[y, x], w];
    const padding = [0, (size - 1) / 2, (size - 1) / 2] as const;
    const kernel = device.prepare({ kind: "conv", mode, dtype, bias: false });
    device.run(kernel, inputs as View[], [output!], {
      stride: [1, 1, 1],
      padding,
      dilation: [1, 1, 1],
      groups: 1,
      tf32: true,
    });
  }
  function attention(dtype: DType, width: number, mode: AttentionSpec["mode"], mask: boolean): void {
    const heads = (): View => view(dtype, [2, 256, width]);
    const [q, k, v, lse] = [heads(), heads(), heads(), view(float32, [2, 256])];
    const masks = mask ? [view(dtype, [2, 256, 256])] : [];
    const kernel = device.prepare({ kind: "attention", mode, dtype, mask });
    const params = { scale: 0.125, causal: !mask, tf32: true };
    if (mode === "forward") device.run(kernel, [q, k, v, ...masks], [heads(), lse], params);
    else device.run(kernel, [heads(), q, k, v, heads(), lse, ...masks], [heads(), heads(), heads()], params);
  }

  interface Usage {
    registers: number;
    spilled: number;
  }
  async function usages(architecture: string, texts: readonly string[]): Promise<Map<string, Usage>> {
    const source = join(folder, `${architecture}.cu`);
    await writeFile(source, [CUDA_PRELUDE, ...texts].join("\n"));
    const flags = [`-arch=${architecture}`, "-cubin", "-Xptxas", "-v", "-o", join(folder, `${architecture}.cubin`)];
    const output = await new Promise<string>((resolve, reject) => {
      execFile("nvcc", [...flags, source], { maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
        error === null ? resolve(stdout + stderr) : reject(new Error(`${stdout}${stderr}`.slice(0, 4000))),
      );
    });
    const found = new Map<string, Usage>();
    let usage: Usage = { registers: 0, spilled: 0 };
    for (const line of output.split("\n")) {
      const [, name] = /Compiling entry function '(\w+)'/.exec(line) ?? [];
      if (name !== undefined) found.set(name, (usage = { registers: 0, spilled: 0 }));
      usage.spilled += Number(/(\d+) bytes spill stores/.exec(line)?.[1] ?? 0);
      usage.registers = Number(/Used (\d+) registers/.exec(line)?.[1] ?? usage.registers);
    }
    return found;
  }

  it.each(["sm_80", "sm_90"])("the main kernels for %s", { timeout: 900_000 }, async (architecture) => {
    await backend.onlyRecord(async () => {
      for (const dtype of [bfloat16, float32]) {
        for (const turned of ["", "a", "b", "ab"]) matmul(dtype, [256, 512, 128], turned);
        matmul(dtype, [128, 128, 64], "");
        matmul(dtype, [64, 64, 64], "b");
        matmul(dtype, [131, 133, 67], "");
        for (const mode of ["forward", "input_grad", "weight_grad"] as const)
          for (const size of [1, 3] as const) conv(dtype, mode, size);
        for (const width of [32, 64, 128]) {
          for (const mode of ["forward", "backward"] as const)
            for (const mask of [false, true]) attention(dtype, width, mode, mask);
        }
      }
      for (const turned of ["", "a", "b"]) matmul(float32, [256, 256, 128], turned, false);
      matmul(float32, [64, 64, 64], "", false);
    });
    const kernels = [...backend.kernels.values()].filter(({ program }) => program.shared.length > 0);
    expect(kernels.length).toBeGreaterThan(50);
    const found = await usages(
      architecture,
      kernels.map((k) => k.text),
    );
    const table = kernels.map(({ name, threads, dynamicShared, program }) => {
      const { registers, spilled } = found.get(name)!;
      const groups = Math.floor(REGISTERS / (Math.ceil(registers / GRAIN) * GRAIN * threads));
      const shared = program.shared.reduce((n, { length, type }) => n + length * type.lanes * 4, 0);
      return { name, threads, registers, spilled, warps: (groups * threads) / 32, shared, dynamicShared };
    });
    if (process.env.KINDLING_VERBOSE) console.table(table);
    for (const { name, spilled, warps } of table) {
      expect.soft(spilled, `bytes that ${name} spills`).toBeLessThanOrEqual(SPILLED);
      expect.soft(warps, `warps of ${name} on a processor`).toBeGreaterThanOrEqual(8);
    }
  });
});
