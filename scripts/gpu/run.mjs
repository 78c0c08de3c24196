/**
 * On the GPU machine: `bash .gpu/run.sh [--parts NAME,...] [--out DIR] [--seconds N] [--again] [--smoke]`. Runs parts in order, keeps what each
 * found at once, and writes results.json, results.md and logs.txt into $OUT, --out or bench/results/<gpu>-<date>. Parts that an earlier
 * call has finished are not run again but merged, so that several short calls make one result.
 * Exit status: 0, 1 when something failed, 3 when there is no CUDA.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { PARTS } from "./parts.mjs";
import { describe, folderName, writeResults } from "./report.mjs";
import { readJson, runStep, watchGpu } from "./step.mjs";

const HELP = `bash .gpu/run.sh [options]

  --parts NAME,...  what to run (default: everything that is not done yet)
  --again           also what is done already
  --out DIR         where results go ($OUT, else bench/results/<gpu>-<date>)
  --seconds N       begin nothing after that, and end what runs (default 3600); for a command that may take 10 minutes: 570
  --device NAME     cuda, cuda:1, ... (default cuda)
  --peers NAME,...  PyTorch's variants: eager,graph,compile,fused, or none
  --smoke           tiny sizes: to see that everything runs

Parts, with their time limits in seconds:
${PARTS.map(({ name, seconds, what }) => `  ${name.padEnd(12)} ${String(seconds).padStart(4)}  ${what}`).join("\n")}`;

const { values } = parseArgs({
  options: {
    parts: { type: "string" },
    again: { type: "boolean", default: false },
    out: { type: "string" },
    seconds: { type: "string", default: "3600" },
    device: { type: "string", default: "cuda" },
    peers: { type: "string", default: "eager,graph,compile,fused" },
    smoke: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** Seconds that are left for writing everything down. */
const RESERVE = 5;

const begun = Date.now();
const elapsed = () => (Date.now() - begun) / 1000;
const say = (text) => console.log(`[${elapsed().toFixed(0).padStart(4)} s] ${text}`);

const worstOf = (steps) =>
  ["failed", "timeout", "ok", "skipped"].find((status) => steps.some((s) => s.status === status)) ?? "ok";

async function runPart(part, context) {
  const scratch = mkdtempSync(join(tmpdir(), "kindling-gpu-"));
  const started = Date.now();
  const left = () => Math.min(part.seconds - (Date.now() - started) / 1000, context.total - RESERVE - elapsed());
  const stop = watchGpu();
  const steps = [];
  try {
    for (const step of part.steps({ ...context, scratch })) {
      const limit = Math.min(step.seconds, left());
      if (limit < 3) {
        steps.push({ name: step.name, status: "timeout", reason: "no time was left for it", seconds: 0 });
        continue;
      }
      if (!step.skip) say(`${part.name}: ${step.name} (at most ${limit.toFixed(0)} s)`);
      steps.push(await runStep(part.name, step, limit, context));
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const result = {
    part: part.name,
    status: worstOf(steps),
    at: new Date(started).toISOString(),
    seconds: (Date.now() - started) / 1000,
  };
  return { ...result, gpu: stop(), smoke: context.smoke, steps };
}

function chosenParts() {
  const names = values.parts?.split(",");
  const strange = names?.find((name) => !PARTS.some((part) => part.name === name));
  if (strange !== undefined)
    throw new Error(`there is no part "${strange}"; there are ${PARTS.map((part) => part.name).join(", ")}`);
  // The machine is looked at every time: results without it say little, and it tells whether there is CUDA at all.
  return PARTS.filter(({ name }) => name === "machine" || names === undefined || names.includes(name));
}

async function main() {
  if (values.help) return void console.log(HELP);
  const total = Number(values.seconds);
  if (!(total > 0)) throw new Error(`--seconds is ${values.seconds}; expected a positive number`);
  const stage = process.env.KINDLING_GPU_STAGE;
  const app = process.env.KINDLING_GPU_APP;
  if (!stage || !app) throw new Error("nothing is staged here: start with bash .gpu/run.sh");
  const id = readFileSync(join(stage, "id"), "utf8");
  // Kept between calls, beside what is built; another staging begins anew.
  const work = resolve(process.env.KINDLING_GPU_WORK ?? "build/gpu-run", `${id}${values.smoke ? "-smoke" : ""}`);
  mkdirSync(work, { recursive: true });
  const { device, peers, smoke } = values;
  const context = { device, peers, smoke, app, work, total };
  const info = { format: 1, smoke, device, stage: { id, ...readJson(join(stage, "stage.json")) } };

  const fileOf = (name) => join(work, `${name}.part.json`);
  const known = () => PARTS.map(({ name }) => readJson(fileOf(name))).filter((part) => part !== null);
  const outFolder = () => resolve(values.out ?? process.env.OUT ?? join("bench/results", folderName(known())));
  const keep = () => writeResults(outFolder(), { ...info, parts: known() }, work);

  let why = null;
  let status = 0;
  for (const part of chosenParts()) {
    const before = readJson(fileOf(part.name));
    if (before?.status === "ok" && !values.again && part.name !== "machine") {
      say(`${part.name}: done before, in ${before.seconds.toFixed(0)} s (--again runs it again)`);
      continue;
    }
    if (why === null && elapsed() > total - RESERVE - 5) {
      say(`${part.name}: not begun, no time is left`);
      continue;
    }
    const result =
      why === null
        ? await runPart(part, context)
        : { part: part.name, status: "skipped", at: new Date().toISOString(), seconds: 0, smoke, steps: [], reason: why };
    if (part.name === "machine") {
      const machine = result.steps[0]?.data;
      if (machine?.available !== true)
        why =
          machine === null || machine === undefined
            ? "the machine could not be described"
            : `cuda is not available: ${machine.reason}`;
    }
    // What was found before is worth more than that there was no time for it now.
    if (!(before !== null && before.steps.length > 0 && result.steps.every((s) => s.seconds === 0)))
      writeFileSync(fileOf(part.name), JSON.stringify(result, null, 1));
    keep();
    say(`${part.name}: ${describe(result)}`);
    if (result.status === "failed" || result.status === "timeout") status = 1;
  }
  const out = keep();
  say(`results are in ${out} (results.md, results.json, logs.txt)`);
  if (existsSync(join(out, "results.md"))) console.log(`\n${readFileSync(join(out, "results.md"), "utf8")}`);
  if (why !== null) console.error(why);
  return why !== null ? 3 : status;
}

try {
  process.exitCode = (await main()) ?? 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
