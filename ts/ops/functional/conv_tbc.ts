/** torch.nn.functional: convolution of sequences that have time first. */

import { RuntimeError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import { conv1d } from "./conv.ts";

export const conv_tbc: Op<[input: Tensor, ...Args<[{ weight: Tensor }, { bias: Tensor }, { pad?: number }]>], Tensor> = composite(
  "conv_tbc",
  "input, weight, bias, pad=0",
  {
    doc: "One-dimensional convolution: input [time, batch, C], weight [kernel, C, D], bias [D] → [time + 2 pad - kernel + 1, batch, D].",
    method: false,
  },
  (input: Tensor, weight: Tensor, bias: Tensor, pad: number) => {
    if (input.ndim !== 3 || weight.ndim !== 3 || bias.ndim !== 1) {
      throw new RuntimeError(
        `conv_tbc: expected input and weight of 3 dimensions and bias of 1, got ${[input, weight, bias].map((t) => formatShape(t.shape)).join(", ")}`,
      );
    }
    const out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, { padding: pad });
    return out.permute(2, 0, 1);
  },
);
