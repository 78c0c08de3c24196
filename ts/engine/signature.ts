/**
 * PyTorch's signatures as text: `"input, dim=None, keepdim=False, *, dtype=None"`. Arguments may come by position, and from any
 * point on by name in one trailing options object. Parsed once per op; types mirror it with `Args`.
 */

import { NotImplementedError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";

export interface Signature {
  readonly text: string;
  readonly names: readonly string[];
  /** How many may come by position. */
  readonly positional: number;
  /** Undefined where an argument is required. */
  readonly defaults: readonly unknown[];
  /** `*shape`: the name of a variadic first-rest argument, which takes numbers or one list. */
  readonly variadic: number;
}

export function parseSignature(text: string): Signature {
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
  return { text, names, positional: positional < 0 ? names.length : positional, defaults, variadic };
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
      bound[at] = options[key];
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

/** A tensor argument, or a TypeError that says what came instead. */
export function checkTensor(op: string, name: string, x: unknown): asserts x is Tensor {
  if (!(x instanceof Tensor)) {
    throw new TypeError(`${op}: argument '${name}' must be Tensor, not ${describe(x)}`);
  }
}

export function describe(x: unknown): string {
  if (x === null) return "null";
  if (Array.isArray(x)) return "array";
  return typeof x === "object" ? x.constructor.name : typeof x;
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
