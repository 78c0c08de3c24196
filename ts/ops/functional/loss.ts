/** torch.nn.functional: losses over classes, and regression. */

import { int64 } from "../../core/dtype.ts";
import { IndexError, RuntimeError, ValueError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { broadcastShapes, formatShape, sameShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { pointwise } from "../../engine/pointwise.ts";
import { contiguous, empty, reduce, run } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { e } from "../../kernel/builder.ts";
import { where } from "../compare.ts";
import { filled } from "../creation.ts";
import { beyondUnit, somewhere } from "../domain.ts";
import { logsigmoid } from "./activation.ts";
import { checkReduction, legacyReduction, reduced } from "./shared.ts";
import { log_softmax, softmax } from "./softmax.ts";

type Deprecated = [{ size_average?: boolean | null }, { reduce?: boolean | null }];

// cross entropy of class indices, as one kernel per direction

type RowsOp = Op<[logits: Tensor, target: Tensor, ignore: number, reduction: string], Tensor>;

interface RowsState {
  readonly ignore: number;
  readonly reduction: string;
}

const cross_entropy_rows: RowsOp = defineOp("cross_entropy", "logits, target, ignore, reduction", {
  doc: "-log softmax(logits)[target] for logits [rows, classes], by a row kernel.",
  method: false,
  forward(ctx, logits: Tensor, target: Tensor, ignore: number, reduction: string) {
    const x = contiguous(logits);
    const at = contiguous(target);
    const [rows] = x.shape as [number];
    const losses = empty([rows], x.dtype, x.device);
    const lse = empty([rows], x.dtype, x.device);
    const params = { eps: 0, groups: 1, ignore, flag: false };
    if (x.numel() > 0) run({ kind: "rowwise", op: "cross_entropy", dtype: x.dtype, affine: 0 }, [x, at], [losses, lse], params);
    ctx.state = { ignore, reduction } satisfies RowsState;
    if (reduction === "none") {
      ctx.save(logits, at, lse);
      return losses;
    }
    const total = reduce("sum", losses, [0], [x.dtype])[0]!;
    if (reduction === "sum") {
      ctx.save(logits, at, lse);
      return total;
    }
    const count = reduce("sum", at.ne(ignore), [0], [int64])[0]!;
    ctx.save(logits, at, lse, count);
    return total.div(count);
  },
  backward(ctx, g: Tensor) {
    const [logits, target, lse, count] = ctx.saved() as [Tensor, Tensor, Tensor, Tensor | undefined];
    const { ignore, reduction } = ctx.state as RowsState;
    const [rows, classes] = logits.shape as [number, number];
    const scaled = reduction === "mean" ? g.div(count!) : g;
    const each = scaled.expand([rows]);
    if (is_grad_enabled()) {
      const counts = target.ne(ignore);
      const safe = where(counts, target, 0);
      const one = filled([rows, classes], 0, logits.dtype, logits.device).scatter(1, safe.unsqueeze(1), 1);
      const weight = each.mul(counts.to(logits.dtype)).unsqueeze(1);
      return [softmax(logits, 1).sub(one).mul(weight)];
    }
    const out = empty(logits.shape, logits.dtype, logits.device);
    if (out.numel() === 0) return [out];
    const inputs = [contiguous(each.to(logits.dtype)), contiguous(logits), target, lse];
    const params = { eps: 0, groups: 1, ignore, flag: false };
    run({ kind: "rowwise", op: "cross_entropy_backward", dtype: logits.dtype, affine: 0 }, inputs, [out], params);
    return [out];
  },
});

type PickOp = Op<[input: Tensor, target: Tensor], Tensor>;

/** input[n, target[n, ...], ...] of [N, C, ...]. */
const pick_class: PickOp = defineOp("nll_loss", "input, target", {
  doc: "The element of dimension 1 that target names.",
  method: false,
  forward(ctx, input: Tensor, target: Tensor) {
    ctx.save(target);
    ctx.state = input.shape;
    const out = empty(target.shape, input.dtype, input.device);
    if (out.numel() === 0) return out;
    const src_strides = input._strides.filter((_, d) => d !== 1);
    const params = { name: "nll_loss", dim: 1, dims: [1], src_strides, wrap: false };
    run({ kind: "gather", mode: "index", dtype: input.dtype, indices: 1 }, [input, target], [out], params);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [target] = ctx.saved();
    return [filled(ctx.state as number[], 0, g.dtype, g.device).scatter_add(1, target!.unsqueeze(1), g.unsqueeze(1))];
  },
});

/** Checks class-index targets of [C] or [N, C, ...]; returns both with the batch dimension. */
function classTargets(op: string, input: Tensor, target: Tensor, weight: Tensor | null): [Tensor, Tensor] {
  if (target.dtype !== int64) throw new RuntimeError(`${op}: expected scalar type Long for target, but found ${target.dtype}`);
  if (input.ndim === 0) throw new ValueError(`${op}: expected input with at least 1 dimension, got 0`);
  const x = input.ndim === 1 ? input.unsqueeze(0) : input;
  const t = input.ndim === 1 && target.ndim === 0 ? target.unsqueeze(0) : target;
  const expected = [x.shape[0]!, ...x.shape.slice(2)];
  if (t.ndim > 0 && x.shape[0] !== t.shape[0]) {
    throw new ValueError(`${op}: expected input batch_size (${x.shape[0]}) to match target batch_size (${t.shape[0]})`);
  }
  if (!sameShape(t.shape, expected)) {
    throw new RuntimeError(`${op}: expected a target of shape ${formatShape(expected)}, got ${formatShape(t.shape)}`);
  }
  if (weight !== null && (weight.ndim !== 1 || weight.numel() !== x.shape[1])) {
    throw new RuntimeError(
      `${op}: weight tensor should be defined either for all ${x.shape[1]} classes or no classes, but got shape ${formatShape(weight.shape)}`,
    );
  }
  return [x, t];
}

/** Weighted negative log likelihoods, per element, and their weights. */
function negativeLikelihoods(
  logp: Tensor,
  target: Tensor,
  weight: Tensor | null,
  ignore: number,
): { losses: Tensor; weights: Tensor } {
  const counts = target.ne(ignore);
  const safe = where(counts, target, 0);
  const picked = pick_class(logp, safe);
  const base = counts.to(logp.dtype);
  const weights =
    weight === null
      ? base
      : weight
          .index_select(0, safe.reshape([-1]))
          .reshape(target.shape)
          .mul(base);
  return { losses: where(counts, picked.neg(), 0).mul(weights), weights };
}

function weightedReduction(losses: Tensor, weights: Tensor, reduction: string): Tensor {
  if (reduction === "none") return losses;
  if (reduction === "sum") return losses.sum();
  return losses.sum().div(weights.sum());
}

type NllOp = Op<
  [
    input: Tensor,
    target: Tensor,
    ...Args<
      [
        { weight?: Tensor | null },
        { size_average?: boolean | null },
        { ignore_index?: number },
        { reduce?: boolean | null },
        { reduction?: string },
      ]
    >,
  ],
  Tensor
>;

export const nll_loss: NllOp = composite(
  "nll_loss",
  "input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'",
  { doc: "-input[n, target[n]], weighted by class; input holds log probabilities [N, C, ...].", method: false },
  (
    input: Tensor,
    target: Tensor,
    weight: Tensor | null,
    size_average: boolean | null,
    ignore_index: number,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const how = legacyReduction(size_average, reduce, reduction);
    checkTensor("nll_loss", "input", input);
    checkTensor("nll_loss", "target", target);
    checkReduction(how);
    const [x, t] = classTargets("nll_loss", input, target, weight);
    const { losses, weights } = negativeLikelihoods(x, t, weight, ignore_index);
    const out = weightedReduction(losses, weights, how);
    return how === "none" && input.ndim === 1 ? out.squeeze(0) : out;
  },
);

type CrossEntropyOp = Op<
  [
    input: Tensor,
    target: Tensor,
    ...Args<
      [
        { weight?: Tensor | null },
        { size_average?: boolean | null },
        { ignore_index?: number },
        { reduce?: boolean | null },
        { reduction?: string },
        { label_smoothing?: number },
      ]
    >,
  ],
  Tensor
>;

export const cross_entropy: CrossEntropyOp = composite(
  "cross_entropy",
  "input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0",
  {
    doc: "Cross entropy of logits [C] or [N, C, ...] with class indices [N, ...] (int64) or class probabilities (input's shape).",
    method: false,
    complex: false,
  },
  (
    input: Tensor,
    target: Tensor,
    weight: Tensor | null,
    size_average: boolean | null,
    ignore_index: number,
    reduce: boolean | null,
    reduction: string,
    label_smoothing: number,
  ) => {
    const op = "cross_entropy";
    const how = legacyReduction(size_average, reduce, reduction);
    checkTensor(op, "input", input);
    checkTensor(op, "target", target);
    checkReduction(how);
    if (!(label_smoothing >= 0 && label_smoothing <= 1)) {
      throw new RuntimeError(`${op}: label_smoothing must be between 0.0 and 1.0, got ${label_smoothing}`);
    }
    const axis = input.ndim === 1 ? 0 : 1;
    const classes = input.shape[axis]!;
    if (target.dtype.is_floating_point) {
      if (!sameShape(input.shape, target.shape)) {
        throw new RuntimeError(
          `${op}: expected class probabilities of input's shape ${formatShape(input.shape)}, got ${formatShape(target.shape)}`,
        );
      }
      const smooth = label_smoothing === 0 ? target : target.mul(1 - label_smoothing).add(label_smoothing / classes);
      const line = input.shape.map((_, d) => (d === axis ? classes : 1));
      let terms = log_softmax(input, axis).mul(smooth);
      if (weight !== null) terms = terms.mul(weight.reshape(line));
      if (how === "none") return terms.sum(axis).neg();
      const total = terms.sum().neg();
      return how === "sum" ? total : total.div(input.numel() / classes);
    }
    if (input.ndim > 0 && target.ndim !== Math.max(input.ndim - 1, 0)) {
      throw new IndexError(
        `${op}: expected a target of ${input.ndim - 1} dimensions for input of shape ${formatShape(input.shape)}, got ${formatShape(target.shape)}`,
      );
    }
    const [x, t] = classTargets(op, input, target, weight);
    const out = ofClasses(x, t, weight, ignore_index, how, label_smoothing);
    return how === "none" && input.ndim === 1 ? out.squeeze(0) : out;
  },
);

function ofClasses(x: Tensor, t: Tensor, weight: Tensor | null, ignore: number, reduction: string, smoothing: number): Tensor {
  const classes = x.shape[1]!;
  if (weight === null && smoothing === 0 && x.numel() > 0 && x.dtype.itemsize > 2) {
    if (x.ndim === 2) return cross_entropy_rows(x, t, ignore, reduction);
    const rows = x.movedim(1, -1).reshape([-1, classes]);
    const out = cross_entropy_rows(rows, t.reshape([-1]), ignore, reduction);
    return reduction === "none" ? out.reshape(t.shape) : out;
  }
  const logp = log_softmax(x, 1);
  const { losses, weights } = negativeLikelihoods(logp, t, weight, ignore);
  if (smoothing === 0) return weightedReduction(losses, weights, reduction);
  const line = [classes, ...x.shape.slice(2).map(() => 1)];
  const all = (weight === null ? logp : logp.mul(weight.reshape(line))).sum(1).neg();
  const counts = t.ne(ignore);
  const smooth = where(counts, all, 0);
  const mixed = losses.mul(1 - smoothing).add(smooth.mul(smoothing / classes));
  if (reduction === "none") return mixed;
  if (reduction === "sum") return mixed.sum();
  return mixed.sum().div(weights.sum());
}

// elementwise losses

type PairArgs<P extends readonly object[] = []> = Args<[...Deprecated, { reduction?: string }, ...P]>;
type PairOp<P extends readonly object[] = []> = Op<[input: Tensor, target: Tensor, ...PairArgs<P>], Tensor>;

function checkPair(op: string, input: Tensor, target: Tensor): void {
  checkTensor(op, "input", input);
  checkTensor(op, "target", target);
  broadcastShapes(op, input.shape, target.shape);
}

function elementwise(name: string, doc: string, body: (input: Tensor, target: Tensor) => Tensor): PairOp {
  return composite(
    name,
    "input, target, size_average=None, reduce=None, reduction='mean'",
    { doc, method: false },
    (input: Tensor, target: Tensor, size_average: boolean | null, reduce: boolean | null, reduction: string) => {
      const how = legacyReduction(size_average, reduce, reduction);
      checkReduction(how);
      checkPair(name, input, target);
      return reduced(body(input, target), how);
    },
  );
}

export const mse_loss: PairOp = elementwise("mse_loss", "(input - target)²", (input, target) => {
  const d = input.sub(target);
  return d.mul(d);
});
export const l1_loss: PairOp = elementwise("l1_loss", "|input - target|", (input, target) => input.sub(target).abs());
export const soft_margin_loss: PairOp = elementwise("soft_margin_loss", "log(1 + e^(-target * input))", (input, target) =>
  target.neg().mul(input).exp().log1p(),
);

export const smooth_l1_loss: PairOp<[{ beta?: number }]> = composite(
  "smooth_l1_loss",
  "input, target, size_average=None, reduce=None, reduction='mean', beta=1.0",
  { doc: "d² / (2 beta) where |d| < beta, else |d| - beta / 2, of d = input - target.", method: false },
  (input: Tensor, target: Tensor, size_average: boolean | null, reduce: boolean | null, reduction: string, beta: number) => {
    checkPair("smooth_l1_loss", input, target);
    if (beta < 0) throw new RuntimeError(`smooth_l1_loss: does not support negative values for beta, got ${beta}`);
    const how = legacyReduction(size_average, reduce, reduction);
    const d = input.sub(target);
    if (beta === 0) return reduced(d.abs(), how);
    return reduced(where(d.abs().lt(beta), d.mul(d).mul(0.5 / beta), d.abs().sub(0.5 * beta)), how);
  },
);

type WeightedArgs<P extends readonly object[] = []> = Args<[{ reduction?: string }, ...P, { weight?: Tensor | null }]>;

export const huber_loss: Op<[input: Tensor, target: Tensor, ...WeightedArgs<[{ delta?: number }]>], Tensor> = composite(
  "huber_loss",
  "input, target, reduction='mean', delta=1.0, weight=None",
  { doc: "d² / 2 where |d| <= delta, else delta (|d| - delta / 2), of d = input - target.", method: false },
  (input: Tensor, target: Tensor, reduction: string, delta: number, weight: Tensor | null) => {
    checkPair("huber_loss", input, target);
    if (!(delta > 0)) throw new RuntimeError(`huber_loss: does not support non-positive values for delta, got ${delta}`);
    const d = input.sub(target);
    const loss = where(
      d.abs().le(delta),
      d.mul(d).mul(0.5),
      d
        .abs()
        .sub(0.5 * delta)
        .mul(delta),
    );
    return reduced(weight === null ? loss : loss.mul(weight), reduction);
  },
);

// binary cross entropy

type BcePointwise = Op<[input: Tensor, target: Tensor], Tensor>;

const bce_terms: BcePointwise = pointwise("binary_cross_entropy", "input, target", {
  doc: "-(target log(input) + (1 - target) log(1 - input)) with logarithms of at least -100.",
  method: false,
  tensors: ["input", "target"],
  expr: ({ input, target }) =>
    e.sub(e.mul(e.sub(target!, 1), e.maximum(e.log1p(e.neg(input!)), -100)), e.mul(target!, e.maximum(e.log(input!), -100))),
  grad: {
    input: [
      ["input", "target"],
      (g, { input, target }) => {
        const x = input as Tensor;
        return g.mul(x.sub(target as Tensor)).div(x.neg().add(1).mul(x).clamp_min(1e-12));
      },
    ],
    target: [
      ["input"],
      (g, { input }) =>
        g.mul(
          (input as Tensor)
            .neg()
            .log1p()
            .sub((input as Tensor).log()),
        ),
    ],
  },
});

type BceOp = Op<
  [input: Tensor, target: Tensor, ...Args<[{ weight?: Tensor | null }, ...Deprecated, { reduction?: string }]>],
  Tensor
>;

export const binary_cross_entropy: BceOp = composite(
  "binary_cross_entropy",
  "input, target, weight=None, size_average=None, reduce=None, reduction='mean'",
  {
    doc: "-(target log(input) + (1 - target) log(1 - input)) of probabilities. Others: RuntimeError on cpu, NaN on other devices.",
    method: false,
  },
  (
    input: Tensor,
    target: Tensor,
    weight: Tensor | null,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
  ) => {
    const op = "binary_cross_entropy";
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    checkTensor(op, "input", input);
    checkTensor(op, "target", target);
    if (!sameShape(input.shape, target.shape)) {
      throw new ValueError(
        `${op}: using a target size (${formatShape(target.shape)}) that is different to the input size (${formatShape(input.shape)}) is deprecated. Please ensure they have the same size.`,
      );
    }
    if (somewhere(input, beyondUnit))
      throw new RuntimeError(`${op}: all elements of input should be between 0 and 1, as those of sigmoid are`);
    const loss = bce_terms(input, target);
    return reduced(weight === null ? loss : loss.mul(weight), how);
  },
);

type BceLogitsOp = Op<
  [
    input: Tensor,
    target: Tensor,
    ...Args<[{ weight?: Tensor | null }, ...Deprecated, { reduction?: string }, { pos_weight?: Tensor | null }]>,
  ],
  Tensor
>;

export const binary_cross_entropy_with_logits: BceLogitsOp = composite(
  "binary_cross_entropy_with_logits",
  "input, target, weight=None, size_average=None, reduce=None, reduction='mean', pos_weight=None",
  { doc: "binary_cross_entropy(sigmoid(input), target), computed stably.", method: false },
  (
    input: Tensor,
    target: Tensor,
    weight: Tensor | null,
    size_average: boolean | null,
    reduce: boolean | null,
    reduction: string,
    pos_weight: Tensor | null,
  ) => {
    const op = "binary_cross_entropy_with_logits";
    const how = legacyReduction(size_average, reduce, reduction);
    checkReduction(how);
    checkTensor(op, "input", input);
    checkTensor(op, "target", target);
    if (!sameShape(input.shape, target.shape)) {
      throw new ValueError(
        `${op}: target size (${formatShape(target.shape)}) must be the same as input size (${formatShape(input.shape)})`,
      );
    }
    const logs = logsigmoid(input);
    const scaled = pos_weight === null ? logs : logs.mul(pos_weight.sub(1).mul(target).add(1));
    const loss = target.neg().add(1).mul(input).sub(scaled);
    return reduced(weight === null ? loss : loss.mul(weight), how);
  },
);
