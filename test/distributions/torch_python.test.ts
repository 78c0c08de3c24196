/** torch.distributions against a PyTorch that runs beside us, where there is one: those that the corpus does not have. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as torch from "kindling";
import type { Tensor } from "kindling";
import { pythonWith } from "../io/python.ts";

const D = torch.distributions;
const python = pythonWith("torch");
const script = fileURLToPath(new URL("./peers.py", import.meta.url));

type Nested = number | readonly Nested[];
type Spec = [name: string, kwargs: Record<string, unknown>];
type Numbers = [values: number[], shape: number[]] | null;

const spd = [
  [2, 0.3],
  [0.3, 1.1],
];
const tril = [
  [1.2, 0],
  [0.4, 0.8],
];
const cholesky = [
  [1, 0, 0],
  [0.6, 0.8, 0],
  [0.48, 0.6, 0.64],
];
const lowRank: Spec = [
  "LowRankMultivariateNormal",
  { loc: [0.1, -0.5, 1], cov_factor: [[0.5, 0.1], [-0.2, 0.7], [1.1, 0.3]], cov_diag: [0.4, 1.2, 0.7] }, // prettier-ignore
];
const lowRankToo: Spec = [
  "LowRankMultivariateNormal",
  { loc: [[0.4, 0.5, 0], [1, 2, 0.3]], cov_factor: [[0.5], [-0.9], [0.1]], cov_diag: [1.4, 0.2, 0.9] }, // prettier-ignore
];
const normal: Spec = [
  "MultivariateNormal",
  { loc: [0.2, 0.1, 0.4], scale_tril: [[1.1, 0, 0], [0.3, 0.9, 0], [-0.2, 0.4, 1.3]] }, // prettier-ignore
];
const bernoulli = (probs: Nested): Spec => ["ContinuousBernoulli", { probs }];

const distributions: [Spec, Nested][] = [
  [
    ["VonMises", { loc: [0.3, -1], concentration: [0.7, 12] }],
    [1.2, -2.5],
  ],
  [["Wishart", { df: [3.5, 5], covariance_matrix: spd }], spd],
  [["Wishart", { df: 2.5, scale_tril: tril }], spd],
  [["Wishart", { df: 4, precision_matrix: spd }], spd],
  [["LKJCholesky", { dim: 3, concentration: [0.5, 2] }], cholesky],
  [lowRank, [0.5, 1, -1]],
  [lowRankToo, [0.5, 1, -1]],
  [
    ["LogitRelaxedBernoulli", { temperature: [0.6], probs: [0.2, 0.9] }],
    [-0.4, 3],
  ],
  [
    ["RelaxedBernoulli", { temperature: [0.6], logits: [0.2, -0.9] }],
    [0.4, 0.93],
  ],
  [
    ["ExpRelaxedCategorical", { temperature: [0.6], probs: [0.2, 0.5, 0.3] }],
    [-1.2, -2, -0.57],
  ],
  [
    ["RelaxedOneHotCategorical", { temperature: [1.6], logits: [0.2, -0.5, 0.3] }],
    [0.3, 0.1, 0.6],
  ],
  [bernoulli([0.1, 0.4995, 0.5, 0.9]), [0.2, 0.3, 0.8, 1]],
  [
    ["ContinuousBernoulli", { logits: [-2, 0.001, 3] }],
    [0.2, 0.5, 0.8],
  ],
  [
    ["LogisticNormal", { loc: [0.1, -0.4], scale: [1.2, 0.7] }],
    [0.2, 0.5, 0.3],
  ],
];
const kl: [Spec, Spec][] = [
  [lowRank, lowRankToo],
  [lowRank, normal],
  [normal, lowRankToo],
  [bernoulli([0.1, 0.5]), bernoulli([0.7, 0.2])],
  [["Beta", { concentration1: 2.5, concentration0: 1.5 }], bernoulli(0.3)],
  [["Uniform", { low: [0.1, 0.2], high: [0.4, 1.2] }], bernoulli([0.3, 0.3])],
  [bernoulli(0.3), ["Exponential", { rate: 1.5 }]],
  [bernoulli(0.3), ["Normal", { loc: 0.5, scale: 1.5 }]],
  [bernoulli(0.3), ["Uniform", { low: -0.5, high: 1.5 }]],
  [bernoulli(0.3), ["Pareto", { scale: 0.5, alpha: 1.5 }]],
  [["Gumbel", { loc: 0.5, scale: 1.5 }], bernoulli(0.3)],
  [
    ["HalfCauchy", { scale: 1.5 }],
    ["HalfCauchy", { scale: 0.5 }],
  ],
];
const vector = [0.3, -0.7, 1.1, 0.2, -0.4, 0.9];
const square = [
  [0.3, -0.5],
  [0.8, 1.1],
];
const transforms: [unknown[], Nested][] = [
  [["CorrCholeskyTransform"], [vector, vector.toReversed()]],
  [["SoftmaxTransform"], vector],
  [["LowerCholeskyTransform"], square],
  [["ReshapeTransform", [6], [2, 3]], vector],
  [["ReshapeTransform", [2, 2], [4]], [square]],
  [["to", ["independent", ["interval", 1, 2], 2]], square],
  [["CatTransform", [["ExpTransform"], ["TanhTransform"]], 0, [2, 4]], vector],
  [["CatTransform", [["ExpTransform"], ["SoftplusTransform"]], -1, [1, 1]], square],
  [["StackTransform", [["ExpTransform"], ["AffineTransform", 1, 2]], 1], square],
  [["ComposeTransform", [["AffineTransform", 0.5, 2], ["StickBreakingTransform"]]], vector],
  [
    ["ComposeTransform", [["StickBreakingTransform"], ["ExpTransform"]]],
    [vector, vector],
  ],
  [["to", ["positive"]], vector],
  [["to", ["greater_than", 2]], vector],
  [["biject", ["less_than", 2]], vector],
  [["to", ["interval", -1, 3]], vector],
  [["biject", ["half_open_interval", 0, 1]], vector],
  [["biject", ["simplex"]], vector],
  [["to", ["simplex"]], vector],
  [["to", ["independent", ["positive"], 1]], square],
  [["biject", ["corr_cholesky"]], vector],
  [["to", ["lower_cholesky"]], square],
];

function valueOf(x: unknown): unknown {
  if (typeof x === "number") return Number.isInteger(x) ? x : torch.tensor(x, { dtype: torch.float64 });
  return Array.isArray(x) ? torch.tensor(x as number[], { dtype: torch.float64 }) : x;
}
function build([name, kwargs]: Spec): torch.distributions.Distribution {
  const make = (D as unknown as Record<string, new (o: object) => torch.distributions.Distribution>)[name]!;
  return new make(Object.fromEntries(Object.entries(kwargs).map(([key, x]) => [key, valueOf(x)])));
}
function constraint(spec: unknown[]): unknown {
  const [name, ...args] = spec as [string, ...unknown[]];
  const made = (D.constraints as unknown as Record<string, unknown>)[name];
  if (args.length === 0) return made;
  return (made as (...args: unknown[]) => unknown)(...args.map((a) => (Array.isArray(a) ? constraint(a) : a)));
}
function transform(spec: unknown[]): torch.distributions.transforms.Transform {
  const [kind, ...args] = spec as [string, ...unknown[]];
  if (kind === "to" || kind === "biject") {
    return (kind === "to" ? D.transform_to : D.biject_to)(constraint(args[0] as unknown[]) as never);
  }
  const make = (D.transforms as unknown as Record<string, new (...args: unknown[]) => torch.distributions.transforms.Transform>)[
    kind
  ]!;
  const made = args.map((a) => {
    if (!Array.isArray(a)) return a;
    return Array.isArray(a[0]) ? a.map((t) => transform(t as unknown[])) : a;
  });
  return new make(...made);
}

function expectNumbers(got: () => Tensor, want: Numbers, what: string, tolerance = 1e-9): void {
  if (want === null) {
    expect(got, what).toThrow(torch.NotImplementedError);
    return;
  }
  const t = got();
  expect(t.shape, what).toEqual(want[1]);
  (t.reshape(-1).tolist_sync() as number[]).forEach((x, i) => {
    const w = want[0][i]!;
    if (Number.isNaN(w) || !Number.isFinite(w)) expect(x, what).toEqual(w);
    else expect(Math.abs(x - w), `${what}[${i}]: ${x}, want ${w}`).toBeLessThanOrEqual(tolerance * (1 + Math.abs(w)));
  });
}

interface Answers {
  distributions: Record<"mean" | "variance" | "mode" | "log_prob" | "cdf" | "entropy" | "expanded" | "draw", Numbers>[] &
    { shapes: [number[], number[]] }[];
  kl: Numbers[];
  transforms: { y: Numbers; back: Numbers; log: Numbers; event_dim: [number, number]; shape: number[] }[];
}

describe.skipIf(python === null)("torch.distributions and PyTorch's", () => {
  const ask = (): Answers => {
    const { stdout, stderr, status } = spawnSync(python!, [script], {
      input: JSON.stringify({ distributions, kl, transforms }),
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(stdout.replace(/(-?Infinity|NaN)/g, '"$1"'), (_, x: unknown) =>
      typeof x === "string" ? Number(x) : x,
    ) as Answers;
  };
  let answers: Answers | null = null;
  const get = (): Answers => (answers ??= ask());

  it.each(distributions.map(([spec], i) => [i, spec[0]] as const))("%i %s", (i) => {
    const [spec, x] = distributions[i]!;
    const want = get().distributions[i]!;
    const d = build(spec);
    const value = torch.tensor(x as number[], { dtype: torch.float64 });
    expect([d.batch_shape, d.event_shape]).toEqual(want.shapes);
    // PyTorch's Bessel functions are approximations of single precision.
    const tolerance = spec[0] === "VonMises" ? 1e-6 : 1e-9;
    expectNumbers(() => d.mean, want.mean, "mean");
    expectNumbers(() => d.variance, want.variance, "variance", tolerance);
    expectNumbers(() => d.log_prob(value), want.log_prob, "log_prob", tolerance);
    expectNumbers(() => d.entropy(), want.entropy, "entropy");
    expectNumbers(() => d.expand([3, ...d.batch_shape]).log_prob(value), want.expanded, "expanded", tolerance);
    if (want.cdf !== null) expectNumbers(() => d.cdf(value), want.cdf, "cdf");
    torch.manual_seed(7);
    // Wishart's chi-squares are drawn by rejection, and twice in PyTorch, which takes good draws for singular ones.
    if (spec[0] !== "Wishart") expectNumbers(() => d.sample([2]), want.draw, "draw", 1e-6);
  });
  it.each(kl.map(([p, q], i) => [i, p[0], q[0]] as const))("kl %i %s %s", (i) => {
    const [p, q] = kl[i]!;
    expectNumbers(() => D.kl_divergence(build(p), build(q)), get().kl[i]!, "kl");
  });
  it.each(transforms.map(([spec], i) => [i, JSON.stringify(spec)] as const))("transform %i %s", (i) => {
    const [spec, x] = transforms[i]!;
    const want = get().transforms[i]!;
    const t = transform(spec);
    const value = torch.tensor(x as number[], { dtype: torch.float64 });
    const y = t.call(value);
    expectNumbers(() => y, want.y, "y");
    expectNumbers(() => t.inv.call(y), want.back, "back");
    expectNumbers(() => t.log_abs_det_jacobian(value, y), want.log, "log");
    expect([t.domain.event_dim, t.codomain.event_dim]).toEqual(want.event_dim);
    expect(t.forward_shape(value.shape)).toEqual(want.shape);
  });
});
