/** torch.nn.functional: the in-place forms of activations, by their names. */

import type { Tensor } from "../../core/tensor.ts";
import type { Op } from "../../engine/define.ts";
import { bindArguments, parseSignature } from "../../engine/signature.ts";
import { celu, elu, hardtanh, leaky_relu, relu, rrelu, selu, threshold } from "./activation.ts";

/** Without `inplace`, which these are. */
type Without<A> = A extends [input: Tensor, ...infer R] ? [input: Tensor, ...R] : never;

function inPlace<A extends unknown[]>(op: Op<A, Tensor>, parameters = ""): (...args: Without<A>) => Tensor {
  const signature = parseSignature(parameters === "" ? "input" : `input, ${parameters}`);
  const call = op as unknown as (...args: unknown[]) => Tensor;
  return (...args) => call(...bindArguments(`${op.info.name}_`, signature, args), true);
}

export const celu_ = inPlace(celu, "alpha=1.0");
export const elu_ = inPlace(elu, "alpha=1.0");
export const hardtanh_ = inPlace(hardtanh, "min_val=-1.0, max_val=1.0");
export const leaky_relu_ = inPlace(leaky_relu, "negative_slope=0.01");
export const relu_ = inPlace(relu);
export const rrelu_ = inPlace(rrelu, "lower=0.125, upper=0.3333333333333333, training=False");
export const selu_ = inPlace(selu);
export const threshold_ = inPlace(threshold, "threshold, value");
