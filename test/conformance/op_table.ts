/**
 * `npm run docs:ops`: writes docs/ops.md, the table of all operations by device, from the op table and runs of the golden corpus on each
 * device (their `--json`, given as DEVICE=FILE).
 */

import { readFileSync, writeFileSync } from "node:fs";
import * as torch from "kindling";
import type { OpInfo } from "../../ts/engine/define.ts";
import { registry } from "../../ts/ops/install.ts";
import { readJson } from "./corpus.ts";
import { openCorpus } from "./corpus_files.ts";
import type { Exceptions, Faults } from "./golden.ts";
import { leftOut } from "./names.ts";
import type { OpEntry } from "./ops.ts";
import type { UnitReport } from "./report.ts";

/** Where PyTorch's users look for functions. */
const NAMESPACES = ["torch", "nn.functional", "linalg", "special", "fft", "signal.windows", "masked"] as const;

export interface Listed {
  readonly name: string;
  /** Null: a function that is not made of an entry of the op table (`tensor`, `zeros`). */
  readonly info: OpInfo | null;
}

const infoOf = (x: unknown): OpInfo | null => (typeof x === "function" && "info" in x ? (x.info as OpInfo) : null);
const isFunction = (name: string, x: unknown): boolean => typeof x === "function" && /^[a-z]/.test(name);

/** What is there under PyTorch's names: each namespace's functions, then what only Tensor has. */
export function listOps(): ReadonlyMap<string, readonly Listed[]> {
  const lists = new Map<string, Listed[]>();
  for (const namespace of NAMESPACES) {
    const path = namespace === "torch" ? [] : namespace.split(".");
    const found = path.reduce<unknown>((x, key) => (x as Record<string, unknown> | undefined)?.[key], torch);
    const functions = Object.entries(found ?? {}).filter(([name, x]) => isFunction(name, x));
    lists.set(namespace, sorted(functions.map(([name, x]) => ({ name, info: infoOf(x) }))));
  }
  const functions = new Set([...lists.values()].flat().map(({ name }) => name));
  const members = Object.entries(Object.getOwnPropertyDescriptors(torch.Tensor.prototype));
  const own = members.filter(([name]) => /^(__)?[a-zA-Z]/.test(name) && name !== "constructor");
  const methods = own.filter(([name]) => !functions.has(name) && !functions.has(name.replace(/_$/, "")));
  lists.set("Tensor", sorted(methods.map(([name]) => ({ name, info: registry.get(`Tensor.${name}`)?.info ?? null }))));
  return lists;
}

const sorted = (ops: readonly Listed[]): Listed[] => [...ops].sort((a, b) => (a.name < b.name ? -1 : 1));

/** What corpora call an op. */
const fullNames = (namespace: string, { name, info }: Listed): string[] => {
  if (namespace === "Tensor") return [name, `Tensor.${name}`, name.replace(/_$/, "")];
  const prefix = namespace === "torch" ? "" : `${namespace}.`;
  return [`${prefix}${name}`, ...(info === null ? [] : [`${prefix}${info.name}`, info.name])];
};

interface Entry extends OpEntry {
  readonly cases: number;
  readonly with_grads: number;
  readonly differentiable?: boolean;
}

export interface Runs {
  readonly entries: Readonly<Record<string, Entry>>;
  /** By device, what a run has found of each op. */
  readonly devices: Readonly<Record<string, Readonly<Record<string, UnitReport>>>>;
  readonly exceptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Reasons by number, each told once below the table. */
class Notes {
  readonly texts: string[] = [];
  refer(text: string): string {
    let i = this.texts.indexOf(text);
    if (i < 0) i = this.texts.push(text) - 1;
    return `[${i + 1}](#notes)`;
  }
}

/** Reasons without what differs from case to case. */
const kindOf = (reason: string): string => reason.replace(/:.*$/s, "").trim();

const FALLBACK =
  "no kernels of its own there, or not for all of it: the cpu computes it where `torch.backends.fallback.enabled` says so, else it is an error";

function cell(unit: UnitReport | undefined, exception: string | undefined, notes: Notes): string {
  if (unit === undefined) return "";
  const { passed, failed, skipped, fallback, problems } = unit;
  const all = passed + failed + skipped;
  const host = fallback === true ? [FALLBACK] : [];
  if (passed === all) return [`${all}`, ...host.map((reason) => notes.refer(reason))].join(" ");
  const told = problems.map(({ status, reason }) => {
    if (status === "skipped") return kindOf(reason);
    return exception ?? `differs: ${kindOf(reason)}`;
  });
  return `${passed} of ${all} ${[...new Set([...host, ...told])].map((reason) => notes.refer(reason)).join(" ")}`;
}

function gradient({ info }: Listed, entry: Entry | undefined): string {
  if (entry !== undefined && entry.with_grads > 0) return `yes, ${entry.with_grads}`;
  if (info === null || info.differentiable === false || entry?.differentiable === false) return "";
  return info.differentiable === true ? "yes" : entry === undefined ? "as its parts" : "";
}

/** The signature as PyTorch's documentation writes it, and what Tensor has of the op. */
const call = ({ name, info }: Listed): string => `\`${name}${info === null ? "" : `(${info.signature.text})`}\``;
function forms({ name, info }: Listed): string {
  if (info === null) return "";
  const { method, inplace } = info;
  // A second name has its own forms.
  const own = method === info.name ? name : method;
  return [...(own === null ? [] : [`.${own}`]), ...(inplace ? [`.${name}_`] : [])].map((x) => `\`${x}\``).join(" ");
}

export function opTable(lists: ReadonlyMap<string, readonly Listed[]>, { entries, devices, exceptions }: Runs): string {
  const notes = new Notes();
  const names = Object.keys(devices);
  const sections: string[] = [];
  for (const [namespace, ops] of lists) {
    const rows = ops.map((op) => {
      const known = fullNames(namespace, op).find((name) => Object.hasOwn(entries, name)) ?? "";
      const cells = names.map((device) => cell(devices[device]![known], exceptions[device]?.[known], notes));
      return `| ${[call(op), forms(op), gradient(op, entries[known]), ...cells].join(" | ")} |`;
    });
    const head = [`signature`, `Tensor`, `gradient`, ...names];
    sections.push(`## ${namespace}`, "", `| ${head.join(" | ")} |`, `| ${head.map(() => "---").join(" | ")} |`, ...rows, "");
  }
  const count = [...lists.values()].reduce((n, ops) => n + ops.length, 0);
  const summary = names.map((device) => {
    const units = Object.values(devices[device]!);
    const sum = (key: "passed" | "failed" | "skipped"): number => units.reduce((n, unit) => n + unit[key], 0);
    const whole = units.filter((unit) => unit.failed + unit.skipped === 0).length;
    return `| ${device} | ${whole} of ${units.length} | ${sum("passed")} | ${sum("failed")} | ${sum("skipped")} |`;
  });
  return [
    "# Operations",
    "",
    "Written by `npm run docs:ops` from the op table and from runs of the golden corpus (results of PyTorch 2.6) on each device; not edited by hand.",
    "",
    `${count} functions, methods and properties. The corpus in the repository has cases of ${Object.keys(entries).length} operations:`,
    "",
    "| device | operations in full | cases passed | failed | left out |",
    "| --- | --- | --- | --- | --- |",
    ...summary,
    "",
    "webgpu ran on Dawn with a software driver, cuda through the stand-ins of `test/cuda` that run its generated kernels on a CPU.",
    "",
    "How to read a row: the call, with PyTorch's defaults (arguments come by position, or by name in one options object at the end); the method and the",
    "in-place form that Tensor has; whether there is a gradient, and how many cases compare it with PyTorch's (gradients are made of differentiable operations, so",
    "there are second ones, too; `as its parts`: the operation is made of others and has their gradients); then the cases that pass on each device.",
    "No number: the corpus has no case of it.",
    "",
    ...sections,
    "## Notes",
    "",
    ...notes.texts.map((text, i) => `${i + 1}. ${text}`),
    "",
    "## Left out",
    "",
    "What PyTorch has and Kindling does not, with the reason (`*` stands for anything).",
    "",
    ...[...leftOut].map(([reason, names]) => `- ${reason}: ${names.map((name) => `\`${name}\``).join(" ")}`),
    "",
  ].join("\n");
}

const FAULTS = new URL("./golden_faults.json", import.meta.url);
const LISTED = {
  webgpu: new URL("./exceptions.webgpu.json", import.meta.url),
  cuda: new URL("./exceptions.cuda.json", import.meta.url),
};

function main(): void {
  const [pack, output, ...given] = process.argv.slice(2);
  const read = <T>(path: string | URL): T => JSON.parse(readFileSync(path, "utf8")) as T;
  const devices: Record<string, Record<string, UnitReport>> = {};
  const exceptions: Record<string, Record<string, string>> = {};
  for (const argument of given) {
    const [device, file] = argument.split("=") as [string, string];
    devices[device] = read<{ units: Record<string, UnitReport> }>(file).units;
    const listed = LISTED[device as keyof typeof LISTED] as URL | undefined;
    const own = listed === undefined ? {} : read<Exceptions>(listed).ops;
    const faults = Object.entries(read<Faults>(FAULTS).ops ?? {}).map(([unit, { reason }]) => [unit, reason] as const);
    exceptions[device] = { ...Object.fromEntries(faults), ...own };
  }
  const { ops } = readJson<{ ops: Record<string, Entry> }>(openCorpus(pack!), "index.json");
  writeFileSync(output!, opTable(listOps(), { entries: ops, devices, exceptions }));
}

// The test imports this file for its lists.
if (process.env.VITEST === undefined) main();
