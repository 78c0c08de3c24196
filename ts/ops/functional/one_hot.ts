/** One-hot vectors. */

import { int64 } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import { arange } from "../creation.ts";

type OneHotOp = Op<[input: Tensor, ...Args<[{ num_classes?: number }]>], Tensor>;

export const one_hot: OneHotOp = composite(
  "one_hot",
  "input, num_classes=-1",
  {
    doc: "int64 vectors with 1 at the class and 0 elsewhere.",
    method: false,
  },
  (input: Tensor, num_classes: number) => {
    if (input.dtype !== int64) throw new RuntimeError(`one_hot: only applicable to index tensor, got ${input.dtype}`);
    if (num_classes < -1) throw new RuntimeError(`one_hot: num_classes should be positive or -1, got ${num_classes}`);
    if (input.numel() === 0 && num_classes <= 0) {
      throw new RuntimeError("one_hot: Can not infer total number of classes from empty tensor.");
    }
    let classes = num_classes;
    if (input.numel() > 0 && (input.device.caps.readSync || num_classes === -1)) {
      const least = Number(input.amin().item_sync());
      if (least < 0) throw new RuntimeError(`one_hot: Class values must be non-negative, got ${least}`);
      const most = Number(input.amax().item_sync());
      if (classes === -1) classes = most + 1;
      if (most >= classes)
        throw new RuntimeError(`one_hot: Class values must be smaller than num_classes, got ${most} for ${classes}`);
    }
    // Where values cannot be looked at, writing to a class that does not exist is what fails.
    if (!input.device.caps.readSync) return input.new_zeros([...input.shape, classes]).scatter(-1, input.unsqueeze(-1), 1);
    const column = arange(classes, { device: input.device });
    return input.unsqueeze(-1).eq(column).to(int64);
  },
);
