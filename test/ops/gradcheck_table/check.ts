/** Runs one entry of the table: random arguments from a seed, then first and second derivatives. */

import { Tensor } from "../../../ts/core/tensor.ts";
import type { Op } from "../../../ts/engine/define.ts";
import { isOptions } from "../../../ts/engine/signature.ts";
import * as torch from "../../../ts/entry.node.ts";
import { Random, type Sample } from "./random.ts";

type AnyOp = Op<never[], unknown>;
type Call = (...args: unknown[]) => unknown;

/** Draws the arguments of the op, of which tensors that require grad are the inputs; or inputs, and what is done with them. */
export type Draw = (r: Random) => readonly unknown[] | Sample;
export type Entries = Readonly<Record<string, Draw>>;

export interface CheckOptions {
  /** Every element of the Jacobians, not products with random vectors. */
  readonly slow?: boolean;
  readonly complex?: boolean;
  /** Jacobians from the right as well. */
  readonly forward?: boolean;
}

/** The tensors within arguments, and the same arguments with others in their place. */
function leavesOf(x: unknown, out: Tensor[] = []): Tensor[] {
  if (x instanceof Tensor) {
    if (x.requires_grad && !out.includes(x)) out.push(x);
  } else if (Array.isArray(x)) for (const y of x) leavesOf(y, out);
  else if (isOptions(x)) for (const y of Object.values(x)) leavesOf(y, out);
  return out;
}
function replaced(x: unknown, by: ReadonlyMap<unknown, Tensor>): unknown {
  if (x instanceof Tensor) return by.get(x) ?? x;
  if (Array.isArray(x)) return x.map((y) => replaced(y, by));
  if (isOptions(x)) return Object.fromEntries(Object.entries(x).map(([k, y]) => [k, replaced(y, by)]));
  return x;
}

/** The tensors within a result. */
export function tensorsOf(x: unknown, out: Tensor[] = []): Tensor[] {
  if (x instanceof Tensor) out.push(x);
  else if (Array.isArray(x)) for (const y of x) tensorsOf(y, out);
  else if (isOptions(x)) for (const y of Object.values(x)) tensorsOf(y, out);
  return out;
}

function describe(x: unknown): string {
  if (x instanceof Tensor) {
    const strides = x.is_contiguous() ? "" : ` strides [${x.stride().join(", ")}]`;
    return `${x.dtype} [${x.shape.join(", ")}]${strides}${x.requires_grad ? " requires_grad" : ""}`;
  }
  if (Array.isArray(x)) return `[${x.map(describe).join(", ")}]`;
  if (isOptions(x)) {
    return `{ ${Object.entries(x)
      .map(([k, y]) => `${k}: ${describe(y)}`)
      .join(", ")} }`;
  }
  return typeof x === "function" ? "function" : String(x);
}

/** The in-place form where the arguments allow it, once in a while. */
function inPlace(op: AnyOp, args: readonly unknown[], r: Random): Call | null {
  const first = args[0];
  if (!op.info.inplace || !(first instanceof Tensor) || !r.bool(0.4)) return null;
  const expanded = new Map([...r.expanded].map(([t, shape]) => [t, t.expand(shape)]));
  const out = (op as unknown as Call)(...(replaced(args, expanded) as unknown[]));
  const shape = r.expanded.get(first) ?? first.shape;
  if (!(out instanceof Tensor) || out.dtype !== first.dtype || String(out.shape) !== String(shape)) return null;
  const name = `${op.info.name}_`;
  return (self, ...rest) => {
    const t = (self as Tensor).clone();
    return (t as unknown as Record<string, Call>)[name]!.call(t, ...rest);
  };
}

/** Throws, with the op, the seed and the arguments in its message, where a derivative is wrong. */
export function checkEntry(name: string, op: AnyOp | undefined, draw: Draw, seed: number, options: CheckOptions = {}): void {
  const r = new Random(seed);
  r.complex = options.complex ?? false;
  let words = "";
  try {
    const drawn = draw(r);
    let inputs: readonly Tensor[];
    let once = false;
    let call: Call;
    if (Array.isArray(drawn)) {
      const args = drawn as unknown[];
      const leaves = leavesOf(args);
      inputs = leaves;
      const place = op === undefined ? null : torch.no_grad(() => inPlace(op, args, r));
      const fn = place ?? (op as unknown as Call);
      words = `${place === null ? "" : "in place "}(${args.map(describe).join(", ")})`;
      call = (...own) => fn(...(replaced(args, new Map(leaves.map((t, i) => [t, own[i] as Tensor]))) as unknown[]));
    } else {
      const sample = drawn as Sample;
      once = sample.once ?? false;
      inputs = sample.inputs;
      call = sample.call as Call;
      words = `(${inputs.map(describe).join(", ")}) ${sample.note ?? ""}`;
    }
    // Some get no gradient, one at least does.
    if (inputs.length > 1 && r.bool(0.4)) {
      const kept = r.int(0, inputs.length - 1);
      inputs = inputs.map((t, i) => (i === kept || r.bool() ? t : constantLike(t, r)));
      words += ` with gradients for ${inputs
        .map((t, i) => (t.requires_grad ? i : -1))
        .filter((i) => i >= 0)
        .join(", ")}`;
    }
    const shapes = inputs.map((t) => r.expanded.get(t) ?? null);
    if (shapes.some((s) => s !== null)) words += ` expanded to ${JSON.stringify(shapes)}`;
    const func = (...own: Tensor[]): Tensor[] => {
      torch.manual_seed(seed);
      const result = call(...own.map((t, i) => (shapes[i] == null ? t : t.expand(shapes[i]))));
      return tensorsOf(result).filter((t) => t.dtype.differentiable);
    };
    const mode = { fast_mode: options.slow !== true, check_forward_ad: options.forward ?? false };
    torch.autograd.gradcheck(func, inputs, { ...mode, atol: 2e-5 });
    if (!once) torch.autograd.gradgradcheck(func, inputs, null, { fast_mode: mode.fast_mode, atol: 2e-5 });
  } catch (error) {
    if (error instanceof Error)
      error.message = `${name}, seed ${seed}${r.complex ? ", complex" : ""}: ${words}\n${error.message}`;
    throw error;
  }
}

/** As checkEntry with complex arguments; false where the op refuses them. */
export function checkComplexEntry(name: string, op: AnyOp | undefined, draw: Draw, seed: number): boolean {
  try {
    checkEntry(name, op, draw, seed, { complex: true });
  } catch (error) {
    if (!(error instanceof torch.autograd.GradcheckError) && REFUSAL.test((error as Error).message.split("\n").at(-1)!))
      return false;
    throw error;
  }
  return true;
}
/** Takes complex numbers, but computes in float32, as PyTorch's does. */
export const coarse: readonly string[] = ["masked.median"];
/** Complex numbers are turned down for what they are. */
const REFUSAL = /complex|floating.point|no order/;

function constantLike(t: Tensor, r: Random): Tensor {
  const constant = t.detach();
  const shape = r.expanded.get(t);
  if (shape !== undefined) r.expanded.set(constant, shape);
  return constant;
}
