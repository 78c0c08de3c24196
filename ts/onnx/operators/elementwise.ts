/** Operators element by element. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import type { Call, Operator, Operators } from "./context.ts";
import { onDevice } from "./context.ts";

const F = torch.nn.functional;

const unary =
  (f: (x: Tensor) => Tensor): Operator =>
  (c) =>
    f(c.x(0));
const binary =
  (f: (a: Tensor, b: Tensor) => Tensor): Operator =>
  (c) =>
    f(c.x(0), c.x(1));
/** Operators of any number of inputs. */
const folded =
  (f: (a: Tensor, b: Tensor) => Tensor): Operator =>
  (c) =>
    c.all().reduce(f);

/** Kept within two bounds, each of which may be missing. */
function clip(c: Call): Tensor {
  const x = c.x(0);
  const bound = (i: number, name: string): Tensor | number | null => {
    if (c.has(i)) return c.x(i);
    return c.attribute(name) === null ? null : c.float(name, 0);
  };
  const [min, max] = [bound(1, "min"), bound(2, "max")];
  if (min === null && max === null) return x;
  const lower = min instanceof torch.Tensor ? torch.maximum(x, min) : min === null ? x : x.clamp_min(min);
  return max instanceof torch.Tensor ? torch.minimum(lower, max) : max === null ? lower : lower.clamp_max(max);
}

/** Rounds towards zero between integers. */
function divide(a: Tensor, b: Tensor): Tensor {
  return a.is_floating_point() ? a.div(b) : a.div(b, { rounding_mode: "trunc" });
}

function castTo(c: Call, dtype: torch.DType): Tensor {
  const x = c.raw(0);
  return x.dtype === dtype ? x : x.to(dtype);
}

function where(c: Call): Tensor {
  return torch.where(c.x(0), c.x(1), c.x(2));
}

function prelu(c: Call): Tensor {
  const [x, slope] = [c.x(0), c.x(1)];
  return torch.where(x.lt(0), x.mul(slope), x);
}

function gelu(c: Call): Tensor {
  return F.gelu(c.x(0), { approximate: c.string("approximate", "none") as "none" | "tanh" });
}

function hardSigmoid(c: Call): Tensor {
  return c.x(0).mul(c.float("alpha", 0.2)).add(c.float("beta", 0.5)).clamp(0, 1);
}

function shrink(c: Call): Tensor {
  const [x, bias, lambd] = [c.x(0), c.float("bias", 0), c.float("lambd", 0.5)];
  const low = torch.where(x.lt(-lambd), x.add(bias), x.mul(0));
  return torch.where(x.gt(lambd), x.sub(bias), low);
}

/** An operator that this file defines by others: half of the input's sign, and so on. */
const isInf: Operator = (c) => {
  const [x, negative, positive] = [c.x(0), c.int("detect_negative", 1), c.int("detect_positive", 1)];
  if (negative !== 0 && positive !== 0) return x.isinf();
  return positive !== 0 ? x.isposinf() : negative !== 0 ? x.isneginf() : x.ne(x);
};

export const elementwise: Operators = {
  Abs: unary((x) => x.abs()),
  Acos: unary((x) => x.acos()),
  Acosh: unary((x) => x.acosh()),
  Add: binary((a, b) => a.add(b)),
  And: binary((a, b) => a.logical_and(b)),
  Asin: unary((x) => x.asin()),
  Asinh: unary((x) => x.asinh()),
  Atan: unary((x) => x.atan()),
  Atanh: unary((x) => x.atanh()),
  BitwiseAnd: binary((a, b) => a.bitwise_and(b)),
  BitwiseNot: unary((x) => x.bitwise_not()),
  BitwiseOr: binary((a, b) => a.bitwise_or(b)),
  BitwiseXor: binary((a, b) => a.bitwise_xor(b)),
  BitShift: (c) =>
    c.string("direction", "") === "LEFT" ? c.x(0).bitwise_left_shift(c.x(1)) : c.x(0).bitwise_right_shift(c.x(1)),
  Cast: (c) => castTo(c, c.dtype("to", torch.float32)),
  CastLike: (c) => castTo(c, c.raw(1).dtype),
  Ceil: unary((x) => x.ceil()),
  Celu: (c) => F.celu(c.x(0), c.float("alpha", 1)),
  Clip: clip,
  Cos: unary((x) => x.cos()),
  Cosh: unary((x) => x.cosh()),
  Div: binary(divide),
  Elu: (c) => F.elu(c.x(0), c.float("alpha", 1)),
  Equal: binary((a, b) => a.eq(b)),
  Erf: unary((x) => x.erf()),
  Exp: unary((x) => x.exp()),
  Floor: unary((x) => x.floor()),
  Gelu: gelu,
  Greater: binary((a, b) => a.gt(b)),
  GreaterOrEqual: binary((a, b) => a.ge(b)),
  HardSigmoid: hardSigmoid,
  HardSwish: unary((x) => F.hardswish(x)),
  IsInf: isInf,
  IsNaN: unary((x) => x.isnan()),
  LeakyRelu: (c) => F.leaky_relu(c.x(0), c.float("alpha", 0.01)),
  Less: binary((a, b) => a.lt(b)),
  LessOrEqual: binary((a, b) => a.le(b)),
  Log: unary((x) => x.log()),
  Max: folded((a, b) => torch.maximum(a, b)),
  Mean: (c) =>
    c
      .all()
      .reduce((a, b) => a.add(b))
      .div(c.count),
  Min: folded((a, b) => torch.minimum(a, b)),
  Mish: unary((x) => F.mish(x)),
  Mod: (c) => (c.int("fmod", 0) === 1 ? c.x(0).fmod(c.x(1)) : c.x(0).remainder(c.x(1))),
  Mul: binary((a, b) => a.mul(b)),
  Neg: unary((x) => x.neg()),
  Not: unary((x) => x.logical_not()),
  Or: binary((a, b) => a.logical_or(b)),
  Pow: (c) => {
    const out = c.x(0).pow(c.x(1));
    return out.dtype === c.x(0).dtype ? out : out.to(c.x(0).dtype);
  },
  PRelu: prelu,
  Reciprocal: unary((x) => x.reciprocal()),
  Relu: unary((x) => x.relu()),
  Round: unary((x) => x.round()),
  Selu: (c) => F.elu(c.x(0), c.float("alpha", 1.6732632423543772)).mul(c.float("gamma", 1.0507009873554805)),
  Shrink: shrink,
  Sigmoid: unary((x) => x.sigmoid()),
  Sign: unary((x) => x.sign()),
  Sin: unary((x) => x.sin()),
  Sinh: unary((x) => x.sinh()),
  Softplus: unary((x) => F.softplus(x)),
  Softsign: unary((x) => F.softsign(x)),
  Sqrt: unary((x) => x.sqrt()),
  Sub: binary((a, b) => a.sub(b)),
  Sum: folded((a, b) => a.add(b)),
  Swish: (c) => c.x(0).mul(c.x(0).mul(c.float("alpha", 1)).sigmoid()),
  Tan: unary((x) => x.tan()),
  Tanh: unary((x) => x.tanh()),
  ThresholdedRelu: (c) => {
    const x = c.x(0);
    return torch.where(x.gt(c.float("alpha", 1)), x, x.mul(0));
  },
  Where: where,
  Xor: binary((a, b) => a.logical_xor(b)),
};

/** Sizes and values that a graph computes with on the cpu. */
export const identity: Operators = {
  Identity: (c) => c.value(0),
  Dropout: (c) => {
    // Models are exported for use; a mask that says so is all ones.
    const training = c.number(2, 0) !== 0;
    const x = c.raw(0);
    const y = training ? F.dropout(x, c.number(1, 0.5), true) : x;
    return [y, torch.ones(x.shape, { dtype: torch.bool, device: x.device })];
  },
  CumSum: (c) => {
    const x = c.x(0);
    const d = c.number(1, 0);
    const back = c.int("reverse", 0) !== 0;
    const along = back ? x.flip(d) : x;
    let sums = along.cumsum(d, { dtype: x.dtype });
    if (c.int("exclusive", 0) !== 0) sums = sums.sub(along);
    return back ? sums.flip(d) : sums;
  },
  Range: (c) => {
    const [start, limit, delta] = [c.raw(0), c.raw(1), c.raw(2)].map((t) => t.item_sync() as number);
    return torch.arange(start!, limit!, delta!, { dtype: c.raw(0).dtype, device: "cpu" });
  },
  Trilu: (c) => (c.int("upper", 1) !== 0 ? c.raw(0).triu(c.number(1, 0)) : c.raw(0).tril(c.number(1, 0))),
  OneHot: (c) => {
    const depth = c.number(1, 0);
    const [off, on] = c.raw(2).unbind(0) as [Tensor, Tensor];
    const at = c.x(0);
    const index = torch.where(at.lt(0), at.add(depth), at).to(torch.int64);
    const axis = c.int("axis", -1);
    const d = axis < 0 ? axis + at.ndim + 1 : axis;
    const line = torch.arange(depth, { device: at.device }).reshape([depth, ...new Array<number>(at.ndim - d).fill(1)]);
    const hit = index.unsqueeze(d).eq(line);
    return torch.where(hit, onDevice(on, at.device), onDevice(off, at.device));
  },
};
