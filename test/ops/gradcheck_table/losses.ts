/** Losses. */

import type { Tensor } from "../../../ts/core/tensor.ts";
import * as torch from "../../../ts/entry.node.ts";
import type { Draw, Entries } from "./check.ts";
import type { Random } from "./random.ts";

type Interval = readonly [number, number];
const ANY: Interval = [-3, 3];
const PROBABILITY: Interval = [0, 0.95];
const reduction = (r: Random): string => r.pick(["none", "mean", "sum"]);
const maybe = <T>(r: Random, value: () => T): T | null => (r.bool() ? value() : null);

/** Losses of an input and a target of one shape. */
const elementwise =
  (input: Interval, target: Interval, options: (r: Random, shape: number[]) => object = () => ({})): Draw =>
  (r) => {
    const shape = r.shape({ min: 1 });
    return [r.x(shape, ...input), r.x(shape, ...target), { reduction: reduction(r), ...options(r, shape) }];
  };
/** 1 or -1. */
const signs = (r: Random, shape: readonly number[]): Tensor => r.mask(shape).to(torch.float64).mul(2).sub(1);

/** Scores of classes and the classes, with or without further dimensions. */
function classified(r: Random): [scores: Tensor, target: Tensor, classes: number] {
  const c = r.int(2, 4);
  const [scores, target] = r.pick([
    [[c], []],
    [[3, c], [3]],
    [
      [2, c, 2],
      [2, 2],
    ],
  ] as [number[], number[]][]);
  return [r.x(scores), r.indices(target, c), c];
}
/** Indices of which one at least counts. */
const ignoring = (r: Random): object => (r.bool() ? {} : { ignore_index: -100 });

const losses: Record<string, Draw> = {
  l1_loss: elementwise(ANY, ANY),
  mse_loss: elementwise(ANY, ANY),
  smooth_l1_loss: elementwise(ANY, ANY, (r) => ({ beta: r.number(0.2, 2) })),
  huber_loss: elementwise(ANY, ANY, (r) => ({ delta: r.number(0.2, 2) })),
  binary_cross_entropy: elementwise(PROBABILITY, PROBABILITY, (r, shape) => ({
    weight: maybe(r, () => r.constant(shape, 0, 2)),
  })),
  binary_cross_entropy_with_logits: elementwise(ANY, PROBABILITY, (r, shape) => ({
    weight: maybe(r, () => r.constant(shape, 0, 2)),
    pos_weight: maybe(r, () => r.constant(shape.slice(-1), 0, 2)),
  })),
  kl_div: (r) => {
    const shape = r.shape({ min: 1, rank: [1, 4] });
    const log_target = r.bool();
    return [
      r.x(shape),
      log_target ? r.x(shape) : r.x(shape, ...PROBABILITY),
      { reduction: r.pick(["none", "mean", "sum", "batchmean"]), log_target },
    ];
  },
  poisson_nll_loss: (r) => {
    const shape = r.shape({ min: 1 });
    const log_input = r.bool();
    return [
      r.x(shape, log_input ? -2 : 0.3, 3),
      r.constant(shape, 1.1, 4),
      { log_input, full: r.bool(), reduction: reduction(r) },
    ];
  },
  gaussian_nll_loss: (r) => {
    const shape = r.shape({ min: 1, rank: [1, 3] });
    return [
      r.x(shape),
      r.x(shape),
      r.x(r.bool() ? shape : [...shape.slice(0, -1), 1], 0.3, 2),
      { full: r.bool(), reduction: reduction(r) },
    ];
  },
  soft_margin_loss: (r) => {
    const shape = r.shape({ min: 1 });
    return [r.x(shape), signs(r, shape), { reduction: reduction(r) }];
  },
  hinge_embedding_loss: (r) => {
    const shape = r.shape({ min: 1 });
    return [r.x(shape), signs(r, shape), { margin: 1, reduction: reduction(r) }];
  },
  margin_ranking_loss: (r) => {
    const n = r.int(1, 4);
    return [r.x([n]), r.x([n]), signs(r, [n]), { margin: 0.3, reduction: reduction(r) }];
  },
  cosine_embedding_loss: (r) => {
    const n = r.int(1, 3);
    return [r.x([n, 3]), r.x([n, 3]), signs(r, [n]), { margin: 0.1, reduction: reduction(r) }];
  },
  triplet_margin_loss: (r) => {
    const shape = [r.int(1, 3), 3];
    return [r.x(shape), r.x(shape), r.x(shape), { margin: 1.2, p: r.pick([2, 3]), swap: r.bool(), reduction: reduction(r) }];
  },
  triplet_margin_with_distance_loss: (r) => {
    const shape = [r.int(1, 3), 3];
    const distance_function = maybe(r, () => (a: Tensor, b: Tensor) => a.sub(b).pow(2).sum(-1));
    return [r.x(shape), r.x(shape), r.x(shape), { distance_function, margin: 1.2, swap: r.bool(), reduction: reduction(r) }];
  },
  cross_entropy: (r) => {
    const [scores, target, c] = classified(r);
    const weight = maybe(r, () => r.constant([c], 0.1, 2));
    // Probabilities as targets get gradients as well.
    const soft = r.bool(0.3);
    const shape = r.expanded.get(scores) ?? scores.shape;
    const options = { weight, reduction: reduction(r), label_smoothing: r.pick([0, 0.2]), ...(soft ? {} : ignoring(r)) };
    return [scores, soft ? r.x([...shape], ...PROBABILITY) : target, options];
  },
  nll_loss: (r) => {
    const [scores, target, c] = classified(r);
    return [scores, target, { weight: maybe(r, () => r.constant([c], 0.1, 2)), reduction: reduction(r), ...ignoring(r) }];
  },
  multi_margin_loss: (r) => {
    const [n, c] = [r.int(1, 3), r.int(2, 4)];
    return [
      r.x([n, c]),
      r.indices([n], c),
      { p: r.pick([1, 2]), margin: 1.1, weight: maybe(r, () => r.constant([c], 0.1, 2)), reduction: reduction(r) },
    ];
  },
  multilabel_margin_loss: (r) => {
    const n = r.int(1, 3);
    const rows = Array.from({ length: n }, () =>
      r.pick([
        [0, 2, -1],
        [1, -1, 0],
        [2, 1, 0],
      ]),
    );
    return [r.x([n, 3]), torch.tensor(rows), { reduction: reduction(r) }];
  },
  multilabel_soft_margin_loss: (r) => {
    const [n, c] = [r.int(1, 3), r.int(1, 3)];
    return [
      r.x([n, c]),
      r.mask([n, c]).to(torch.float64),
      { weight: maybe(r, () => r.constant([c], 0.1, 2)), reduction: reduction(r) },
    ];
  },
  ctc_loss: (r) => {
    const x = r.x([4, 2, 3]);
    const options = { reduction: reduction(r), zero_infinity: r.bool() };
    const targets = torch.tensor([
      [1, 2],
      [r.pick([1, 2]), 1],
    ]);
    return {
      inputs: [x],
      call: (t) =>
        torch.nn.functional.ctc_loss(
          t!.log_softmax(2),
          targets,
          torch.tensor([4, r.complex ? 4 : 3]),
          torch.tensor([2, 1]),
          options as never,
        ),
      note: JSON.stringify(options),
      once: true,
    };
  },
};

export const lossEntries: Entries = Object.fromEntries(
  Object.entries(losses).map(([name, draw]) => [`nn.functional.${name}`, draw]),
);
