/**
 * On the GPU machine: `bash .gpu/run.sh [--parts NAME,...] [--out DIR] [--seconds N] [--again] [--smoke]`. Runs parts in order, keeps what each
 * found at once, and writes results.json, results.md and logs.txt into $OUT, --out or bench/results/<gpu>-<date>. Parts that an earlier
 * call has finished are not run again but merged, so that several short calls make one result.
 * Exit status: 0, 1 when something failed, 3 when there is no CUDA.
 */

import { spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { PARTS } from "./parts.mjs";
import { describe, folderName, writeResults } from "./report.mjs";

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
/** Of one step, in logs.txt. */
const MOST_LOG = 1 << 20;

const begun = Date.now();
const elapsed = () => (Date.now() - begun) / 1000;
const say = (text) => console.log(`[${elapsed().toFixed(0).padStart(4)} s] ${text}`);

/** Ends a process and those that it has started. */
function end(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

/** Clocks, power and temperature once a second, while something runs. */
function watchGpu() {
  const fields = ["clocks.sm", "clocks.mem", "power.draw", "temperature.gpu", "utilization.gpu"];
  const samples = [];
  const child = spawn("nvidia-smi", [`--query-gpu=${fields.join()}`, "--format=csv,noheader,nounits", "-l", "1"], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  child.on("error", () => {});
  child.stdout?.on("data", (chunk) => {
    for (const line of chunk.toString().trim().split("\n")) samples.push(line.split(", ").map(Number));
  });
  return () => {
    if (child.pid !== undefined) end(child, "SIGKILL");
    if (samples.length === 0) return null;
    return Object.fromEntries(
      fields.map((name, i) => {
        const sorted = samples
          .map((s) => s[i])
          .filter(Number.isFinite)
          .sort((a, b) => a - b);
        return [name, { least: sorted[0] ?? null, median: sorted[sorted.length >> 1] ?? null, most: sorted.at(-1) ?? null }];
      }),
    );
  };
}

const readJson = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
};

/** Runs a step; never throws. */
async function runStep(part, step, limit, { app, work }) {
  const { name, entry, args, env, before = [], find, least = {}, skip } = step;
  if (skip) return { name, status: "skipped", reason: skip, seconds: 0 };
  const base = join(work, `${part}.${name}`);
  const json = `${base}.json`;
  rmSync(json, { force: true });
  const more = [
    ...(step.json ? ["--json", json] : []),
    ...(step.budget ? ["--seconds", String(Math.max(5, limit * 0.8 - 10))] : []),
  ];
  const [command, ...rest] = [
    ...before,
    process.execPath,
    "--enable-source-maps",
    join(app, "dist/gpu", `${entry}.js`),
    ...args,
    ...more,
  ];
  const started = Date.now();
  const log = createWriteStream(`${base}.log`);
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env }, detached: true });
  let output = "";
  const take = (chunk) => {
    log.write(chunk);
    output = (output + chunk).slice(-MOST_LOG);
    process.stdout.write(chunk);
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end(child, "SIGTERM");
    setTimeout(() => end(child, "SIGKILL"), 3000).unref();
  }, limit * 1000);
  const outcome = await new Promise((done) => {
    child.on("error", (error) => done({ error }));
    child.on("close", (code, signal) => done({ code, signal }));
  });
  clearTimeout(timer);
  // What it has started, PyTorch's process too, ends with it.
  if (child.pid !== undefined) end(child, "SIGKILL");
  await new Promise((done) => log.end(done));
  const seconds = (Date.now() - started) / 1000;
  const data = readJson(json);
  const found = find === undefined ? {} : numbers(find.exec(output)?.groups ?? {});
  const result = { name, seconds, limit: Math.round(limit), data, found };
  if (outcome.error !== undefined) {
    const missing = outcome.error.code === "ENOENT" && before.length > 0;
    return {
      ...result,
      status: missing ? "skipped" : "failed",
      reason: missing ? `${command} is not installed` : outcome.error.message,
    };
  }
  if (late) return { ...result, status: "timeout", reason: `it took longer than ${limit.toFixed(0)} s` };
  const refused = before.length > 0 && /Device not supported|could not be initialized|No attachable process/i.exec(output);
  if (refused) return { ...result, status: "skipped", reason: `${command} does not work on this machine: ${refused[0]}` };
  const short = Object.entries(least).find(([key, value]) => !(found[key] >= value));
  if (short !== undefined)
    return { ...result, status: "failed", reason: `${short[0]} is ${found[short[0]]}; at least ${short[1]} was expected` };
  if (outcome.code !== 0) {
    const last = output.trim().split("\n").at(-1) ?? "";
    return {
      ...result,
      status: "failed",
      exit: outcome.code,
      reason: outcome.signal ? `ended by ${outcome.signal}` : last.slice(0, 500),
    };
  }
  return { ...result, status: "ok" };
}

const numbers = (groups) =>
  Object.fromEntries(
    Object.entries(groups)
      .filter(([, text]) => text !== undefined)
      .map(([key, text]) => [key, Number.isNaN(Number(text)) ? text : Number(text)]),
  );

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
