/** Convolutions in the terms of cuDNN. */

import type { View } from "../../ts/core/device.ts";
import { type DType, float32 } from "../../ts/core/dtype.ts";
import { e } from "../../ts/kernel/builder.ts";
import { load } from "../../ts/kernel/expr.ts";
import type { ConvParams, ConvSpec, MapSpec } from "../../ts/kernel/spec.ts";
import type { GpuContext } from "../context.ts";
import type { ConvPlanOptions } from "./addon.ts";

export interface ConvProblem extends Omit<ConvPlanOptions, "type" | "tf32" | "workspaceLimit" | "candidate"> {
  /** Multiply-adds. */
  readonly work: number;
}

const MODES = { forward: "forward", input_grad: "input_gradient", weight_grad: "weight_gradient" } as const;

const product = (sizes: readonly number[]): number => sizes.reduce((p, n) => p * n, 1);

export function convProblem(mode: ConvSpec["mode"], inputs: readonly View[], result: View, params: ConvParams): ConvProblem {
  const [first, second] = inputs as [View, View];
  const [x, w, y] =
    mode === "forward" ? [first, second, result] : mode === "input_grad" ? [result, second, first] : [second, result, first];
  // Of three spatial dims, the first is none where there are two.
  const flat = [x, w, y].every(({ shape }) => shape[2] === 1) && params.padding[0] === 0;
  const sizes = ({ shape }: View): readonly number[] => (flat ? [...shape.slice(0, 2), ...shape.slice(3)] : shape);
  const spatial = (values: readonly number[]): readonly number[] => (flat ? values.slice(1) : values);
  return {
    mode: MODES[mode],
    input: sizes(x),
    weight: sizes(w),
    output: sizes(y),
    stride: spatial(params.stride),
    padding: spatial(params.padding),
    dilation: spatial(params.dilation),
    groups: params.groups,
    work: product(y.shape) * product(w.shape.slice(1)),
  };
}

const specs = new Map<DType, MapSpec>();

/** result + bias of its channels, in place. */
function biasSpec(dtype: DType): MapSpec {
  let spec = specs.get(dtype);
  if (spec === undefined) {
    const wide = dtype.itemsize === 2 ? float32 : dtype;
    const sum = e.add(e.cast(load(0, dtype), wide), e.cast(load(1, dtype), wide));
    specs.set(dtype, (spec = { kind: "map", inputs: [dtype, dtype], scalars: 0, outputs: [e.cast(sum, dtype)] }));
  }
  return spec;
}

export function addBias(context: GpuContext, dtype: DType, result: View, bias: View): void {
  const spread: View = { ...bias, shape: result.shape, strides: result.shape.map((_, d) => (d === 1 ? bias.strides[0]! : 0)) };
  context.lower<"map">(biasSpec(dtype))([result, spread], [result], { scalars: [] });
}
