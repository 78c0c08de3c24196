/** One process with a time limit, and what it leaves behind. */

import { spawn } from "node:child_process";
import { createWriteStream, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Of a step's output, kept to look through. */
const MOST_OUTPUT = 1 << 20;

export const readJson = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
};

/** What compute-sanitizer says where it cannot work. */
const REFUSALS = /Device not supported|could not be initialized|No attachable process/i;

/** Process groups of their own, which do not end with us by themselves. */
const running = new Set();
process.on("exit", () => running.forEach((child) => end(child, "SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Ends a process and those that it has started. */
function end(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

/** Clocks, power and temperature once a second, while something runs. */
export function watchGpu() {
  const fields = ["clocks.sm", "clocks.mem", "power.draw", "temperature.gpu", "utilization.gpu"];
  const samples = [];
  const child = spawn("nvidia-smi", [`--query-gpu=${fields.join()}`, "--format=csv,noheader,nounits", "-l", "1"], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  running.add(child);
  child.on("error", () => {});
  child.stdout.on("data", (chunk) => {
    for (const line of chunk.toString().trim().split("\n")) samples.push(line.split(", ").map(Number));
  });
  return () => {
    end(child, "SIGKILL");
    running.delete(child);
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

/** Runs a step; never throws. */
export async function runStep(part, step, limit, { app, work }) {
  const { name, entry, args, env, before = [], find, skip } = step;
  if (skip) return { name, status: "skipped", reason: skip, seconds: 0 };
  const base = join(work, `${part}.${name}`);
  const json = typeof step.json === "string" ? step.json : `${base}.json`;
  rmSync(json, { force: true });
  const program = [process.execPath, "--enable-source-maps", join(app, "dist/gpu", `${entry}.js`), ...args];
  if (step.json) program.push("--json", json);
  if (step.budget) program.push("--seconds", String(Math.max(5, limit * 0.8 - 10)));
  const [command, ...rest] = [...before, ...program];
  const started = Date.now();
  const outcome = await runLimited(command, rest, { limit, log: `${base}.log`, env: { ...process.env, ...env } });
  const found = find === undefined ? {} : numbers(find.exec(outcome.output)?.groups ?? {});
  return {
    name,
    seconds: (Date.now() - started) / 1000,
    limit: Math.round(limit),
    ...verdict(step, command, limit, outcome, found),
    found,
    // What another step reads is not kept.
    data: step.json === true ? readJson(json) : null,
  };
}

async function runLimited(command, args, { limit, log: path, env }) {
  const log = createWriteStream(path);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env, detached: true });
  running.add(child);
  let output = "";
  const take = (chunk) => {
    log.write(chunk);
    output = (output + chunk).slice(-MOST_OUTPUT);
    process.stdout.write(chunk);
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end(child, "SIGTERM");
    // Whoever writes down what it has found gets the time to do so.
    setTimeout(() => end(child, "SIGKILL"), 3000).unref();
  }, limit * 1000);
  const outcome = await new Promise((done) => {
    child.on("error", (error) => done({ error }));
    child.on("close", (code, signal) => done({ code, signal }));
  });
  clearTimeout(timer);
  // What it has started, PyTorch's process too, ends with it.
  end(child, "SIGKILL");
  running.delete(child);
  await new Promise((done) => log.end(done));
  return { ...outcome, late, output };
}

/** How a step went, and why. */
function verdict(step, command, limit, { error, code, signal, late, output }, found) {
  const { before = [], least = {}, tolerated = 0 } = step;
  if (error !== undefined) {
    const missing = error.code === "ENOENT" && before.length > 0;
    return missing ? { status: "skipped", reason: `${command} is not installed` } : { status: "failed", reason: error.message };
  }
  if (late) return { status: "timeout", reason: `it took longer than ${limit.toFixed(0)} s` };
  const refused = before.length > 0 && REFUSALS.exec(output);
  if (refused) return { status: "skipped", reason: `${command} does not work on this machine: ${refused[0]}` };
  if (code !== 0 && code !== tolerated) {
    return { status: "failed", exit: code, reason: signal ? `ended by ${signal}` : lastWords(output) };
  }
  const short = Object.entries(least).find(([key, value]) => !(found[key] >= value));
  if (short === undefined) return { status: "ok" };
  return { status: "failed", reason: `${short[0]} is ${found[short[0]]}; at least ${short[1]} was expected` };
}

/** Named groups; what looks like a number is one. */
const numbers = (groups) =>
  Object.fromEntries(
    Object.entries(groups)
      .filter(([, text]) => text !== undefined)
      .map(([key, text]) => [key, Number.isNaN(Number(text)) ? text : Number(text)]),
  );

/** The line that says best why a program failed. */
function lastWords(output) {
  const lines = output.trim().split("\n");
  // Node ends an uncaught error with its own name.
  const uncaught = /^Node\.js v/.test(lines.at(-1) ?? "") ? lines.findLast((line) => /^\w*Error\b/.test(line)) : undefined;
  return (uncaught ?? lines.at(-1) ?? "").slice(0, 500);
}
