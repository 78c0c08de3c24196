/** Losses. */

import { ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { F, layer } from "../layer.ts";
import { PairwiseDistance } from "./shape.ts";

type Reduction = "none" | "mean" | "sum";
interface Reduce {
  reduction?: Reduction;
}
interface Weight {
  weight?: Tensor | null;
}
/** Deprecated arguments that PyTorch still takes by position. */
interface SizeAverage {
  size_average?: boolean | null;
}
interface ReduceFlag {
  reduce?: boolean | null;
}
type Pair = [input: Tensor, target: Tensor];
type Legacy = [SizeAverage, ReduceFlag, Reduce];
const LEGACY = "size_average=None, reduce=None, reduction='mean'";

/** What `reduction` and its two deprecated forms come to. */
function reductionOf(m: { reduction: Reduction; size_average: boolean | null; reduce: boolean | null }): Reduction {
  if (m.size_average === null && m.reduce === null) return m.reduction;
  if (m.reduce === false) return "none";
  return m.size_average === false ? "sum" : "mean";
}

function plain(name: string) {
  return layer<Legacy, Pair>(LEGACY, (m, x, y) => F[name](x, y, { reduction: reductionOf(m) }) as Tensor);
}

export class L1Loss extends plain("l1_loss") {}
export class MSELoss extends plain("mse_loss") {}
export class SoftMarginLoss extends plain("soft_margin_loss") {}
export class MultiLabelMarginLoss extends plain("multilabel_margin_loss") {}

export class SmoothL1Loss extends layer<[...Legacy, { beta?: number }], Pair>(
  `${LEGACY}, beta=1.0`,
  (m, x, y) => F.smooth_l1_loss(x, y, { reduction: reductionOf(m), beta: m.beta }) as Tensor,
) {}
export class HuberLoss extends layer<[Reduce, { delta?: number }], Pair>(
  "reduction='mean', delta=1.0",
  (m, x, y) => F.huber_loss(x, y, { reduction: m.reduction, delta: m.delta }) as Tensor,
) {}
export class KLDivLoss extends layer<
  [SizeAverage, ReduceFlag, { reduction?: Reduction | "batchmean" }, { log_target?: boolean }],
  Pair
>(
  `${LEGACY}, log_target=False`,
  (m, x, y) => F.kl_div(x, y, { reduction: reductionOf(m as never), log_target: m.log_target }) as Tensor,
) {}

export class NLLLoss extends layer<[Weight, SizeAverage, { ignore_index?: number }, ReduceFlag, Reduce], Pair>(
  "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'",
  (m, x, y) => F.nll_loss(x, y, { weight: m.weight, ignore_index: m.ignore_index, reduction: reductionOf(m) }) as Tensor,
) {}
/** Deprecated: NLLLoss. */
export class NLLLoss2d extends NLLLoss {}
export class CrossEntropyLoss extends layer<
  [Weight, SizeAverage, { ignore_index?: number }, ReduceFlag, Reduce, { label_smoothing?: number }],
  Pair
>(
  "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0",
  (m, x, y) =>
    F.cross_entropy(x, y, {
      weight: m.weight,
      ignore_index: m.ignore_index,
      reduction: reductionOf(m),
      label_smoothing: m.label_smoothing,
    }) as Tensor,
) {}
export class BCELoss extends layer<[Weight, ...Legacy], Pair>(
  `weight=None, ${LEGACY}`,
  (m, x, y) => F.binary_cross_entropy(x, y, { weight: m.weight, reduction: reductionOf(m) }) as Tensor,
) {}
export class BCEWithLogitsLoss extends layer<[Weight, ...Legacy, { pos_weight?: Tensor | null }], Pair>(
  `weight=None, ${LEGACY}, pos_weight=None`,
  (m, x, y) =>
    F.binary_cross_entropy_with_logits(x, y, {
      weight: m.weight,
      reduction: reductionOf(m),
      pos_weight: m.pos_weight,
    }) as Tensor,
) {}
export class MultiLabelSoftMarginLoss extends layer<[Weight, ...Legacy], Pair>(
  `weight=None, ${LEGACY}`,
  (m, x, y) => F.multilabel_soft_margin_loss(x, y, { weight: m.weight, reduction: reductionOf(m) }) as Tensor,
) {}
export class MultiMarginLoss extends layer<[{ p?: number }, { margin?: number }, Weight, ...Legacy], Pair>(
  `p=1, margin=1.0, weight=None, ${LEGACY}`,
  (m, x, y) => F.multi_margin_loss(x, y, { p: m.p, margin: m.margin, weight: m.weight, reduction: reductionOf(m) }) as Tensor,
  {
    keep: ({ p, weight }) => {
      if (p !== 1 && p !== 2) throw new ValueError(`only p == 1 and p == 2 supported, got ${String(p)}`);
      if (weight !== undefined && weight !== null && (weight as Tensor).ndim !== 1) {
        throw new ValueError(`weight must be of 1 dimension, got ${(weight as Tensor).ndim}`);
      }
    },
  },
) {}
export class PoissonNLLLoss extends layer<
  [{ log_input?: boolean }, { full?: boolean }, SizeAverage, { eps?: number }, ReduceFlag, Reduce],
  [log_input: Tensor, target: Tensor]
>(
  "log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction='mean'",
  (m, x, y) =>
    F.poisson_nll_loss(x, y, {
      log_input: m.log_input,
      full: m.full,
      eps: m.eps,
      reduction: reductionOf(m),
    }) as Tensor,
) {}
export class GaussianNLLLoss extends layer<
  [{ full?: boolean }, { eps?: number }, Reduce],
  [input: Tensor, target: Tensor, var_: Tensor | number]
>(
  "*, full=False, eps=1e-6, reduction='mean'",
  (m, x, y, v) => F.gaussian_nll_loss(x, y, v, { full: m.full, eps: m.eps, reduction: m.reduction }) as Tensor,
) {}
export class HingeEmbeddingLoss extends layer<[{ margin?: number }, ...Legacy], Pair>(
  `margin=1.0, ${LEGACY}`,
  (m, x, y) => F.hinge_embedding_loss(x, y, { margin: m.margin, reduction: reductionOf(m) }) as Tensor,
) {}

type Three = [input1: Tensor, input2: Tensor, target: Tensor];
export class CosineEmbeddingLoss extends layer<[{ margin?: number }, ...Legacy], Three>(
  `margin=0.0, ${LEGACY}`,
  (m, a, b, y) => F.cosine_embedding_loss(a, b, y, { margin: m.margin, reduction: reductionOf(m) }) as Tensor,
) {}
export class MarginRankingLoss extends layer<[{ margin?: number }, ...Legacy], Three>(
  `margin=0.0, ${LEGACY}`,
  (m, a, b, y) => F.margin_ranking_loss(a, b, y, { margin: m.margin, reduction: reductionOf(m) }) as Tensor,
) {}

type Triplet = [anchor: Tensor, positive: Tensor, negative: Tensor];
export class TripletMarginLoss extends layer<
  [{ margin?: number }, { p?: number }, { eps?: number }, { swap?: boolean }, ...Legacy],
  Triplet
>(`margin=1.0, p=2.0, eps=1e-6, swap=False, ${LEGACY}`, (m, a, p, n) => {
  if (!(m.margin > 0)) {
    throw new ValueError(`TripletMarginLoss: expected margin to be greater than 0, found ${m.margin} instead`);
  }
  return F.triplet_margin_loss(a, p, n, {
    margin: m.margin,
    p: m.p,
    eps: m.eps,
    swap: m.swap,
    reduction: reductionOf(m),
  }) as Tensor;
}) {}
/** A function or a module, which is then part of the loss. */
type Distance = (a: Tensor, b: Tensor) => Tensor;
export class TripletMarginWithDistanceLoss extends layer<
  [{ distance_function?: Distance | null }, { margin?: number }, { swap?: boolean }, Reduce],
  Triplet
>(
  "*, distance_function=None, margin=1.0, swap=False, reduction='mean'",
  (m, a, p, n) =>
    F.triplet_margin_with_distance_loss(a, p, n, {
      distance_function: m.distance_function,
      margin: m.margin,
      swap: m.swap,
      reduction: m.reduction,
    }) as Tensor,
  { keep: (fields) => void (fields.distance_function ??= new PairwiseDistance()) },
) {}

type Lengths = Tensor | readonly number[];
export class CTCLoss extends layer<
  [{ blank?: number }, Reduce, { zero_infinity?: boolean }],
  [log_probs: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths]
>(
  "blank=0, reduction='mean', zero_infinity=False",
  (m, logProbs, targets, inputLengths, targetLengths) =>
    F.ctc_loss(logProbs, targets, inputLengths, targetLengths, m.blank, m.reduction, m.zero_infinity) as Tensor,
) {}
