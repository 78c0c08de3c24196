/** Modified Bessel functions of f32, by expansions in Chebyshev polynomials (our own, computed with mpmath). */

import type { Block, V } from "../builder.ts";
import { func, INF_BITS, NAN_BITS, sizeBits, unless, withSign } from "./basics.ts";
import { expansion } from "./math_erf.ts";
import { exp } from "./math_exp.ts";

/** e^-x sqrt(1 + x) I0(x) for x >= 0, in (x - 6) / (x + 6). */
// prettier-ignore
const I0 = [
  0.5505849907, -0.2393837091, 0.1309785917, -0.0598395206, 0.02036355649, -0.003162190536, -0.00170234137, 0.001682764781,
  -7.427381771e-4, 1.756086866e-4, -7.056413148e-6, -4.771850256e-6, -3.167077858e-6, 2.974636034e-6, -6.683997544e-7,
  -6.98470725e-8, -1.108915496e-8, 5.515272644e-8, -1.567199628e-8, -2.528757366e-9,
];
/** e^-x (1 + x)^1.5 I1(x) / x for x >= 0, in (x - 6) / (x + 6). */
// prettier-ignore
const I1 = [
  0.4791806271, -0.08709938654, -0.008161437514, 0.02855578185, -0.02017730106, 0.008458090852, -0.001771481534,
  -3.281103319e-4, 4.028377155e-4, -1.258396021e-4, -1.337182064e-6, 1.215904002e-5, -1.162048198e-6, -1.699530717e-6,
  4.454739361e-7, 1.705684293e-7, -6.065305076e-8, -2.995011681e-8, 1.113044968e-8, 4.70161851e-9,
];

/** PyTorch's float32 I0 and I1 overflow together with e^x; what is built on them (the Kaiser window) counts on it. */
const EXP_OVERFLOW = 88.722839;

/** e^-a I0(a), or I1(a). */
function scaled(b: Block, a: V, order: 0 | 1): V {
  const x = a.min(1e30);
  const next = x.add(1);
  const y = expansion(b, x.sub(6).div(x.add(6)), order === 0 ? I0 : I1).div(next.sqrt());
  return unless(b, order === 0 ? y : y.mul(x.div(next)), [sizeBits(a).eq(INF_BITS), 0]);
}

/** e^a y, whose product may be finite where e^a is not. */
function unscaled(b: Block, a: V, y: V): V {
  const half = exp(b, a.min(90).mul(0.5));
  return unless(
    b,
    half.mul(y).mul(half),
    [a.gt(EXP_OVERFLOW), INF_BITS],
    [sizeBits(a).eq(INF_BITS), NAN_BITS], // as PyTorch's
  );
}

export const i0e = func("i0e", 1, (b, x) => {
  return x!.isNan().select(x!, scaled(b, x!.abs(), 0));
});
export const i1e = func("i1e", 1, (b, x) => {
  return x!.isNan().select(x!, withSign(scaled(b, x!.abs(), 1), x!));
});
export const i0 = func("i0", 1, (b, x) => {
  const a = x!.abs();
  return x!.isNan().select(x!, unscaled(b, a, scaled(b, a, 0)));
});
export const i1 = func("i1", 1, (b, x) => {
  const a = x!.abs();
  return x!.isNan().select(x!, withSign(unscaled(b, a, scaled(b, a, 1)), x!));
});
