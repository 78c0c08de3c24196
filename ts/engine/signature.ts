/**
 * PyTorch's signatures as text: `"input, dim=None, keepdim=False, *, dtype=None"`. Arguments may come by position, and from any
 * point on by name in one trailing options object. Parsed once per op; types mirror it with `Args`.
 */

import { FloatScalar } from "../core/dtype.ts";
import { NotImplementedError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { checkRule, describe, isNumeric, type Kind, kindOf, type Rule, ruleOf } from "./kinds.ts";

export { describe };

export interface Signature {
  readonly text: string;
  readonly names: readonly string[];
  /** How many may come by position. */
  readonly positional: number;
  /** Undefined where an argument is required. */
  readonly defaults: readonly unknown[];
  /** `*shape`: the name of a variadic first-rest argument, which takes numbers or one list. */
  readonly variadic: number;
  /** What each may be. */
  readonly kinds: readonly Kind[];
  /** How that is checked; null: not at all. */
  readonly rules: readonly (Rule | null)[];
  /** Places of numbers and lists of them, for which PyTorch takes a tensor without dimensions, too. */
  readonly numeric: readonly number[];
}

/** `operands`: tensors for which numbers may stand, null where nothing is to be checked; `own`: kinds that names do not tell. */
export function parseSignature(
  text: string,
  operands: readonly string[] | null = null,
  own: Readonly<Record<string, Kind>> = {},
): Signature {
  const names: string[] = [];
  const defaults: unknown[] = [];
  let positional = -1;
  let variadic = -1;
  for (const part of text.split(/,(?![^[(]*[\])])/).map((s) => s.trim())) {
    if (part === "") continue;
    if (part === "*") {
      positional = names.length;
      continue;
    }
    const [left, right] = part.split("=", 2) as [string, string | undefined];
    if (left.startsWith("*")) variadic = names.length;
    names.push(left.replace(/^\*/, ""));
    defaults.push(right === undefined ? undefined : literal(right));
  }
  const kinds = names.map((name, i): Kind => {
    if (operands === null) return "any";
    return own[name] ?? (operands.includes(name) ? "operand" : kindOf(name, i, names, defaults[i]));
  });
  return {
    text,
    names,
    positional: positional < 0 ? names.length : positional,
    defaults,
    variadic,
    kinds,
    rules: kinds.map(ruleOf),
    numeric: kinds.flatMap((kind, i) => (isNumeric(kind) ? [i] : [])),
  };
}

function literal(text: string): unknown {
  if (text === "None") return null;
  if (text === "True") return true;
  if (text === "False") return false;
  if (text === "inf") return Infinity;
  if (text === "-inf") return -Infinity;
  return JSON.parse(text.replaceAll("'", '"'));
}

/** An options object, as opposed to a tensor, an array or an instance of a class. */
export function isOptions(x: unknown): x is Record<string, unknown> {
  return typeof x === "object" && x !== null && Object.getPrototypeOf(x) === Object.prototype;
}

/** Arguments in the signature's order, defaults filled in. */
export function bindArguments(op: string, sig: Signature, given: readonly unknown[]): unknown[] {
  const { names, defaults } = sig;
  let n = given.length;
  let options: Record<string, unknown> | null = null;
  if (n > 0 && isOptions(given[n - 1])) {
    options = given[n - 1] as Record<string, unknown>;
    n--;
  }
  const bound = new Array<unknown>(names.length);
  let positional = sig.positional;
  let taken = n;
  if (sig.variadic >= 0 && n > sig.variadic && !Array.isArray(given[sig.variadic])) {
    // f(x, 2, 3): everything from here on is one list, unless it is a single null.
    for (let i = 0; i < sig.variadic; i++) bound[i] = given[i];
    bound[sig.variadic] = given[sig.variadic] === null && n === sig.variadic + 1 ? null : given.slice(sig.variadic, n);
    taken = sig.variadic + 1;
    positional = Math.max(positional, taken);
  } else {
    for (let i = 0; i < n && i < names.length; i++) bound[i] = given[i];
  }
  if (taken > positional) {
    throw new TypeError(`${op}(${sig.text}) takes ${positional} positional arguments but ${n} were given`);
  }
  if (options !== null) {
    for (const key of Object.keys(options)) {
      const at = names.indexOf(key);
      if (at < 0 && key === "out")
        throw new NotImplementedError(`${op}: writing into out is not supported; use the result, or copy_ it`);
      if (at < 0) throw new TypeError(`${op}(${sig.text}) got an unexpected keyword argument '${key}'`);
      if (at < taken) throw new TypeError(`${op}(${sig.text}) got multiple values for argument '${key}'`);
      const x = options[key];
      // The list by name may be one number, too.
      bound[at] = at === sig.variadic && x !== null && x !== undefined && !Array.isArray(x) ? [x] : x;
    }
  }
  for (let i = 0; i < bound.length; i++) {
    if (bound[i] === undefined) {
      const value = defaults[i];
      if (value === undefined) throw new TypeError(`${op}(${sig.text}) missing required argument '${names[i]}'`);
      bound[i] = value;
    }
  }
  return bound;
}

/** The same for an op: a tensor without dimensions may stand for a number, and every argument must be of its kind. */
export function bindOp(op: string, sig: Signature, given: readonly unknown[]): unknown[] {
  const bound = bindArguments(op, sig, given);
  const { rules, numeric, defaults, names } = sig;
  for (const i of numeric) if (typeof bound[i] === "object" && bound[i] !== null) bound[i] = asNumber(bound[i]);
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!;
    if (rule !== null && bound[i] !== defaults[i]) bound[i] = checkRule(op, names[i]!, rule, defaults[i], bound[i]);
  }
  return bound;
}

/** A tensor without dimensions as the number in it, in lists, too; everything else as it is. */
export function asNumber(x: unknown): unknown {
  if (Array.isArray(x)) {
    for (const y of x) if (y instanceof Tensor) return x.map(asNumber);
    return x as unknown[];
  }
  if (!(x instanceof Tensor) || x.ndim > 0 || x.requires_grad) return x;
  const value = (x as Tensor & { item_sync(): number | bigint | boolean }).item_sync();
  if (typeof value === "bigint") return Number(value);
  return x.dtype.is_floating_point && typeof value === "number" ? new FloatScalar(value) : value;
}

/** A tensor argument, or a TypeError that says what came instead. */
export function checkTensor(op: string, name: string, x: unknown): asserts x is Tensor {
  if (!(x instanceof Tensor)) {
    throw new TypeError(`${op}: argument '${name}' must be Tensor, not ${describe(x)}`);
  }
}

type Merge<P extends readonly object[]> = P extends readonly [infer H, ...infer T extends object[]] ? H & Merge<T> : object;
// Undefined stays allowed (it means the default): taking it out would look into Tensor, whose methods are still being derived from here.
type Value<H> = H[keyof H];

/**
 * Types of a call: `Args<[{ dim?: number }, { keepdim?: boolean }], { dtype?: DType }>` allows `(1, true)`, `(1, { keepdim: true })`,
 * `({ dim: 1, dtype })` and so on: a positional prefix, then optionally the rest by name.
 */
export type Args<P extends readonly object[], K extends object = object> =
  | [options?: Merge<P> & K]
  | (P extends readonly [infer H, ...infer T extends object[]] ? [Value<H>] | [Value<H>, ...Args<T, K>] : never);
