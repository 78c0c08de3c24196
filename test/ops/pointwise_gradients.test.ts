/** First and second derivatives of the elementwise ops against central differences in float64. */

import { describe, expect, test } from "vitest";
import * as torch from "../../ts/entry.node.ts";
import type { Tensor } from "../../ts/core/tensor.ts";

const F = torch.nn.functional;
const { special } = torch;

const vector = (values: readonly number[]): Tensor => torch.tensor([...values], { dtype: torch.float64 });
const numbers = (t: Tensor): number[] => Array.from(t.data_sync(), Number);

type Fn = (...args: Tensor[]) => Tensor;
const STEP = 1e-6;

function close(got: readonly number[], want: readonly number[], tolerance: number, what: string): void {
  got.forEach((g, i) => {
    const bound = tolerance * (1 + Math.abs(want[i]!));
    expect(Math.abs(g - want[i]!), `${what}[${i}]: got ${g}, want ${want[i]}`).toBeLessThanOrEqual(bound);
  });
}

/** Central difference of `f`, element by element, along argument `k`. */
function difference(f: (points: number[][]) => number[], points: readonly number[][], k: number): number[] {
  const moved = (by: number): number[][] => points.map((p, j) => (j === k ? p.map((x) => x + by) : p));
  const [up, down] = [f(moved(STEP)), f(moved(-STEP))];
  return up.map((u, i) => (u - down[i]!) / (2 * STEP));
}

function check(f: Fn, points: readonly number[][]): void {
  const weight = points[0]!.map((_, i) => 0.7 + 0.13 * i);
  const direction = points.map((p, k) => p.map((_, i) => 0.9 - 0.21 * i + 0.3 * k));
  const gradients = (xs: Tensor[], create_graph: boolean): (Tensor | null)[] => {
    const y = f(...xs);
    if (!y.requires_grad) return xs.map(() => null);
    return torch.autograd.grad(y, xs, { grad_outputs: vector(weight), create_graph, allow_unused: true });
  };
  const leaves = (ps: readonly number[][]): Tensor[] => ps.map((p) => vector(p).requires_grad_());

  const xs = leaves(points);
  const first = gradients(xs, true);
  points.forEach((p, k) => {
    const want = difference((ps) => numbers(f(...ps.map(vector))), points, k).map((d, i) => d * weight[i]!);
    const got = first[k];
    close(got ? numbers(got) : p.map(() => 0), want, 1e-5, `derivative by argument ${k}`);
  });

  // The derivative of direction · gradient, over the gradients that depend on anything.
  const live = first.map((g) => g?.requires_grad === true);
  const chosen = first.filter((_, k) => live[k]) as Tensor[];
  if (chosen.length === 0) return;
  const grad_outputs = direction.filter((_, k) => live[k]).map(vector);
  const second = torch.autograd.grad(chosen, xs, { grad_outputs, allow_unused: true });
  const along = (ps: number[][]): number[] => {
    const total = ps[0]!.map(() => 0);
    gradients(leaves(ps), false).forEach((g, k) => {
      if (g !== null && live[k]) numbers(g).forEach((x, i) => (total[i]! += x * direction[k]![i]!));
    });
    return total;
  };
  points.forEach((p, k) => {
    const got = second[k];
    close(got ? numbers(got) : p.map(() => 0), difference(along, points, k), 1e-4, `second derivative by argument ${k}`);
  });
}

const ANY = [0.3, -0.7, 1.4, -2.2, 0.05];
const OTHER = [1.1, 0.6, -0.9, 3.1, -1.5];
const POSITIVE = [0.3, 0.8, 1.4, 2.2, 0.05];
const UNIT = [0.3, -0.7, 0.4, -0.2, 0.05];
const ABOVE_ONE = [1.3, 1.8, 2.4, 5.2, 1.05];
const PROBABILITY = [0.1, 0.4, 0.7, 0.9, 0.2];
const mask = torch.tensor([true, false, true, false, true]);

const CASES: Record<string, readonly [Fn, ...number[][]]> = {
  rsub: [(x, y) => torch.rsub(x!, y!, { alpha: 2 }), ANY, OTHER],
  "add alpha": [(x, y) => x!.add(y!, { alpha: 0.3 }), ANY, OTHER],
  "div floor": [(x, y) => x!.div(y!, { rounding_mode: "floor" }), ANY, OTHER],
  pow: [(x, y) => x!.pow(y!), POSITIVE, OTHER],
  "number to the power": [(y) => torch.pow(2.5, y!), ANY],
  float_power: [(x, y) => x!.float_power(y!), POSITIVE, OTHER],
  xlogy: [(x, y) => x!.xlogy(y!), ANY, POSITIVE],
  addcmul: [(x, y, z) => x!.addcmul(y!, z!, { value: 0.3 }), ANY, OTHER, POSITIVE],
  addcdiv: [(x, y, z) => x!.addcdiv(y!, z!, { value: 0.3 }), ANY, OTHER, POSITIVE],
  lerp: [(x, y, z) => x!.lerp(y!, z!), ANY, OTHER, POSITIVE],
  "lerp by a number": [(x, y) => x!.lerp(y!, 0.3), ANY, OTHER],
  clamp: [(x, y, z) => x!.clamp(y!, z!), ANY, [-1, -0.5, 0, -3, 0.1], [1, 0.5, 1, -1, 0.4]],
  "clamp to numbers": [(x) => x!.clamp(-0.5, 1), ANY],
  clamp_min: [(x) => x!.clamp_min(0.1), ANY],
  where: [(x, y) => torch.where(mask, x!, y!), ANY, OTHER],
  masked_fill: [(x) => x!.masked_fill(mask, 3), ANY],
  igamma: [(x) => torch.igamma(vector(ABOVE_ONE), x!), POSITIVE],
  igammac: [(x) => torch.igammac(vector(ABOVE_ONE), x!), POSITIVE],
  mvlgamma: [(x) => x!.mvlgamma(3), ABOVE_ONE],
  polygamma: [(x) => torch.polygamma(2, x!), ABOVE_ONE],
  ldexp: [(x) => x!.ldexp(vector([1, 2, -1, 0, 3])), ANY],
  frexp: [(x) => x!.frexp().mantissa, ANY],
  acosh: [(x) => x!.acosh(), ABOVE_ONE],
  logit: [(x) => x!.logit(), PROBABILITY],
  "logit eps": [(x) => x!.logit(0.15), PROBABILITY],
  "special.ndtri": [(x) => special.ndtri(x!), PROBABILITY],
  "special.entr": [(x) => special.entr(x!), POSITIVE],
  "special.xlog1py": [(x, y) => special.xlog1py(x!, y!), ANY, POSITIVE],
  "gelu tanh": [(x) => F.gelu(x!, { approximate: "tanh" }), ANY],
  prelu: [(x, w) => F.prelu(x!.reshape([1, 5]), w!).reshape([5]), ANY, OTHER],
  threshold: [(x) => F.threshold(x!, 0.1, 20), ANY],
  "elu alpha": [(x) => F.elu(x!, 1.7), ANY],
  "celu alpha": [(x) => F.celu(x!, 1.7), ANY],
  "softplus beta": [(x) => F.softplus(x!, 2, 2.5), ANY],
  "in place": [(x) => x!.mul(1).square_().exp_(), ANY],
  "silu in place": [(x) => F.silu(x!.mul(2), true), ANY],
  copy_: [(x, y) => x!.mul(1).copy_(y!.mul(x!)), ANY, OTHER],
  zero_: [(x) => x!.mul(3).zero_().add(x!), ANY],
};

const UNARY = [
  "abs",
  "exp",
  "exp2",
  "expm1",
  "sin",
  "cos",
  "tan",
  "sinh",
  "cosh",
  "tanh",
  "asinh",
  "atan",
  "sigmoid",
  "erf",
  "erfc",
  "square",
  "neg",
  "frac",
  "floor",
  "ceil",
  "round",
  "trunc",
  "sign",
  "relu",
  "deg2rad",
  "rad2deg",
  "sinc",
  "digamma",
  "lgamma",
  "i0",
  "reciprocal",
  "nan_to_num",
] as const;
const LOGARITHMIC = ["log", "log2", "log10", "log1p", "sqrt", "rsqrt"] as const;
const BOUNDED = ["asin", "acos", "atanh", "erfinv"] as const;
const BINARY = [
  "add",
  "sub",
  "mul",
  "div",
  "true_divide",
  "remainder",
  "fmod",
  "atan2",
  "maximum",
  "minimum",
  "fmax",
  "fmin",
  "logaddexp",
  "logaddexp2",
  "copysign",
  "hypot",
] as const;
const SPECIAL = ["i0e", "i1", "i1e", "ndtr", "log_ndtr", "erfcx"] as const;
const ACTIVATIONS = [
  "relu",
  "relu6",
  "elu",
  "selu",
  "celu",
  "gelu",
  "silu",
  "mish",
  "softplus",
  "softsign",
  "hardtanh",
  "hardswish",
  "hardsigmoid",
  "hardshrink",
  "softshrink",
  "tanhshrink",
  "leaky_relu",
  "rrelu",
  "logsigmoid",
  "sigmoid",
  "tanh",
] as const;

for (const name of UNARY) CASES[name] = [(x) => x![name](), ANY];
for (const name of LOGARITHMIC) CASES[name] = [(x) => x![name](), POSITIVE];
for (const name of BOUNDED) CASES[name] = [(x) => x![name](), UNIT];
for (const name of BINARY) CASES[name] = [(x, y) => x![name](y!), ANY, OTHER];
for (const name of SPECIAL) CASES[`special.${name}`] = [(x) => special[name](x!), ANY];
for (const name of ACTIVATIONS) CASES[`nn.functional.${name}`] = [(x) => F[name](x!), ANY];
for (const n of [0, 0.5, 1, 2, 3, -1, -0.5, -2, 2.5]) CASES[`pow ${n}`] = [(x) => x!.pow(n), POSITIVE];

describe("first and second derivatives", () => {
  test.each(Object.keys(CASES))("%s", (name) => {
    const [f, ...points] = CASES[name]!;
    check(f, points);
  });
});
