/** torch.nn.functional.linear. */

import { RuntimeError } from "../../core/errors.ts";
import { contiguousStrides, formatShape, numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { defineOp, type Op } from "../../engine/define.ts";
import { alias, commonDevice, contiguous } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { product } from "../matmul.ts";

type LinearOp = Op<[input: Tensor, ...Args<[{ weight: Tensor }, { bias?: Tensor | null }]>], Tensor>;

/** `F.linear`, one node: bias is added inside the product. */
export const linear: LinearOp = defineOp("linear", "input, weight, bias=None", {
  doc: "input @ weight.T + bias: input [..., in], weight [out, in] (or [in]), bias [out] → [..., out].",
  method: false,
  forward(ctx, input: Tensor, weight: Tensor, bias: Tensor | null) {
    checkTensor("linear", "input", input);
    checkTensor("linear", "weight", weight);
    const last = input.ndim - 1;
    if (weight.ndim > 2 || weight.ndim === 0 || input.ndim === 0 || input.shape[last] !== weight.shape.at(-1)) {
      throw new RuntimeError(
        `linear: input of shape ${formatShape(input.shape)} and weight of shape ${formatShape(weight.shape)} cannot be multiplied`,
      );
    }
    if (input.dtype !== weight.dtype || (bias !== null && bias.dtype !== weight.dtype)) {
      throw new RuntimeError(
        `linear: input, weight and bias must have one dtype, got ${input.dtype}, ${weight.dtype}${bias === null ? "" : `, ${bias.dtype}`}`,
      );
    }
    commonDevice("linear", bias === null ? [input, weight] : [input, weight, bias]);
    ctx.save(ctx.needs[1] ? input : null, ctx.needs[0] ? weight : null);
    const w = weight.ndim === 1 ? weight.unsqueeze(0) : weight;
    const lead = input.shape.slice(0, last);
    const x = input.reshape([1, numelOf(lead), input.shape[last]!]);
    const out = contiguous(product(x, w.t().unsqueeze(0), bias, 1));
    const shape = weight.ndim === 1 ? lead : [...lead, w.shape[0]!];
    return alias(out, shape, contiguousStrides(shape), 0); // no view to autograd: nobody else has this memory
  },
  backward(ctx, g: Tensor) {
    const [input, weight] = ctx.saved();
    const vector = (weight ?? null)?.ndim === 1 || (input !== null && g.ndim < input!.ndim);
    const flat = (t: Tensor): Tensor => t.reshape([-1, t.shape[t.ndim - 1]!]);
    const g2 = vector ? g.reshape([-1, 1]) : flat(g);
    let gx: Tensor | null = null;
    if (ctx.needs[0]) {
      const w = weight!.ndim === 1 ? weight!.unsqueeze(0) : weight!;
      gx = g2.mm(w).reshape([...(vector ? g.shape : g.shape.slice(0, -1)), w.shape[1]!]);
    }
    let gw: Tensor | null = null;
    if (ctx.needs[1]) {
      const full = g2.t().mm(flat(input!));
      gw = vector ? full.squeeze(0) : full;
    }
    return [gx, gw, ctx.needs[2] ? g2.sum(0) : null];
  },
});
