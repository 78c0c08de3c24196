/** torch.nn.functional: dropout. */

import { ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { updateInPlace } from "../../engine/inplace.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { draw } from "../draw.ts";
import { checkFloating } from "./shared.ts";

/** Ones with probability `keep`, else zeros, from the default stream. */
function drawMask(shape: readonly number[], like: Tensor, keep: number): Tensor {
  return draw("bernoulli", shape, like.dtype, like.device, keep, 0, null);
}

type MaskedOp = Op<[input: Tensor, keep: number], Tensor>;

const dropout_mask: MaskedOp = defineOp("dropout", "input, keep", {
  doc: "input * mask / keep with a random mask.",
  method: false,
  forward(ctx, input: Tensor, keep: number) {
    const mask = drawMask(input.shape, input, keep);
    ctx.save(mask);
    ctx.state = keep;
    return input.mul(mask.div(keep));
  },
  backward(ctx, g: Tensor) {
    return [g.mul(ctx.saved()[0]!.div(ctx.state as number))];
  },
});

function checkProbability(op: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new ValueError(`${op}: dropout probability has to be between 0 and 1, but got ${p}`);
}

type DropoutOp = Op<[input: Tensor, ...Args<[{ p?: number }, { training?: boolean }, { inplace?: boolean }]>], Tensor>;

/** Checks, the case without effect, and the in-place form. */
function family(op: string, usual: number, doc: string, training: boolean, body: (x: Tensor, p: number) => Tensor): DropoutOp {
  return composite(
    op,
    `input, p=${usual}, training=${training ? "True" : "False"}, inplace=False`,
    { doc, method: false },
    (input: Tensor, p: number, train: boolean, inplace: boolean) => {
      const probability = Number(p);
      checkTensor(op, "input", input);
      checkProbability(op, probability);
      if (!train || probability === 0 || input.numel() === 0) return input;
      checkFloating(op, input.dtype);
      return inplace ? updateInPlace(op, input, (old) => body(old, probability)) : body(input, probability);
    },
  );
}

export const dropout: DropoutOp = family(
  "dropout",
  0.5,
  "In training, zeroes elements with probability p and divides the others by 1 - p.",
  true,
  (x, p) => (p === 1 ? x.mul(0) : dropout_mask(x, 1 - p)),
);

/** One draw per channel. */
const perChannel = (x: Tensor): number[] => x.shape.map((n, d) => (d < 2 ? n : 1));

function featureDropout(x: Tensor, p: number): Tensor {
  return p === 1 ? x.mul(0) : x.mul(drawMask(perChannel(x), x, 1 - p).div(1 - p));
}

function channelDropout(op: string, unbatched: number): DropoutOp {
  return family(op, 0.5, "In training, zeroes whole channels of [N, C, ...] with probability p.", true, (x, p) =>
    x.ndim === unbatched ? featureDropout(x.unsqueeze(0), p).squeeze(0) : featureDropout(x, p),
  );
}
export const dropout1d: DropoutOp = channelDropout("dropout1d", 2);
/** 3-D input counts as [N, C, L], as PyTorch keeps it for old code. */
export const dropout2d: DropoutOp = channelDropout("dropout2d", -1);
export const dropout3d: DropoutOp = channelDropout("dropout3d", 4);

const ALPHA = 1.7580993408473766;

/** Sets the dropped to SELU's negative saturation and restores mean and variance. */
function alphaDropout(x: Tensor, shape: readonly number[], p: number): Tensor {
  if (p === 1) return x.mul(0);
  const mask = drawMask(shape, x, 1 - p);
  const a = 1 / Math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p));
  const b = mask
    .sub(1)
    .mul(ALPHA * a)
    .add(ALPHA * a * p);
  return x.mul(mask.mul(a)).add(b);
}

export const alpha_dropout: DropoutOp = family(
  "alpha_dropout",
  0.5,
  "Dropout that keeps the mean and variance of SELU's activations.",
  false,
  (x, p) => alphaDropout(x, x.shape, p),
);
export const feature_alpha_dropout: DropoutOp = family(
  "feature_alpha_dropout",
  0.5,
  "alpha_dropout of whole channels.",
  false,
  (x, p) => alphaDropout(x, perChannel(x), p),
);
