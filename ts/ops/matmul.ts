/** Matrix products: everything here ends in one batched kernel, `out[b] = a[b] @ b[b]` with any strides. */

import { bool, promote_types, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { broadcastShapes, formatShape, normalizeDim, numelOf, type Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { commonDevice } from "../engine/run.ts";
import { checkTensor, describe, type Args } from "../engine/signature.ts";
import { dropBatch, oneBatch, product } from "./product.ts";

type Method<A extends readonly unknown[]> = Op<[input: Tensor, ...A], Tensor, "method">;
type InplaceMethod<A extends readonly unknown[]> = Op<[input: Tensor, ...A], Tensor, "method" | "inplace">;

function checkPair(op: string, a: Tensor, b: Tensor, ndimA: number, ndimB: number): void {
  checkTensor(op, "input", a);
  checkTensor(op, "mat2", b);
  commonDevice(op, [a, b]);
  if (a.ndim !== ndimA || b.ndim !== ndimB) {
    throw new RuntimeError(
      `${op}: expected ${ndimA}-D and ${ndimB}-D tensors, got shapes ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
    );
  }
  if (a.dtype !== b.dtype) {
    throw new RuntimeError(`${op}: expected both matrices to have the same dtype, but got ${a.dtype} and ${b.dtype}`);
  }
  const inner = a.shape[ndimA - 1]!;
  const other = b.shape[Math.max(ndimB - 2, 0)]!;
  if (inner !== other || (ndimA === 3 && a.shape[0] !== b.shape[0])) {
    throw new RuntimeError(
      `${op}: shapes ${formatShape(a.shape)} and ${formatShape(b.shape)} cannot be multiplied (${inner} vs ${other})`,
    );
  }
}

export const bmm: Method<Args<[{ mat2: Tensor }]>> = defineOp("bmm", "input, mat2", {
  doc: "Batched product: [B, m, k] @ [B, k, n] → [B, m, n].",
  forward(ctx, input: Tensor, mat2: Tensor) {
    checkPair("bmm", input, mat2, 3, 3);
    ctx.save(ctx.needs[1] ? input : null, ctx.needs[0] ? mat2 : null);
    return product(input, mat2, null, 1);
  },
  backward(ctx, g: Tensor) {
    const [input, mat2] = ctx.saved();
    return [ctx.needs[0] ? g.bmm(mat2!.mT) : null, ctx.needs[1] ? input!.mT.bmm(g) : null];
  },
});

export const mm: Method<Args<[{ mat2: Tensor }]>> = defineOp("mm", "input, mat2", {
  doc: "Matrix product: [m, k] @ [k, n] → [m, n].",
  forward(ctx, input: Tensor, mat2: Tensor) {
    checkPair("mm", input, mat2, 2, 2);
    ctx.save(ctx.needs[1] ? input : null, ctx.needs[0] ? mat2 : null);
    return dropBatch(product(oneBatch(input), oneBatch(mat2), null, 1));
  },
  backward(ctx, g: Tensor) {
    const [input, mat2] = ctx.saved();
    if (is_grad_enabled()) return [ctx.needs[0] ? g.mm(mat2!.t()) : null, ctx.needs[1] ? input!.t().mm(g) : null];
    return [
      ctx.needs[0] ? dropBatch(product(oneBatch(g), oneBatch(mat2!, true), null, 1)) : null,
      ctx.needs[1] ? dropBatch(product(oneBatch(input!, true), oneBatch(g), null, 1)) : null,
    ];
  },
});

export const matmul: Method<Args<[{ other: Tensor }]>> = composite(
  "matmul",
  "input, other",
  {
    doc: "Matrix product of vectors, matrices and batches of matrices; batch dimensions broadcast.",
  },
  (input: Tensor, other: Tensor) => {
    checkTensor("matmul", "input", input);
    checkTensor("matmul", "other", other);
    const [a, b] = [input.ndim, other.ndim];
    if (a === 0 || b === 0) {
      throw new RuntimeError(`matmul: both arguments need to be at least 1D, but they are ${a}D and ${b}D`);
    }
    if (a === 1 && b === 1) return input.dot(other);
    if (a === 2 && b === 1) return input.mv(other);
    if (a === 1 && b === 2) return input.unsqueeze(0).mm(other).squeeze(0);
    if (a === 2 && b === 2) return input.mm(other);
    if (b <= 2 && a >= 3) {
      // One matrix for all batches: fold the batches into rows.
      const rows = numelOf(input.shape.slice(0, -1));
      const flat = input.reshape([rows, input.shape[a - 1]!]);
      const lead = input.shape.slice(0, -1);
      return b === 1 ? flat.mv(other).reshape(lead) : flat.mm(other).reshape([...lead, other.shape[1]!]);
    }
    const x = a === 1 ? input.unsqueeze(0) : input;
    const y = b === 1 ? other.unsqueeze(-1) : other;
    const batch = broadcastShapes("matmul", x.shape.slice(0, -2), y.shape.slice(0, -2));
    const size = numelOf(batch);
    const fold = (t: Tensor): Tensor => {
      const [r, c] = t.shape.slice(-2) as [number, number];
      return t.expand([...batch, r, c]).reshape([size, r, c]);
    };
    const out = fold(x).bmm(fold(y));
    const shape = [...batch, ...(a === 1 ? [] : [x.shape.at(-2)!]), ...(b === 1 ? [] : [y.shape.at(-1)!])];
    return out.reshape(shape);
  },
);

export const mv: Method<Args<[{ vec: Tensor }]>> = composite(
  "mv",
  "input, vec",
  {
    doc: "Matrix times vector: [m, k] @ [k] → [m].",
  },
  (input: Tensor, vec: Tensor) => {
    checkPair("mv", input, vec, 2, 1);
    return input.mm(vec.unsqueeze(1)).squeeze(1);
  },
);

export const dot: Method<Args<[{ tensor: Tensor }]>> = composite(
  "dot",
  "input, tensor",
  {
    doc: "Dot product of two vectors of equal length.",
  },
  (input: Tensor, tensor: Tensor) => {
    checkPair("dot", input, tensor, 1, 1);
    return input.unsqueeze(0).mm(tensor.unsqueeze(1)).reshape([]);
  },
);
export const vdot: Method<Args<[{ other: Tensor }]>> = composite(
  "vdot",
  "input, other",
  {
    doc: "Dot product; the first argument conjugated.",
  },
  (input: Tensor, other: Tensor) => {
    checkPair("vdot", input, other, 1, 1);
    return input.dot(other);
  },
);

export const outer: Method<Args<[{ vec2: Tensor }]>> = composite(
  "outer",
  "input, vec2",
  {
    doc: "[m] and [n] → [m, n] of all products.",
  },
  (input: Tensor, vec2: Tensor) => {
    checkTensor("outer", "vec2", vec2);
    if (input.ndim !== 1 || vec2.ndim !== 1) {
      throw new RuntimeError(
        `outer: expected 1-D tensors, got shapes ${formatShape(input.shape)} and ${formatShape(vec2.shape)}`,
      );
    }
    return input.unsqueeze(1).mul(vec2);
  },
);

export const ger: Method<Args<[{ vec2: Tensor }]>> = composite(
  "ger",
  "input, vec2",
  { doc: "Another name of outer." },
  (input: Tensor, vec2: Tensor) => outer(input, vec2),
);

type AddOptions = { beta?: Scalar; alpha?: Scalar };

/** beta * input + alpha * result; with beta 0 the input does not count, not even its NaNs. Whole results take whole factors. */
function blend(op: string, input: Tensor, result: Tensor, beta: Scalar, alpha: Scalar): Tensor {
  if (input.dtype !== result.dtype) {
    throw new RuntimeError(`${op}: expected input and matrices to have the same dtype, got ${input.dtype} and ${result.dtype}`);
  }
  const factor = (x: Scalar): Scalar => (result.dtype.is_floating_point ? x : Math.trunc(Number(x)));
  const [a, b] = [factor(alpha), factor(beta)];
  const scaled = Number(a) === 1 ? result : result.mul(a);
  if (Number(b) === 0) {
    broadcastShapes(op, input.shape, result.shape);
    // Its gradient is there all the same, and zero.
    return input.requires_grad
      ? scaled.add(input.masked_fill(input.eq(input).logical_or(input.ne(input)), 0).expand(result.shape))
      : scaled;
  }
  return (Number(b) === 1 ? input : input.mul(b)).expand(result.shape).add(scaled);
}

export const addmm: InplaceMethod<Args<[{ mat1: Tensor }, { mat2: Tensor }], AddOptions>> = composite(
  "addmm",
  "input, mat1, mat2, *, beta=1, alpha=1",
  { doc: "beta * input + alpha * (mat1 @ mat2).", inplace: true },
  (input: Tensor, mat1: Tensor, mat2: Tensor, beta: Scalar, alpha: Scalar) => blend("addmm", input, mat1.mm(mat2), beta, alpha),
);
export const addmv: InplaceMethod<Args<[{ mat: Tensor }, { vec: Tensor }], AddOptions>> = composite(
  "addmv",
  "input, mat, vec, *, beta=1, alpha=1",
  { doc: "beta * input + alpha * (mat @ vec).", inplace: true },
  (input: Tensor, mat: Tensor, vec: Tensor, beta: Scalar, alpha: Scalar) => blend("addmv", input, mat.mv(vec), beta, alpha),
);
export const addr: InplaceMethod<Args<[{ vec1: Tensor }, { vec2: Tensor }], AddOptions>> = composite(
  "addr",
  "input, vec1, vec2, *, beta=1, alpha=1",
  { doc: "beta * input + alpha * outer(vec1, vec2).", inplace: true },
  (input: Tensor, vec1: Tensor, vec2: Tensor, beta: Scalar, alpha: Scalar) => {
    const result = vec1.outer(vec2);
    const dtype = promote_types(input.dtype, result.dtype);
    if (dtype !== bool) return blend("addr", input.to(dtype), result.to(dtype), beta, alpha);
    const product = Number(alpha) === 0 ? result.logical_xor(result) : result;
    return Number(beta) === 0 ? product : input.expand(result.shape).logical_or(product);
  },
);
export const addbmm: InplaceMethod<Args<[{ batch1: Tensor }, { batch2: Tensor }], AddOptions>> = composite(
  "addbmm",
  "input, batch1, batch2, *, beta=1, alpha=1",
  { doc: "beta * input + alpha * sum over b of batch1[b] @ batch2[b].", inplace: true },
  (input: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar, alpha: Scalar) =>
    blend("addbmm", input, batch1.bmm(batch2).sum(0, { dtype: batch1.dtype }), beta, alpha),
);
export const baddbmm: InplaceMethod<Args<[{ batch1: Tensor }, { batch2: Tensor }], AddOptions>> = composite(
  "baddbmm",
  "input, batch1, batch2, *, beta=1, alpha=1",
  { doc: "beta * input + alpha * (batch1 @ batch2).", inplace: true },
  (input: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar, alpha: Scalar) =>
    blend("baddbmm", input, batch1.bmm(batch2), beta, alpha),
);

type TensordotOp = Op<
  [a: Tensor, b: Tensor, ...Args<[{ dims?: number | readonly [readonly number[], readonly number[]] }]>],
  Tensor
>;
export const tensordot: TensordotOp = composite(
  "tensordot",
  "a, b, dims=2",
  {
    doc: "Contracts the last dims of a with the first of b, or the two lists of dims given.",
  },
  (a: Tensor, b: Tensor, dims: number | readonly [readonly number[], readonly number[]]) => {
    const isPair =
      Array.isArray(dims) && dims.length === 2 && dims.every((list) => Array.isArray(list) && list.every(Number.isInteger));
    if (!Number.isInteger(dims) && !isPair) {
      throw new TypeError(`tensordot: argument 'dims' must be int or two lists of ints of one length, not ${describe(dims)}`);
    }
    if (typeof dims === "number" && (dims < 0 || dims > Math.min(a.ndim, b.ndim))) {
      throw new RuntimeError(`tensordot: expects dims >= 0 and <= both tensors' dimensions, but got dims=${dims}`);
    }
    let [left, right] =
      typeof dims === "number"
        ? [Array.from({ length: dims }, (_, i) => a.ndim - dims + i), Array.from({ length: dims }, (_, i) => i)]
        : dims;
    if (left.length !== right.length) throw new RuntimeError("tensordot: both dimension lists should have same length");
    left = left.map((d) => normalizeDim("tensordot", d, a.ndim));
    right = right.map((d) => normalizeDim("tensordot", d, b.ndim));
    // A dimension of size 1 stands for all of the other's.
    const lone = (t: Tensor, own: readonly number[], other: Tensor, theirs: readonly number[]): Tensor => {
      const dims = own.filter((d, i) => t.shape[d] !== 1 && other.shape[theirs[i]!] === 1);
      return dims.length === 0 ? t : t.sum(dims, true, { dtype: t.dtype });
    };
    [a, b] = [lone(a, left, b, right), lone(b, right, a, left)];
    left.forEach((d, i) => {
      if (a.shape[d] !== b.shape[right[i]!]) {
        throw new RuntimeError(
          `tensordot: contracted dimensions need to match, but first has size ${a.shape[d]} in dim ${d} and second has size ${b.shape[right[i]!]} in dim ${right[i]}`,
        );
      }
    });
    const freeA = a.shape.map((_, d) => d).filter((d) => !left.includes(d));
    const freeB = b.shape.map((_, d) => d).filter((d) => !right.includes(d));
    const sizes = (t: Tensor, ds: Shape): number[] => ds.map((d) => t.shape[d]!);
    const k = numelOf(sizes(a, left));
    const x = a.permute([...freeA, ...left]).reshape([numelOf(sizes(a, freeA)), k]);
    const y = b.permute([...right, ...freeB]).reshape([k, numelOf(sizes(b, freeB))]);
    return x.mm(y).reshape([...sizes(a, freeA), ...sizes(b, freeB)]);
  },
);

export const inner: Method<Args<[{ other: Tensor }]>> = composite(
  "inner",
  "input, other",
  {
    doc: "Products summed over the last dimensions; with a 0-d argument, a plain product.",
  },
  (input: Tensor, other: Tensor) => {
    if (input.ndim === 0 || other.ndim === 0) return input.mul(other);
    if (input.shape.at(-1) !== other.shape.at(-1)) {
      throw new RuntimeError(
        `inner: the last dimension must match on both input tensors but got shapes ${formatShape(input.shape)} and ${formatShape(other.shape)}`,
      );
    }
    return tensordot(input, other, [[input.ndim - 1], [other.ndim - 1]]);
  },
);
