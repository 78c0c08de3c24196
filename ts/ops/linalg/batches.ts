/** Between tensors and the host's matrices: checks, values in float64, results in the input's type, errors of a batch. */

import { complex128, complex64, float32, float64, int32, type DType } from "../../core/dtype.ts";
import { LinAlgError, RuntimeError } from "../../core/errors.ts";
import { finfo } from "../../core/numeric_limits.ts";
import { broadcastShapes, formatShape, numelOf, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { computesOnHost } from "../../engine/fallback.ts";
import { bytesOf, commonDevice, empty } from "../../engine/run.ts";
import { checkTensor } from "../../engine/signature.ts";
import { zeros, type Numbers } from "./numbers.ts";

/** At least two dimensions, and a type that decompositions are computed in. */
export function checkMatrix(op: string, name: string, a: unknown): asserts a is Tensor {
  checkTensor(op, name, a);
  if (a.ndim < 2) {
    throw new RuntimeError(`${op}: The input tensor ${name} must have at least 2 dimensions, got shape ${formatShape(a.shape)}`);
  }
  checkFloating(op, name, a);
}

export function checkFloating(op: string, name: string, a: Tensor): void {
  if ([float32, float64, complex64, complex128].includes(a.dtype)) return;
  if (a.dtype.is_floating_point) {
    throw new RuntimeError(`${op}: Low precision dtypes not supported. Got ${a.dtype} for ${name}; use float32 or float64`);
  }
  throw new RuntimeError(`${op}: Expected a floating point or complex tensor as ${name}. Got ${a.dtype}`);
}

export function checkSquare(op: string, name: string, a: unknown): asserts a is Tensor {
  checkMatrix(op, name, a);
  const [m, n] = a.shape.slice(-2);
  if (m !== n) throw new RuntimeError(`${op}: ${name} must be batches of square matrices, but they are ${m} by ${n} matrices`);
}

/** The same type and device. */
export function checkAlike(op: string, a: Tensor, b: Tensor): void {
  commonDevice(op, [a, b]);
  if (a.dtype !== b.dtype) {
    throw new RuntimeError(`${op}: Expected both inputs to have the same dtype, but got ${a.dtype} and ${b.dtype}`);
  }
}

export const batchOf = (a: Tensor): Shape => a.shape.slice(0, -2);
export const rowsOf = (a: Tensor): number => a.shape.at(-2)!;
export const columnsOf = (a: Tensor): number => a.shape.at(-1)!;

/** Both with the common batch shape. */
export function broadcastBatches(op: string, a: Tensor, b: Tensor): [Tensor, Tensor] {
  const batch = broadcastShapes(op, batchOf(a), batchOf(b));
  return [a.expand([...batch, ...a.shape.slice(-2)]), b.expand([...batch, ...b.shape.slice(-2)])];
}

/** A copy of the values, row-major, in float64, for the cpu to compute with. */
export function valuesOf(t: Tensor, op: string): Numbers {
  computesOnHost(op, t.device);
  return readValues(t, op);
}

/** The same for checks alone. */
export function readValues(t: Tensor, op: string): Numbers {
  const bytes = bytesOf(t, op).slice();
  const all = t.dtype.real === float64 ? new Float64Array(bytes.buffer) : new Float64Array(new Float32Array(bytes.buffer));
  if (!t.dtype.is_complex) return { re: all, im: null };
  const out = zeros(t.numel(), true);
  for (let i = 0; i < out.re.length; i++) {
    out.re[i] = all[2 * i];
    out.im![i] = all[2 * i + 1];
  }
  return out;
}

/** A copy of int32 values, row-major. */
export function integersOf(t: Tensor, op: string): Int32Array {
  return new Int32Array(bytesOf(t, op).slice().buffer);
}

/** A tensor of the values, on the device and in the precision of `like`. */
export function tensorOf({ re, im }: Numbers, shape: Shape, like: Tensor): Tensor {
  const { real, complex } = like.dtype;
  let all = re;
  if (im !== null) {
    all = new Float64Array(2 * re.length);
    for (let i = 0; i < re.length; i++) {
      all[2 * i] = re[i];
      all[2 * i + 1] = im[i];
    }
  }
  return filledWith(real === float64 ? all : new Float32Array(all), shape, im === null ? real : complex, like);
}

export function integerTensorOf(values: Int32Array, shape: Shape, like: Tensor): Tensor {
  return filledWith(values, shape, int32, like);
}

export function filledWith(
  values: Float32Array | Float64Array | Int32Array | BigInt64Array,
  shape: Shape,
  dtype: DType,
  like: Tensor,
): Tensor {
  const out = empty(shape, dtype, like.device);
  if (values.length > 0) {
    out.device.write(out._storage.buffer!, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return out;
}

/** Calls `each` with the number of every matrix of a batch. */
export function forBatch(batch: Shape, each: (index: number) => void): void {
  for (let i = 0, count = numelOf(batch); i < count; i++) each(i);
}

/** Values of matrix `index` of a batch of matrices of `size` elements each: a view of the memory. */
export function part<A extends Float64Array | Int32Array>(all: A, index: number, size: number): A {
  return all.subarray(index * size, (index + 1) * size) as A;
}

/** The distance of one from the next number, which tolerances of a type are multiples of. */
export const epsilonOf = (dtype: DType): number => finfo(dtype).eps;

/** LinAlgError for the first matrix whose info is not 0. */
export function checkInfo(op: string, infos: Int32Array, batch: Shape, complaint: (info: number) => string): void {
  const at = infos.findIndex((i) => i !== 0);
  if (at < 0) return;
  throw new LinAlgError(`${op}: ${batch.length > 0 ? `(Batch element ${at}): ` : ""}${complaint(infos[at])}`);
}

export const complaints = {
  inverse: (i: number): string =>
    `The diagonal element ${i} is zero, the inversion could not be completed because the input matrix is singular.`,
  solve: (): string => "The solver failed because the input matrix is singular.",
  cholesky: (i: number): string =>
    `The factorization could not be completed because the input is not positive-definite (the leading minor of order ${i} is not positive-definite).`,
  lu: (i: number): string =>
    `U[${i},${i}] is zero and using it on lu_solve would result in a division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)`,
  ldl: (i: number): string => `The block of D at row ${i} is zero: the matrix is singular, and ldl_solve would divide by zero.`,
  eigh: (): string =>
    "The algorithm failed to converge because the input matrix is ill-conditioned, has too many repeated eigenvalues, or contains non-finite values.",
  eig: (i: number): string => `The algorithm failed to converge; only the eigenvalues after number ${i} are right.`,
  svd: (): string =>
    "The algorithm failed to converge because the input matrix is ill-conditioned or contains non-finite values.",
} as const;
