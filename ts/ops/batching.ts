/** Rules of ops whose kernels know nothing of vmap's batches (see engine/batching.ts): the same ops on all examples at once. */

import { withoutBatchOf } from "../core/batch_mode.ts";
import { bool, int64, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { broadcastShapes, type Shape } from "../core/shape.ts";
import { needsGraph, Tensor } from "../core/tensor.ts";
import { batchRule, type BatchCall, joining } from "../engine/batching.ts";
import { record } from "../engine/node.ts";
import { arange, tensor } from "./creation.ts";
import { cat } from "./joining.ts";
import { searchsorted } from "./sorting.ts";

joining.cat = (tensors) => cat(tensors, 0);

type Values = readonly unknown[];

const withDim = (t: Tensor): Tensor => (t.ndim === 0 ? t.unsqueeze(0) : t);
const forward = (dim: number, ndim: number): number => (dim < 0 ? dim + Math.max(ndim, 1) : dim) + 1;

/** The examples' numbers, for a dimension in front of `ndim` others. */
function numbers({ size }: BatchCall, ndim: number, like: Tensor): Tensor {
  return arange(0, size, 1, { device: like.device, dtype: int64 }).reshape([size, ...new Array<number>(ndim).fill(1)]);
}

/** @internal With dimensions of size 1 behind the first, so that what follows has `ndim`. */
export function padded(t: Tensor, ndim: number): Tensor {
  const missing = ndim - (t.ndim - 1);
  return missing <= 0 ? t : t.reshape([t.shape[0]!, ...new Array<number>(missing).fill(1), ...t.shape.slice(1)]);
}

const fold = (t: Tensor): Tensor => t.flatten(0, 1);
const unfold = ({ size }: BatchCall, t: Tensor): Tensor => t.unflatten(0, [size, -1]);

// Ops along one dimension

/** One dimension, given in argument `at`; all tensors of one rank. Vectors of one element stand for 0-d tensors. */
function along(at: number) {
  return (call: BatchCall, ...args: Values): unknown => {
    const ndim = Math.max(...args.map((a) => (a instanceof Tensor ? a.ndim : 0)));
    const whole = args.map((a, i) => (a instanceof Tensor ? call.lift(withDim(a)) : i === at ? forward(a as number, ndim) : a));
    const result = call.lower(call.op(...whole));
    const scalar = (args[0] as Tensor).ndim === 0 && args.every((a) => !(a instanceof Tensor) || a.ndim === 0);
    if (!scalar) return result;
    if (result instanceof Tensor) return result.ndim === 0 ? result : result.squeeze(0);
    const list = result as Tensor[];
    list.forEach((t, i) => {
      if (t.ndim === 0) return;
      const flat = t.squeeze(0);
      for (const key of Object.getOwnPropertyNames(list)) {
        if (!/^\d+$|^length$/.test(key) && (list as unknown as Record<string, Tensor>)[key] === t) {
          Object.defineProperty(list, key, { value: flat, enumerable: false, configurable: true });
        }
      }
      list[i] = flat;
    });
    return list;
  };
}
batchRule(
  [
    "softmax",
    "log_softmax",
    "cumsum",
    "cumprod",
    "cummax",
    "cummin",
    "logcumsumexp",
    "sort",
    "gather",
    "scatter",
    "scatter_reduce",
  ],
  along(1),
);
batchRule("topk", along(2));
batchRule(["kthvalue", "mode", "median", "nanmedian"], (call, ...args: unknown[]) => {
  // All of an example: a line of it.
  if (args.length === 1) return lineMedian(call.name as "median" | "nanmedian", args[0] as Tensor);
  return along(1)(call, ...args);
});

function lineMedian(name: "median" | "nanmedian", input: Tensor): Tensor {
  return input.reshape([-1])[name](0).values;
}

batchRule("cat", (call, tensors: readonly Tensor[], dim: number) => {
  const kept = tensors.filter((t) => t.ndim !== 1 || t.shape[0] !== 0);
  const parts = kept.length === 0 ? tensors.slice(0, 1) : kept;
  if (parts.some((t) => t.ndim !== parts[0]!.ndim) || parts[0]!.ndim === 0) return undefined;
  return call.lower(
    call.op(
      parts.map((t) => call.lift(t)),
      forward(dim, parts[0]!.ndim),
    ),
  );
});

// Positions along one dimension

/** An index vector of each example, repeated over `shape` with the batch in front, in which it runs along `dim`. */
function repeated(call: BatchCall, index: Tensor, shape: Shape, dim: number): Tensor {
  const at = call.lift(withDim(index));
  const line = shape.map((_, d) => (d === 0 ? call.size : d === dim ? at.shape[1]! : 1));
  const wide = shape.with(dim, at.shape[1]!);
  return at.to(int64).reshape(line).expand(wide);
}

const counted = (index: Tensor, n: number): Tensor => index.add(index.lt(0).mul(n));

batchRule("index_select", (call, input: Tensor, dim: number, index: Tensor) => {
  if (input.ndim === 0) return call.lower(call.lift(input));
  const x = call.lift(input);
  const d = forward(dim, input.ndim);
  return call.lower(call.has(index) ? x.gather(d, repeated(call, index, x.shape, d)) : call.op(x, d, index));
});
batchRule("index_add", (call, input: Tensor, dim: number, index: Tensor, source: Tensor, alpha: Scalar) => {
  const [x, src] = [call.lift(withDim(input)), call.lift(withDim(source))];
  const d = forward(dim, input.ndim);
  const out = call.has(index)
    ? x.scatter_add(d, repeated(call, index, src.shape, d), src.mul(alpha))
    : (call.op(x, d, index, src, alpha) as Tensor);
  return call.lower(out.reshape([call.size, ...input.shape]));
});
batchRule("index_copy", (call, input: Tensor, dim: number, index: Tensor, source: Tensor) => {
  const [x, src] = [call.lift(withDim(input)), call.lift(withDim(source))];
  const d = forward(dim, input.ndim);
  const out = call.has(index) ? x.scatter(d, repeated(call, index, src.shape, d), src) : (call.op(x, d, index, src) as Tensor);
  return call.lower(out.reshape([call.size, ...input.shape]));
});
batchRule("index_fill", (call, input: Tensor, dim: number, index: Tensor, value: Scalar | Tensor) => {
  const x = call.lift(withDim(input));
  const d = forward(dim, input.ndim);
  if (!call.has(index) && !call.varies(value)) {
    return call.lower((call.op(x, d, index, value) as Tensor).reshape([call.size, ...input.shape]));
  }
  // By where, not scatter: positions that come more than once count once in value's gradient.
  const at = counted(repeated(call, index, x.shape, d), x.shape[d]!);
  const hit = x.detach().new_zeros(x.shape, { dtype: bool }).scatter(d, at, true);
  const fill = value instanceof Tensor ? padded(call.lift(value), x.ndim - 1).to(x.dtype) : value;
  return call.lower(
    x
      .where(hit.logical_not(), fill)
      .to(x.dtype)
      .reshape([call.size, ...input.shape]),
  );
});
batchRule("take", (call, input: Tensor, index: Tensor) => {
  const flat = call.lift(input.reshape([-1]));
  const at = call.lift(index);
  return call.lower(flat.gather(1, counted(at.reshape([call.size, -1]), flat.shape[1]!)).reshape(at.shape));
});
batchRule("put", (call, input: Tensor, index: Tensor, source: Tensor, accumulate: boolean) => {
  const flat = call.lift(input.reshape([-1]));
  const at = counted(call.lift(index.reshape([-1])), flat.shape[1]!);
  const src = call.lift(source.reshape([-1]));
  return call.lower((accumulate ? flat.scatter_add(1, at, src) : flat.scatter(1, at, src)).reshape([call.size, ...input.shape]));
});

// Index tensors

type Indices = readonly (Tensor | null)[];

/** Where the results of index tensors lie: `before` dimensions, then `common` ones. */
function layoutOf(indices: Indices): { common: Shape; before: number; adjacent: boolean } {
  const dims = indices.flatMap((t, d) => (t === null ? [] : [d]));
  const common = dims.reduce<Shape>((shape, d) => broadcastShapes("index", shape, indices[d]!.shape), []);
  const adjacent = dims.at(-1)! - dims[0]! === dims.length - 1;
  return { common, before: adjacent ? dims[0]! : 0, adjacent };
}

/** The same indices for all examples of what they index: the batch is one more index. */
function withNumbers(call: BatchCall, indices: Indices, common: Shape, like: Tensor): Indices {
  const own = indices.map((t) => {
    if (t === null) return null;
    return call.has(t) ? padded(call.lift(t), common.length) : t;
  });
  return [numbers(call, common.length, like), ...own];
}

const range = (from: number, n: number): number[] => Array.from({ length: n }, (_, i) => from + i);

batchRule("index", (call, input: Tensor, indices: Indices) => {
  const { common, before, adjacent } = layoutOf(indices);
  const c = common.length;
  if (!indices.some((t) => call.has(t))) {
    const out = call.op(call.lift(input), [null, ...indices]) as Tensor;
    // Index tensors apart from each other put their dimensions in front of all others.
    return call.lower(adjacent ? out : out.movedim(c, 0));
  }
  const out = call.op(call.lift(input), withNumbers(call, indices, common, input)) as Tensor;
  return call.lower(before === 0 ? out : out.movedim(range(1, c), range(1 + before, c)));
});
batchRule("index_put", (call, input: Tensor, indices: Indices, values: Tensor, accumulate: boolean) => {
  if (indices.some((t) => !(t instanceof Tensor) && t !== null)) return undefined;
  const { common, before } = layoutOf(indices);
  const c = common.length;
  const used = indices.filter((t) => t !== null).length;
  const rank = input.ndim - used + c;
  const spread = values.ndim > rank ? values.reshape(values.shape.slice(values.ndim - rank)) : values;
  let src = padded(call.lift(spread), rank);
  if (before > 0) src = src.movedim(range(1 + before, c), range(1, c));
  return call.lower(call.op(call.lift(input), withNumbers(call, indices, common, input), src, accumulate));
});
batchRule("write_window", (call, input: Tensor, src: Tensor, size: Shape, stride: Shape, offset: number) =>
  call.lower(call.op(call.lift(input), call.lift(src), [call.size, ...size], [input.numel(), ...stride], offset)),
);

// Embeddings

/** Each example's rows are the `rows` of its own. */
function ownRows(call: BatchCall, index: Tensor, rows: number): Tensor {
  const at = call.lift(index);
  return at.to(int64).add(numbers(call, index.ndim, index).mul(rows));
}

batchRule("embedding", (call, weight: Tensor, index: Tensor, padding: number) => {
  const [rows, width] = weight.shape as [number, number];
  if (call.has(weight)) {
    const table = call.lift(weight).reshape([-1, width]);
    const out = call.op(table, ownRows(call, index, rows), -1) as Tensor;
    if (padding < 0) return call.lower(out);
    return call.lower(out.detach().where(call.lift(index).eq(padding).unsqueeze(-1), out));
  }
  // One table for all, whose gradient may be each example's own.
  const out = call.lower(call.op(weight.detach(), call.lift(index), -1)) as Tensor;
  if (needsGraph(weight)) {
    const at = index.detach();
    record("embedding", [weight], [out], ([g]) => [rowsBack(g!, at, rows, padding)], null);
  }
  return out;
});

let rowsBack: (grad: Tensor, index: Tensor, rows: number, padding: number) => Tensor;
/** @internal ts/ops/functional/embedding.ts gives its backward. */
export function installRowsBack(op: typeof rowsBack): void {
  rowsBack = op;
}

batchRule("embedding_backward", (call, grad: Tensor, index: Tensor, rows: number, padding: number) => {
  const width = grad.shape.at(-1)!;
  const flat = call.op(call.lift(grad), ownRows(call, index, rows), rows * call.size, -1) as Tensor;
  const out = flat.reshape([call.size, rows, width]);
  if (padding < 0) return call.lower(out);
  return call.lower(out.select_scatter(out.new_zeros([call.size, width]), 1, padding));
});

// Samples

/** The batch joins the samples, dimension 0 of the tensors at `tensors`; that of the result's shape, at `shape`, grows with it. */
function samples(tensors: readonly number[], shape: number | null = null) {
  return (call: BatchCall, ...args: Values): unknown => {
    const whole = args.map((a, i) => {
      if (i === shape) return [(a as number[])[0]! * call.size, ...(a as number[]).slice(1)];
      return tensors.includes(i) && a instanceof Tensor ? fold(call.lift(a)) : a;
    });
    const result = call.op(...whole);
    return call.lower(Array.isArray(result) ? result.map((t: Tensor) => unfold(call, t)) : unfold(call, result as Tensor));
  };
}
batchRule(["max_pool", "avg_pool", "avg_pool_backward"], samples([0], 2));
batchRule("max_pool_backward", samples([0, 1], 3));
batchRule(["im2col", "col2im"], samples([0]));
batchRule("nll_loss", samples([0, 1]));
batchRule("scaled_dot_product_attention", samples([0, 1, 2, 3]));
batchRule("cross_entropy", (call, logits: Tensor, target: Tensor, ignore: number, reduction: string) => {
  const at = call.lift(target);
  const each = call.op(fold(call.lift(logits)), fold(at), ignore, "none") as Tensor;
  const losses = unfold(call, each);
  if (reduction === "none") return call.lower(losses);
  const total = losses.sum(1);
  return call.lower(reduction === "sum" ? total : total.div(at.ne(ignore).sum(1)));
});

// Normalisation: kernels take one weight and bias; where these vary they are applied afterwards.

function affine(out: Tensor, weight: Tensor | null, bias: Tensor | null, shape: Shape): Tensor {
  const scaled = weight === null ? out : out.mul(weight.reshape(shape));
  return bias === null ? scaled : scaled.add(bias.reshape(shape));
}
const channelShape = (t: Tensor): number[] => t.shape.map((_, d) => (d === 1 ? -1 : 1));

batchRule("native_layer_norm", (call, input: Tensor, shape: Shape, weight: Tensor | null, bias: Tensor | null, eps: number) => {
  if (!call.varies(weight) && !call.varies(bias)) return call.lower(call.op(call.lift(input), shape, weight, bias, eps));
  const [out, ...statistics] = call.lower(call.op(call.lift(input), shape, null, null, eps)) as Tensor[];
  return [affine(out!, weight, bias, shape), ...statistics];
});
batchRule("rms_norm", (call, input: Tensor, shape: Shape, weight: Tensor | null, eps: number) => {
  if (!call.varies(weight)) return call.lower(call.op(call.lift(input), shape, weight, eps));
  return affine(call.lower(call.op(call.lift(input), shape, null, eps)) as Tensor, weight, null, shape);
});
batchRule("group_norm", (call, input: Tensor, groups: number, weight: Tensor | null, bias: Tensor | null, eps: number) => {
  const x = fold(call.lift(input));
  if (!call.varies(weight) && !call.varies(bias))
    return call.lower(unfold(call, call.op(x, groups, weight, bias, eps) as Tensor));
  return affine(call.lower(unfold(call, call.op(x, groups, null, null, eps) as Tensor)), weight, bias, channelShape(input));
});
batchRule(
  "batch_norm",
  (
    call,
    input: Tensor,
    weight: Tensor | null,
    bias: Tensor | null,
    running_mean: Tensor | null,
    running_var: Tensor | null,
    training: boolean,
    eps: number,
  ) => {
    // Each example's channels are channels of their own.
    const x = call.lift(input).movedim(0, 1).flatten(1, 2);
    const each = (t: Tensor | null): Tensor | null => (t === null ? null : call.lift(t).reshape([-1]));
    const result = call.op(x, null, null, each(running_mean), each(running_var), training, eps) as Tensor[];
    const [out, ...statistics] = result as [Tensor, ...Tensor[]];
    const normalized = call.lower(out.unflatten(1, [call.size, -1]).movedim(1, 0));
    return [affine(normalized, weight, bias, channelShape(input)), ...statistics.map((t) => call.lower(unfold(call, t)))];
  },
);

// What is updated in place must be each example's own.

for (const [name, at] of [
  ["batch_norm", 0],
  ["instance_norm", 0],
  ["native_batch_norm", 2],
] as const) {
  batchRule(
    name,
    (call, input: Tensor, ...rest: unknown[]) => {
      const [running_mean, running_var] = rest.slice(at) as [Tensor | null, Tensor | null];
      if (rest[4] === true && call.has(input) && [running_mean, running_var].some((t) => t !== null && !call.has(t))) {
        throw new RuntimeError(
          `${name}: Batch norm got a batched tensor as input while the running_mean or running_var, which will be updated in place, were not batched. If you are using a module and do not need eval mode, please set \`track_running_stats\` to be False. If you are using a prebuilt module and do not need eval mode, please see torch.func.replace_all_batch_norm_modules_.`,
        );
      }
      return undefined;
    },
    "composite",
  );
}

// Other ops

batchRule("constant_pad_nd", (call, input: Tensor, pad: readonly number[], value: Scalar) =>
  pad.length > 2 * input.ndim ? undefined : call.lower(call.op(call.lift(input), pad, value)),
);
batchRule("searchsorted", (call, sorted: Tensor, input: unknown, ...rest: unknown[]) => {
  const [out_int32, right, side, sorter] = rest as [boolean, boolean, string | null, Tensor | null];
  if (!(input instanceof Tensor)) return undefined;
  const order = sorter === null ? null : call.lift(sorter);
  const find = (line: Tensor, x: Tensor): Tensor => call.op(line, x, out_int32, right, side, order) as Tensor;
  if (sorted.ndim > 1) return call.lower(find(call.lift(sorted), call.lift(input)));
  if (!call.has(sorted) && order === null) return call.lower(find(sorted, call.lift(input)));
  return call.lower(find(call.lift(sorted), call.lift(input).reshape([call.size, -1])).reshape([call.size, ...input.shape]));
});
batchRule("bucketize", (call, input: unknown, boundaries: Tensor, out_int32: boolean, right: boolean) => {
  if (!(input instanceof Tensor)) return undefined;
  if (!call.has(boundaries)) return call.lower(call.op(call.lift(input), boundaries, out_int32, right));
  const x = call.lift(input.reshape([-1]));
  return call.lower(searchsorted(call.lift(boundaries), x, { out_int32, right }).reshape([call.size, ...input.shape]));
});
batchRule("segment_reduce", (call, data: Tensor, ...rest: unknown[]) => {
  const [reduce, lengths, indices, offsets, axis, unsafe, initial] = rest as [string, ...unknown[]];
  const all = (t: unknown): unknown => (t instanceof Tensor ? call.lift(t) : t);
  const at = forward(axis as number, data.ndim);
  return call.lower(call.op(call.lift(data), reduce, all(lengths), indices, all(offsets), at, unsafe, initial));
});
batchRule(
  ["hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"],
  (call, ...args: unknown[]) => {
    const rank = Math.max(...args.map((a) => (a instanceof Tensor ? a.ndim : 0)));
    return call.lower(call.op(...args.map((a) => (a instanceof Tensor ? padded(call.lift(a), rank) : a))));
  },
  "composite",
);
batchRule(
  "one_hot",
  // How many classes there are may differ from example to example.
  (call, input: Tensor, classes: number) => (classes === -1 ? undefined : call.lower(call.op(call.lift(input), classes))),
  "composite",
);

// Losses

/** The mean or sum of each example, of all its losses. */
function reducedEach(call: BatchCall, losses: Tensor, reduction: string): Tensor {
  if (reduction === "none") return call.lower(losses);
  const each = losses.reshape([call.size, -1]);
  return call.lower(reduction === "sum" ? each.sum(1) : each.mean(1));
}

batchRule(
  "gaussian_nll_loss",
  (call, input: Tensor, target: Tensor, variance: Tensor, full: boolean, eps: number, reduction: string) => {
    if (target.ndim > input.ndim) return undefined;
    const losses = call.op(call.lift(input), padded(call.lift(target), input.ndim), call.lift(variance), full, eps, "none");
    return reducedEach(call, losses as Tensor, reduction);
  },
  "composite",
);
batchRule(
  "ctc_loss",
  (
    call,
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | readonly number[],
    target_lengths: Tensor | readonly number[],
    blank: number,
    reduction: string,
    zero_infinity: boolean,
  ) => {
    const single = log_probs.ndim === 2;
    // Targets one after the other: where they begin hangs on the lengths of those before.
    if (call.size === 0 || (targets.ndim !== 2 && !single)) return undefined;
    const many = single ? log_probs.unsqueeze(1) : log_probs;
    const labels = call.lift(targets.ndim === 2 ? targets : targets.reshape([1, -1]));
    const lengths = (x: Tensor | readonly number[]): Tensor | number[] =>
      x instanceof Tensor ? call.lift(x).reshape([-1]) : Array.from({ length: call.size }, () => x).flat();
    // Sequences of all examples side by side.
    const x = call.lift(many).movedim(0, 1).flatten(1, 2);
    const counts = lengths(target_lengths);
    const flat = call.op(x, labels.flatten(0, 1), lengths(input_lengths), counts, blank, "none", zero_infinity) as Tensor;
    const losses = unfold(call, flat);
    if (reduction === "none") return call.lower(single ? losses.squeeze(1) : losses);
    if (reduction === "sum") return call.lower(losses.sum(1));
    const divisor = (counts instanceof Tensor ? counts : tensor(counts)).to(losses).clamp_min(1);
    return reducedEach(call, losses.div(divisor.reshape(losses.shape)), reduction);
  },
  "composite",
);

// New tensors in the likeness of a mapped one are mapped, so that they can take in what is.

batchRule(
  ["zeros_like", "ones_like", "empty_like", "full_like"],
  (call, input: Tensor, ...rest: unknown[]) => call.lower(call.op(call.lift(input.detach()), ...rest)),
  "composite",
);
batchRule(
  ["new_zeros", "new_ones", "new_empty", "new_full"],
  (call, input: Tensor, size: Shape | number, ...rest: unknown[]) =>
    call.lower(call.op(call.lift(input.detach()), [call.size].concat(size), ...rest)),
  "composite",
);

// Draws whose probabilities are mapped

/** Draws for all examples at once, where these may differ. */
function drawn(call: BatchCall, fn: () => Tensor): Tensor {
  return withoutBatchOf(call.level, () => call.lower(fn()));
}
batchRule(["bernoulli", "poisson", "binomial", "_standard_gamma"], (call, ...args: unknown[]) => {
  const rank = Math.max(...args.map((a) => (a instanceof Tensor ? a.ndim : 0)));
  const whole = args.map((a) => (a instanceof Tensor ? padded(call.lift(a), rank) : a));
  return drawn(call, () => call.op(...whole) as Tensor);
});
batchRule("multinomial", (call, input: Tensor, num_samples: number, ...rest: unknown[]) => {
  const all = call.lift(input);
  const rows = all.reshape([-1, all.shape.at(-1)!]);
  const shape = [...all.shape.slice(0, -1), num_samples];
  return drawn(call, () => (call.op(rows, num_samples, ...rest) as Tensor).reshape(shape));
});
