/** Elementwise functions of complex numbers as formulas of their parts. */

import { bool, Complex, type Scalar } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { Tensor } from "../../core/tensor.ts";
import { complexRule, joined, part } from "../../engine/complex.ts";
import { callPrimitive } from "../../engine/define.ts";
import { div } from "../arithmetic.ts";
import { ones_like, zeros_like } from "../creation.ts";
import { broadcast_tensors } from "../view_forms.ts";
import { complexType, minus, type Operand, over, partsOf, plus, type Real, tensorOf, times, type Z } from "./numbers.ts";

const tensorIn = (...args: readonly unknown[]): Tensor => args.find((x) => x instanceof Tensor) as Tensor;

function binary(name: string, f: (a: Z, b: Z, like: Tensor) => Z): void {
  complexRule(name, (input: Operand, other: Operand) => {
    const dtype = complexType(name, [input, other]);
    const [a, b] = [partsOf(input, dtype), partsOf(other, dtype)];
    const like = tensorIn(a.re, b.re, a.im, b.im);
    return tensorOf(f(a, b, like), like);
  });
}

function scaledBy(name: string, f: (a: Z, b: Z) => Z): void {
  complexRule(name, (input: Operand, other: Operand, alpha: Operand = 1) => {
    const dtype = complexType(name, [input, other]);
    const [a, b] = [partsOf(input, dtype), times(partsOf(other, dtype), partsOf(alpha, dtype))];
    return tensorOf(f(a, b), tensorIn(a.re, b.re));
  });
}
scaledBy("add", plus);
scaledBy("sub", minus);
scaledBy("rsub", (a, b) => minus(b, a));
binary("mul", times);
complexRule("div", (input: Operand, other: Operand, mode: string | null) => {
  if (mode !== null) throw new RuntimeError(`div: rounding_mode "${mode}" is not supported for complex tensors`);
  const dtype = complexType("div", [input, other]);
  const [a, b] = [partsOf(input, dtype), partsOf(other, dtype)];
  const like = tensorIn(a.re, b.re);
  return tensorOf(over(a, b, like), like);
});

/** A function of one argument given by its parts. */
function unary(name: string, f: (re: Tensor, im: Tensor) => readonly [Tensor, Tensor]): void {
  complexRule(name, (z: Tensor) => joined(...f(part(z, 0), part(z, 1))));
}
/** A function of one argument made of others. */
function formula(name: string, f: (z: Tensor) => Tensor): void {
  complexRule(name, f);
}

unary("neg", (a, b) => [a.neg(), b.neg()]);
unary("positive", (a, b) => [a, b]);
unary("square", (a, b) => [a.mul(a).sub(b.mul(b)), a.mul(b).mul(2)]);
formula("reciprocal", (z) => {
  const like = part(z, 0);
  return tensorOf(over({ re: 1, im: 0 }, { re: like, im: part(z, 1) }, like), like);
});
formula("abs", (z) =>
  callPrimitive(
    "abs",
    [z],
    (ctx) => {
      ctx.save(z);
      return part(z, 0).hypot(part(z, 1));
    },
    (ctx, g) => {
      const [own] = ctx.saved() as [Tensor];
      // A product of complex numbers: NaN in one part of the sign is NaN in both.
      return [own.sgn().mul(joined(g as Tensor, null))];
    },
  ),
);
formula("sgn", (z) => {
  const size = z.abs();
  // At 0 the gradient is 0, too.
  return z.div(size.where(size.ne(0), Infinity));
});
formula("sign", () => {
  throw new RuntimeError("sign: Unlike NumPy, torch.sign is not intended to support complex numbers; use torch.sgn");
});

unary("exp", (a, b) => {
  const size = a.exp();
  // A real number's exponential is real, also where it is infinite.
  return [size.mul(b.cos()), b.where(b.eq(0).logical_and(size.isinf()), size.mul(b.sin()))];
});
formula("exp2", (z) => z.mul(Math.LN2).exp());
unary("expm1", (a, b) => {
  const half = b.div(2).sin();
  return [a.expm1().mul(b.cos()).sub(half.mul(half).mul(2)), a.exp().mul(b.sin())];
});
/** log |z|, also where z is close to the unit circle or far out. */
function logSize(a: Tensor, b: Tensor): Tensor {
  const size = a.hypot(b);
  const near = size.gt(0.7).logical_and(size.lt(1.4));
  const excess = a.sub(1).mul(a.add(1)).add(b.mul(b));
  return excess.where(near, 0).log1p().div(2).where(near, size.where(near.logical_not(), 2).log());
}
unary("log", (a, b) => [logSize(a, b), b.atan2(a)]);
formula("log2", (z) => z.log().div(Math.LN2));
formula("log10", (z) => z.log().div(Math.LN10));
unary("log1p", (a, b) => {
  const small = a.abs().lt(0.5).logical_and(b.abs().lt(0.5));
  const excess = a.mul(a.add(2)).add(b.mul(b));
  const near = excess.where(small, 0).log1p().div(2);
  const c = a.add(1);
  return [near.where(small, logSize(c, b)), b.atan2(c)];
});
unary("sqrt", (a, b) => {
  const size = a.hypot(b);
  const zero = size.eq(0);
  // The greater part by the sum, the other one from it: no digits are lost.
  const t = a.abs().add(size).div(2).where(zero.logical_not(), 1).sqrt().where(zero.logical_not(), 0);
  const other = b.div(t.where(zero.logical_not(), 1).mul(2));
  const right = a.ge(0);
  // The sign of zero counts: on the negative axis it says from which side.
  const side = ones_like(b.detach()).copysign(b.detach());
  return [t.where(right, other.mul(side)), other.where(right, t.mul(side))];
});
formula("rsqrt", (z) => z.sqrt().reciprocal());

unary("sin", (a, b) => [a.sin().mul(b.cosh()), a.cos().mul(b.sinh())]);
unary("cos", (a, b) => [a.cos().mul(b.cosh()), a.sin().mul(b.sinh()).neg()]);
unary("sinh", (a, b) => [a.sinh().mul(b.cos()), a.cosh().mul(b.sin())]);
unary("cosh", (a, b) => [a.cosh().mul(b.cos()), a.sinh().mul(b.sin())]);
function tanhParts(a: Tensor, b: Tensor): readonly [Tensor, Tensor] {
  // Beyond 20 it is one but for less than a rounding; the formula would overflow.
  const x = a.clamp(-20, 20).mul(2);
  const y = b.mul(2);
  const d = x.cosh().add(y.cos());
  return [x.sinh().div(d), y.sin().div(d)];
}
unary("tanh", tanhParts);
// tan z = -i tanh iz
unary("tan", (a, b) => {
  const [x, y] = tanhParts(b.neg(), a);
  return [y, x.neg()];
});
const timesI = (z: Tensor): Tensor => joined(part(z, 1).neg(), part(z, 0));
const overI = (z: Tensor): Tensor => joined(part(z, 1), part(z, 0).neg());
/** As Kahan has it (1987): the parts of sqrt(1 - z) and sqrt(1 + z) keep signs and digits. */
const roots = (z: Tensor): readonly [Tensor, Tensor] => [z.neg().add(1).sqrt(), z.add(1).sqrt()];
function asinParts(z: Tensor): readonly [Tensor, Tensor] {
  const [minusRoot, plusRoot] = roots(z);
  const re = part(z, 0).atan2(part(minusRoot.mul(plusRoot), 0));
  return [re, part(minusRoot.conj().mul(plusRoot), 1).asinh()];
}
formula("asin", (z) => joined(...asinParts(z)));
formula("acos", (z) => {
  const [minusRoot, plusRoot] = roots(z);
  return joined(part(minusRoot, 0).atan2(part(plusRoot, 0)).mul(2), part(plusRoot.conj().mul(minusRoot), 1).asinh());
});
formula("asinh", (z) => overI(timesI(z).asin()));
formula("acosh", (z) => {
  const [minusRoot, plusRoot] = [z.sub(1).sqrt(), z.add(1).sqrt()];
  return joined(part(minusRoot.conj().mul(plusRoot), 0).asinh(), part(minusRoot, 1).atan2(part(plusRoot, 0)).mul(2));
});
unary("atanh", (a, b) => {
  const square = b.mul(b);
  const c = a.neg().add(1);
  // Of the absolute value, under a logarithm that keeps its digits close to 0.
  const side = ones_like(a.detach()).copysign(a.detach());
  const size = a.mul(side);
  const far = size.neg().add(1);
  return [
    size.mul(4).div(far.mul(far).add(square)).log1p().div(4).mul(side),
    b
      .mul(2)
      .atan2(c.mul(a.add(1)).sub(square))
      .div(2),
  ];
});
formula("atan", (z) => overI(timesI(z).atanh()));
complexRule("true_divide", (input: Operand, other: Operand) => div(input as Tensor, other));
formula("sinc", (z) => {
  const zero = z.eq(0);
  const y = z.mul(Math.PI).where(zero.logical_not(), 1);
  return y.sin().div(y).where(zero.logical_not(), 1);
});
formula("sigmoid", (z) => z.neg().exp().add(1).reciprocal());
formula("silu", (z) => z.mul(z.sigmoid()));

complexRule("pow", (input: Operand, exponent: Operand) => {
  const plain = typeof exponent === "number" ? exponent : null;
  const base = input as Tensor;
  if (plain === 0) return base.mul(0).add(1);
  if (plain === 0.5) return base.sqrt();
  if (plain === 2) return base.mul(base);
  if (plain === 3) return base.mul(base).mul(base);
  if (plain === -1) return base.reciprocal();
  const dtype = complexType("pow", [input, exponent]);
  const [a, b] = [partsOf(input, dtype), partsOf(exponent, dtype)];
  const like = tensorIn(a.re, b.re);
  const [z, w] = broadcast_tensors(tensorOf(a, like), tensorOf(b, like)) as [Tensor, Tensor];
  const zero = z.eq(0);
  const one = w.eq(0);
  const result = w.mul(z.where(zero.logical_not(), 1).log()).exp();
  return result.where(zero.logical_not(), w.mul(0)).where(one.logical_not(), 1);
});

complexRule("eq", (x: Operand, y: Operand) => same(x, y));
complexRule("ne", (x: Operand, y: Operand) => same(x, y).logical_not());
function same(x: Operand, y: Operand): Tensor {
  const dtype = complexType("eq", [x, y]);
  const [a, b] = [partsOf(x, dtype), partsOf(y, dtype)];
  const equal = (p: Real, q: Real): Tensor | boolean => (p instanceof Tensor ? p.eq(q) : q instanceof Tensor ? q.eq(p) : p === q);
  const [re, im] = [equal(a.re, b.re), equal(a.im, b.im)];
  // One of x and y is a tensor, so `re` is one.
  if (im instanceof Tensor) return im.logical_and(re as Tensor);
  return im ? (re as Tensor) : zeros_like(re as Tensor);
}

const either = (f: (x: Tensor) => Tensor) => (z: Tensor) => f(part(z, 0)).logical_or(f(part(z, 1)));
complexRule(
  "isnan",
  either((x) => x.isnan()),
);
complexRule(
  "isinf",
  either((x) => x.isinf()),
);
complexRule("isfinite", (z: Tensor) => part(z, 0).isfinite().logical_and(part(z, 1).isfinite()));
complexRule("isreal", (z: Tensor) => part(z, 1).eq(0));
complexRule("logical_not", (z: Tensor) => z.eq(0));
const isTrue = (x: Operand): boolean => (x instanceof Complex ? x.re !== 0 || x.im !== 0 : Number(x) !== 0);
for (const name of ["logical_and", "logical_or", "logical_xor"] as const) {
  const truth = (x: Operand): Operand => (x instanceof Tensor ? (x.dtype.is_complex ? x.ne(0) : x.to(bool)) : isTrue(x));
  complexRule(name, (x: Operand, y: Operand) => {
    const [a, b] = x instanceof Tensor ? [x, y] : [y as Tensor, x];
    return (truth(a) as Tensor)[name](truth(b) as Tensor);
  });
}

complexRule("addcmul", (input: Tensor, x: Tensor, y: Tensor, value: Scalar) => input.add(x.mul(y).mul(value)));
complexRule("addcdiv", (input: Tensor, x: Tensor, y: Tensor, value: Scalar) => input.add(x.div(y).mul(value)));
// `end` may come as a number.
complexRule("lerp", (input: Tensor, end: Operand, weight: Operand) =>
  input.add(
    input
      .neg()
      .add(end as Tensor)
      .mul(weight as Tensor),
  ),
);

for (const name of [
  "lt",
  "le",
  "gt",
  "ge",
  "maximum",
  "minimum",
  "max",
  "min",
  "amax",
  "amin",
  "clamp",
  "sort",
  "argsort",
  "floor",
  "ceil",
  "round",
  "trunc",
  "argmax",
  "argmin",
  "fmod",
  "remainder",
]) {
  complexRule(name, () => {
    throw new RuntimeError(`${name}: not defined for complex numbers, which have no order; compare absolute values or parts`);
  });
}

complexRule("isclose", (a: Tensor, b: Tensor, rtol: number, atol: number, equal_nan: boolean) => {
  const distance = a.sub(b).abs();
  const close = a.eq(b).logical_or(distance.isfinite().logical_and(distance.le(b.abs().mul(rtol).add(atol))));
  return equal_nan ? close.logical_or(a.ne(a).logical_and(b.ne(b))) : close;
});
