/** conv: the three directions of a convolution over [N, C, D, H, W]. */

import type { View } from "../../../ts/core/device.ts";
import type { ConvParams, Triple } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering } from "../context.ts";
import { type Conv, convForward, convInputGrad, convWeightGrad } from "../cpp/conv.ts";
import { floatKind, inComputeDType } from "./temporary.ts";

export const lowerConv: ComposedLowering<"conv"> = (spec, context) => {
  const kind = floatKind("conv", spec.dtype);
  const run = { forward, input_grad: inputGrad, weight_grad: weightGrad }[spec.mode];
  return (inputs, outputs, params) => {
    inComputeDType(context, inputs, outputs, (ins, outs) => run(ins, outs, params));
  };

  /** x [N, groups * cin, ...], w [groups * cout, cin, ...], y [N, groups * cout, ...]. */
  function problem(x: View, w: View, y: View, bias: View | undefined, params: ConvParams): Conv {
    const { groups } = params;
    return {
      dtype: kind,
      shape: {
        batch: x.shape[0]!,
        groups,
        cin: w.shape[1]!,
        cout: w.shape[0]! / groups,
        input: spatial(x),
        output: spatial(y),
        kernel: spatial(w),
        stride: params.stride,
        padding: params.padding,
        dilation: params.dilation,
      },
      x: context.address(x),
      w: context.address(w),
      y: context.address(y),
      bias: bias === undefined ? 0 : context.address(bias),
    };
  }

  function forward([x, w, bias]: readonly View[], [y]: readonly View[], params: ConvParams): void {
    convForward(context, problem(x!, w!, y!, bias, params));
  }
  function inputGrad([gy, w, bias]: readonly View[], [gx]: readonly View[], params: ConvParams): void {
    convInputGrad(context, problem(gx!, w!, gy!, bias, params));
  }
  function weightGrad([gy, x]: readonly View[], [gw]: readonly View[], params: ConvParams): void {
    convWeightGrad(context, problem(x!, gw!, gy!, undefined, params));
  }
};

const spatial = ({ shape }: View): Triple => [shape[2]!, shape[3]!, shape[4]!];
