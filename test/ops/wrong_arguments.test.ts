/** Wrong arguments end in an error of ours: seeded random calls of every op and Tensor method. */

import { expect, test } from "vitest";
import * as torch from "../../ts/entry.node.ts";

/** More finds rarer combinations; FIRST_SEED goes elsewhere. */
const CALLS = Number(process.env.CALLS ?? 8);
const FIRST_SEED = Number(process.env.FIRST_SEED ?? 1);

/** How V8 says that the code was wrong, not the caller. */
const INTERNAL =
  /Cannot (read|set|mix|convert|destructure|use|assign|delete)|is not (a function|iterable|a constructor|defined)|Class constructor|Reduce of empty|private (member|field)|callable|Spread syntax|incompatible receiver|start offset|out of bounds memory/i;

function isInternal(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  if (error instanceof RangeError || error instanceof ReferenceError || error instanceof WebAssembly.RuntimeError) return true;
  return (
    error.constructor === Error || (error.constructor === TypeError && INTERNAL.test(error.message.replace(/must be .*/s, "")))
  );
}

const ones = (shape: number[], dtype = torch.float32): torch.Tensor => torch.ones(shape, { dtype });
const plausible = (): unknown[] => [
  ...[ones([2, 3]), ones([3, 3]), ones([2, 3, 4]), ones([2, 2, 3, 3]), ones([3], torch.int64)],
  ...[0, 1, [2, 3], "mean"],
];
const wrong = (): unknown[] => [
  ...[undefined, null, "bogus", 1.5, -1, -100, 2 ** 40, NaN, Infinity, true, 10n, Symbol("s"), torch.float16],
  ...[[], [[]], ["a"], [null], [1, -1], [1.5], [2 ** 40], {}, { bogus: 1 }, () => 1, new Date(0), new Float32Array(3)],
  ...[ones([]), ones([0]), ones([2, 3, 4, 5, 6]), ones([2, 3], torch.int64), ones([2, 3], torch.bool), torch.tensor(2)],
  ...[ones([2, 3], torch.complex64), [ones([2, 3])], [ones([2, 3]), null], new torch.Generator()],
];

function describe(x: unknown): string {
  if (x instanceof torch.Tensor) return `${x.dtype}[${x.shape.join(", ")}]`;
  if (Array.isArray(x)) return `[${x.map(describe).join(", ")}]`;
  if (typeof x !== "object" || x === null) return typeof x === "bigint" ? `${x}n` : String(x);
  if (Object.getPrototypeOf(x) !== Object.prototype) return x.constructor.name;
  return `{ ${Object.entries(x)
    .map(([k, v]) => `${k}: ${describe(v)}`)
    .join(", ")} }`;
}

type Call = (...args: unknown[]) => unknown;
interface Target {
  readonly name: string;
  readonly call: Call;
  readonly parameters: readonly string[];
}

/** What asks for so many steps that it would go on for ever, in PyTorch, too. */
const isEndless = (name: string, args: string): boolean => name.includes("laguerre") && args.includes("1099511627776");

async function failures(targets: readonly Target[]): Promise<string[]> {
  const found: string[] = [];
  for (const [at, { name, call, parameters }] of targets.entries()) {
    let state = (FIRST_SEED * 7919 + at * 104729) >>> 0;
    const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const pick = (list: unknown[]): unknown => list[Math.floor(random() * list.length)];
    for (let i = 0; i < CALLS; i++) {
      const count = Math.floor(random() * Math.min(Math.max(parameters.length, 2) + 2, 7));
      const args = Array.from({ length: count }, (_, j) => pick(random() < (j === 0 ? 0.75 : 0.5) ? plausible() : wrong()));
      if (random() < 0.5) {
        const byName = parameters.slice(count).filter(() => random() < 0.7);
        args.push(Object.fromEntries(byName.map((key) => [key, pick(random() < 0.4 ? plausible() : wrong())])));
      }
      const shown = args.map(describe).join(", ");
      if (isEndless(name, shown)) continue;
      try {
        const result = await call(...args);
        if (result instanceof torch.Tensor && result.numel() < 1e6) result.data_sync();
      } catch (error) {
        if (isInternal(error)) found.push(`${name}(${shown}): ${String(error)}`);
      }
    }
  }
  return found;
}

test("of ops", async () => {
  const targets = [...torch.registry]
    .filter(([, op]) => op.info.doc !== "")
    .map(([name, op]) => ({ name, call: op as unknown as Call, parameters: op.info.signature.names }));
  expect(targets.length).toBeGreaterThan(700);
  expect(await failures(targets)).toEqual([]);
});

test("of Tensor's methods", async () => {
  const targets: Target[] = [];
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(torch.Tensor.prototype))) {
    if (typeof value !== "function" || name === "constructor" || name.startsWith("_")) continue;
    const selves = [ones([2, 3]), ones([3, 3], torch.complex64), ones([2, 3, 4], torch.int64), ones([]), ones([0])];
    let next = 0;
    const call: Call = (...args) => (value as Call).apply(selves[next++ % selves.length]!.clone(), args);
    targets.push({ name: `Tensor.${name}`, call, parameters: [] });
  }
  expect(targets.length).toBeGreaterThan(450);
  expect(await failures(targets)).toEqual([]);
});
