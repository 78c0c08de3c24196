/** Complex numbers as pairs of real tensors: what the rules of complex ops compute with. */

import { Complex, type DType, FloatScalar, get_default_dtype, isScalar, type Scalar } from "../../core/dtype.ts";
import { Tensor } from "../../core/tensor.ts";
import { joined, part } from "../../engine/complex.ts";
import { resultType } from "../../engine/promotion.ts";
import { registry } from "../install.ts";

/** A part: a tensor, or a number that is the same everywhere. */
export type Real = Tensor | number;
export interface Z {
  readonly re: Real;
  readonly im: Real;
}
/** What a complex op may be given. */
export type Operand = Tensor | Scalar | Complex;

/** The complex dtype of a result of these arguments. */
export function complexType(name: string, args: readonly Operand[]): DType {
  const type = resultType(name, args as readonly (Tensor | Scalar)[]);
  return type.is_complex ? type : type.is_floating_point ? type.complex : get_default_dtype().complex;
}

/** The parts of an argument, in the dtype that they have in the result. */
export function partsOf(x: Operand, dtype: DType): Z {
  if (x instanceof Complex) return { re: x.re, im: x.im };
  if (isScalar(x)) return { re: Number(x instanceof FloatScalar ? x.value : x), im: 0 };
  if (!x.dtype.is_complex) return { re: x.to(dtype.real), im: 0 };
  return { re: part(x, 0).to(dtype.real), im: part(x, 1).to(dtype.real) };
}

/** A complex tensor of these parts; `like` gives dtype and device where both are numbers. */
export function tensorOf({ re, im }: Z, like: Tensor): Tensor {
  const full = (v: Real): Tensor => (v instanceof Tensor ? v : like.mul(0).add(v));
  if (re instanceof Tensor) return joined(re, im === 0 ? null : im instanceof Tensor ? im : full(im));
  if (im instanceof Tensor) return joined(re === 0 ? null : im.mul(0).add(re), im);
  return joined(full(re), full(im));
}

export const add = (a: Real, b: Real): Real => {
  if (a === 0 && b instanceof Tensor) return b;
  if (b === 0) return a;
  if (a instanceof Tensor) return a.add(b);
  return b instanceof Tensor ? b.add(a) : a + b;
};
export const neg = (a: Real): Real => (a instanceof Tensor ? a.neg() : -a);
export const sub = (a: Real, b: Real): Real => {
  if (b === 0) return a;
  if (a instanceof Tensor) return a.sub(b);
  return b instanceof Tensor ? b.neg().add(a) : a - b;
};
export const mul = (a: Real, b: Real): Real => {
  if (a instanceof Tensor) return b === 1 ? a : a.mul(b);
  return b instanceof Tensor ? (a === 1 ? b : b.mul(a)) : a * b;
};

export const plus = (a: Z, b: Z): Z => ({ re: add(a.re, b.re), im: add(a.im, b.im) });
export const minus = (a: Z, b: Z): Z => ({ re: sub(a.re, b.re), im: sub(a.im, b.im) });
export const scaled = (a: Z, by: Real): Z => ({ re: mul(a.re, by), im: mul(a.im, by) });

/** The product; a factor that is real (its `im` is the number 0) takes two multiplications. */
export function times(a: Z, b: Z): Z {
  if (b.im === 0) return scaled(a, b.re);
  if (a.im === 0) return scaled(b, a.re);
  return { re: sub(mul(a.re, b.re), mul(a.im, b.im)), im: add(mul(a.re, b.im), mul(a.im, b.re)) };
}

const asTensor = (x: Real, like: Tensor): Tensor => (x instanceof Tensor ? x : like.mul(0).add(x));

/** The quotient, scaled by the divisor's greater part so that nothing overflows on the way (Smith, 1962). */
export function over(a: Z, b: Z, like: Tensor): Z {
  if (b.im === 0) {
    const by = (x: Real): Real =>
      x instanceof Tensor ? x.div(b.re) : b.re instanceof Tensor ? b.re.reciprocal().mul(x) : x / b.re;
    return { re: by(a.re), im: a.im === 0 ? 0 : by(a.im) };
  }
  const base = [b.re, b.im].find((x) => x instanceof Tensor) as Tensor | undefined;
  const [c, d] = [asTensor(b.re, base ?? like), asTensor(b.im, base ?? like)];
  const first = c.abs().ge(d.abs());
  const [big, small] = [c.where(first, d), d.where(first, c)];
  // 0 / 0: the divisor's sign does not matter.
  const ratio = small.div(big.where(big.ne(0), 1));
  const scale = big.add(small.mul(ratio)).reciprocal();
  const [x, y] = [asTensor(a.re, c), asTensor(a.im, c)];
  const re = x.add(y.mul(ratio)).where(first, x.mul(ratio).add(y));
  const im = y.sub(x.mul(ratio)).where(first, y.mul(ratio).sub(x));
  return { re: re.mul(scale), im: im.mul(scale) };
}

/** Calls an op with its arguments in the signature's order: those that only come by name go by name. */
export function callBound(name: string, args: readonly unknown[]): Tensor {
  const op = registry.get(name)!;
  const { names, positional, defaults } = op.info.signature;
  const options: Record<string, unknown> = {};
  for (let i = positional; i < names.length; i++) {
    if (args[i] !== undefined && args[i] !== defaults[i]) options[names[i]!] = args[i];
  }
  const call = op as unknown as (...given: unknown[]) => Tensor;
  return Object.keys(options).length > 0 ? call(...args.slice(0, positional), options) : call(...args.slice(0, positional));
}
