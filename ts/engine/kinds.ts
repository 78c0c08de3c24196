/**
 * What an argument may be, told by its name and its default as PyTorch's parser tells it by types. One place for all ops: what does not fit
 * ends in a TypeError that says so, before any op looks at it.
 */

import { Complex, FloatScalar, isScalar } from "../core/dtype.ts";
import { Tensor } from "../core/tensor.ts";

/** "operand": a tensor, or a number in its place. "any" is left to the op, "own", too, as a number where it is a tensor without dimensions;
 * "long" stays a bigint where it comes as one. */
export type Kind =
  | "any"
  | "own"
  | "int"
  | "ints"
  | "list"
  | "long"
  | "long or list"
  | "ints or bool"
  | "ints or tensor"
  | "int or tensor"
  | "list or tensor"
  | "sizes or none"
  | "padding"
  | "number"
  | "numbers"
  | "bool"
  | "string"
  | "tensor"
  | "tensor or none"
  | "tensors"
  | "operand"
  | "ord"
  | "dtype"
  | "generator";

const isInt = (x: unknown): boolean => (typeof x === "number" ? Number.isInteger(x) : typeof x === "bigint");
const isNumber = (x: unknown): boolean => isScalar(x) || x instanceof Complex;
// Every call of an op comes by here: loops, as they make no closures.
function isList(x: unknown): boolean {
  if (!Array.isArray(x)) return false;
  for (const n of x) if (!isInt(n)) return false;
  return true;
}
const isInts = (x: unknown): boolean => isInt(x) || isList(x);
const isSizes = (x: unknown): boolean => isInt(x) || (Array.isArray(x) && x.every((n) => n === null || isInt(n)));

const RULES: Readonly<Record<Kind, readonly [what: string, fits: (x: unknown) => boolean]>> = {
  any: ["anything", () => true],
  own: ["anything", () => true],
  int: ["int", isInt],
  ints: ["int or a list of ints", isInts],
  list: ["a list of ints", isList],
  long: ["an int", isInt],
  "long or list": ["an int or a list of ints", isInts],
  "ints or bool": ["int, a list of ints or bool", (x) => isInts(x) || typeof x === "boolean"],
  "ints or tensor": ["int, a list of ints or a Tensor", (x) => isInts(x) || x instanceof Tensor],
  "int or tensor": ["int or Tensor", (x) => isInt(x) || x instanceof Tensor],
  "list or tensor": ["a list of ints or a Tensor", (x) => isList(x) || x instanceof Tensor],
  "sizes or none": ["int or a list of ints", isSizes],
  padding: ["int, a list of ints or a string", (x) => isInts(x) || typeof x === "string"],
  number: ["Number", isNumber],
  numbers: ["Number or a list of Numbers", (x) => isNumber(x) || (Array.isArray(x) && x.every(isNumber))],
  bool: ["bool", (x) => typeof x === "boolean"],
  string: ["string", (x) => typeof x === "string"],
  tensor: ["Tensor", (x) => x instanceof Tensor],
  "tensor or none": ["Tensor or null", (x) => x === null || x instanceof Tensor],
  tensors: ["a list of Tensors", (x) => Array.isArray(x) && x.every((t) => t instanceof Tensor)],
  operand: ["Tensor or Number", (x) => x instanceof Tensor || isNumber(x)],
  ord: ["Number or string", (x) => isScalar(x) || typeof x === "string"],
  dtype: [
    "a dtype (torch.float32, say)",
    (x) => typeof x === "object" && x !== null && "itemsize" in x && !(x instanceof Tensor),
  ],
  generator: ["a torch.Generator", (x) => typeof x === "object" && x !== null && "_state" in x],
};

const NAMES: readonly (readonly [Kind, string])[] = [
  [
    "int",
    "dim0 dim1 dim2 axis axis0 axis1 start_dim end_dim dimension storage_offset offset chunks sections groups num_groups num_classes " +
      "upscale_factor downscale_factor window_length row col m length diagonal minlength num_samples n_fft hop_length win_length niter edge_order " +
      "blank ignore_index padding_idx num_heads embed_dim_to_check r divisor_override count decimals steps N ind k",
  ],
  ["ints", "shape strides split_size split_size_or_sections kernel_size dilation output_padding shifts destination pad"],
  ["list", "sizes split_sizes normalized_shape physical_layout"],
  ["long", "low high"],
  ["ints or tensor", "indices_or_sections"],
  ["list or tensor", "input_lengths target_lengths"],
  ["sizes or none", "output_size"],
  ["padding", "padding"],
  [
    "number",
    "alpha beta eps threshold lambda lambd negative_slope min_val max_val norm_type maxnorm max_norm correction delta margin " +
      "sigma median lower momentum dropout_p scale label_smoothing dx d base nan posinf neginf padding_value initial fill_value",
  ],
  ["numbers", "scale_factor output_ratio"],
  ["bool", "align_corners recompute_scale_factor size_average onesided return_complex unbiased add_zero_attn training"],
  [
    "string",
    "mode reduction pad_mode padding_mode driver UPLO indexing side interpolation rounding_mode norm compute_mode approximate method",
  ],
  [
    "tensor",
    "self tensor mask batch1 batch2 mat mat1 mat2 vec vec1 vec2 anchor positive negative x1 x2 theta grid A B " +
      "L LU LD LU_data LU_pivots pivots iK X index src boundaries sorted_sequence sorter log_probs targets input1 input2 weights fweights aweights " +
      "per_sample_weights pos_weight lengths offsets window attn_mask key_padding_mask y x real imag abs angle query key other input_mask " +
      "other_mask out_proj_weight q_proj_weight k_proj_weight v_proj_weight static_k " +
      "static_v prepend append condition prob _random_samples var logits",
  ],
  ["tensor or none", "running_mean running_var in_proj_weight in_proj_bias bias_k bias_v out_proj_bias"],
  ["tensors", "tensors matrices"],
  ["operand", "exponent"],
  ["ord", "ord"],
  ["dtype", "dtype"],
  ["generator", "generator"],
];
const KINDS = new Map(NAMES.flatMap(([kind, names]) => names.split(" ").map((name) => [name, kind] as const)));

/** Names that mean one thing in some ops and another in others; `usual` is the default, undefined where there is none. */
const BY_OTHERS: Readonly<Record<string, (has: (name: string) => boolean, usual: unknown, at: number) => Kind>> = {
  // In `max(input, other)` a tensor may stand where dim is, in `std(input, false)` unbiased.
  dim: (has, _, at) => (has("other") && at === 1 ? "any" : has("unbiased") ? "ints or bool" : "ints"),
  dims: (has) => (has("b") ? "own" : has("B") ? "list" : "ints"),
  from: (_, usual) => (usual === null ? "long" : "number"),
  to: (_, usual) => (usual === null ? "long" : "number"),
  input: (_, usual, at) => (at === 0 && usual === undefined ? "tensor" : "any"),
  n: () => "int",
  p: (_, usual) => (typeof usual === "number" || usual === undefined ? "number" : "ord"),
  k: (has) => (has("alpha") ? "number" : "int"),
  q: (_, usual) => (usual === undefined ? "operand" : "int"),
  s: (_, usual) => (usual === null ? "ints" : "number"),
  a: (has) => (has("b") ? "tensor" : "numbers"),
  b: () => "tensor",
  M: (_, usual) => (usual === null ? "tensor" : "int"),
  atol: (has) => (has("hermitian") ? "operand" : "number"),
  rtol: (has) => (has("hermitian") ? "operand" : "number"),
  rcond: (has) => (has("hermitian") ? "operand" : "number"),
  tol: (has) => (has("hermitian") ? "operand" : "number"),
  bins: (_, usual) => (usual === undefined ? "any" : "int"),
  center: (_, usual) => (usual === null ? "number" : "bool"),
  data: (has) => (has("reduce") ? "tensor" : "any"),
  count: (has) => (has("prob") ? "tensor" : "int"),
  end: (has) => (has("input") ? "int" : "number"),
  start: (has) => (has("input") ? "int" : "number"),
  step: (has) => (has("input") ? "int" : "number"),
  indices: (has) => (has("values") ? "any" : "tensor"),
  max: (_, usual) => (usual === 0 ? "number" : "operand"),
  min: (_, usual) => (usual === 0 ? "number" : "operand"),
  mean: (has) => (has("size") ? "operand" : "number"),
  std: (has) => (has("size") ? "operand" : "number"),
  // PyTorch gives native norms no defaults.
  weight: (has, usual) => (has("eps") && usual === undefined ? "tensor or none" : "tensor"),
  bias: (has, usual) => (has("eps") && usual === undefined ? "tensor or none" : "tensor"),
  // `*repeats` of repeat is a list, and that of repeat_interleave one number or a tensor.
  repeats: (_, usual) => (usual === null ? "int or tensor" : "ints"),
  reduce: (has) => (has("reduction") ? "bool" : "string"),
  size: (has) => (has("theta") || has("stride") ? "list" : "ints"),
  source: (has) => (has("destination") ? "ints" : "tensor"),
  stride: (has) => (has("size") ? "list" : "ints"),
  target: (has) => (has("reduction") ? "tensor" : "any"),
  tau: (_, usual) => (typeof usual === "number" ? "number" : "tensor"),
  upper: (_, usual) => (typeof usual === "number" ? "number" : "bool"),
  value: (has, usual) => (has("key") ? "tensor" : usual === undefined && !has("threshold") ? "operand" : "number"),
};

/** Of the parameter at place `at` of a signature. */
export function kindOf(name: string, at: number, names: readonly string[], usual: unknown): Kind {
  if (typeof usual === "boolean") return "bool";
  const by = Object.hasOwn(BY_OTHERS, name) ? BY_OTHERS[name] : undefined;
  return by === undefined ? (KINDS.get(name) ?? "any") : by((other) => names.includes(other), usual, at);
}

const NUMERIC = new Set<Kind>([
  "own",
  "int",
  "ints",
  "list",
  "long",
  "long or list",
  "ints or bool",
  "ints or tensor",
  "sizes or none",
  "padding",
  "number",
  "numbers",
  "bool",
  "ord",
]);
/** Whether a tensor without dimensions may stand for it. */
export const isNumeric = (kind: Kind): boolean => NUMERIC.has(kind);

/** Kinds whose sizes and places may come as bigints, and are numbers to the op. */
const WHOLE = new Set<Kind>([
  "int",
  "ints",
  "list",
  "ints or bool",
  "ints or tensor",
  "int or tensor",
  "list or tensor",
  "sizes or none",
  "padding",
]);
function plain(x: unknown): unknown {
  if (typeof x === "bigint") return Number(x);
  if (Array.isArray(x)) for (const y of x) if (typeof y === "bigint") return x.map(plain);
  return x;
}

/** How an argument of a kind is looked at. */
export interface Rule {
  readonly what: string;
  readonly fits: (x: unknown) => boolean;
  readonly whole: boolean;
}

/** Null where anything goes. */
export function ruleOf(kind: Kind): Rule | null {
  const [what, fits] = RULES[kind];
  return kind === "any" || kind === "own" ? null : { what, fits, whole: WHOLE.has(kind) };
}

/** The argument as the op gets it, or a TypeError. Null passes where it is the default. */
export function checkRule(op: string, name: string, rule: Rule, usual: unknown, x: unknown): unknown {
  if (rule.fits(x)) return rule.whole ? plain(x) : x;
  if (x === null && usual === null) return x;
  throw new TypeError(`${op}: argument '${name}' must be ${rule.what}, not ${shown(x)}`);
}

/** A number by its kind, all else by its type. */
function shown(x: unknown): string {
  if (x instanceof FloatScalar) return "float";
  if (typeof x === "number") return Number.isInteger(x) ? "int" : `float (${x})`;
  if (Array.isArray(x)) return x.length > 0 && x.length < 9 ? `[${x.map(shown).join(", ")}]` : "array";
  return describe(x);
}

export function describe(x: unknown): string {
  if (x === null) return "null";
  if (Array.isArray(x)) return "array";
  return typeof x === "object" ? ((x.constructor as { name?: string } | undefined)?.name ?? "object") : typeof x;
}
