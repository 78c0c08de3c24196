/** The same elements more often, or in another order. */

import { int32, int64 } from "../core/dtype.ts";
import { IndexError, RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDim, normalizeDims, type Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { arange, filled, tensor } from "./creation.ts";
import { cat } from "./joining.ts";

type UnaryForm<A extends readonly unknown[]> = Op<[input: Tensor, ...A], Tensor, "method">;
type ShapeArgs = [sizes: Shape] | number[];
type Dims = number | readonly number[];

function repeated(op: string, input: Tensor, repeats: Shape): Tensor {
  if (repeats.length < input.ndim) {
    throw new RuntimeError(
      `${op}: Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor (${formatShape(repeats)} for shape ${formatShape(input.shape)})`,
    );
  }
  if (repeats.some((n) => n < 0)) throw new RuntimeError(`${op}: repeats must not be negative, got ${formatShape(repeats)}`);
  const pad = repeats.length - input.ndim;
  const own = [...new Array<number>(pad).fill(1), ...input.shape];
  const wide = own.flatMap((n) => [1, n]);
  const target = own.flatMap((n, d) => [repeats[d]!, n]);
  const out = input
    .reshape(wide)
    .expand(target)
    .reshape(own.map((n, d) => n * repeats[d]!));
  return repeats.every((n) => n === 1) ? out.clone() : out;
}

export const repeat: UnaryForm<ShapeArgs> = composite(
  "repeat",
  "input, *repeats",
  {
    doc: "Copies of input along each dimension, new ones in front.",
  },
  (input: Tensor, repeats: Shape) => repeated("repeat", input, repeats),
);

export const tile: UnaryForm<ShapeArgs> = composite(
  "tile",
  "input, *dims",
  {
    doc: "As repeat; missing leading counts are 1.",
  },
  (input: Tensor, dims: Shape) => {
    const counts = [...new Array<number>(Math.max(input.ndim - dims.length, 0)).fill(1), ...dims];
    return repeated("tile", input, counts);
  },
);

type InterleaveOp = Op<
  [input: Tensor, ...Args<[{ repeats?: number | Tensor }, { dim?: number | null }], { output_size?: number | null }>],
  Tensor,
  "method"
>;

export const repeat_interleave: InterleaveOp = composite(
  "repeat_interleave",
  "input, repeats=None, dim=None, *, output_size=None",
  { doc: "Every element (or part along dim) repeated; repeats alone gives the positions." },
  (input: Tensor, repeats: number | Tensor | null, dim: number | null, output_size: number | null) => {
    if (repeats === null) return positions(input, output_size);
    const x = dim === null ? input.reshape([-1]) : input;
    const d = normalizeDim("repeat_interleave", dim ?? 0, x.ndim);
    if (typeof repeats === "number") {
      if (repeats < 0) throw new RuntimeError(`repeat_interleave: repeats must be non-negative, got ${repeats}`);
      const shape = [...x.shape.slice(0, d + 1), repeats, ...x.shape.slice(d + 1)];
      return x
        .unsqueeze(d + 1)
        .expand(shape)
        .flatten(d, d + 1);
    }
    const n = x.shape[d] ?? 1;
    if (repeats.ndim > 1 || (repeats.numel() !== n && repeats.numel() !== 1)) {
      throw new RuntimeError(
        `repeat_interleave: repeats must have the same size as input along dim, but got repeats of shape ${formatShape(repeats.shape)} for size ${n}`,
      );
    }
    const counts = repeats.reshape([-1]).expand([n]);
    return x.index_select(d, positions(counts, output_size));
  },
);

/** i, repeats[i] times, for every i. */
function positions(repeats: Tensor, output_size: number | null): Tensor {
  if (repeats.ndim !== 1) throw new RuntimeError("repeat_interleave: repeats must be 0-dim or 1-dim tensor");
  if (repeats.dtype !== int64 && repeats.dtype !== int32) {
    throw new RuntimeError(`repeat_interleave: repeats has to be Long or Int tensor, got ${repeats.dtype}`);
  }
  const counts = Array.from(repeats.data_sync() as ArrayLike<number | bigint>, Number);
  if (counts.some((n) => n < 0)) throw new RuntimeError("repeat_interleave: repeats can not be negative");
  const total = counts.reduce((a, b) => a + b, 0);
  if (output_size !== null && total !== output_size) {
    throw new RuntimeError(`repeat_interleave: allocated size ${output_size} does not match required size ${total}`);
  }
  const out = new BigInt64Array(total);
  let at = 0;
  counts.forEach((n, i) => {
    out.fill(BigInt(i), at, at + n);
    at += n;
  });
  return fromArray(out, repeats);
}

export const roll: UnaryForm<Args<[{ shifts: Dims }, { dims?: Dims | null }]>> = composite(
  "roll",
  "input, shifts, dims=None",
  {
    doc: "Elements moved along dims; those that fall off come in at the other end.",
  },
  (input: Tensor, shifts: Dims, dims: Dims | null) => {
    const by = typeof shifts === "number" ? [shifts] : shifts;
    const along = dims === null ? [] : typeof dims === "number" ? [dims] : dims;
    if (by.length === 0) throw new RuntimeError("roll: `shifts` required");
    if (along.length === 0 && by.length === 1) return rolled(input.reshape([-1]), by[0]!, 0).view(input.shape);
    if (by.length !== along.length) {
      throw new RuntimeError(`roll: shifts and dimensions must align. shifts: ${by.length}, dims:${along.length}`);
    }
    if (input.ndim === 0) throw new IndexError(`roll: Dimension specified as ${along[0]} but tensor has no dimensions`);
    return along.reduce((x, dim, i) => rolled(x, by[i]!, normalizeDim("roll", dim, input.ndim)), input);
  },
);

function rolled(x: Tensor, shift: number, d: number): Tensor {
  if (x.ndim === 0) return x.clone();
  const n = x.shape[d]!;
  if (x.numel() === 0) return x.clone();
  const at = (((n - shift) % n) + n) % n;
  return at === 0 ? x.clone() : cat([x.slice(d, at), x.slice(d, 0, at)], d);
}

type FlipOp = UnaryForm<[dims: readonly number[]] | number[]>;

export const flip: FlipOp = defineOp("flip", "input, *dims", {
  doc: "Dimensions in reverse.",
  forward(ctx, input: Tensor, dims: readonly number[]) {
    const along = dims.length === 0 ? [] : normalizeDims("flip", dims, input.ndim);
    ctx.state = along;
    const moved = along.filter((d) => input.shape[d]! > 1);
    if (moved.length === 0) return input.clone();
    return moved.reduce((x, d) => x.index_select(d, arange(x.shape[d]! - 1, -1, -1, { device: x.device })), input);
  },
  backward: (ctx, g: Tensor) => [g.flip(ctx.state as number[])],
});

export const fliplr: UnaryForm<[]> = composite("fliplr", "input", { doc: "Columns in reverse." }, (input: Tensor) => {
  if (input.ndim < 2) throw new RuntimeError(`fliplr: Input must be >= 2-d, got ${input.ndim}-d`);
  return input.flip([1]);
});

export const flipud: UnaryForm<[]> = composite("flipud", "input", { doc: "Rows in reverse." }, (input: Tensor) => {
  if (input.ndim < 1) throw new RuntimeError("flipud: Input must be >= 1-d, got 0-d");
  return input.flip([0]);
});

export const rot90: UnaryForm<Args<[{ k?: number }, { dims?: readonly number[] }]>> = composite(
  "rot90",
  "input, k=1, dims=[0,1]",
  {
    doc: "Rotated by k quarter turns in the plane of two dimensions, from the first towards the second.",
  },
  (input: Tensor, k: number, dims: readonly number[]) => {
    if (dims.length !== 2) throw new RuntimeError(`rot90: expected total rotation dims == 2, but got dims = ${dims.length}`);
    if (input.ndim < 2) throw new RuntimeError(`rot90: expected total dims >= 2, but got total dims = ${input.ndim}`);
    const [a, b] = dims as [number, number];
    const n = input.ndim;
    if (a === b || Math.abs(a - b) === n) {
      throw new RuntimeError(`rot90: expected rotation dims to be different, but got dim0 = ${a} and dim1 = ${b}`);
    }
    for (const d of dims) {
      if (d < -n || d >= n) throw new RuntimeError(`rot90: Rotation dim out of range, got ${d} for ${n} dims`);
    }
    switch (((k % 4) + 4) % 4) {
      case 1:
        return input.flip([b]).transpose(a, b);
      case 2:
        return input.flip([a, b]);
      case 3:
        return input.flip([a]).transpose(a, b);
      default:
        return input.clone();
    }
  },
);

export const combinations: UnaryForm<Args<[{ r?: number }, { with_replacement?: boolean }]>> = composite(
  "combinations",
  "input, r=2, with_replacement=False",
  { doc: "All combinations of r elements of a vector, a row each." },
  (input: Tensor, r: number, with_replacement: boolean) => {
    if (input.ndim !== 1) throw new RuntimeError(`combinations: Expect a 1D vector, but got shape ${formatShape(input.shape)}`);
    if (r < 0) throw new RuntimeError(`combinations: Expect a non-negative number, but got ${r}`);
    if (r === 0) return filled([0], 0, input.dtype, input.device);
    const n = input.shape[0]!;
    const rows: number[] = [];
    const row: number[] = [];
    const extend = (from: number): void => {
      if (row.length === r) {
        rows.push(...row);
        return;
      }
      for (let i = from; i < n; i++) {
        row.push(i);
        extend(with_replacement ? i : i + 1);
        row.pop();
      }
    };
    extend(0);
    const at = fromArray(BigInt64Array.from(rows, BigInt), input);
    return input.index_select(0, at).view([rows.length / r, r]);
  },
);

function fromArray(values: BigInt64Array, like: Tensor): Tensor {
  return tensor(values, { device: like.device });
}

type KronOp = UnaryForm<Args<[{ other: Tensor }]>>;

export const kron: KronOp = composite(
  "kron",
  "input, other",
  {
    doc: "The Kronecker product.",
  },
  (input: Tensor, other: Tensor) => {
    const n = Math.max(input.ndim, other.ndim);
    const sizes = (t: Tensor): number[] => [...new Array<number>(n - t.ndim).fill(1), ...t.shape];
    const [a, b] = [sizes(input), sizes(other)];
    const left = input.reshape(a.flatMap((m) => [m, 1]));
    const right = other.reshape(b.flatMap((m) => [1, m]));
    return left.mul(right).reshape(a.map((m, d) => m * b[d]!));
  },
);
