/** torch.nn.functional: losses of margins, distances and distributions. */

import { float32, int64, type Scalar } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { broadcastShapes, formatShape, sameShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { readable } from "../../engine/blocking.ts";
import { composite, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { where } from "../compare.ts";
import { zeros_like } from "../creation.ts";
import { logsigmoid } from "./activation.ts";
import { pairwise_distance } from "./distance.ts";
import { checkReduction, legacyReduction, reduced } from "./shared.ts";

type Deprecated = [{ size_average?: boolean | null }, { reduce?: boolean | null }];
type Tail = [...Deprecated, { reduction?: string }];
const TAIL = "size_average=None, reduce=None, reduction='mean'";

type KlOp = Op<[input: Tensor, target: Tensor, ...Args<[...Tail, { log_target?: boolean }]>], Tensor>;
export const kl_div: KlOp = composite(
  "kl_div",
  `input, target, ${TAIL}, log_target=False`,
  {
    doc: "target (log target - input) for log probabilities input; reduction 'batchmean' divides the sum by the batch.",
    method: false,
  },
  (
    input: Tensor,
    target: Tensor,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
    log_target: boolean,
  ) => {
    const how = reduction === "batchmean" ? "sum" : legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    const terms = log_target ? target.exp().mul(target.sub(input)) : target.xlogy(target).sub(target.mul(input));
    const out = reduced(terms, how);
    return reduction === "batchmean" && input.ndim > 0 ? out.div(input.shape[0]!) : out;
  },
);

type HingeOp = Op<[input: Tensor, target: Tensor, ...Args<[{ margin?: Scalar }, ...Tail]>], Tensor>;
export const hinge_embedding_loss: HingeOp = composite(
  "hinge_embedding_loss",
  `input, target, margin=1.0, ${TAIL}`,
  { doc: "input where target is 1, max(0, margin - input) where it is -1.", method: false },
  (input: Tensor, target: Tensor, margin: Scalar, size_average: boolean | null, reduce: boolean | null, reduction: string) => {
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    const apart = where(target.ne(1), input.neg().add(margin).clamp_min(0), 0);
    return reduced(apart.add(where(target.ne(-1), input, 0)), how);
  },
);

type RankingOp = Op<[input1: Tensor, input2: Tensor, target: Tensor, ...Args<[{ margin?: Scalar }, ...Tail]>], Tensor>;
export const margin_ranking_loss: RankingOp = composite(
  "margin_ranking_loss",
  `input1, input2, target, margin=0, ${TAIL}`,
  { doc: "max(0, -target (input1 - input2) + margin).", method: false },
  (
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: Scalar,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    if (input1.ndim !== input2.ndim || input1.ndim !== target.ndim) {
      throw new RuntimeError(
        `margin_ranking_loss: all input tensors should have same dimension but got sizes: input1: ${formatShape(input1.shape)}, input2: ${formatShape(input2.shape)}, target: ${formatShape(target.shape)}`,
      );
    }
    return reduced(target.neg().mul(input1.sub(input2)).add(margin).clamp_min(0), how);
  },
);

export const cosine_embedding_loss: RankingOp = composite(
  "cosine_embedding_loss",
  `input1, input2, target, margin=0, ${TAIL}`,
  { doc: "1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1.", method: false, complex: false },
  (
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: Scalar,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const op = "cosine_embedding_loss";
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    if (target.ndim > 1 || input1.ndim !== target.ndim + 1 || input2.ndim !== target.ndim + 1) {
      throw new RuntimeError(
        `${op}: a ${target.ndim}D target expects ${target.ndim + 1}D input tensors, but found inputs with sizes ${formatShape(input1.shape)} and ${formatShape(input2.shape)}`,
      );
    }
    const float = (t: Tensor): Tensor => (t.dtype.is_floating_point ? t : t.to(float32));
    const [a, b] = [float(input1), float(input2)];
    const square = (t: Tensor): Tensor => t.mul(t).sum(-1).add(1e-12);
    const cos = a
      .mul(b)
      .sum(-1)
      .div(square(a).mul(square(b)).sqrt());
    const near = where(target.eq(1), cos.neg().add(1), 0);
    return reduced(near.add(where(target.eq(-1), cos.sub(margin).clamp_min(0), 0)), how);
  },
);

function checkTriplet(op: string, anchor: Tensor, positive: Tensor, negative: Tensor): void {
  checkTensor(op, "anchor", anchor);
  if (anchor.ndim !== positive.ndim || anchor.ndim !== negative.ndim) {
    throw new RuntimeError(
      `${op}: the anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor ${anchor.ndim}D, positive ${positive.ndim}D, and negative ${negative.ndim}D inputs`,
    );
  }
}

type TripletArgs = Args<[{ margin?: number }, { p?: number }, { eps?: number }, { swap?: boolean }, ...Tail]>;
type TripletOp = Op<[anchor: Tensor, positive: Tensor, negative: Tensor, ...TripletArgs], Tensor>;
export const triplet_margin_loss: TripletOp = composite(
  "triplet_margin_loss",
  `anchor, positive, negative, margin=1.0, p=2, eps=1e-06, swap=False, ${TAIL}`,
  { doc: "max(0, d(anchor, positive) - d(anchor, negative) + margin) with d the distance of norm p.", method: false },
  (
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: number,
    p: number,
    eps: number,
    swap: boolean,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const op = "triplet_margin_loss";
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    if (!(Number(margin) > 0)) throw new ValueError(`${op}: margin must be greater than 0, got ${margin}`);
    checkTriplet(op, anchor, positive, negative);
    const near = pairwise_distance(anchor, positive, p, eps);
    let far = pairwise_distance(anchor, negative, p, eps);
    if (swap) far = far.minimum(pairwise_distance(positive, negative, p, eps));
    return reduced(near.sub(far).add(margin).clamp_min(0), how);
  },
);

type Distance = (a: Tensor, b: Tensor) => Tensor;
type DistanceTripletOp = Op<
  [
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    options?: { distance_function?: Distance | null; margin?: number; swap?: boolean; reduction?: string },
  ],
  Tensor
>;
export const triplet_margin_with_distance_loss: DistanceTripletOp = composite(
  "triplet_margin_with_distance_loss",
  "anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction='mean'",
  { doc: "triplet_margin_loss with a distance of one's own.", method: false },
  (
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance_function: Distance | null,
    margin: number,
    swap: boolean,
    reduction: string,
  ) => {
    const op = "triplet_margin_with_distance_loss";
    checkReduction(reduction);
    if (!(Number(margin) > 0)) throw new ValueError(`${op}: margin must be greater than 0, got ${margin}`);
    checkTriplet(op, anchor, positive, negative);
    const distance: Distance = distance_function ?? ((a, b) => pairwise_distance(a, b));
    const near = distance(anchor, positive);
    let far = distance(anchor, negative);
    if (swap) far = far.minimum(distance(positive, negative));
    return reduced(near.sub(far).add(margin).clamp_min(0), reduction);
  },
);

/** [C] or [N, C] as [N, C]. */
function matrixOf(op: string, input: Tensor): Tensor {
  if (input.ndim > 2 || input.shape.at(-1) === 0) {
    throw new RuntimeError(
      `${op}: expected non-empty vector or matrix with optional 0-dim batch size, but got shape ${formatShape(input.shape)}`,
    );
  }
  return input.ndim < 2 ? input.reshape([1, input.numel()]) : input;
}

type MultiMarginArgs = Args<[{ p?: number }, { margin?: Scalar }, { weight?: Tensor | null }, ...Tail]>;
export const multi_margin_loss: Op<[input: Tensor, target: Tensor, ...MultiMarginArgs], Tensor> = composite(
  "multi_margin_loss",
  `input, target, p=1, margin=1.0, weight=None, ${TAIL}`,
  {
    doc: "The sum over other classes of max(0, margin - input[y] + input[i])^p, divided by the number of classes.",
    method: false,
  },
  (
    input: Tensor,
    target: Tensor,
    p: number,
    margin: Scalar,
    weight: Tensor | null,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const op = "multi_margin_loss";
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    if (Number(p) !== 1 && Number(p) !== 2) throw new ValueError(`${op}: only p == 1 and p == 2 supported, got ${p}`);
    if (weight !== null && weight.ndim !== 1) {
      throw new ValueError(`${op}: weight must be one-dimensional, got shape ${formatShape(weight.shape)}`);
    }
    const x = matrixOf(op, input);
    const [n, c] = x.shape as [number, number];
    if (target.ndim > 1 || target.numel() !== n) {
      throw new RuntimeError(`${op}: inconsistent target size, expected ${n} but got ${formatShape(target.shape)}`);
    }
    if (target.dtype !== int64) throw new RuntimeError(`${op}: expected scalar type Long but found ${target.dtype}`);
    if (weight !== null && weight.numel() !== c) {
      throw new RuntimeError(`${op}: inconsistent weight size, expected ${c} but got ${formatShape(weight.shape)}`);
    }
    const at = target.reshape([n, 1]);
    const own = x.gather(1, at);
    let terms = x.sub(own).add(margin).clamp_min(0);
    if (Number(p) === 2) terms = terms.mul(terms);
    if (weight !== null) terms = terms.mul(weight.index_select(0, at.reshape([-1])).unsqueeze(1));
    const others = zeros_like(x).add(1).scatter(1, at, 0);
    const losses = terms.mul(others.detach()).sum(1).div(c);
    return reduced(input.ndim < 2 && target.ndim === 0 ? losses.squeeze(0) : losses, how);
  },
);

type PairTailOp = Op<[input: Tensor, target: Tensor, ...Args<[...Tail]>], Tensor>;
export const multilabel_margin_loss: PairTailOp = composite(
  "multilabel_margin_loss",
  `input, target, ${TAIL}`,
  {
    doc: "The sum over labels j and other classes i of max(0, 1 - (input[j] - input[i])) / classes; a row's labels end at the first -1.",
    method: false,
  },
  (input: Tensor, target: Tensor, size_average: boolean | null, reduce: boolean | null, reduction: string) => {
    const op = "multilabel_margin_loss";
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    const x = matrixOf(op, input);
    if (!sameShape(input.shape, target.shape)) {
      throw new RuntimeError(
        `${op}: inconsistent target size: ${formatShape(target.shape)} for input of size: ${formatShape(input.shape)}`,
      );
    }
    if (target.dtype !== int64) throw new RuntimeError(`${op}: expected scalar type Long but found ${target.dtype}`);
    const t = target.reshape(x.shape);
    const valid = t.lt(0).to(int64).cumsum(1).eq(0);
    const safe = where(valid, t, 0);
    const labelled = zeros_like(x.detach()).scatter_add(1, safe, valid.to(x.dtype)).gt(0);
    const terms = x.unsqueeze(1).sub(x.gather(1, safe).unsqueeze(2)).add(1).relu();
    const counted = valid.unsqueeze(2).logical_and(labelled.logical_not().unsqueeze(1));
    const losses = where(counted, terms, 0).sum([1, 2]).div(x.shape[1]!);
    return reduced(input.ndim < 2 ? losses.squeeze(0) : losses, how);
  },
);

type SoftMarginOp = Op<[input: Tensor, target: Tensor, ...Args<[{ weight?: Tensor | null }, ...Tail]>], Tensor>;
export const multilabel_soft_margin_loss: SoftMarginOp = composite(
  "multilabel_soft_margin_loss",
  `input, target, weight=None, ${TAIL}`,
  { doc: "The mean over classes of binary cross entropies with logits.", method: false },
  (
    input: Tensor,
    target: Tensor,
    weight: Tensor | null,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    let terms = target
      .mul(logsigmoid(input))
      .add(target.neg().add(1).mul(logsigmoid(input.neg())))
      .neg();
    if (weight !== null) terms = terms.mul(weight);
    return reduced(terms.sum(-1).div(terms.shape.at(-1)!), how);
  },
);

type PoissonArgs = Args<
  [
    { log_input?: boolean },
    { full?: boolean },
    { size_average?: boolean | null },
    { eps?: number },
    { reduce?: boolean | null },
    { reduction?: string },
  ]
>;
export const poisson_nll_loss: Op<[input: Tensor, target: Tensor, ...PoissonArgs], Tensor> = composite(
  "poisson_nll_loss",
  "input, target, log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction='mean'",
  {
    doc: "e^input - target input, or input - target log(input + eps) without log_input; full adds Stirling's term.",
    method: false,
  },
  (
    input: Tensor,
    target: Tensor,
    log_input: boolean,
    full: boolean,
    size_average: boolean | null,
    eps: number,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    let loss = log_input ? input.exp().sub(target.mul(input)) : input.sub(target.mul(input.add(eps).log()));
    if (full) {
      const stirling = target
        .mul(target.log())
        .sub(target)
        .add(
          target
            .mul(2 * Math.PI)
            .log()
            .mul(0.5),
        );
      loss = loss.add(where(target.le(1), 0, stirling));
    }
    return reduced(loss, how);
  },
);

type GaussianArgs = Args<[{ full?: boolean }, { eps?: number }, { reduction?: string }]>;
export const gaussian_nll_loss: Op<[input: Tensor, target: Tensor, variance: Tensor, ...GaussianArgs], Tensor> = composite(
  "gaussian_nll_loss",
  "input, target, var, full=False, eps=1e-06, reduction='mean'",
  { doc: "(log v + (input - target)² / v) / 2 with v = max(var, eps); full adds log(2π) / 2.", method: false },
  (input: Tensor, target: Tensor, variance: Tensor, full: boolean, eps: number, reduction: string) => {
    const op = "gaussian_nll_loss";
    let v = variance;
    if (!sameShape(v.shape, input.shape)) {
      const lead = input.shape.slice(0, -1);
      if (sameShape(lead, v.shape)) v = v.unsqueeze(-1);
      else if (!(v.ndim === input.ndim && sameShape(lead, v.shape.slice(0, -1)) && v.shape.at(-1) === 1)) {
        throw new ValueError(`${op}: var is of incorrect size ${formatShape(v.shape)} for input ${formatShape(input.shape)}`);
      }
    }
    checkReduction(reduction);
    if (readable(v.device) && v.lt(0).any().item_sync() === true) throw new ValueError(`${op}: var has negative entries`);
    broadcastShapes(op, input.shape, target.shape);
    // The bound does not stop the gradient.
    v = v.add(v.detach().clamp_min(eps).sub(v.detach()));
    const d = input.sub(target);
    let loss = v.log().add(d.mul(d).div(v)).mul(0.5);
    if (full) loss = loss.add(0.5 * Math.log(2 * Math.PI));
    return reduced(loss, reduction);
  },
);
