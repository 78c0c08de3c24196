/**
 * What PyTorch has and what we have. pytorch_names.json: PyTorch's public names, by module, or class (1.13's `dir()`, and what 2.0 to 2.6
 * added to the documentation). names.json: those that are left out, by reason, and ours that PyTorch does not have. `*` stands for anything.
 */

import { readFileSync } from "node:fs";
import * as torch from "kindling";

const read = <T>(file: URL): T => JSON.parse(readFileSync(file, "utf8")) as T;
const { left_out, ours } = read<Record<"left_out" | "ours", Readonly<Record<string, string>>>>(
  new URL("./names.json", import.meta.url),
);
export const pytorchNames = read<Readonly<Record<string, string>>>(new URL("./pytorch_names.json", import.meta.url));
/** Names and patterns by the reason why they are left out. */
export const leftOut: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries(left_out).map(([reason, names]) => [reason, names.split(" ")]),
);

const layer = new torch.nn.Linear(1, 1);
const optimizer = new torch.optim.SGD([layer.weight], { lr: 1 });
/** One of each class, since fields are the instances'. */
const INSTANCES: Readonly<Record<string, object>> = {
  "torch.Tensor": torch.ones(1),
  "torch.Generator": new torch.Generator(),
  "torch.nn.Module": layer,
  "torch.optim.Optimizer": optimizer,
  "torch.optim.lr_scheduler.LRScheduler": new torch.optim.lr_scheduler.StepLR(optimizer, 1),
  "torch.distributions.Distribution": new torch.distributions.Normal(0, 1),
  "torch.distributions.Transform": new torch.distributions.ExpTransform(),
  "torch.amp.GradScaler": new torch.amp.GradScaler("cpu"),
};

const find = (path: string): unknown =>
  path
    .split(".")
    .slice(1)
    .reduce<unknown>((x, key) => (x as Record<string, unknown> | undefined)?.[key], torch);

/** PyTorch's full names that are not here. */
export function missingNames(): string[] {
  return Object.entries(pytorchNames).flatMap(([path, words]) => {
    const holders = [find(path), INSTANCES[path]].filter((x) => x !== undefined).map(Object) as object[];
    const missing = words.split(" ").filter((name) => !holders.some((x) => name in x));
    return missing.map((name) => `${path}.${name}`);
  });
}

/** Names of ours in PyTorch's modules that are neither PyTorch's nor listed as ours. */
export function unexpectedNames(): string[] {
  return Object.keys(pytorchNames).flatMap((path) => {
    if (Object.hasOwn(INSTANCES, path) || typeof find(path) === "function") return [];
    const known = new Set(`${pytorchNames[path]!} ${ours[path] ?? ""}`.split(" "));
    const names = Object.keys((find(path) as object | undefined) ?? {});
    return names.filter((name) => !name.startsWith("_") && !known.has(name)).map((name) => `${path}.${name}`);
  });
}

export function matches(pattern: string, name: string): boolean {
  const source = pattern.replace(/[.*]/g, (c) => (c === "." ? "\\." : "[^.]*"));
  return new RegExp(`^${source}$`).test(name);
}
