/** Result types of mixed arguments, by PyTorch's three priorities: tensors with dimensions, 0-d tensors, numbers. */

import { Complex, complex64, isScalar, promote_types, scalarDType, type DType, type Scalar } from "../core/dtype.ts";
import { Tensor } from "../core/tensor.ts";
import { describe } from "./signature.ts";

/** The dtype that an op on these arguments computes in and returns. */
export function resultType(op: string, args: readonly (Tensor | Scalar | Complex)[]): DType {
  let dim: DType | null = null;
  let zero: DType | null = null;
  let number: DType | null = null;
  for (const a of args) {
    if (a instanceof Tensor) {
      if (a.ndim > 0) dim = dim === null ? a.dtype : promote_types(dim, a.dtype);
      else zero = zero === null ? a.dtype : promote_types(zero, a.dtype);
    } else if (isScalar(a) || a instanceof Complex) {
      const d = a instanceof Complex ? complex64 : scalarDType(a);
      number = number === null ? d : promote_types(number, d);
    } else {
      throw new TypeError(`${op}: expected a Tensor or a number, got ${describe(a)}`);
    }
  }
  return combine(dim, combine(zero, number))!;
}

/** A lower priority changes the type only when it brings a higher category. */
function combine(higher: DType | null, lower: DType | null): DType | null {
  if (higher === null) return lower;
  if (lower === null || lower.category <= higher.category) return higher;
  return promote_types(higher, lower);
}
