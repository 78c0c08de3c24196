/**
 * Results of GPU runs: results.json (everything), results.md (for reading), logs.txt. As a program it merges what several calls, perhaps on
 * several machines of one kind, have found: `npm run gpu:report -- DIR... --out DIR`; of parts that occur twice the later one counts.
 */

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { goalsOf } from "./goals.mjs";
import { benchTables, bytes, dispatchTable, number, table } from "./tables.mjs";

/** Of each log, in logs.txt. */
const MOST_LOG = 512 << 10;
/** Problems that results.md lists of each step. */
const LISTED = 40;

const partOf = ({ parts }, name) => parts.find((part) => part.part === name);
const dataOf = (results, part, step) => partOf(results, part)?.steps.find((s) => s.name === step)?.data ?? null;

/** "nvidia-h200-2026-01-31". */
export function folderName(parts) {
  const machine = dataOf({ parts }, "machine", "machine");
  const gpu = machine?.properties?.name ?? "no-gpu";
  const smoke = parts.some((part) => part.smoke) ? "-smoke" : "";
  const day = (parts[0]?.at ?? new Date().toISOString()).slice(0, 10);
  return `${gpu
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/-$/, "")}-${day}${smoke}`;
}

/** A part in one line. */
export function describe({ status, seconds, reason, steps }) {
  const each = steps.map((s) => `${s.name} ${s.status}${s.reason ? ` (${s.reason})` : ""}`).join("; ");
  return `${status} in ${seconds.toFixed(0)} s${reason ? `: ${reason}` : ""}${each ? `: ${each}` : ""}`;
}

function machineLines(results) {
  const machine = dataOf(results, "machine", "machine");
  if (machine === null) return ["The machine is not described."];
  const { properties: gpu, libraries, pytorch, nvidia_smi } = machine;
  const rows = [];
  if (gpu !== null) {
    rows.push([
      "GPU",
      `${gpu.name}, sm_${gpu.major}${gpu.minor}, ${gpu.multi_processor_count} multiprocessors, ${bytes(gpu.total_memory)}`,
    ]);
  } else rows.push(["CUDA", `not available: ${machine.reason}`]);
  const smi = Array.isArray(nvidia_smi) ? nvidia_smi[0] : null;
  if (smi) {
    const { name: _name, "memory.total": _memory, driver_version: driver, ...others } = smi;
    rows.push(
      ["Driver", driver],
      [
        "As found",
        Object.entries(others)
          .map(([k, v]) => `${k} ${v}`)
          .join(", "),
      ],
    );
  } else rows.push(["nvidia-smi", nvidia_smi]);
  for (const name of ["driver", "nvrtc", "cublasLt", "cudnn"]) {
    if (!libraries?.[name]) continue;
    const { path, version, error } = libraries[name];
    rows.push([name, path === null ? `not there${error ? `: ${error}` : ""}` : `${version ?? "version unknown"}, ${path}`]);
  }
  rows.push([
    "PyTorch",
    typeof pytorch === "string"
      ? `none: ${pytorch}`
      : `${pytorch.torch}, CUDA ${pytorch.cuda}, cuDNN ${pytorch.cudnn}, Triton ${pytorch.triton}`,
  ]);
  rows.push(["Processor", `${machine.processor}, ${machine.processors} cores, ${bytes(machine.memory_bytes)}`]);
  rows.push(["Node, kernel", `${machine.node}, ${machine.kernel}`]);
  const { commit, changed } = results.stage;
  if (commit) rows.push(["Kindling", `${commit}${changed ? ", with changes" : ""}`]);
  return table(["", ""], rows);
}

function partLines({ parts }) {
  const clocks = (gpu) => (gpu?.["clocks.sm"] ? `${gpu["clocks.sm"].median} MHz, ${number(gpu["power.draw"].median)} W` : "");
  const rows = parts.map((part) => {
    const notes = part.steps.map((s) => `${s.name}: ${s.status}, ${s.seconds.toFixed(0)} s${s.reason ? `; ${s.reason}` : ""}`);
    return [
      part.part,
      part.status,
      `${part.seconds.toFixed(0)} s`,
      clocks(part.gpu),
      [...(part.reason ? [part.reason] : []), ...notes].join("<br>"),
    ];
  });
  return table(["Part", "Outcome", "Time", "GPU, median", "Steps"], rows);
}

function problemLines(results) {
  const lines = [];
  const list = (title, problems) => {
    if (problems.length === 0) return;
    lines.push("", `### ${title}`, "", ...problems.slice(0, LISTED).map((p) => `- ${p.replace(/\s+/g, " ").slice(0, 300)}`));
    if (problems.length > LISTED) lines.push(`- and ${problems.length - LISTED} more (results.json has all)`);
  };
  const grid = dataOf(results, "grid", "grid");
  if (grid !== null)
    list(
      `Kernel grid: ${grid.failures.length} of ${grid.cases} failed`,
      grid.failures.map(({ name, why }) => `${name}: ${why}`),
    );
  for (const kind of ["ops", "training"]) {
    const data = dataOf(results, "conformance", kind);
    if (data === null) continue;
    const { passed, failed, skipped } = data.totals;
    const only = data.beyond && new Set(data.beyond);
    const problems = Object.entries(data.units).flatMap(([unit, { problems: of }]) =>
      of
        .filter(({ id, status }) => status === "failed" && (only ? only.has(`${unit} ${id}`) : true))
        .map(({ id, reason }) => `${unit} ${id}: ${reason}`),
    );
    list(
      `Conformance, ${kind}: ${passed} passed, ${failed} failed, ${skipped} skipped`,
      problems.length > 0 ? problems : ["nothing failed that passes on the cpu"],
    );
  }
  for (const step of partOf(results, "sanitizer")?.steps ?? []) {
    const { found = {} } = step;
    const sum = Object.entries(found)
      .map(([what, n]) => `${n} ${what}`)
      .join(", ");
    list(`compute-sanitizer, ${step.name}`, [`${step.status}${sum ? `: ${sum}` : ""}${step.reason ? ` (${step.reason})` : ""}`]);
  }
  return lines;
}

function startLines(results) {
  const [cold, warm] = ["cold", "warm"].map((name) => dataOf(results, "start", name));
  if (cold === null) return [];
  const rows = cold.marks.map(({ what, ms }, i) => [
    what,
    `${ms.toFixed(0)} ms`,
    warm === null ? "" : `${warm.marks[i]?.ms.toFixed(0)} ms`,
  ]);
  const counts = [cold, warm].map((s) => (s?.stats ? `${s.stats.kernels_compiled} compiled in ${s.stats.units} units` : ""));
  return [
    "",
    "## Start",
    "",
    ...table(["Since the process began", "Empty cache", "Kernels on disk"], [...rows, ["kernels", ...counts]]),
  ];
}

export function markdown(results) {
  const machine = dataOf(results, "machine", "machine");
  const goals = goalsOf(results).map(({ what, value, wanted, met }) => [
    what,
    value,
    wanted,
    met === null ? "not measured" : met ? "met" : "MISSED",
  ]);
  const lines = [
    `# ${machine?.properties?.name ?? "No GPU"}, ${(results.parts[0]?.at ?? "").slice(0, 10)}${results.smoke ? " (smoke: tiny sizes, times mean nothing)" : ""}`,
    "",
    ...machineLines(results),
    "",
    "## Parts",
    "",
    ...partLines(results),
    "",
    "## Goals",
    "",
    ...table(["Goal", "Measured", "Wanted", ""], goals),
    ...benchTables(results),
    ...dispatchTable(dataOf(results, "dispatch", "dispatch")),
    ...startLines(results),
    ...problemLines(results),
  ];
  return `${lines.join("\n")}\n`;
}

/** Writes the three files; `work` holds the logs. Returns the folder. */
export function writeResults(folder, results, work) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(folder, "results.md"), markdown(results));
  const logs = existsSync(work)
    ? readdirSync(work)
        .filter((name) => name.endsWith(".log"))
        .sort()
    : [];
  const text = logs.map((name) => `===== ${name}\n${readFileSync(join(work, name), "utf8").slice(-MOST_LOG)}`).join("\n");
  writeFileSync(join(folder, "logs.txt"), text);
  return folder;
}

export function merge(all) {
  const parts = new Map();
  for (const results of all)
    for (const part of results.parts) {
      const before = parts.get(part.part);
      // A part that did not get to run says nothing against one that did.
      if (before === undefined || part.steps.some((s) => s.seconds > 0)) parts.set(part.part, part);
    }
  const { format, device, stage } = all.at(-1);
  return { format, smoke: all.some((r) => r.smoke), device, stage, parts: [...parts.values()] };
}

function main() {
  const { values, positionals } = parseArgs({ options: { out: { type: "string" } }, allowPositionals: true });
  if (positionals.length === 0)
    throw new Error("npm run gpu:report -- DIR... [--out DIR]: name at least one folder with a results.json");
  const all = positionals.map((folder) => JSON.parse(readFileSync(join(folder, "results.json"), "utf8")));
  const results = merge(all);
  const folder = resolve(values.out ?? join("bench/results", folderName(results.parts)));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(folder, "results.md"), markdown(results));
  console.log(`results are in ${folder}\n\n${markdown(results)}`);
}

if (
  process.argv[1] !== undefined &&
  import.meta.url === pathToFileURL(process.argv[1]).href &&
  /report\.mjs$/.test(process.argv[1])
) {
  try {
    main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
