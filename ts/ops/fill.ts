/** Writing values over a tensor. */

import { RuntimeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { updateInPlace } from "../engine/inplace.ts";
import { copyOf } from "../engine/run.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import type { Operand } from "./arithmetic.ts";
import { filled, zeros_like } from "./creation.ts";

function checkFill(name: string, value: Operand): void {
  if (value instanceof Tensor && value.ndim > 0) {
    throw new RuntimeError(
      `${name}: only supports a 0-dimensional value tensor, but got tensor with ${value.ndim} dimension(s) of shape ${formatShape(value.shape)}`,
    );
  }
}

type FillOp = Op<[input: Tensor, ...Args<[{ value: Operand }]>], Tensor, "inplace">;

export const fill: FillOp = defineOp("fill", "input, value", {
  doc: "A tensor of input's shape and dtype, full of value.",
  inplace: true,
  method: false,
  forward(_ctx, input: Tensor, value: Operand) {
    checkFill("fill", value);
    if (value instanceof Tensor) return copyOf(value.expand(input.shape), input.dtype);
    return filled(input.shape, value, input.dtype, input.device);
  },
  backward: (ctx, g: Tensor) => [ctx.needs[0] ? zeros_like(g) : null, ctx.needs[1] ? g.sum() : null],
});

type ZeroOp = Op<[self: Tensor], Tensor, "method">;

export const zero_: ZeroOp = composite(
  "zero_",
  "self",
  {
    doc: "Sets all elements to 0.",
  },
  (self: Tensor) => updateInPlace("zero_", self, (old) => fill(old, 0)),
);

const copied: Op<[old: Tensor, src: Tensor], Tensor> = defineOp("copy", "old, src", {
  doc: "src in old's place.",
  method: false,
  // A copy even where nothing changes: the write may compute the value straight into old's memory.
  forward: (_ctx, old: Tensor, src: Tensor) => copyOf(src.to(old.device).expand(old.shape), old.dtype),
  backward: (ctx, g: Tensor) => [ctx.needs[0] ? zeros_like(g) : null, g],
});

type CopyOp = Op<[self: Tensor, ...Args<[{ src: Tensor }, { non_blocking?: boolean }]>], Tensor, "method">;

export const copy_: CopyOp = composite(
  "copy_",
  "self, src, non_blocking=False",
  { doc: "Overwrites self with src, broadcast and converted." },
  (self: Tensor, src: Tensor) => {
    checkTensor("copy_", "src", src);
    return updateInPlace("copy_", self, (old) => copied(old, src));
  },
);
