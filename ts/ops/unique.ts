/** Distinct elements. Their number depends on the values, which must be read. */

import { bool, int64 } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { normalizeDim } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type OpInfo } from "../engine/define.ts";
import { checkTensor } from "../engine/signature.ts";
import { arange } from "./creation.ts";
import { cat } from "./joining.ts";
import { sort } from "./sorting.ts";

interface Found {
  readonly output: Tensor;
  readonly inverse: Tensor;
  readonly counts: Tensor;
}

/** Groups of consecutive equal rows: `x` has them along dim 0, `changes[i]` says whether row i + 1 differs from row i. */
function groups(x: Tensor, changes: Tensor, order: Tensor | null): Found {
  const n = x.shape[0]!;
  const { device } = x;
  if (n === 0) {
    const none = arange(0, { device });
    return { output: x, inverse: none, counts: none };
  }
  const first = cat([changes.new_ones([1]), changes]);
  const starts = first.nonzero().reshape([-1]);
  const output = x.index_select(0, starts);
  const number = first.to(int64).cumsum(0).sub(1);
  const inverse = order === null ? number : number.new_zeros([n]).scatter(0, order, number);
  const counts = cat([starts.slice(0, 1), starts.new_full([1], n)]).sub(starts);
  return { output, inverse, counts };
}

/** Whether each row differs from the one before it. */
function changesOf(rows: Tensor): Tensor {
  const n = rows.shape[0]!;
  const differ = rows.slice(0, 1).ne(rows.slice(0, 0, Math.max(n - 1, 0)));
  return rows.ndim === 1 ? differ : differ.any(1);
}

/** The order that sorts rows, first column first: stable sorts from the last column to the first. */
function rowOrder(rows: Tensor): Tensor {
  let order = arange(rows.shape[0]!, { device: rows.device });
  for (let c = rows.shape[1]! - 1; c >= 0; c--) {
    const column = rows.select(1, c).index_select(0, order);
    order = order.index_select(0, sort(column, 0, { stable: true }).indices);
  }
  return order;
}

type Flags = { readonly return_inverse?: boolean; readonly return_counts?: boolean; readonly dim?: number | null };
type WithSorted = Flags & { readonly sorted?: boolean };
/** One tensor, or several when the inverse or the counts are asked for. */
interface UniqueFunction<O extends Flags> {
  (input: Tensor): Tensor;
  (input: Tensor, options: O & { readonly return_inverse?: false; readonly return_counts?: false }): Tensor;
  (input: Tensor, options: O): Tensor | Tensor[];
  readonly info: OpInfo;
}
interface UniqueMethod<O extends Flags> {
  (): Tensor;
  (options: O & { readonly return_inverse?: false; readonly return_counts?: false }): Tensor;
  (options: O): Tensor | Tensor[];
}
/** Methods of Tensor whose type depends on what they are given. */
export interface UniqueMethods {
  unique: UniqueMethod<WithSorted>;
  unique_consecutive: UniqueMethod<Flags>;
}

function distinct(
  name: string,
  input: Tensor,
  dim: number | null,
  sorted: boolean,
  inverse: boolean,
  counts: boolean,
): Tensor | Tensor[] {
  checkTensor(name, "input", input);
  let found: Found;
  let output: Tensor;
  let shape: readonly number[];
  const x = input.detach();
  if (dim === null) {
    const flat = x.reshape([-1]);
    const keys = sorted ? sort(flat, 0) : null;
    const values = keys === null ? flat : keys.values;
    found = groups(values, changesOf(values), keys === null ? null : keys.indices);
    output = found.output;
    shape = input.shape;
  } else {
    const d = normalizeDim(name, dim, input.ndim);
    const front = x.ndim === 0 ? x.reshape([1]) : x.movedim(d, 0);
    const n = front.shape[0]!;
    const width = front.numel() / Math.max(n, 1);
    if (front.numel() === 0 && n !== 0) {
      throw new RuntimeError(`${name}: There are 0 sized dimensions, and they aren't selected, so unique cannot be applied`);
    }
    const rows = front.reshape([n, n === 0 ? 1 : width]);
    const order = sorted && n > 0 ? rowOrder(rows) : null;
    const arranged = order === null ? rows : rows.index_select(0, order);
    found = groups(arranged, n === 0 ? rows.new_zeros([0], { dtype: bool }) : changesOf(arranged), order);
    const kept = found.output.reshape([n === 0 ? 0 : found.output.shape[0]!, ...front.shape.slice(1)]);
    output = x.ndim === 0 ? kept : kept.movedim(0, d);
    shape = [n];
  }
  if (!inverse && !counts) return output;
  return [output, ...(inverse ? [found.inverse.reshape(shape)] : []), ...(counts ? [found.counts] : [])];
}

export const unique: UniqueFunction<WithSorted> = composite(
  "unique",
  "input, sorted=True, return_inverse=False, return_counts=False, dim=None",
  { doc: "Distinct elements, or slices along dim, in rising order; where each element went, and how many of each, if asked." },
  (input: Tensor, _sorted: boolean, inverse: boolean, counts: boolean, dim: number | null) =>
    distinct("unique", input, dim, true, inverse, counts),
);

export const unique_consecutive: UniqueFunction<Flags> = composite(
  "unique_consecutive",
  "input, return_inverse=False, return_counts=False, dim=None",
  { doc: "Elements, or slices along dim, without repeats of the one before." },
  (input: Tensor, inverse: boolean, counts: boolean, dim: number | null) =>
    distinct("unique_consecutive", input, dim, false, inverse, counts),
);
