/** Products, reductions and what sorts. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { dimension, type Call, type Operator, type Operators } from "./context.ts";

const F = torch.nn.functional;

/** The axes as an attribute (older operator sets) or an input; none means all, or nothing where the node says so. */
const reduced =
  (f: (x: Tensor, dims: number[], keep: boolean) => Tensor): Operator =>
  (c) => {
    const x = c.x(0);
    const listed = c.listed(1, "axes");
    const none = listed === null || listed.length === 0;
    if (none && c.int("noop_with_empty_axes", 0) !== 0) return x;
    const dims = none ? x.shape.map((_, d) => d) : listed.map((a) => dimension(c, a, x.ndim));
    return f(x, dims, c.int("keepdims", 1) !== 0);
  };

/** A reduction of one dimension at a time. */
function one(x: Tensor, dims: number[], keep: boolean, f: (x: Tensor, dim: number) => Tensor): Tensor {
  const out = dims.reduce((t, d) => f(t, d), x);
  return keep ? out : out.reshape(x.shape.filter((_, d) => !dims.includes(d)));
}

const sum = (x: Tensor, dim: number[], keepdim: boolean): Tensor => x.sum(dim, keepdim, { dtype: x.dtype });

const best =
  (arg: (x: Tensor, dim: number, keepdim: boolean) => Tensor): Operator =>
  (c) => {
    const x = c.x(0);
    const d = dimension(c, c.int("axis", 0), x.ndim);
    const keep = c.int("keepdims", 1) !== 0;
    if (c.int("select_last_index", 0) === 0) return arg(x, d, keep);
    return arg(x.flip(d), d, keep)
      .neg()
      .add(x.shape[d]! - 1);
  };

function topK(c: Call): Tensor[] {
  const x = c.x(0);
  const k = c.has(1) ? c.number(1, 1) : c.int("k", 1);
  const d = c.int("axis", -1);
  return [...x.topk(k, d, c.int("largest", 1) !== 0, c.int("sorted", 1) !== 0)];
}

function gemm(c: Call): Tensor {
  const a = c.int("transA", 0) !== 0 ? c.x(0).t() : c.x(0);
  const b = c.int("transB", 0) !== 0 ? c.x(1) : c.x(1).t();
  const [alpha, beta] = [c.float("alpha", 1), c.float("beta", 1)];
  const bias = c.optional(2);
  // linear takes the weight as [out, in].
  if (alpha === 1 && beta === 1 && bias?.ndim === 1) return F.linear(a, b, bias);
  const product = F.linear(a, b);
  const scaled = alpha === 1 ? product : product.mul(alpha);
  return bias === null ? scaled : scaled.add(beta === 1 ? bias : bias.mul(beta));
}

/** Before operator set 13 everything from the axis on was one dimension. */
const along =
  (f: (x: Tensor, dim: number) => Tensor): Operator =>
  (c) => {
    const x = c.x(0);
    if (c.opset >= 13) return f(x, c.int("axis", -1));
    const d = dimension(c, c.int("axis", 1), x.ndim);
    if (d === x.ndim - 1) return f(x, d);
    return f(x.flatten(d), d).reshape(x.shape);
  };

function einsum(c: Call): Tensor {
  return torch.einsum(c.string("equation", ""), ...c.all());
}

function layerNorm(c: Call): Tensor {
  const x = c.x(0);
  const d = dimension(c, c.int("axis", -1), x.ndim);
  if (c.node.outputs.length > 1 && c.node.outputs.slice(1).some((n) => n !== "")) throw c.unsupported("its mean as an output");
  const shape = x.shape.slice(d);
  const fits = (t: Tensor | null): Tensor | null => (t === null ? null : t.expand(shape));
  return F.layer_norm(x, shape, fits(c.x(1)), fits(c.optional(2)), c.float("epsilon", 1e-5));
}

function rmsNorm(c: Call): Tensor {
  const x = c.x(0);
  const d = dimension(c, c.int("axis", -1), x.ndim);
  return F.rms_norm(x, x.shape.slice(d), c.x(1), c.float("epsilon", 1e-5));
}

export const reductions: Operators = {
  ArgMax: best((x, d, keep) => x.argmax(d, keep)),
  ArgMin: best((x, d, keep) => x.argmin(d, keep)),
  Einsum: einsum,
  Gemm: gemm,
  Hardmax: along((x, d) => F.one_hot(x.argmax(d), x.shape.at(d)).movedim(-1, d).to(x.dtype)),
  LayerNormalization: layerNorm,
  LogSoftmax: along((x, d) => F.log_softmax(x, d)),
  LpNormalization: (c) => F.normalize(c.x(0), { p: c.int("p", 2), dim: c.int("axis", -1), eps: 0 }),
  MatMul: (c) => c.x(0).matmul(c.x(1)),
  ReduceL1: reduced((x, d, k) => sum(x.abs(), d, k)),
  ReduceL2: reduced((x, d, k) => sum(x.square(), d, k).sqrt()),
  ReduceLogSum: reduced((x, d, k) => sum(x, d, k).log()),
  ReduceLogSumExp: reduced((x, d, k) => x.logsumexp(d, k)),
  ReduceMax: reduced((x, d, k) => x.amax(d, k)),
  ReduceMean: reduced((x, d, k) => x.mean(d, k)),
  ReduceMin: reduced((x, d, k) => x.amin(d, k)),
  ReduceProd: reduced((x, d, k) => one(x, d, k, (t, dim) => t.prod(dim, true, { dtype: t.dtype }))),
  ReduceSum: reduced(sum),
  ReduceSumSquare: reduced((x, d, k) => sum(x.square(), d, k)),
  RMSNormalization: rmsNorm,
  Softmax: along((x, d) => F.softmax(x, d)),
  TopK: topK,
};
