/** torch.nn.functional.bilinear. */

import { RuntimeError } from "../../core/errors.ts";
import { formatShape, numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";

type BilinearOp = Op<[input1: Tensor, input2: Tensor, ...Args<[{ weight: Tensor }, { bias?: Tensor | null }]>], Tensor>;
export const bilinear: BilinearOp = composite(
  "bilinear",
  "input1, input2, weight, bias=None",
  { doc: "out[..., k] = input1[..., i] weight[k, i, j] input2[..., j] + bias[k].", method: false },
  (input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | null) => {
    checkTensor("bilinear", "input1", input1);
    checkTensor("bilinear", "input2", input2);
    const lead = input1.shape.slice(0, -1);
    if (
      weight.ndim !== 3 ||
      input1.shape.at(-1) !== weight.shape[1] ||
      input2.shape.at(-1) !== weight.shape[2] ||
      formatShape(lead) !== formatShape(input2.shape.slice(0, -1))
    ) {
      throw new RuntimeError(
        `bilinear: inputs of shapes ${formatShape(input1.shape)} and ${formatShape(input2.shape)} do not go with weight of shape ${formatShape(weight.shape)}`,
      );
    }
    const [o, i, j] = weight.shape as [number, number, number];
    const rows = numelOf(lead);
    const left = input1
      .reshape([rows, i])
      .mm(weight.permute([1, 0, 2]).reshape([i, o * j]))
      .reshape([rows, o, j]);
    const terms = left.mul(input2.reshape([rows, 1, j]));
    const out = terms.sum(-1, { dtype: terms.dtype }).reshape([...lead, o]);
    return bias === null ? out : out.add(bias);
  },
);
