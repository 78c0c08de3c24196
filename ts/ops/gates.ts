/** Building blocks of gradients: internal, no part of `torch`. */

import type { Scalar } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import { pointwise } from "../engine/pointwise.ts";
import { e } from "../kernel/builder.ts";
import { zeros_like } from "./creation.ts";

type GateOp = Op<[grad: Tensor, input: Tensor, threshold: Scalar], Tensor>;

/** The gradient where input exceeds the threshold, else 0: that of relu and its kin. */
export const gate: GateOp = pointwise("gate", "grad, input, threshold", {
  doc: "grad where input > threshold, else 0.",
  tensors: ["grad", "input"],
  scalars: ["threshold"],
  expr: ({ grad, input, threshold }) => e.where(e.le(input!, threshold!), 0, grad!),
  grad: {
    grad: [["input"], (g, { input, threshold }) => gate(g, input as Tensor, threshold as Scalar)],
    input: [[], (g) => zeros_like(g)],
  },
});
