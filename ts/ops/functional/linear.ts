/** torch.nn.functional.linear. */

import { RuntimeError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { contiguousStrides, formatShape, numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { defineOp, type Op } from "../../engine/define.ts";
import type { Context } from "../../engine/node.ts";
import { alias, commonDevice, contiguous } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { dropBatch, oneBatch, product } from "../product.ts";

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
    if (bias !== null && bias.ndim > 1) {
      throw new RuntimeError(`linear: bias must be a vector of the output features, got shape ${formatShape(bias.shape)}`);
    }
    commonDevice("linear", bias === null ? [input, weight] : [input, weight, bias]);
    ctx.state = { vector: weight.ndim === 1 };
    ctx.save(ctx.needs[1] ? input : null, ctx.needs[0] ? weight : null);
    const w = asMatrix(weight);
    const lead = input.shape.slice(0, last);
    const out = contiguous(product(oneBatch(rowsOf(input)), oneBatch(w, true), bias, 1));
    const shape = weight.ndim === 1 ? lead : [...lead, w.shape[0]!];
    return alias(out, shape, contiguousStrides(shape), 0); // no view to autograd: nobody else has this memory
  },
  backward(ctx, g: Tensor) {
    const [input, weight] = ctx.saved() as [Tensor | null, Tensor | null];
    const { vector } = ctx.state as { vector: boolean };
    if (is_grad_enabled()) return differentiable(ctx, g, input, weight, vector);
    const rows = vector ? alias(contiguous(g), [g.numel(), 1], [1, 1], contiguous(g)._offset) : rowsOf(g);
    let gx: Tensor | null = null;
    if (ctx.needs[0]) {
      const w = asMatrix(weight!);
      const shape = [...(vector ? g.shape : g.shape.slice(0, -1)), w.shape[1]!];
      const flat = contiguous(product(oneBatch(rows), oneBatch(w), null, 1));
      gx = alias(flat, shape, contiguousStrides(shape), 0);
    }
    let gw: Tensor | null = null;
    if (ctx.needs[1]) {
      const full = dropBatch(product(oneBatch(rows, true), oneBatch(rowsOf(input!)), null, 1));
      gw = vector ? alias(full, [full.shape[1]!], [full._strides[1]!], full._offset) : full;
    }
    return [gx, gw, ctx.needs[2] ? rows.sum(0) : null];
  },
});

/** The same by ops that can be differentiated again. */
function differentiable(
  ctx: Context,
  g: Tensor,
  input: Tensor | null,
  weight: Tensor | null,
  vector: boolean,
): (Tensor | null)[] {
  const g2 = vector ? g.reshape([-1, 1]) : g.reshape([numelOf(g.shape.slice(0, -1)), g.shape.at(-1)!]);
  let gx: Tensor | null = null;
  if (ctx.needs[0]) {
    const w = weight!.ndim === 1 ? weight!.unsqueeze(0) : weight!;
    gx = g2.mm(w).reshape([...(vector ? g.shape : g.shape.slice(0, -1)), w.shape[1]!]);
  }
  let gw: Tensor | null = null;
  if (ctx.needs[1]) {
    const full = g2.t().mm(input!.reshape([numelOf(input!.shape.slice(0, -1)), input!.shape.at(-1)!]));
    gw = vector ? full.squeeze(0) : full;
  }
  return [gx, gw, ctx.needs[2] ? g2.sum(0) : null];
}

/** [..., n] → [rows, n]; a copy only where strides demand it. No autograd. */
function rowsOf(t: Tensor): Tensor {
  if (t.ndim === 2) return t;
  const n = t.shape[t.ndim - 1]!;
  const dense = contiguous(t);
  return alias(dense, [numelOf(t.shape.slice(0, -1)), n], [n, 1], dense._offset);
}

/** A vector as a matrix of one row. No autograd. */
function asMatrix(t: Tensor): Tensor {
  return t.ndim === 2 ? t : alias(t, [1, t.shape[0]!], [0, t._strides[0]!], t._offset);
}
