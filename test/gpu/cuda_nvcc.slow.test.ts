/**
 * Whether NVIDIA's own compiler takes every kernel that the tests of kernels make. Those tests run here once more, on devices that
 * record, and compute only where a test looks at values by itself; then nvcc compiles what they recorded, with warnings as errors.
 */

import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CUDA_PRELUDE } from "../../gpu/lower/cuda.ts";
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

  /** nvcc's exit code and what it said of a text. */
  async function compile(name: string, architecture: Architecture, text: string): Promise<string> {
    const source = join(folder, `${name}.cu`);
    await writeFile(source, text);
    // Kernels may leave variables unused; everything else is our mistake.
    const strict = ["-Werror", "all-warnings", "-diag-suppress", "177,550"];
    const flags = [
      `-arch=${architecture}`,
      ...strict,
      ...FLAGS[architecture],
      "-cubin",
      "-o",
      join(folder, `${name}.cubin`),
      source,
    ];
    return new Promise((resolve) => {
      execFile("nvcc", flags, { maxBuffer: 1 << 28 }, (error, stdout, stderr) =>
        resolve(error === null ? "" : `${error.message}\n${stdout}${stderr}`.slice(0, 4000)),
      );
    });
  }

  it("says what is wrong with a text", async () => {
    expect(
      await compile("wrong", "sm_90", `${CUDA_PRELUDE}\nextern "C" __global__ void k(float* x) { x[0] = kd_nothing(1); }`),
    ).toMatch(/identifier "kd_nothing" is undefined/);
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
