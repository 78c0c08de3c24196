/** torch.nn.functional.ctc_loss: dynamic programming over plain arrays, with its gradient. */

import { NotImplementedError, RuntimeError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { formatShape } from "../../core/shape.ts";
import { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { computesOnHost } from "../../engine/fallback.ts";
import type { Args } from "../../engine/signature.ts";
import { where } from "../compare.ts";
import { tensor } from "../creation.ts";
import { checkFloating, checkReduction } from "./shared.ts";

type Lengths = Tensor | readonly number[];

const numbersOf = (x: Lengths): number[] =>
  x instanceof Tensor ? Array.from(x.data_sync() as ArrayLike<number | bigint>, Number) : x.map(Number);

/** log(e^a + e^b) */
function logAdd(a: number, b: number): number {
  const most = Math.max(a, b);
  return most === -Infinity ? most : most + Math.log(Math.exp(a - most) + Math.exp(b - most));
}

interface Problem {
  /** [T, N, C] */
  readonly logp: Float64Array;
  readonly sizes: readonly [steps: number, batch: number, classes: number];
  readonly labels: readonly (readonly number[])[];
  readonly lengths: readonly number[];
  readonly blank: number;
}

/** Loss of one sequence; adds its gradient (towards log probabilities that are a log softmax) to `grad`. */
function sequence({ logp, sizes: [, batch, classes], labels, lengths, blank }: Problem, b: number, grad: Float64Array): number {
  const steps = lengths[b]!;
  const path = [blank, ...labels[b]!.flatMap((l) => [l, blank])];
  const states = path.length;
  const at = (t: number, c: number): number => (t * batch + b) * classes + c;
  if (steps === 0) return states === 1 ? 0 : Infinity;
  /** Whether a path may come from two states before. */
  const skips = path.map((l, s) => s >= 2 && l !== blank && l !== path[s - 2]);
  const alpha = new Float64Array(steps * states).fill(-Infinity);
  const beta = new Float64Array(steps * states).fill(-Infinity);
  for (let s = 0; s < Math.min(2, states); s++) alpha[s] = logp[at(0, path[s]!)]!;
  for (let t = 1; t < steps; t++) {
    for (let s = 0; s < states; s++) {
      const before = (t - 1) * states + s;
      let sum = alpha[before]!;
      if (s >= 1) sum = logAdd(sum, alpha[before - 1]!);
      if (skips[s]) sum = logAdd(sum, alpha[before - 2]!);
      alpha[t * states + s] = sum + logp[at(t, path[s]!)]!;
    }
  }
  for (let s = Math.max(states - 2, 0); s < states; s++) beta[(steps - 1) * states + s] = logp[at(steps - 1, path[s]!)]!;
  for (let t = steps - 2; t >= 0; t--) {
    for (let s = 0; s < states; s++) {
      const after = (t + 1) * states + s;
      let sum = beta[after]!;
      if (s + 1 < states) sum = logAdd(sum, beta[after + 1]!);
      if (s + 2 < states && skips[s + 2]) sum = logAdd(sum, beta[after + 2]!);
      beta[t * states + s] = sum + logp[at(t, path[s]!)]!;
    }
  }
  const end = steps * states;
  const total = states === 1 ? alpha[end - 1]! : logAdd(alpha[end - 1]!, alpha[end - 2]!);
  const ways = new Float64Array(classes);
  for (let t = 0; t < steps; t++) {
    ways.fill(-Infinity);
    for (let s = 0; s < states; s++) {
      const c = path[s]!;
      ways[c] = logAdd(ways[c]!, alpha[t * states + s]! + beta[t * states + s]!);
    }
    for (let c = 0; c < classes; c++) {
      const i = at(t, c);
      grad[i] = Math.exp(logp[i]!) - Math.exp(ways[c]! - total - logp[i]!);
    }
  }
  return -total;
}

type CtcPrimitive = Op<
  [log_probs: Tensor, labels: readonly (readonly number[])[], lengths: readonly number[], blank: number, zero: boolean],
  Tensor
>;

const ctc_losses: CtcPrimitive = defineOp("ctc_loss", "log_probs, labels, lengths, blank, zero", {
  doc: "",
  method: false,
  forward(ctx, log_probs: Tensor, labels: number[][], lengths: number[], blank: number, zero: boolean) {
    const [steps, batch, classes] = log_probs.shape as [number, number, number];
    computesOnHost("ctc_loss", log_probs.device);
    const logp = Float64Array.from(log_probs.data_sync() as ArrayLike<number>);
    const grad = new Float64Array(steps * batch * classes);
    const problem: Problem = { logp, sizes: [steps, batch, classes], labels, lengths, blank };
    const losses = Float64Array.from({ length: batch }, (_, b) => sequence(problem, b, grad));
    losses.forEach((loss, b) => {
      if (loss !== Infinity || !zero) return;
      losses[b] = 0;
      for (let t = 0; t < steps; t++) grad.fill(0, (t * batch + b) * classes, (t * batch + b + 1) * classes);
    });
    const options = { dtype: log_probs.dtype, device: log_probs.device };
    ctx.save(tensor(grad, options).reshape([steps, batch, classes]), log_probs);
    return tensor(losses, options);
  },
  backward(ctx, g: Tensor) {
    const [grad, log_probs] = ctx.saved() as [Tensor, Tensor];
    return [(is_grad_enabled() ? ctc_gradient(grad, log_probs) : grad).mul(g.reshape([1, -1, 1]))];
  },
});

/** Stands for `grad` as a function of log_probs, of which no derivative is known: zeros would be wrong. */
const ctc_gradient: Op<[grad: Tensor, log_probs: Tensor], Tensor> = defineOp("ctc_loss_backward", "grad, log_probs", {
  doc: "",
  method: false,
  forward: (_ctx, grad: Tensor) => grad.clone(),
  backward() {
    throw new NotImplementedError(
      "the derivative for 'ctc_loss_backward' is not implemented: ctc_loss can be differentiated once",
    );
  },
});

type CtcArgs = Args<
  [
    { targets: Tensor },
    { input_lengths: Lengths },
    { target_lengths: Lengths },
    { blank?: number },
    { reduction?: string },
    { zero_infinity?: boolean },
  ]
>;

export const ctc_loss: Op<[log_probs: Tensor, ...CtcArgs], Tensor> = composite(
  "ctc_loss",
  "log_probs, targets, input_lengths, target_lengths, blank=0, reduction='mean', zero_infinity=False",
  {
    doc: "Connectionist temporal classification: -log of the probability of targets under all alignments; log_probs [T, N, C] or [T, C].",
    method: false,
  },
  (
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: number,
    reduction: string,
    zero_infinity: boolean,
  ) => {
    const op = "ctc_loss";
    checkReduction(reduction);
    checkFloating(op, log_probs.dtype);
    const x = log_probs.ndim === 2 ? log_probs.unsqueeze(1) : log_probs;
    if (x.ndim !== 3)
      throw new RuntimeError(`${op}: expected log_probs [T, N, C] or [T, C], got ${formatShape(log_probs.shape)}`);
    const [steps, batch, classes] = x.shape as [number, number, number];
    const lengths = numbersOf(input_lengths);
    const counts = numbersOf(target_lengths);
    if (blank < 0 || blank >= classes) throw new RuntimeError(`${op}: blank must be in label range, got ${blank} of ${classes}`);
    if (lengths.length !== batch || counts.length !== batch) {
      throw new RuntimeError(
        `${op}: input_lengths and target_lengths must be of size batch_size ${batch}, got ${lengths.length} and ${counts.length}`,
      );
    }
    lengths.forEach((n) => {
      if (n > steps || n < 0) {
        throw new RuntimeError(`${op}: expected input_lengths to have value at most ${steps}, but got value ${n}`);
      }
    });
    const flat = numbersOf(targets);
    const padded = targets.ndim === 2;
    let next = 0;
    const labels = counts.map((n, b) => {
      if (n < 0 || (padded && n > targets.shape[1]!)) {
        throw new RuntimeError(`${op}: expected target_lengths to have value at most ${targets.shape[1]}, but got value ${n}`);
      }
      const from = padded ? b * targets.shape[1]! : next;
      next = from + n;
      if (next > flat.length) throw new RuntimeError(`${op}: targets hold ${flat.length} labels, target_lengths ask for ${next}`);
      return flat.slice(from, next);
    });
    labels.flat().forEach((l) => {
      if (l < 0 || l >= classes) throw new RuntimeError(`${op}: targets must be labels from 0 to ${classes - 1}, got ${l}`);
    });
    const losses = ctc_losses(x, labels, lengths, blank, zero_infinity);
    if (reduction === "none") return log_probs.ndim === 2 ? losses.squeeze(0) : losses;
    if (reduction === "sum") return losses.sum();
    const divisor = tensor(counts, { dtype: losses.dtype, device: losses.device });
    return losses
      .div(where(divisor.lt(1), 1, divisor))
      .sum()
      .div(batch);
  },
);
