/** matmul: any strides go to the kernels as they are; narrow dtypes are widened first. */

import * as dtypes from "../../../ts/core/dtype.ts";
import type { View } from "../../../ts/core/device.ts";
import type { MatmulParams } from "../../../ts/kernel/spec.ts";
import { NotImplementedError } from "../../../ts/core/errors.ts";
import type { ComposingContext, ComposedLowering } from "../context.ts";
import { type Gemm, gemm } from "../cpp/gemm.ts";
import { copy, scaleAndAdd, temporary, withDType } from "./temporary.ts";

/** What each dtype is multiplied in. Integers wrap, so the low bits of a wider product are right. */
const compute: Partial<Record<dtypes.DTypeName, { kind: Gemm["dtype"]; dtype: dtypes.DType }>> = {
  uint8: { kind: "i32", dtype: dtypes.int32 },
  int8: { kind: "i32", dtype: dtypes.int32 },
  int16: { kind: "i32", dtype: dtypes.int32 },
  int32: { kind: "i32", dtype: dtypes.int32 },
  int64: { kind: "i64", dtype: dtypes.int64 },
  float16: { kind: "f32", dtype: dtypes.float32 },
  bfloat16: { kind: "f32", dtype: dtypes.float32 },
  float32: { kind: "f32", dtype: dtypes.float32 },
  float64: { kind: "f64", dtype: dtypes.float64 },
};

export const lowerMatmul: ComposedLowering<"matmul"> = (spec, context) => {
  const found = compute[spec.dtype.name];
  if (found === undefined) throw new NotImplementedError(`matmul: no cpu kernel for ${spec.dtype}; convert to float32 or int32`);
  const { kind, dtype } = found;
  if (spec.dtype === dtype) return (inputs, outputs, params) => product(context, kind, inputs, outputs[0]!, params);
  return (inputs, outputs, params) => {
    const wide = inputs.map((view) => withDType(context, view, dtype));
    const out = outputs[0]!;
    const target = temporary(context, out.buffer.device, dtype, out.shape);
    if (params.beta !== 0) copy(context, out, target);
    product(context, kind, wide, target, params);
    copy(context, target, out);
  };
};

function product(
  context: ComposingContext,
  dtype: Gemm["dtype"],
  inputs: readonly View[],
  out: View,
  params: MatmulParams,
): void {
  const [a, b, bias] = inputs as [View, View, View | undefined];
  const [batches, m, n] = out.shape as [number, number, number];
  let beta = params.beta;
  let vector: Pick<Gemm, "bias" | "biasPer"> = {};
  if (bias !== undefined) {
    const per = biasVector(bias, m, n);
    if (per !== null) vector = { bias: context.address(bias), biasPer: per };
    else {
      // A bias of any other form becomes what the product is added to.
      if (beta !== 0) scaleAndAdd(context, out, beta, bias);
      else copy(context, bias, out);
      beta = 1;
    }
  }
  gemm(context, {
    dtype,
    m,
    n,
    k: a.shape[2]!,
    a: context.address(a),
    b: context.address(b),
    c: context.address(out),
    aStrides: [a.strides[1]!, a.strides[2]!],
    bStrides: [b.strides[1]!, b.strides[2]!],
    cRow: n,
    batch: [batches],
    aBatch: [a.strides[0]!],
    bBatch: [b.strides[0]!],
    cBatch: [m * n],
    alpha: params.alpha,
    beta,
    ...vector,
  });
}

/** Whether a bias is one contiguous vector along the columns or the rows of every product. */
function biasVector(bias: View, m: number, n: number): "column" | "row" | null {
  const [s0, s1, s2] = bias.strides as [number, number, number];
  const sameInBatch = s0 === 0 || bias.shape[0] === 1;
  if (!sameInBatch) return null;
  if ((s1 === 0 || m === 1) && (s2 === 1 || n === 1)) return "column";
  if ((s2 === 0 || n === 1) && (s1 === 1 || m === 1)) return "row";
  return null;
}
