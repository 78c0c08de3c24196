/**
 * What runs on a machine with a GPU (scripts/gpu, bench/cuda), staged and run here at tiny sizes on the stand-ins: that every part begins, ends
 * and leaves its results, and that it is said what is missing.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawn, spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unavailable } from "./environment.ts";

interface Step {
  readonly name: string;
  readonly status: string;
  readonly reason?: string;
  readonly seconds: number;
  readonly data?: Record<string, unknown> | null;
}
interface Part {
  readonly part: string;
  readonly status: string;
  readonly reason?: string;
  readonly steps: readonly Step[];
}
interface Results {
  readonly smoke: boolean;
  readonly parts: readonly Part[];
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kindling-gpu-test-"));
const stage = join(folder, "stage");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: folder, env: { ...process.env, KINDLING_GPU_HOME: join(folder, "home"), ...env } });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

const resultsIn = (out: string): Results => JSON.parse(readFileSync(join(out, "results.json"), "utf8")) as Results;

const python = spawnSync("python3", ["-c", "import torch; assert int(torch.__version__.split('.')[0]) >= 2"]);
const noTorch = python.error !== undefined || python.status !== 0;
if (noTorch) console.error("NOT RUN: the comparison with PyTorch: python3 has no torch of version 2 or newer");

describe.skipIf(unavailable !== null)("staged for a machine without Node", () => {
  beforeAll(async () => {
    // In a process of its own: builds must not see this one's environment.
    const { code, output } = await run(process.execPath, [join(root, "scripts/gpu/stage.mjs"), "--node", "none", "--out", stage]);
    expect(code, output).toBe(0);
  }, 120_000);

  it("has what the machine needs, and no more than may travel", async () => {
    for (const name of ["app.tar.xz", "env.sh", "run.sh", "id", "stage.json", "native/kindling_cuda.node"]) {
      expect(existsSync(join(stage, name)), name).toBe(true);
    }
    const { output } = await run("bash", [join(stage, "run.sh"), "--help"]);
    for (const part of ["machine", "conformance", "sanitizer"]) expect(output).toContain(part);
  });

  const out = join(folder, "out");
  // Two at a time, as there are processors.
  it("runs every part", { timeout: 120_000 }, async () => {
    const call = (parts: string, to: string): Promise<Ended> =>
      run("bash", [join(stage, "run.sh"), "--smoke", "--parts", parts, "--out", to], { KINDLING_GPU_WORK: `${to}.work` });
    const [one, two] = await Promise.all([
      call("start,grid,conformance,examples", join(folder, "one")),
      call("dispatch,bench,gpt2,sanitizer", join(folder, "two")),
    ]);
    expect(one.code, one.output).toBe(0);
    expect(two.code, two.output).toBe(0);
    const both = await run(process.execPath, [
      join(root, "scripts/gpu/report.mjs"),
      join(folder, "one"),
      join(folder, "two"),
      "--out",
      out,
    ]);
    expect(both.code, both.output).toBe(0);
    const results = resultsIn(out);
    expect(results.parts.map(({ part, status }) => `${part} ${status}`)).toEqual([
      "machine ok",
      "start ok",
      "grid ok",
      "conformance ok",
      "examples ok",
      "dispatch ok",
      "bench ok",
      "gpt2 ok",
      existsSync("/usr/local/cuda/bin/compute-sanitizer") ? expect.stringMatching(/^sanitizer/) : "sanitizer skipped",
    ]);
    const text = readFileSync(join(out, "results.md"), "utf8");
    expect(text).toContain("smoke: tiny sizes");
    expect(text).toContain("Kindling stand-in");
    expect(text).toMatch(/every case of the corpus passes.*\| [1-9]\d* passed, 0 failed \|.*\| met \|/);
  });

  it("measures every variant of every workload, and PyTorch's where there is one", () => {
    const data = resultsIn(out)
      .parts.filter(({ part }) => part === "bench" || part === "gpt2")
      .flatMap(({ steps }) => steps.map((s) => s.data as unknown as { rows: Row[]; pytorch: unknown; noPytorch: string | null }));
    interface Row {
      readonly name: string;
      readonly suite: string;
      readonly entries: readonly { who: string; variant: string; error?: string; gpu?: { median: number } }[];
      readonly checks: readonly { passed: boolean }[];
    }
    const rows = data.flatMap((d) => d.rows);
    expect(new Set(rows.map(({ suite }) => suite))).toEqual(
      new Set(["matmul", "attention", "rowwise", "elementwise", "optimizer", "digits", "gpt2"]),
    );
    for (const { name, suite, entries, checks } of rows) {
      const own = entries.filter(({ who }) => who === "ours");
      for (const { variant, error, gpu } of own)
        expect(`${name} ${variant} ${error ?? gpu!.median > 0}`).toBe(`${name} ${variant} true`);
      if (suite === "gpt2") expect(own.map(({ variant }) => variant)).toEqual(["eager", "scope", "graph"]);
      if (!noTorch) expect(checks.length).toBeGreaterThan(0);
      expect(checks.every(({ passed }) => passed)).toBe(true);
    }
    if (noTorch) expect(data.every(({ noPytorch }) => typeof noPytorch === "string" && noPytorch.length > 0)).toBe(true);
  });

  it("measures what handing a kernel over costs, where the driver does nothing", async () => {
    const json = join(folder, "dispatch.json");
    // As one would by hand, on a machine without Node.
    const program = `source "${stage}/env.sh" && node "$KINDLING_GPU_APP/dist/gpu/bench.js" --suite dispatch --json "${json}"`;
    const { code, output } = await run("bash", ["-c", program], { KINDLING_STAND_IN_NOOP: "1" });
    expect(code, output).toBe(0);
    const { dispatch } = JSON.parse(readFileSync(json, "utf8")) as {
      dispatch: { noop: boolean; costs: { name: string; spread: [least: number, most: number]; launches: number }[] };
    };
    expect(dispatch.noop).toBe(true);
    const packed = dispatch.costs.filter(({ name }) => name.startsWith("packed path"));
    expect(packed.map(({ launches }) => launches)).toEqual([1, 1]);
    // The best of many bursts: others may have the processor meanwhile.
    for (const { name, spread, launches } of packed) {
      expect(spread[0], name).toBeGreaterThan(0);
      expect(launches, name).toBeGreaterThan(0);
    }
  });

  it("runs what is not done yet, and within its time", async () => {
    const to = join(folder, "again");
    const args = [join(stage, "run.sh"), "--smoke", "--parts", "start,examples", "--out", to];
    const env = { KINDLING_GPU_WORK: join(folder, "one.work") };
    const again = await run("bash", args, env);
    expect(again.output).toMatch(/start: done before/);
    expect(again.output).toMatch(/examples: done before/);
    const short = await run("bash", [...args, "--again", "--seconds", "5"], env);
    expect(short.output).toMatch(/not begun, no time is left|no time was left|took longer than/);
  });

  it("says what is missing where there is no CUDA", async () => {
    const to = join(folder, "none");
    const env = { KINDLING_CUDA_LIB_DIRS: "/nowhere", KINDLING_GPU_WORK: join(folder, "none.work") };
    const { code, output } = await run("bash", [join(stage, "run.sh"), "--parts", "start,gpt2", "--out", to], env);
    expect(code).toBe(3);
    expect(output).toMatch(/cuda is not available: there is no NVIDIA driver.*\/nowhere/);
    const { parts } = resultsIn(to);
    expect(parts.map(({ part, status }) => `${part} ${status}`)).toEqual(["machine failed", "start skipped", "gpt2 skipped"]);
    expect(parts[2]!.reason).toMatch(/^cuda is not available: there is no NVIDIA driver/);
    expect(readFileSync(join(to, "results.md"), "utf8")).toContain("not available: there is no NVIDIA driver");
  });

  it("says so where it was not staged, or wrongly asked", async () => {
    const { code, output } = await run("bash", [join(stage, "run.sh"), "--parts", "everything"]);
    expect(code).toBe(2);
    expect(output).toMatch(/no part "everything"; there are machine, start/);
    writeFileSync(join(folder, "run.sh"), readFileSync(join(root, "scripts/gpu/run.sh")));
    const alone = await run("bash", [join(folder, "run.sh")]);
    expect(alone.code).toBe(2);
    expect(alone.output).toMatch(/nothing is staged in .*npm run gpu:stage/);
  });
});

describe("the PyTorch side", () => {
  it.skipIf(python.error !== undefined)("is Python that can be read", () => {
    const path = join(root, "bench/cuda/pytorch.py");
    const { status, stderr } = spawnSync("python3", ["-c", `import ast, sys; ast.parse(open(sys.argv[1]).read())`, path]);
    expect(status, stderr.toString()).toBe(0);
  });
});
