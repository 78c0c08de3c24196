/**
 * PyTorch's signatures as text: `"input, dim=None, keepdim=False, *, dtype=None"`. Arguments may come by position, and from any
 * point on by name in one trailing options object. Parsed once per op; types mirror it with `Args`.
 */

import { FloatScalar } from "../core/dtype.ts";
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
  /** Places of numbers and lists of them, for which PyTorch takes a tensor without dimensions, too. */
  readonly numeric: readonly number[];
  /** Places of tensors that nothing else can stand for, but what the default is. */
  readonly tensors: readonly number[];
  /** The place of the argument named dtype, or -1. */
  readonly dtype: number;
}

/** Parameters that are numbers or lists of numbers in every op that has them. */
const NUMBERS = new Set(
  (
    "dim dims dim0 dim1 dim2 size sizes shape stride strides storage_offset offset k steps base chunks sections indices_or_sections " +
    "split_size_or_sections split_size split_sizes start end step length diagonal kernel_size padding output_padding dilation groups " +
    "output_size output_ratio scale_factor normalized_shape num_groups num_classes upscale_factor downscale_factor alpha beta " +
    "fill_value eps threshold lambda lambd negative_slope min_val max_val norm_type maxnorm rtol atol correction decimals tau delta margin ord " +
    "padding_value window_length rcond s low high row col m edge_order shifts destination pad d from to sigma lower"
  ).split(" "),
);

/** Parameters that are numbers where their default is one. */
const PLAIN = new Set(["n", "p", "value"]);

/** Parameters that are tensors in every op that has them. */
const TENSORS = new Set(
  "input tensor mask weight bias batch1 batch2 mat vec anchor positive negative x1 x2 theta grid running_mean running_var".split(
    " ",
  ),
);

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
  const places = (of: (name: string, i: number) => boolean): number[] => names.flatMap((name, i) => (of(name, i) ? [i] : []));
  return {
    text,
    names,
    positional: positional < 0 ? names.length : positional,
    defaults,
    variadic,
    numeric: places((name, i) => isNumeric(name, i, names, defaults[i])),
    dtype: names.indexOf("dtype"),
    tensors: places(
      (name, i) => (TENSORS.has(name) && (name !== "input" || i === 0)) || (name === "target" && names.includes("reduction")),
    ),
  };
}

function isNumeric(name: string, at: number, names: readonly string[], usual: unknown): boolean {
  // In `max(input, other)` a tensor may stand where dim is.
  if (name === "dim" && names.includes("other")) return false;
  if (NUMBERS.has(name) || typeof usual === "boolean") return true;
  return PLAIN.has(name) && (at === 0 || typeof usual === "number" || (name === "p" && usual === undefined));
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

/** The same for an op: a tensor without dimensions may stand for a number, and a dtype must be one. */
export function bindOp(op: string, sig: Signature, given: readonly unknown[]): unknown[] {
  const bound = bindArguments(op, sig, given);
  for (const i of sig.numeric) if (typeof bound[i] === "object" && bound[i] !== null) bound[i] = asNumber(bound[i]);
  if (sig.dtype >= 0) checkDType(op, bound[sig.dtype]);
  return bound;
}

function checkDType(op: string, x: unknown): void {
  if (x === null || (typeof x === "object" && "itemsize" in x && !(x instanceof Tensor))) return;
  throw new TypeError(`${op}: argument 'dtype' must be a dtype (torch.float32, say), not ${describe(x)}`);
}

/** A tensor without dimensions as the number in it, in lists, too; everything else as it is. */
export function asNumber(x: unknown): unknown {
  if (Array.isArray(x)) return x.some((y) => y instanceof Tensor) ? x.map(asNumber) : (x as unknown[]);
  if (!(x instanceof Tensor) || x.ndim > 0 || x.requires_grad) return x;
  const value = (x as Tensor & { item_sync(): number | bigint | boolean }).item_sync();
  if (typeof value === "bigint") return Number(value);
  return x.dtype.is_floating_point && typeof value === "number" ? new FloatScalar(value) : value;
}

/** Throws a TypeError where something else has come for a tensor. */
export function checkTensors(op: string, sig: Signature, bound: readonly unknown[]): void {
  for (const i of sig.tensors) {
    const x = bound[i];
    if (!(x instanceof Tensor) && (x !== null || i === 0)) checkTensor(op, sig.names[i]!, x);
  }
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
