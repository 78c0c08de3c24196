/**
 * Whether NVIDIA's own compiler takes every kernel that the tests of kernels make. Those tests run here once more, on devices that
 * record, and compute only where a test looks at values by itself; then nvcc compiles what they recorded, with warnings as errors.
 */

import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CUDA_PRELUDE, toCuda } from "../../gpu/lower/cuda.ts";
import { KernelBuilder } from "../../gpu/builder.ts";
import type { Elem } from "../../gpu/ir.ts";
import type { Architecture } from "./cuda_recording.ts";
import type * as harness from "./harness.ts";

type Harness = typeof harness;

const recorders = await vi.hoisted(async () => {
  const { CUDA_CAPS: caps, cudaRecordingDevice } = await import("./cuda_recording.ts");
  return (Object.keys(caps) as Architecture[]).map((name) => ({ name, ...cudaRecordingDevice(caps[name]) }));
});

/** What it costs to compile as for a real program shows on one of the architectures only. */
const FLAGS: { readonly [A in Architecture]: readonly string[] } = {
  sm_75: ["-Xcicc", "-O1", "-Xptxas", "-O0"],
  sm_90: [],
};

vi.mock("./harness.ts", async (original) => {
  const harness = await original<Harness>();
  const check: Harness["check"] = ({ device }, test) =>
    recorders.find((r) => r.device === device)!.backend.onlyRecord(() => harness.evaluate(device, test));
  const devices = recorders.map(({ name, device }) => ({ name: `recording ${name}`, device, slow: true, wide: true }));
  return { ...harness, devices, matrixDevices: devices.filter(({ device }) => device.gpuCaps.matrix !== null), check };
});

await import("./kernel_tests.ts");

/** null where there is none. */
function nvccVersion(): string | null {
  try {
    return execFileSync("nvcc", ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return null;
  }
}
const version = nvccVersion();
if (version === null) console.error("NOT RUN (there is no nvcc in the PATH): whether nvcc compiles the kernels");

describe.runIf(version !== null)("nvcc", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kindling-nvcc-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function nvcc(name: string, text: string, ...flags: readonly string[]): Promise<string> {
    const source = join(folder, `${name}.cu`);
    await writeFile(source, text);
    // Kernels may leave variables unused; everything else is our mistake.
    const strict = ["-Werror", "all-warnings", "-diag-suppress", "177,550"];
    return new Promise((resolve) => {
      execFile("nvcc", [...strict, ...flags, source], { maxBuffer: 1 << 28 }, (error, stdout, stderr) =>
        resolve(error === null ? "" : `${error.message}\n${stdout}${stderr}`.slice(0, 4000)),
      );
    });
  }
  /** What nvcc said of a text; nothing where it is content. */
  const compile = (name: string, architecture: Architecture, text: string): Promise<string> =>
    nvcc(name, text, `-arch=${architecture}`, ...FLAGS[architecture], "-cubin", "-o", join(folder, `${name}.cubin`));

  it("says what is wrong with a text", async () => {
    expect(
      await compile("wrong", "sm_90", `${CUDA_PRELUDE}\nextern "C" __global__ void k(float* x) { x[0] = kd_nothing(1); }`),
    ).toMatch(/identifier "kd_nothing" is undefined/);
  });
  it("moves vectors at once, and reads what nobody writes through the read-only cache", async () => {
    const elems = ["i8", "u8", "i16", "i32", "u32", "f16", "bf16", "f32"] as const satisfies readonly Elem[];
    const texts = elems.map((elem) => {
      const k = new KernelBuilder(`twice_${elem}`, 32);
      const v = k.input("x", elem, 4).load(k.thread);
      k.output("y", elem, 4).store(k.thread, v.add(v));
      return toCuda(k.build()).text;
    });
    const ptx = join(folder, "vectors.ptx");
    expect(await nvcc("vectors", [CUDA_PRELUDE, ...texts].join("\n"), "-arch=sm_90", "-ptx", "-o", ptx)).toBe("");
    const lines = (await readFile(ptx, "utf8")).split("\n");
    const accesses = lines.flatMap((line) => /\b(ld|st)\.global[.\w]*/.exec(line)?.[0] ?? []);
    for (const access of accesses) expect(access).toMatch(/^(ld\.global\.nc\.v4|st\.global\.v4)\./);
    expect(accesses).toHaveLength(texts.length * 2);
  });
  it("compiles all kernels", { timeout: 1_200_000 }, async () => {
    const units = recorders.map(({ name, backend }) => {
      const texts = [...backend.kernels.values()].map((k) => k.text);
      expect(texts.length, `kernels of ${name}`).toBeGreaterThan(1000);
      return compile(name, name, [CUDA_PRELUDE, ...texts].join("\n"));
    });
    for (const message of await Promise.all(units)) expect(message).toBe("");
  });
});
