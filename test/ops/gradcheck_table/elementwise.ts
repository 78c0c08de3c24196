/** Elementwise ops, by the interval that their arguments come from. */

import * as torch from "../../../ts/entry.node.ts";
import type { Draw, Entries } from "./check.ts";
import type { Random } from "./random.ts";

type Interval = readonly [low: number, high: number];
const ANY: Interval = [-3, 3];
const POSITIVE: Interval = [0, 3];
const UNIT: Interval = [-0.95, 0.95];
const PROBABILITY: Interval = [0, 0.95];
const ABOVE_ONE: Interval = [1, 4];

/** Ops of one tensor, and what else they may be given. */
const unary = (names: string, interval: Interval, rest: (r: Random) => readonly unknown[] = () => []): Entries =>
  Object.fromEntries(names.split(" ").map((name): [string, Draw] => [name, (r) => [r.x(r.shape(), ...interval), ...rest(r)]]));

/** Ops of two tensors, of which the second may be a number where they take one. */
const binary = (
  names: string,
  a: Interval,
  b: Interval,
  { numbers = false, rest = (): readonly unknown[] => [] }: { numbers?: boolean; rest?: (r: Random) => readonly unknown[] } = {},
): Entries =>
  Object.fromEntries(
    names.split(" ").map((name): [string, Draw] => [
      name,
      (r) => {
        const [s, t] = r.shapes();
        const second = numbers && r.bool(0.2) ? r.number(...b) : r.x(t, ...b);
        return [r.x(s, ...a), second, ...rest(r)];
      },
    ]),
  );

/** Three tensors that broadcast. */
const ternary =
  (a: Interval, b: Interval, c: Interval, rest: (r: Random) => readonly unknown[]): Draw =>
  (r) => {
    const shape = r.shape();
    return [r.x(shape, ...a), r.x(r.narrower(shape), ...b), r.x(r.narrower(shape), ...c), ...rest(r)];
  };

const alpha = (r: Random): readonly unknown[] => (r.bool() ? [] : [{ alpha: r.number() }]);
const value = (r: Random): readonly unknown[] => (r.bool() ? [] : [{ value: r.number() }]);

export const elementwise: Entries = {
  ...unary(
    "abs exp exp2 expm1 sin cos sinh cosh tanh asinh atan sigmoid erf erfc square neg frac floor ceil trunc sign sgn relu deg2rad rad2deg sinc " +
      "special.i0 reciprocal positive special.i0e special.i1 special.i1e special.ndtr special.log_ndtr special.erfcx angle",
    ANY,
  ),
  ...unary("tan", [-1.3, 1.3]),
  ...unary("digamma lgamma", [0.3, 4]),
  ...unary("round", ANY, (r) => (r.bool() ? [] : [{ decimals: 0 }])),
  ...unary("nan_to_num", ANY, (r) => (r.bool() ? [] : [{ nan: 1 }])),
  ...unary("log log2 log10 log1p sqrt rsqrt special.entr", POSITIVE),
  ...unary("asin acos atanh erfinv", UNIT),
  ...unary("acosh", ABOVE_ONE),
  ...unary("special.ndtri", PROBABILITY),
  logit: (r) => (r.bool() ? [r.x(r.shape(), ...PROBABILITY)] : [r.x(r.shape(), -0.5, 1.5), 0.25]),
  mvlgamma: (r) => [r.x(r.shape(), 2, 6), r.int(1, 4)],
  polygamma: (r) => [r.int(0, 4), r.x(r.shape(), 0.5, 5)],
  "Tensor.polygamma": (r) => [r.x(r.shape(), 0.5, 5), r.int(0, 4)],
  ...Object.fromEntries(
    ["hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"].map(
      (name): [string, Draw] => [`special.${name}`, (r) => [r.x(r.shape(), ...UNIT), r.int(0, 4)]],
    ),
  ),
  frexp: (r) => {
    const x = r.x(r.shape(), 0.5, 1);
    return { inputs: [x], call: (t) => torch.frexp(t!).mantissa };
  },

  ...binary("add sub", ANY, ANY, { numbers: true, rest: alpha }),
  rsub: (r) => {
    const [s, t] = r.shapes();
    return [r.x(s), r.bool(0.2) ? r.number() : r.x(t), ...alpha(r)];
  },
  ...binary("mul true_divide remainder fmod", ANY, ANY, { numbers: true }),
  div: (r) => {
    const [s, t] = r.shapes();
    const mode = r.complex ? null : r.pick([null, "trunc", "floor"]);
    return [r.x(s), r.bool(0.2) ? r.number() : r.x(t), { rounding_mode: mode }];
  },
  ...binary("atan2 maximum minimum fmax fmin logaddexp logaddexp2 hypot", ANY, ANY),
  ...binary("copysign", ANY, ANY, { numbers: true }),
  ...binary("xlogy special.xlog1py", ANY, POSITIVE, { numbers: true }),
  ...binary("ldexp", ANY, ANY),
  pow: (r) => {
    const [s, t] = r.shapes();
    const way = r.int(0, 3);
    if (way === 0) return [r.x(s), r.pick([0, 1, 2, 3, -1, -2])];
    if (way === 1) return [r.x(s, ...POSITIVE), r.pick([0.5, -0.5, 1.5, 2.5, -1.3])];
    if (way === 2) return [r.number(...POSITIVE), r.x(t)];
    return [r.x(s, ...POSITIVE), r.x(t)];
  },
  float_power: (r) => {
    const [s, t] = r.shapes();
    return r.bool(0.3) ? [r.x(s), r.pick([0, 1, 2, 3, -1])] : [r.x(s, ...POSITIVE), r.x(t)];
  },
  // The first argument's derivative is not known, to PyTorch either.
  ...Object.fromEntries(
    ["igamma", "igammac"].map((name): [string, Draw] => [
      name,
      (r) => {
        const [s, t] = r.shapes();
        return [r.constant(s, 0.5, 3), r.x(t, ...POSITIVE)];
      },
    ]),
  ),
  "special.zeta": (r) => {
    const [s, t] = r.shapes();
    return [r.constant(s, 1.5, 4), r.x(t, 0.5, 3)];
  },
  addcmul: ternary(ANY, ANY, ANY, value),
  addcdiv: ternary(ANY, ANY, ANY, value),
  lerp: (r) => {
    const shape = r.shape();
    return [r.x(shape), r.x(shape), r.bool(0.4) ? r.number(0, 1) : r.x(r.narrower(shape))];
  },
  clamp: (r) => {
    const shape = r.shape();
    const bound = (low: number, high: number): unknown => (r.bool() ? r.number(low, high) : r.x(r.narrower(shape), low, high));
    // Bounds of one kind: numbers or tensors.
    const numbers = r.bool();
    const of = (low: number, high: number): unknown => (numbers ? r.number(low, high) : r.x(r.narrower(shape), low, high));
    const which = r.int(0, 2);
    if (which === 0) return [r.x(shape), { min: bound(-2, 0) }];
    if (which === 1) return [r.x(shape), { max: bound(0, 2) }];
    return [r.x(shape), of(-2, 0.4), of(-0.4, 2)];
  },
  ...binary("clamp_min clamp_max", ANY, ANY, { numbers: true }),
  masked_fill: (r) => {
    const shape = r.shape();
    return [r.x(shape), r.mask(r.narrower(shape)), r.bool() ? r.number() : r.x([])];
  },
  where: (r) => {
    const [s, t] = r.shapes();
    const mask = r.mask(s);
    if (r.bool(0.2)) return [mask, r.x(s), r.number()];
    return r.bool(0.2) ? [mask, r.number(), r.x(t)] : [mask, r.x(s), r.x(t)];
  },
  "Tensor.where": (r) => {
    const [s, t] = r.shapes();
    return [r.x(s), r.mask(s), r.x(t)];
  },
  fill: (r) => [r.x(), r.bool() ? r.number() : r.x([])],
  ...Object.fromEntries(
    ["__radd__", "__rsub__", "__rmul__", "__rdiv__", "__rpow__", "__rmod__"].map((name): [string, Draw] => [
      `Tensor.${name}`,
      (r) => [r.x(), name === "__rpow__" ? r.number(...POSITIVE) : r.number()],
    ]),
  ),
  "Tensor.__rmatmul__": (r) => [r.x([3, 2]), r.x([4, 3])],

  // Complex numbers and their parts.
  complex: (r) => {
    const [s, t] = r.shapes();
    return [r.x(s), r.x(t)];
  },
  polar: (r) => {
    const [s, t] = r.shapes();
    return [r.x(s, ...POSITIVE), r.x(t)];
  },
  real: (r) => [r.x()],
  imag: (r) => ({ inputs: [r.x()], call: (t) => torch.imag(t!.dtype.is_complex ? t! : torch.complex(t!, t!.mul(2))) }),
  conj: (r) => [r.x()],
  conj_physical: (r) => [r.x()],
  resolve_conj: (r) => [r.x()],
  resolve_neg: (r) => [r.x()],
  view_as_complex: (r) => [
    torch
      .tensor(
        [
          [1, 2.5],
          [-0.7, r.number()],
        ],
        { dtype: torch.float64 },
      )
      .requires_grad_(),
  ],
  view_as_real: (r) => ({
    inputs: [r.x()],
    call: (t) => torch.view_as_real(t!.dtype.is_complex ? t! : torch.complex(t!, t!.sin())),
  }),

  // Draws that overwrite: nothing depends on what was there.
  ...Object.fromEntries(
    ["normal_", "uniform_", "exponential_", "cauchy_", "log_normal_", "geometric_", "random_", "bernoulli_"].map(
      (name): [string, Draw] => [
        name,
        (r) => ({
          inputs: [r.x()],
          call: (t) => {
            const copy = t!.clone() as unknown as Record<string, (...args: unknown[]) => unknown>;
            return copy[name]!(...(name === "geometric_" ? [0.5] : []));
          },
        }),
      ],
    ),
  ),
  bernoulli: (r) => [r.x(r.shape(), 0, 0.9)],
  poisson: (r) => [r.x(r.shape(), 0, 0.9)],
  zero_: (r) => ({ inputs: [r.x()], call: (t) => t!.clone().zero_().add(t!) }),
  copy_: (r) => {
    const shape = r.shape();
    return { inputs: [r.x(shape), r.x(r.narrower(shape))], call: (t, u) => t!.clone().copy_(u!).mul(t!) };
  },
  to: (r) => {
    const way = r.int(0, 2);
    return {
      inputs: [r.x()],
      call: (t) => (way === 0 ? t!.to(torch.float64) : way === 1 ? t!.to("cpu") : t!.to({ copy: true })),
    };
  },
  "Tensor.double": (r) => ({ inputs: [r.x()], call: (t) => t!.double() }),
  "Tensor.cdouble": (r) => ({ inputs: [r.x()], call: (t) => t!.cdouble() }),
  "Tensor.cpu": (r) => ({ inputs: [r.x()], call: (t) => t!.cpu() }),
  "Tensor.type_as": (r) => [r.x(), torch.zeros([1], { dtype: torch.float64 })],
};
