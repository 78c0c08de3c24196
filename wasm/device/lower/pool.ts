/** pool: windows over [N, C, D, H, W], plain and adaptive, and their gradients. */

import type { View } from "../../../ts/core/device.ts";
import type { PoolParams, PoolSpec, Triple } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering } from "../context.ts";
import { avgPool, avgPoolBackward, maxPool, maxPoolBackward, type Pool } from "../cpp/pool.ts";
import { floatKind, inComputeDType } from "./temporary.ts";

/** Which views a mode has (x and y stand for their gradients as well), and whether its windows follow from the sizes. */
interface Mode {
  readonly plan: typeof maxPoolBackward;
  readonly backward?: true;
  readonly adaptive?: true;
}

const modes: Record<PoolSpec["mode"], Mode> = {
  max: { plan: maxPool },
  // Need no windows here: the indices say it all.
  max_backward: { plan: maxPoolBackward, backward: true },
  adaptive_max_backward: { plan: maxPoolBackward, backward: true },
  avg: { plan: avgPool },
  avg_backward: { plan: avgPoolBackward, backward: true },
  adaptive_max: { plan: maxPool, adaptive: true },
  adaptive_avg: { plan: avgPool, adaptive: true },
  adaptive_avg_backward: { plan: avgPoolBackward, backward: true, adaptive: true },
};

export const lowerPool: ComposedLowering<"pool"> = (spec, context) => {
  const kind = floatKind("pool", spec.dtype);
  const { plan, backward, adaptive } = modes[spec.mode];
  return (inputs, outputs, params) => {
    inComputeDType(context, inputs, outputs, (ins, outs) => {
      const x = backward ? outs[0]! : ins[0]!;
      const y = backward ? ins[0]! : outs[0]!;
      const indices = backward ? ins[1] : outs[1];
      plan(context, {
        dtype: kind,
        planes: x.shape[0]! * x.shape[1]!,
        input: spatial(x),
        output: spatial(y),
        ...(adaptive ? {} : { window: window(params) }),
        x: context.address(x),
        y: context.address(y),
        indices: indices === undefined ? 0 : context.address(indices),
        countIncludePad: params.count_include_pad,
        divisorOverride: params.divisor_override,
      });
    });
  };
};

const spatial = ({ shape }: View): Triple => [shape[2]!, shape[3]!, shape[4]!];

function window({ kernel, stride, padding, dilation }: PoolParams): NonNullable<Pool["window"]> {
  return { kernel, stride, padding, dilation };
}
