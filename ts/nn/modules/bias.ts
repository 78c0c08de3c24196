import type { Tensor } from "../../core/tensor.ts";
import { _calculate_fan_in_and_fan_out, uniform_ } from "../init.ts";

/** A bias in ±1/√fanIn. */
export function uniformBias(bias: Tensor | null, weight: Tensor): void {
  if (bias === null) return;
  const [fanIn] = _calculate_fan_in_and_fan_out(weight);
  if (fanIn > 0) uniform_(bias, -1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn));
}
