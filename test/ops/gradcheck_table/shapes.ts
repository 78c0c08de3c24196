/** Views, and ops that join, part, repeat or reorder. */

import type { Tensor } from "../../../ts/core/tensor.ts";
import * as torch from "../../../ts/entry.node.ts";
import type { Draw, Entries } from "./check.ts";
import { numelOf, type Random, type Shape, type ShapeLimits } from "./random.ts";

const names = (list: string, draw: (name: string) => Draw): Entries =>
  Object.fromEntries(list.split(" ").map((name) => [name, draw(name)]));

/** Ops of a tensor, and arguments that depend on its shape. */
const ofShape =
  (rest: (shape: Shape, r: Random) => readonly unknown[], limits: ShapeLimits = {}): Draw =>
  (r) => {
    const shape = r.shape(limits);
    return [r.x(shape), ...rest(shape, r)];
  };
const alone: Draw = (r) => [r.x()];

/** Another shape of as many elements. */
function refactored(shape: Shape, r: Random): Shape {
  const n = numelOf(shape);
  if (n === 0) return r.shuffle(shape);
  const factors = [1, 2, 3, 4].filter((f) => n % f === 0);
  const f = r.pick(factors);
  return r.pick([[n], [f, n / f], [1, n / f, f]]);
}
const inferred = (shape: Shape, r: Random): Shape => {
  const out = refactored(shape, r);
  if (numelOf(shape) > 0 && r.bool()) out[r.int(0, out.length - 1)] = -1;
  return out;
};
/** One of the dims, which is there. */
const RANKED: ShapeLimits = { rank: [1, 4] };
const SIZED: ShapeLimits = { rank: [1, 4], min: 1 };

const several = (r: Random, shapeOf: (i: number) => Shape, least = 1): Tensor[] =>
  Array.from({ length: r.int(least, 3) }, (_, i) => r.x(shapeOf(i)));
/** Tensors that differ in one dim. */
const joinable = (r: Random, dim: number, limits: ShapeLimits): Tensor[] => {
  const shape = r.shape(limits);
  const d = Math.min(dim, shape.length - 1);
  return several(r, () => shape.map((n, i) => (i === d ? r.int(1, 3) : n)));
};
const sections = (n: number, r: Random): number[] => {
  const first = r.int(0, n);
  return r.bool() ? [first, n - first] : [first, 0, n - first];
};
const parts = (n: number, r: Random): number | number[] =>
  r.bool() ? r.int(1, 4) : [r.int(0, n), r.int(0, n)].sort((a, b) => a - b);
const divisible = (dim: number, least: number): Draw =>
  ofShape(
    (shape, r) => {
      const n = shape[shape.length === 1 ? 0 : dim]!;
      const divisors = [1, 2, 3, 4].filter((f) => n % f === 0);
      return [r.bool() ? r.pick(divisors) : [r.int(0, n)]];
    },
    { rank: [least, 4], min: 1 },
  );

/** The form of an op that changes a tensor's geometry, on a copy. */
const inPlace =
  (name: string, rest: (shape: Shape, r: Random) => readonly unknown[], limits: ShapeLimits = {}): Draw =>
  (r) => {
    const shape = r.shape(limits);
    const args = rest(shape, r);
    return {
      inputs: [r.x(shape)],
      call: (t) => {
        const copy = t!.clone() as unknown as Record<string, (...a: unknown[]) => unknown>;
        return copy[name]!(...args);
      },
      note: args.map((a) => (Array.isArray(a) ? `[${String(a)}]` : String(a))).join(", "),
    };
  };
const twoDims = (shape: Shape, r: Random): readonly unknown[] => [r.dim(shape), r.dim(shape)];

export const shapes: Entries = {
  ...names("reshape view", () => (r) => {
    const shape = r.shape();
    // A view wants memory in order.
    const x = r.constant(shape).detach().requires_grad_();
    return [x, inferred(shape, r)];
  }),
  ...names("view_as reshape_as", () => (r) => {
    const shape = r.shape();
    return [r.constant(shape).detach().requires_grad_(), torch.zeros(refactored(shape, r))];
  }),
  permute: ofShape((shape, r) => [r.shuffle([...shape.keys()]).map((d) => (r.bool() ? d : d - shape.length))]),
  ...names("transpose swapaxes swapdims", () => ofShape(twoDims)),
  transpose_: inPlace("transpose_", twoDims),
  ...names("t", () => ofShape(() => [], { rank: [0, 2] })),
  t_: inPlace("t_", () => [], { rank: [0, 2] }),
  adjoint: ofShape(() => [], { rank: [2, 4] }),
  squeeze: ofShape((shape, r) => (r.bool() ? [] : [r.bool() ? r.dim(shape) : r.someDims(shape)])),
  squeeze_: inPlace("squeeze_", (shape, r) => (r.bool() ? [] : [r.dim(shape)])),
  unsqueeze: ofShape((shape, r) => [r.int(-shape.length - 1, shape.length)]),
  unsqueeze_: inPlace("unsqueeze_", (shape, r) => [r.int(-shape.length - 1, shape.length)]),
  flatten: ofShape((shape, r) => {
    const from = r.int(0, Math.max(0, shape.length - 1));
    return [from, r.bool() ? -1 : r.int(from, Math.max(0, shape.length - 1))];
  }),
  unflatten: ofShape((shape, r) => {
    const dim = r.dim(shape);
    const n = shape.at(dim)!;
    return [dim, n % 2 === 0 && r.bool() ? [2, n / 2] : [1, n === 0 ? n : -1]];
  }, RANKED),
  ravel: alone,
  ...names("expand broadcast_to", () => (r) => {
    const shape = r.shape();
    return [r.x(r.narrower(shape)), shape];
  }),
  expand_as: (r) => {
    const shape = r.shape();
    return [r.x(r.narrower(shape)), torch.zeros(shape)];
  },
  sum_to_size: (r) => {
    const shape = r.shape({ min: 1 });
    return [r.x(shape), r.narrower(shape)];
  },
  broadcast_tensors: (r) => r.shapes().map((s) => r.x(s)),
  ...names("movedim moveaxis", () =>
    ofShape((shape, r) => {
      if (r.bool() || shape.length === 0) return [r.dim(shape), r.dim(shape)];
      const n = r.int(1, shape.length);
      const some = (): number[] => r.shuffle([...shape.keys()]).slice(0, n);
      return [some(), some()];
    }),
  ),
  ...names("narrow narrow_copy", () =>
    ofShape((shape, r) => {
      const dim = r.dim(shape);
      const start = r.int(0, shape.at(dim)!);
      return [dim, start, r.int(0, shape.at(dim)! - start)];
    }, RANKED),
  ),
  select: ofShape((shape, r) => {
    const dim = r.dim(shape);
    return [dim, r.int(-shape.at(dim)!, shape.at(dim)! - 1)];
  }, SIZED),
  slice: ofShape((shape, r) => [r.dim(shape), r.pick([null, r.int(-4, 4)]), r.pick([null, r.int(-4, 4)]), r.int(1, 3)], RANKED),
  ...names("split unsafe_split", () =>
    ofShape((shape, r) => {
      const dim = r.dim(shape);
      return [r.bool() ? r.int(1, 4) : sections(shape.at(dim)!, r), dim];
    }, SIZED),
  ),
  split_with_sizes: ofShape((shape, r) => {
    const dim = r.dim(shape);
    return [sections(shape.at(dim)!, r), dim];
  }, RANKED),
  ...names("chunk unsafe_chunk", () => ofShape((shape, r) => [r.int(1, 4), r.dim(shape)], SIZED)),
  tensor_split: ofShape((shape, r) => {
    const dim = r.dim(shape);
    return [parts(shape.at(dim)!, r), dim];
  }, RANKED),
  unbind: ofShape((shape, r) => [r.dim(shape)], SIZED),
  hsplit: divisible(1, 1),
  vsplit: divisible(0, 2),
  dsplit: divisible(2, 3),
  diagonal: ofShape(
    (shape, r) => {
      const [a, b] = r.shuffle([...shape.keys()]) as [number, number];
      return [r.int(-2, 2), a, b - shape.length];
    },
    { rank: [2, 4] },
  ),
  "linalg.diagonal": ofShape((_, r) => [{ offset: r.int(-2, 2) }], { rank: [2, 4] }),
  diag: ofShape((_, r) => [r.int(-2, 2)], { rank: [1, 2] }),
  diag_embed: ofShape((shape, r) => (r.bool() ? [r.int(-2, 2)] : [r.int(-1, 1), 0, shape.length]), { rank: [1, 2], max: 3 }),
  diagflat: ofShape((_, r) => [r.int(-2, 2)], { rank: [0, 2], max: 2 }),
  ...names("tril triu", () => ofShape((_, r) => [r.int(-2, 2)], { rank: [2, 4] })),
  flip: ofShape((shape, r) => [r.someDims(shape)]),
  fliplr: ofShape(() => [], { rank: [2, 4] }),
  flipud: ofShape(() => [], RANKED),
  rot90: ofShape((shape, r) => [r.int(-3, 5), r.shuffle([...shape.keys()]).slice(0, 2)], { rank: [2, 4] }),
  roll: ofShape((shape, r) => {
    if (r.bool() || shape.length === 0) return [r.int(-5, 5)];
    const dims = r.someDims(shape, 1);
    return [dims.map(() => r.int(-5, 5)), dims];
  }),
  tile: ofShape((_, r) => [Array.from({ length: r.int(0, 3) }, () => r.int(0, 2))], { rank: [0, 3], numel: 8 }),
  repeat: ofShape((shape, r) => [[...(r.bool(0.3) ? [2] : []), ...shape.map(() => r.int(0, 2))]], { rank: [0, 3], numel: 8 }),
  repeat_interleave: ofShape((shape, r) => {
    const dim = r.bool() ? null : r.dim(shape);
    const n = dim === null ? numelOf(shape) : shape.at(dim)!;
    return [
      r.bool()
        ? r.int(0, 3)
        : torch.tensor(
            Array.from({ length: n }, () => r.int(0, 2)),
            { dtype: torch.int64 },
          ),
      dim,
    ];
  }, SIZED),
  as_strided: (r) => {
    const x = r.constant([12]).detach().requires_grad_();
    // Overlapping windows as well.
    return [x, [r.int(1, 3), r.int(1, 3)], [r.int(0, 3), r.int(0, 2)], r.pick([null, 0, 1])];
  },
  as_strided_: inPlace("as_strided_", (_, r) => [[2, r.int(1, 2)], [1, 1], r.int(0, 1)], { rank: 1, min: 4 }),
  unfold: ofShape((shape, r) => {
    const dim = r.dim(shape);
    return [dim, r.int(0, shape.at(dim) ?? 1), r.int(1, 3)];
  }),
  atleast_1d: (r) => several(r, () => r.shape({ rank: [0, 2] })),
  atleast_2d: (r) => several(r, () => r.shape({ rank: [0, 3] })),
  atleast_3d: (r) => several(r, () => r.shape({ rank: [0, 4] })),
  ...names("cat concat concatenate", () => (r) => {
    const dim = r.int(0, 2);
    const tensors = joinable(r, dim, { rank: 3, max: 3 });
    return [tensors, r.bool() ? dim : dim - 3];
  }),
  stack: (r) => {
    const shape = r.shape({ rank: [0, 3] });
    return [several(r, () => shape), r.int(-shape.length - 1, shape.length)];
  },
  hstack: (r) => [r.bool(0.3) ? several(r, () => [r.int(1, 3)]) : joinable(r, 1, { rank: [2, 3] })],
  ...names("vstack row_stack", () => (r) => [joinable(r, 0, { rank: [2, 3] })]),
  dstack: (r) => [joinable(r, 2, { rank: 3, max: 3 })],
  column_stack: (r) => {
    const n = r.int(1, 3);
    return [several(r, () => (r.bool() ? [n] : [n, r.int(1, 2)]))];
  },
  block_diag: (r) => several(r, () => r.shape({ rank: [0, 2], max: 2 })),
  cartesian_prod: (r) => several(r, () => [r.int(1, 3)]),
  combinations: (r) => [r.x([r.int(2, 4)]), r.int(1, 3), r.bool()],
  meshgrid: (r) => [...several(r, () => [r.int(1, 3)]), { indexing: r.pick(["ij", "xy"]) }],
  contiguous: alone,
  clone: alone,
  channel_shuffle: (r) => [r.x([r.int(1, 2), 4, 2]), r.pick([1, 2, 4])],
  pixel_shuffle: (r) => [r.x([...(r.bool() ? [2] : []), 4, r.int(1, 2), r.int(1, 2)]), 2],
  pixel_unshuffle: (r) => [r.x([...(r.bool() ? [2] : []), r.int(1, 2), 2, 4]), 2],
  constant_pad_nd: ofShape((shape, r) => [Array.from({ length: 2 * r.int(0, shape.length) }, () => r.int(-1, 2)), r.number()], {
    rank: [0, 3],
    min: 2,
  }),
  vander: (r) => [r.x([r.int(1, 3)]), r.int(1, 4), r.bool()],
  "linalg.vander": (r) => [r.x([r.int(1, 2), r.int(1, 3)]), { N: r.int(2, 4) }],
  "fft.fftshift": ofShape((shape, r) => (r.bool() ? [] : [r.dim(shape)]), RANKED),
  "fft.ifftshift": ofShape((shape, r) => (r.bool() ? [] : [r.dim(shape)]), RANKED),
};
