/** Reductions, scans, order statistics, norms and distances. */

import type { Tensor } from "../../../ts/core/tensor.ts";
import type { Draw, Entries } from "./check.ts";
import * as torch from "../../../ts/entry.node.ts";
import { numelOf, type Random, type Shape } from "./random.ts";

const names = (list: string, draw: (name: string) => Draw): Entries =>
  Object.fromEntries(list.split(" ").map((name) => [name, draw(name)]));

/** Sizes of 1 at least: the op has no value of nothing. */
const full = (r: Random, rank: readonly [number, number] = [0, 4]): Shape => r.shape({ min: 1, rank });
const keepdim = (r: Random): readonly unknown[] => (r.bool() ? [] : [r.bool()]);
const alongOne = (r: Random, shape: Shape): readonly unknown[] => [r.dim(shape), ...keepdim(r)];

const deviation: Draw = (r) => {
  // More elements than the correction takes away, whatever the dims are.
  const shape = r.shape({ min: 2, rank: [1, 3], max: 3 });
  const dim = r.dims(shape);
  return r.bool()
    ? [r.apart(shape), dim, r.bool(), r.bool()]
    : [r.apart(shape), { dim, correction: r.pick([0, 1]), keepdim: r.bool() }];
};

const masking = (r: Random, shape: Shape): { mask?: Tensor } => {
  if (r.bool(0.3)) return {};
  // The first of every line counts.
  const mask = r.mask(shape, 0.6);
  return { mask: mask.ndim === 0 ? mask.logical_or(true) : firstOfAll(mask) };
};
function firstOfAll(mask: Tensor): Tensor {
  const out = mask.clone();
  for (let d = 0; d < out.ndim; d++) out.select(d, 0).fill_(true);
  return out;
}

const ORDERS = [0, 0.5, 1, 1.5, 2, 3, -1, Infinity, -Infinity];

export const reductions: Entries = {
  ...names("sum mean nansum nanmean", (name) => (r) => {
    const shape = name.endsWith("sum") ? r.shape() : full(r);
    return [r.x(shape), r.dims(shape), ...keepdim(r)];
  }),
  ...names("amax amin", () => (r) => {
    const shape = full(r);
    return [r.x(shape), r.dims(shape), ...keepdim(r)];
  }),
  aminmax: (r) => {
    const shape = full(r);
    return [r.x(shape), r.bool(0.3) ? {} : { dim: r.dim(shape), keepdim: r.bool() }];
  },
  ...names("max min", () => (r) => {
    const shape = full(r);
    const way = r.int(0, 2);
    if (way === 0) return [r.x(shape)];
    return way === 1 ? [r.x(shape), { other: r.x(r.narrower(shape)) }] : [r.x(shape), ...alongOne(r, shape)];
  }),
  prod: (r) => {
    const shape = r.shape();
    const x = r.x(shape);
    // Zeros, too: none, one, or several in a line.
    const t = r.bool() ? x : withZeros(r, x);
    return r.bool(0.4) ? [t] : [t, ...alongOne(r, shape)];
  },
  ...names("cumsum logcumsumexp cummax cummin", (name) => (r) => {
    const shape = name.startsWith("cumm") ? full(r) : r.shape();
    return [r.x(shape), r.dim(shape)];
  }),
  cumprod: (r) => {
    const shape = r.shape();
    const x = r.x(shape);
    return [r.bool() ? x : withZeros(r, x), r.dim(shape)];
  },
  logsumexp: (r) => {
    const shape = full(r);
    return [r.x(shape), r.bool() ? r.dim(shape) : shape.length === 0 ? 0 : r.someDims(shape, 1), ...keepdim(r)];
  },
  ...names("std var std_mean var_mean", () => deviation),
  ...names("median nanmedian", () => (r) => {
    const shape = full(r);
    return r.bool(0.4) ? [r.x(shape)] : [r.x(shape), ...alongOne(r, shape)];
  }),
  mode: (r) => {
    const shape = full(r);
    return [r.x(shape), ...alongOne(r, shape)];
  },
  kthvalue: (r) => {
    const shape = full(r);
    const dim = r.dim(shape);
    return [r.x(shape), r.int(1, shape.at(dim) ?? 1), dim, ...keepdim(r)];
  },
  ...names("quantile nanquantile", () => (r) => {
    const shape = full(r, [1, 3]);
    const q = r.bool() ? 0.3 : torch.tensor([0.1, 0.55, 0.9], { dtype: torch.float64 });
    const interpolation = r.pick(["linear", "lower", "higher", "midpoint"]);
    return [r.x(shape), q, r.bool(0.3) ? null : r.dim(shape), r.bool(), { interpolation }];
  }),
  sort: (r) => {
    const shape = r.shape();
    return [r.x(shape), r.dim(shape), r.bool(), { stable: r.bool() }];
  },
  msort: (r) => [r.x(r.shape({ rank: [1, 3] }))],
  topk: (r) => {
    const shape = full(r);
    const dim = r.dim(shape);
    return [r.x(shape), r.int(1, shape.at(dim) ?? 1), dim, r.bool(), r.bool()];
  },

  norm: (r) => {
    const shape = full(r, [1, 4]);
    const p = r.pick(["fro", ...ORDERS] as const);
    return [r.x(shape), p, r.dims(shape), r.bool()];
  },
  vectorNorm: (r) => {
    const shape = full(r);
    return [
      r.x(shape),
      r.pick(ORDERS),
      shape.length === 0 ? [] : r.someDims(shape, 1).map((d) => (d + shape.length) % shape.length),
      r.bool(),
    ];
  },
  "linalg.vector_norm": (r) => {
    const shape = full(r);
    return [r.x(shape), r.pick(ORDERS), r.dims(shape), r.bool()];
  },
  "linalg.norm": (r) => {
    if (r.bool()) return [r.x(full(r, [1, 3]))];
    const shape = full(r, [2, 4]);
    const single = r.bool();
    const dims = r.shuffle([...shape.keys()]).slice(0, single ? 1 : 2);
    return [r.x(shape), single ? r.pick(ORDERS) : r.pick(["fro", 1, -1, Infinity, -Infinity] as const), dims, r.bool()];
  },
  "linalg.matrix_norm": (r) => {
    const shape = r.shape({ min: 2, rank: [2, 3], max: 3 });
    return [
      r.apart(shape),
      r.pick(["fro", "nuc", 1, -1, 2, -2, Infinity, -Infinity] as const),
      r.bool() ? [-2, -1] : [0, 1],
      r.bool(),
    ];
  },
  renorm: (r) => {
    const shape = full(r, [2, 3]);
    return [r.x(shape), r.pick([1, 1.5, 2, 3]), r.dim(shape), r.pick([0.7, 2.1])];
  },
  dist: (r) => {
    const [s, t] = r.shapes({ min: 1 });
    return [r.x(s), r.x(t), r.pick([0, 1, 1.5, 2, 3, Infinity])];
  },
  cdist: (r) => {
    const batch = r.bool() ? [2] : [];
    const m = r.int(1, 3);
    const mode = r.pick(["use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist", "use_mm_for_euclid_dist_if_necessary"]);
    return [r.x([...batch, r.int(1, 3), m]), r.x([...batch, r.int(1, 3), m]), r.pick([0, 1, 1.5, 2, 3, Infinity]), mode];
  },
  "nn.functional.pdist": (r) => [r.apart([r.int(2, 4), r.int(1, 3)]), r.pick([0, 1, 1.5, 2, 3, Infinity])],
  pdist: (r) => [r.apart([r.int(2, 4), r.int(1, 3)]), r.pick([0, 1, 1.5, 2, 3, Infinity])],
  cov: (r) => {
    const n = r.int(3, 4);
    const x = r.bool() ? r.x([n]) : r.x([r.int(1, 3), n]);
    const fweights = r.bool() ? null : torch.tensor([1, 2, 3, 1].slice(0, n));
    const aweights = r.bool() || r.complex ? null : r.x([n], 0.5, 2);
    return [x, { correction: r.pick([0, 1]), fweights, aweights }];
  },
  corrcoef: (r) => [r.bool(0.3) ? r.apart([4]) : r.apart([r.int(2, 3), 4])],
  diff: (r) => {
    const shape = r.shape({ rank: [1, 3], min: 1 });
    const dim = r.dim(shape);
    const extra = (): Tensor | null =>
      r.bool() ? null : r.x(shape.map((n, d) => (d === (dim + shape.length) % shape.length ? r.int(1, 2) : n)));
    return [r.x(shape), r.int(0, 3), dim, extra(), extra()];
  },
  gradient: (r) => {
    const shape = r.shape({ rank: [1, 3], min: 3, numel: 27 });
    const edge_order = r.pick([1, 2]);
    if (r.bool()) return [r.x(shape), { edge_order }];
    const dim = r.dim(shape);
    return [r.x(shape), { spacing: 0.7, dim, edge_order }];
  },
  ...names("trapezoid trapz cumulative_trapezoid", () => (r) => {
    const shape = full(r, [1, 3]);
    const dim = r.dim(shape);
    return r.bool() ? [r.x(shape), r.x(shape), { dim }] : [r.x(shape), { dx: 0.3, dim }];
  }),
  segment_reduce: (r) => {
    const lengths = r.pick([
      [1, 3],
      [2, 1, 1],
      [4, 0],
    ]);
    const data = r.x([4, ...r.shape({ rank: [0, 2], min: 1, max: 3 })]);
    const kind = r.pick(["sum", "mean", "max", "min", "prod"]);
    const initial = r.bool() && !lengths.includes(0) ? null : 1;
    return [data, kind, { lengths: torch.tensor(lengths), initial, unsafe: false }];
  },
  trace: (r) => [r.x(r.shape({ rank: 2 }))],

  ...names("masked.sum masked.mean masked.amax masked.amin", () => (r) => {
    const shape = full(r, [1, 3]);
    return [r.x(shape), r.dims(shape), { keepdim: r.bool(), ...masking(r, shape) }];
  }),
  "masked.prod": (r) => {
    const shape = full(r, [1, 3]);
    return [r.x(shape), r.dims(shape), { keepdim: r.bool(), ...masking(r, shape) }];
  },
  ...names("masked.var masked.std", () => (r) => {
    const shape = r.shape({ min: 2, rank: [1, 3], max: 3 });
    const mask = torch.ones([...shape], { dtype: torch.bool });
    mask
      .reshape([-1])
      .select(0, numelOf(shape) - 1)
      .fill_(false);
    const options = shape.length > 1 || numelOf(shape) > 2 ? { mask } : {};
    return [r.apart(shape), null, { correction: r.pick([0, 1]), keepdim: r.bool(), ...options }];
  }),
  ...names("masked.cumsum masked.cumprod masked.softmax masked.softmin", () => (r) => {
    const shape = full(r, [1, 3]);
    return [r.x(shape), r.dim(shape), masking(r, shape)];
  }),
  "masked.log_softmax": (r) => {
    const shape = full(r, [1, 3]);
    const options = masking(r, shape);
    const dim = r.dim(shape);
    // What is masked out is -inf: only the others are looked at.
    const seen = (t: Tensor): Tensor => (options.mask === undefined ? t : t.masked_fill(options.mask.logical_not(), 0));
    return { inputs: [r.x(shape)], call: (t) => seen(torch.masked.log_softmax(t!, dim, options)) };
  },
  "masked.logsumexp": (r) => {
    const shape = full(r, [1, 3]);
    return [r.x(shape), r.dims(shape), { keepdim: r.bool(), ...masking(r, shape) }];
  },
  "masked.logaddexp": (r) => {
    const shape = full(r, [1, 3]);
    const input_mask = firstOfAll(r.mask(shape)).logical_or(true);
    return [r.x(shape), r.x(shape), { input_mask, other_mask: input_mask }];
  },
  "masked.median": (r) => {
    const shape = full(r, [1, 3]);
    return [r.x(shape), r.dim(shape), { keepdim: r.bool(), ...masking(r, shape) }];
  },
  "masked.norm": (r) => {
    const shape = full(r, [1, 3]);
    return [r.x(shape), r.pick([1, 2, 3, Infinity, -Infinity]), r.dims(shape), { keepdim: r.bool(), ...masking(r, shape) }];
  },
  "masked.normalize": (r) => {
    const shape = full(r, [1, 3]);
    return [r.x(shape), r.pick([1, 2, 3]), r.dim(shape), masking(r, shape)];
  },
};

/** Values of which some are exactly zero. */
function withZeros(r: Random, x: Tensor): Tensor {
  const shape = r.expanded.get(x) ?? x.shape;
  r.expanded.delete(x);
  const keep = r.mask(shape, 0.7);
  return x
    .detach()
    .expand([...shape])
    .mul(keep)
    .detach()
    .requires_grad_();
}
