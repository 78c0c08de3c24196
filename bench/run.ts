/**
 * npm run bench -- [--suite NAME,...] [--device cpu|webgpu] [--threads N] [--json FILE] [--rounds N]
 * Every figure, the ceilings and native PyTorch's times (on the cpu) come from one run, taking turns.
 */

import * as torch from "kindling";
import { cpus } from "node:os";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { CpuDevice } from "../wasm/device/index.ts";
import { kernelSuites, type Case } from "./cases.ts";
import { cpuCeilings } from "./ceilings.ts";
import { webgpuCeilings } from "./ceilings_webgpu.ts";
import { transforms } from "./func.ts";
import { inTurns, once, onceOnGpu, summarize, type Run, type Timing } from "./measure.ts";
import { measureMemory } from "./memory.ts";
import { Native } from "./native/client.ts";
import { training } from "./training.ts";

const suites: Readonly<Record<string, readonly Case[]>> = { ...kernelSuites, training, func: transforms };

const names = [...Object.keys(suites), "threads", "memory"];

const { values } = parseArgs({
  options: {
    suite: { type: "string" },
    device: { type: "string", default: "cpu" },
    threads: { type: "string", default: "1" },
    rounds: { type: "string", default: "11" },
    json: { type: "string" },
  },
});
if (values.device.startsWith("cuda")) throw new Error("on cuda it is npm run bench:cuda (see bench/README.md)");
const onCpu = values.device === "cpu";
const chosen = values.suite?.split(",") ?? names.filter((name) => onCpu || (name !== "threads" && name !== "linalg"));
for (const name of chosen) {
  if (!names.includes(name)) {
    throw new Error(`there is no suite "${name}"; there are ${names.join(", ")} (and npm run bench:peers)`);
  }
}
const threads = onCpu ? Number(values.threads) : 1;
torch.set_num_threads(threads);
if (!onCpu) await torch.accelerator();
torch.set_default_device(values.device);
const device = torch.get_default_device();
if (chosen.includes("threads") && !onCpu) throw new Error(`the suite "threads" is about the cpu, not about ${values.device}`);
const gpu = onCpu ? null : await webgpuCeilings();
const ceilings = gpu ?? cpuCeilings(device as CpuDevice);
const native = onCpu && chosen.some((s) => suites[s]?.some((c) => c.loop === undefined)) ? await Native.start(threads) : null;
const sample = onCpu ? once : (run: Run): Promise<number> => onceOnGpu(run, () => device.synchronize());

interface Row {
  readonly suite: string;
  readonly name: string;
  readonly ours: Timing;
  readonly native: Timing | null;
  readonly loop: Timing | null;
  readonly note: string;
}
const rows: Row[] = [];
const madds: number[] = [];
const copies: number[] = [];

function describe(c: Case, ours: Timing, theirs: Timing | null, madd: number, copy: number): string {
  const parts: string[] = [];
  if (c.flops !== undefined) {
    const rate = c.flops / ours.median / 1e6;
    parts.push(`${rate.toFixed(1)} GFLOP/s = ${((100 * rate) / (madd * threads)).toFixed(0)}% of the multiply-add ceiling`);
  }
  if (c.bytes !== undefined) {
    const rate = c.bytes / ours.median / 1e6;
    parts.push(`${rate.toFixed(1)} GB/s = ${((100 * rate) / copy).toFixed(0)}% of copying`);
  }
  if (c.ops !== undefined) parts.push(`${((ours.median * 1000) / c.ops).toFixed(2)} us/op`);
  if (theirs !== null) {
    const ratio = ours.median / theirs.median;
    parts.push(
      `${ratio.toFixed(2)}x native${c.goal === undefined ? "" : ` (goal ${c.goal}x${ratio <= c.goal ? "" : ", MISSED"})`}`,
    );
  }
  return parts.join(", ");
}

const where =
  gpu === null
    ? `${(device as CpuDevice).variant} kernels, ${threads} thread(s), native PyTorch ${native?.version ?? "absent"}`
    : `${device.type} on ${gpu.adapter}`;
console.log(`${cpus()[0]?.model ?? "unknown processor"}, Node ${process.version}, ${where}`);

async function measure(suite: string, c: Case): Promise<void> {
  torch.manual_seed(0);
  const run = c.prepare();
  const runners: (() => number | Promise<number>)[] = [() => sample(run)];
  if (c.loop !== undefined) {
    const loop = c.loop();
    runners.push(() => sample(loop));
  } else if (native !== null) runners.push(() => native.time(c.name));
  const limits = { madd: [] as number[], copy: [] as number[] };
  runners.push(async () => {
    limits.madd.push(await ceilings.madd());
    limits.copy.push(await ceilings.copy());
    return 0;
  });
  const timings = await inTurns(runners, { rounds: Number(values.rounds) });
  const ours = timings[0]!;
  const other = runners.length < 3 ? null : timings[1]!;
  const theirs = c.loop === undefined ? other : null;
  const loop = c.loop === undefined ? null : other;
  const [madd, copy] = [summarize(limits.madd).median, summarize(limits.copy).median];
  madds.push(madd);
  copies.push(copy);
  const note =
    loop === null
      ? describe(c, ours, theirs, madd, copy)
      : `one by one ${loop.median.toFixed(3)} ms: ${(loop.median / ours.median).toFixed(1)}x as long`;
  rows.push({ suite, name: c.name, ours, native: theirs, loop, note });
  const spread = `${ours.median.toFixed(3)} ms [${ours.min.toFixed(3)}, ${ours.max.toFixed(3)}]`;
  console.log(
    `${c.name.padEnd(16)} ${spread.padEnd(28)} ${theirs === null ? "" : `native ${theirs.median.toFixed(3)} ms  `}${note}`,
  );
}

for (const suite of chosen) {
  for (const c of suites[suite] ?? []) {
    try {
      await measure(suite, c);
    } catch (error) {
      // One case that this device cannot do yet leaves the others' figures.
      process.exitCode = 1;
      console.log(`${c.name.padEnd(16)} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
if (madds.length > 0) {
  console.log(
    `ceilings: ${summarize(madds).median.toFixed(1)} GFLOP/s multiply-add, ${summarize(copies).median.toFixed(1)} GB/s copy`,
  );
}
const scaling: { name: string; one: Timing; two: Timing }[] = [];
if (chosen.includes("threads")) {
  for (const c of kernelSuites.matmul!) {
    const run = c.prepare();
    const withThreads = (n: number) => (): number => {
      torch.set_num_threads(n);
      return once(run);
    };
    const [one, two] = (await inTurns([withThreads(1), withThreads(2)], { rounds: Number(values.rounds) })) as [Timing, Timing];
    scaling.push({ name: c.name, one, two });
    console.log(
      `${c.name.padEnd(16)} 1 thread ${one.median.toFixed(3)} ms, 2 threads ${two.median.toFixed(3)} ms: ${(one.median / two.median).toFixed(2)}x (goal 1.8x); best of each ${(one.min / two.min).toFixed(2)}x`,
    );
  }
  torch.set_num_threads(threads);
}
const memory = chosen.includes("memory") ? await measureMemory(2000) : null;
if (memory !== null) {
  console.log(
    `2,000 training steps: ${memory.early} bytes reserved after step 100, ${memory.late} after step 2,000 (${memory.change.toFixed(1)}%)`,
  );
}
native?.stop();
ceilings.close();
if (values.json !== undefined)
  writeFileSync(
    values.json,
    JSON.stringify(
      { node: process.version, device: values.device, adapter: gpu?.adapter, threads, rows, scaling, memory },
      null,
      1,
    ),
  );
