/** Gathering, scattering, windows that are written to, masks, indexing. */

import type { Tensor } from "../../../ts/core/tensor.ts";
import * as torch from "../../../ts/entry.node.ts";
import type { Draw, Entries } from "./check.ts";
import type { Random, Shape } from "./random.ts";

const names = (list: string, draw: (name: string) => Draw): Entries =>
  Object.fromEntries(list.split(" ").map((name) => [name, draw(name)]));

const full = (r: Random, least = 1): Shape => r.shape({ min: 1, rank: [least, 3] });
const at = (shape: Shape, dim: number): number => shape.at(dim) ?? 1;
const along = (shape: Shape, dim: number, n: number): Shape =>
  shape.map((m, d) => (d === (dim + shape.length) % shape.length ? n : m));
/** A shape that is no greater, but for `dim`. */
const smaller = (r: Random, shape: Shape, dim: number): Shape =>
  shape.map((n, d) => (d === (dim + shape.length) % shape.length ? r.int(1, 4) : r.int(1, n)));
/** Whole numbers below n, none of them twice in a line along dim. */
const distinct = (r: Random, shape: Shape, dim: number): Tensor => {
  const n = at(shape, dim);
  const k = r.int(1, n);
  const flat = torch.tensor(r.shuffle([...Array(n).keys()]).slice(0, k), { dtype: torch.int64 });
  const line = shape.map((_, d) => (d === (dim + shape.length) % shape.length ? k : 1));
  return shape.length === 0
    ? flat.reshape([])
    : flat
        .reshape(line)
        .expand(along(shape, dim, k))
        .contiguous();
};
const vector = (r: Random, n: number, k: number): Tensor => r.indices([k], n);
const permuted = (r: Random, n: number, k: number): Tensor =>
  torch.tensor(r.shuffle([...Array(n).keys()]).slice(0, k), { dtype: torch.int64 });
const flat = (n: Shape): number => n.reduce((a, b) => a * b, 1);

/** A window onto a tensor that another is written to. */
const written =
  (
    limits: readonly [number, number],
    window: (shape: Shape, r: Random) => readonly [args: readonly unknown[], of: (t: Tensor) => Tensor],
  ): Draw =>
  (r) => {
    const shape = r.shape({ min: 1, rank: limits });
    const [args, of] = window(shape, r);
    return [r.x(shape), r.x(of(torch.zeros(shape)).shape.slice()), ...args];
  };

/** What a tensor is indexed with. */
function items(r: Random): [Shape, unknown[]] {
  const shape = r.shape({ min: 2, rank: 3, max: 3, numel: 27 });
  const [a, b] = shape as [number, number, number];
  const pick: (() => unknown[])[] = [
    () => [r.int(-a, a - 1)],
    () => [new torch.Slice(r.int(0, a - 1), null)],
    () => ["...", r.int(0, 1)],
    () => [new torch.Slice(null, null, 2), null, r.int(0, b - 1)],
    () => [r.indices([r.int(1, 3)], a)],
    () => [r.indices([2], a), r.indices([2], b)],
    () => [new torch.Slice(), r.indices([2, 2], b)],
    () => [r.indices([2, 1], a), new torch.Slice(1), r.indices([2], shape[2]!)],
    () => [r.mask([a])],
    () => [r.mask(shape)],
    () => [null, "..."],
  ];
  return [shape, r.pick(pick)()];
}

export const indexing: Entries = {
  gather: (r) => {
    const shape = full(r, 0);
    const dim = r.dim(shape);
    return [r.x(shape), dim, r.indices(smaller(r, shape, dim), at(shape, dim))];
  },
  take_along_dim: (r) => {
    const shape = full(r);
    if (r.bool(0.3)) return [r.x(shape), r.indices([3], flat(shape))];
    const dim = r.dim(shape);
    return [r.x(shape), r.indices(along(shape, dim, r.int(1, 3)), at(shape, dim)), dim];
  },
  scatter: (r) => {
    const shape = full(r, 0);
    const dim = r.dim(shape);
    const index = distinct(r, shape, dim);
    const way = r.int(0, 2);
    if (way === 0) return [r.x(shape), dim, index, { value: r.number() }];
    if (way === 1) return [r.x(shape), dim, index, r.x(index.shape.slice())];
    return [r.x(shape), dim, index, r.x(index.shape.slice()), { reduce: "add" }];
  },
  scatter_add: (r) => {
    const shape = full(r, 0);
    const dim = r.dim(shape);
    const index = r.indices(smaller(r, shape, dim), at(shape, dim));
    return [r.x(shape), dim, index, r.x(index.shape.slice())];
  },
  scatter_reduce: (r) => {
    const shape = full(r, 0);
    const dim = r.dim(shape);
    const index = r.indices(smaller(r, shape, dim), at(shape, dim));
    const kind = r.pick(["sum", "prod", "mean", "amax", "amin"]);
    return [r.x(shape), dim, index, r.x(index.shape.slice()), kind, { include_self: r.bool() }];
  },
  index_select: (r) => {
    const shape = full(r, 0);
    const dim = r.dim(shape);
    return [r.x(shape), dim, vector(r, at(shape, dim), shape.length === 0 ? 1 : r.int(0, 3))];
  },
  index_add: (r) => {
    const shape = full(r);
    const dim = r.dim(shape);
    const k = r.int(0, 3);
    return [r.x(shape), dim, vector(r, at(shape, dim), k), r.x(along(shape, dim, k)), { alpha: r.bool() ? 1 : r.number() }];
  },
  index_copy: (r) => {
    const shape = full(r);
    const dim = r.dim(shape);
    const k = r.int(0, at(shape, dim));
    return [r.x(shape), dim, permuted(r, at(shape, dim), k), r.x(along(shape, dim, k))];
  },
  index_fill: (r) => {
    const shape = full(r);
    const dim = r.dim(shape);
    return [r.x(shape), dim, vector(r, at(shape, dim), r.int(0, 3)), r.bool() ? r.number() : r.x([])];
  },
  index_reduce: (r) => {
    const shape = full(r);
    const dim = r.dim(shape);
    const k = r.int(1, 3);
    const kind = r.pick(["prod", "mean", "amax", "amin"]);
    return [r.x(shape), dim, vector(r, at(shape, dim), k), r.x(along(shape, dim, k)), kind, { include_self: r.bool() }];
  },
  take: (r) => {
    const shape = full(r, 0);
    return [r.x(shape), r.indices(r.shape({ rank: [0, 2], min: 1 }), flat(shape))];
  },
  put: (r) => {
    const shape = full(r, 0);
    const accumulate = r.bool();
    const k = r.int(1, flat(shape));
    return [r.x(shape), accumulate ? r.indices([k], flat(shape)) : permuted(r, flat(shape), k), r.x([k]), accumulate];
  },
  ...names("index_put index_put_", (name) => (r) => {
    const [a, b] = [r.int(1, 3), r.int(1, 3)];
    const accumulate = r.bool();
    const k = r.int(1, Math.min(a, b));
    const rows = accumulate ? r.indices([k], a) : permuted(r, a, k);
    const both = r.bool();
    const indices = both ? [rows, r.indices([k], b)] : [rows];
    const values = r.x(r.narrower(both ? [k] : [k, b]));
    return {
      inputs: [r.x([a, b]), values],
      call: (t, v) =>
        name === "index_put"
          ? torch.index_put(t!, indices, v!, accumulate)
          : t!.clone().index_put_(indices as never, v!, accumulate),
      note: `accumulate ${accumulate}, ${both ? "two indices" : "one index"}`,
    };
  }),
  masked_select: (r) => {
    const [s, t] = r.shapes();
    return [r.x(s), r.mask(t)];
  },
  masked_scatter: (r) => {
    const shape = r.shape();
    return [r.x(shape), r.mask(r.narrower(shape)), r.x([flat(shape) + r.int(0, 2)])];
  },
  select_scatter: written([1, 3], (shape, r) => {
    const dim = r.dim(shape);
    const index = r.int(-at(shape, dim), at(shape, dim) - 1);
    return [[dim, index], (t) => t.select(dim, index)];
  }),
  slice_scatter: written([1, 3], (shape, r) => {
    const dim = r.dim(shape);
    const range = [r.pick([null, r.int(-3, 3)]), r.pick([null, r.int(-3, 3)]), r.int(1, 2)] as const;
    return [[dim, ...range], (t) => t.slice(dim, ...range)];
  }),
  diagonal_scatter: written([2, 3], (shape, r) => {
    const [a, b] = r.shuffle([...shape.keys()]) as [number, number];
    const offset = r.int(-1, 1);
    return [[offset, a, b], (t) => t.diagonal(offset, a, b)];
  }),
  as_strided_scatter: (r) => {
    const x = r.constant([9]).detach().requires_grad_();
    const size = [r.int(1, 2), r.int(1, 3)];
    return [x, r.x(size), size, [4, 1], r.int(0, 1)];
  },
  fill_diagonal_: (r) => {
    const shape = [r.int(1, 4), r.int(1, 4)];
    const args = [r.number(), r.bool()] as const;
    return { inputs: [r.x(shape)], call: (t) => t!.clone().fill_diagonal_(...args) };
  },
  "Tensor.index": (r) => {
    const [shape, list] = items(r);
    return { inputs: [r.x(shape)], call: (t) => t!.index(...(list as [])), note: String(list) };
  },
};
