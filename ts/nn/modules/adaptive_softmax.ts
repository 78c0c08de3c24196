/** The adaptive softmax: frequent classes in a head, rare ones in clusters of smaller width. */

import type { Device } from "../../core/device.ts";
import type { DType } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { named } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import { ModuleList, Sequential } from "../containers.ts";
import { bind, F, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Linear } from "./linear.ts";

export class AdaptiveLogSoftmaxWithLoss extends Module {
  in_features: number;
  n_classes: number;
  cutoffs: readonly number[];
  div_value: number;
  head_bias: boolean;
  shortlist_size: number;
  n_clusters: number;
  head_size: number;
  head: Linear;
  tail: ModuleList<Sequential>;

  constructor(
    ...given: Args<
      [
        { in_features: number },
        { n_classes: number },
        { cutoffs: readonly number[] },
        { div_value?: number },
        { head_bias?: boolean },
      ],
      Factory
    >
  ) {
    super();
    const [features, classes, cutoffs, div, headBias, device, dtype] = bind<
      [number, number, readonly number[], number, boolean, Device | null, DType | null]
    >(
      "AdaptiveLogSoftmaxWithLoss",
      "in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None, dtype=None",
      given,
    );
    if (cutoffs.length === 0) throw new ValueError("cutoffs should be a sequence of length larger than 0");
    const rising = cutoffs.every((c, i) => Number.isInteger(c) && c > (i === 0 ? 0 : cutoffs[i - 1]!));
    if (!rising || cutoffs.at(-1)! > classes - 1) {
      throw new ValueError(
        "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is between 1 and n_classes-1",
      );
    }
    this.in_features = features;
    this.n_classes = classes;
    this.cutoffs = [...cutoffs, classes];
    this.div_value = div;
    this.head_bias = headBias;
    this.shortlist_size = cutoffs[0]!;
    this.n_clusters = cutoffs.length;
    this.head_size = this.shortlist_size + this.n_clusters;
    const factory = { device, dtype };
    this.head = new Linear(features, this.head_size, { bias: headBias, ...factory });
    this.tail = new ModuleList<Sequential>();
    for (let i = 0; i < this.n_clusters; i++) {
      const width = Math.floor(features / div ** (i + 1));
      const size = this.cutoffs[i + 1]! - this.cutoffs[i]!;
      this.tail.append(
        new Sequential(
          new Linear(features, width, { bias: false, ...factory }),
          new Linear(width, size, { bias: false, ...factory }),
        ),
      );
    }
  }
  reset_parameters(): void {
    this.head.reset_parameters();
    for (const cluster of this.tail) for (const m of cluster) (m as Linear).reset_parameters();
  }

  /** The log probability of each target, and the mean loss. */
  forward(input_: Tensor, target_: Tensor): { readonly output: Tensor; readonly loss: Tensor } & Tensor[] {
    const batched = target_.ndim > 0;
    if (target_.ndim > 1) throw new RuntimeError("0D or 1D target tensor expected, multi-target not supported");
    if (batched ? input_.ndim !== 2 || input_.shape[0] !== target_.shape[0] : input_.ndim !== 1) {
      throw new RuntimeError("Input and target should have the same size in the batch dimension.");
    }
    const input = batched ? input_ : input_.unsqueeze(0);
    const target = batched ? target_ : target_.unsqueeze(0);
    // All rows through all clusters, so that nothing has to be read back to choose rows.
    const logProb = this.log_prob(input);
    const outside = target.lt(0).logical_or(target.ge(this.n_classes)) as Tensor;
    if (input.device.caps.readSync && outside.any().item_sync() === true) {
      throw new RuntimeError(`Target values should be in the range [0, ${this.n_classes - 1}]`);
    }
    const output = logProb.gather(1, target.unsqueeze(1)).squeeze(1);
    const loss = output.neg().mean();
    return named(["output", "loss"], [batched ? output : output.squeeze(0), loss]);
  }

  /** Log probabilities of all classes, [rows, n_classes]. */
  log_prob(input: Tensor): Tensor {
    const head = F.log_softmax(this.head(input), { dim: 1 }) as Tensor;
    const parts = [head.narrow(1, 0, this.shortlist_size)];
    [...this.tail].forEach((cluster, i) => {
      const inside = F.log_softmax(cluster(input), { dim: 1 }) as Tensor;
      parts.push(inside.add(head.narrow(1, this.shortlist_size + i, 1)));
    });
    return ops.cat(parts, 1);
  }
  /** The most probable class of each row. */
  predict(input: Tensor): Tensor {
    return ops.argmax(this.log_prob(input), { dim: 1 });
  }
}
