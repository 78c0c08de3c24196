/** Products, reductions, sorting. */

import * as torch from "../../torch.ts";
import { Arg, type Emitter, type Val } from "../emit.ts";
import { dims, isFixed, like, number, operand, reshaped, wrap, type Args, type Convert, type Table } from "./shared.ts";

/** A reduction; before operator set 18 only sums have their axes as an input. */
export function reduce(g: Emitter, type: string, x: Val, d: readonly number[], keep: boolean, out: Omit<Val, "name">): Val {
  if (x.shape.length === 0) return x;
  const keepdims = keep ? 1 : 0;
  if (type === "ReduceSum" || g.opset >= 18) return g.op(type, [x, g.ints(d)], { keepdims }, out);
  return g.op(type, [x], { axes: d, keepdims }, out);
}
const reduction =
  (type: string): Convert =>
  (g, a, [out]) => {
    const x = a.input as Arg;
    return reduce(g, type, operand(g, x, out!.dtype), dims(a.dim, x.ndim), a.keepdim === true, like(out!));
  };

/** max and min: of two tensors, of everything, or along a dimension with the places. */
const extreme =
  (fold: string, type: string, arg: string): Convert =>
  (g, a, out) => {
    const x = g.use(a.input as Arg);
    const other = a.other instanceof Arg ? a.other : a.dim instanceof Arg ? a.dim : null;
    if (other !== null)
      return g.op(fold, [operand(g, a.input, out[0]!.dtype), operand(g, other, out[0]!.dtype)], {}, like(out[0]!));
    const keep = a.keepdim === true;
    const value = reduce(g, type, x, dims(a.dim, x.shape.length), keep, like(out[0]!));
    if (out.length === 1) return value;
    const axis = number(a.dim, "dim");
    return [value, g.op(arg, [x], { axis, keepdims: keep ? 1 : 0 }, like(out[1]!))];
  };

const place =
  (type: string): Convert =>
  (g, a, [out]) => {
    const x = a.input as Arg;
    if (a.dim === null) {
      const flat = g.op("Reshape", [g.use(x), g.ints([-1])], {}, { dtype: x.dtype, shape: [-1] });
      return reshaped(g, g.op(type, [flat], { axis: 0, keepdims: 0 }, { ...like(out!), shape: [] }), out!.shape);
    }
    return g.op(type, [g.use(x)], { axis: wrap(number(a.dim, "dim"), x.ndim), keepdims: a.keepdim === true ? 1 : 0 }, like(out!));
  };

/** any and all, by way of numbers. */
const truth =
  (type: string): Convert =>
  (g, a, [out]) => {
    const x = a.input as Arg;
    const as = g.cast(g.cast(g.use(x), torch.bool), torch.int32);
    const v = reduce(g, type, as, dims(a.dim, x.ndim), a.keepdim === true, { ...like(out!), dtype: torch.int32 });
    return g.cast(v, torch.bool);
  };

const product =
  (...names: string[]): Convert =>
  (g, a, [out]) =>
    g.op(
      "MatMul",
      names.map((n) => g.use(a[n] as Arg)),
      {},
      like(out!),
    );

const linear: Convert = (g, a, [out]) => {
  const [x, weight] = [g.use(a.input as Arg), g.use(a.weight as Arg)];
  const bias = a.bias === null ? null : g.use(a.bias as Arg);
  if (x.shape.length === 2) return g.op("Gemm", [x, weight, bias], { transB: 1 }, like(out!));
  if (weight.shape.length !== 2) return null;
  const across = g.op(
    "Transpose",
    [weight],
    { perm: [1, 0] },
    { dtype: weight.dtype, shape: [weight.shape[1]!, weight.shape[0]!] },
  );
  const y = g.op("MatMul", [x, across], {}, like(out!));
  return bias === null ? y : g.op("Add", [y, bias], {}, like(out!));
};

const gemm: Convert = (g, a, [out]) => {
  const [beta, alpha] = [number(a.beta, "beta"), number(a.alpha, "alpha")];
  const inputs = [g.use(a.mat1 as Arg), g.use(a.mat2 as Arg), g.use(a.input as Arg)];
  return g.op("Gemm", inputs, { alpha: { float: alpha }, beta: { float: beta } }, like(out!));
};

function top(g: Emitter, a: Args, out: readonly Arg[], k: Val, largest: unknown): Val[] {
  const x = a.input as Arg;
  const attributes = { axis: wrap(number(a.dim, "dim"), x.ndim), largest: largest === true ? 1 : 0 };
  return g.node("TopK", [g.use(x), k], attributes, out.map(like));
}

const norm: Convert = (g, a, [out]) => {
  const x = (a.x ?? a.input) as Arg;
  const p = a.ord ?? a.p;
  const type = { 1: "ReduceL1", 2: "ReduceL2" }[String(p)];
  if (type === undefined || x.ndim === 0) return null;
  return reduce(g, type, operand(g, x, out!.dtype), dims(a.dim ?? a.dims, x.ndim), a.keepdim === true, like(out!));
};

/** Variance or its root, and the mean: what std, var and the like are made of. The number of elements may vary. */
const moments: Convert = (g, a, [out]) => {
  const x = a.input as Arg;
  if (!("root" in a) || x.ndim === 0) return null;
  const d = dims(a.dims, x.ndim);
  const correction = number(a.correction, "correction");
  const keep = a.keepdim === true;
  const v = g.use(x);
  const { dtype } = x;
  const mean = reduce(g, "ReduceMean", v, d, true, { dtype, shape: x.shape.map((s, k) => (d.includes(k) ? 1 : s)) });
  const centred = g.op("Sub", [v, mean], {}, like(x));
  const sums = reduce(g, "ReduceSum", g.op("Mul", [centred, centred], {}, like(x)), d, keep, like(out!));
  let count = g.scalar(1, dtype);
  for (const k of d) count = g.op("Mul", [count, operand(g, x.shape[k]!, dtype)], {}, { dtype, shape: [] });
  const freedom = g.op("Sub", [count, g.scalar(correction, dtype)], {}, { dtype, shape: [] });
  const variance = g.op("Div", [sums, freedom], {}, like(out!));
  return [a.root === true ? g.op("Sqrt", [variance], {}, like(out!)) : variance, reshaped(g, mean, out!.shape)];
};

export const reductions: Table = {
  addmm: gemm,
  all: truth("ReduceMin"),
  amax: reduction("ReduceMax"),
  amin: reduction("ReduceMin"),
  any: truth("ReduceMax"),
  argmax: place("ArgMax"),
  argmin: place("ArgMin"),
  bmm: product("input", "mat2"),
  cumsum: (g, a, [out]) => g.op("CumSum", [operand(g, a.input, out!.dtype), operand(g, a.dim, torch.int64)], {}, like(out!)),
  einsum: (g, a, [out]) =>
    g.op(
      "Einsum",
      (a.operands as Arg[]).flat().map((t) => g.use(t)),
      { equation: (a.equation as string).replaceAll(" ", "") },
      like(out!),
    ),
  linear,
  logsumexp: reduction("ReduceLogSumExp"),
  matmul: product("input", "other"),
  max: extreme("Max", "ReduceMax", "ArgMax"),
  mean: reduction("ReduceMean"),
  min: extreme("Min", "ReduceMin", "ArgMin"),
  mm: product("input", "mat2"),
  mv: product("input", "vec"),
  prod: reduction("ReduceProd"),
  sort: (g, a, out) => {
    const x = a.input as Arg;
    const n = x.shape[wrap(number(a.dim, "dim"), x.ndim)]!;
    return top(g, a, out, g.ints([n]), a.descending);
  },
  sum: reduction("ReduceSum"),
  topk: (g, a, out) => (isFixed(a.k as number) ? top(g, a, out, g.ints([a.k as number]), a.largest) : null),
  var_mean: moments,
  vectorNorm: norm,
  vector_norm: norm,
};
