/** Comparisons, tests of values, logic and choice. */

import { bool, float64, get_default_dtype, isScalar, type DType, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { pointwise, type Values } from "../engine/pointwise.ts";
import { type Args, checkTensor } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import { constant, type Expr } from "../kernel/expr.ts";
import type { BinaryOp, Operand, UnaryOp } from "./arithmetic.ts";

const both = ["input", "other"];

type Predicate = Op<[input: Tensor], Tensor, "method">;

function comparison(name: string, sign: string, expr: (a: Expr, b: Expr) => Expr): BinaryOp {
  return pointwise(name, "input, other", {
    doc: `input ${sign} other, elementwise.`,
    inplace: true,
    tensors: both,
    widen: false,
    expr: ({ input, other }) => expr(input!, other!),
  });
}

export const eq: BinaryOp = comparison("eq", "==", e.eq);
export const ne: BinaryOp = comparison("ne", "!=", e.ne);
export const lt: BinaryOp = comparison("lt", "<", e.lt);
export const le: BinaryOp = comparison("le", "<=", e.le);
export const gt: BinaryOp = comparison("gt", ">", e.gt);
export const ge: BinaryOp = comparison("ge", ">=", e.ge);

function logic(name: string, doc: string, expr: (a: Expr, b: Expr) => Expr): BinaryOp {
  return pointwise(name, "input, other", {
    doc,
    inplace: true,
    tensors: both,
    mixed: true,
    expr: ({ input, other }) => expr(e.truth(input!), e.truth(other!)),
  });
}

export const logical_and: BinaryOp = logic("logical_and", "Whether both are non-zero.", (a, b) => e.and(a, b));
export const logical_or: BinaryOp = logic("logical_or", "Whether one is non-zero.", (a, b) => e.or(a, b));
export const logical_xor: BinaryOp = logic("logical_xor", "Whether exactly one is non-zero.", (a, b) => e.ne(a, b));
export const logical_not: UnaryOp = pointwise("logical_not", "input", {
  doc: "Whether input is zero.",
  inplace: true,
  mixed: true,
  expr: ({ input }) => e.not(e.truth(input!)),
});

/** A test of one value; `whole` is what integers give without being looked at. */
function predicate(name: string, doc: string, expr: (x: Expr) => Expr, whole: boolean | null): Predicate {
  return pointwise(name, "input", {
    doc,
    widen: false,
    expr({ input }) {
      const x = input!;
      if (whole === null || x.dtype.is_floating_point) return expr(x);
      return whole ? e.eq(x, x) : e.ne(x, x);
    },
  });
}

const finite = (x: Expr): Expr => e.lt(e.abs(x), Infinity);

export const isnan: Predicate = predicate("isnan", "Whether input is NaN.", e.isnan, false);
export const isinf: Predicate = predicate("isinf", "Whether input is infinite.", e.isinf, false);
export const isposinf: Predicate = predicate("isposinf", "Whether input is +infinity.", (x) => e.eq(x, Infinity), false);
export const isneginf: Predicate = predicate("isneginf", "Whether input is -infinity.", (x) => e.eq(x, -Infinity), false);
export const isfinite: Predicate = predicate("isfinite", "Whether input is neither infinite nor NaN.", finite, true);
export const isreal: Predicate = predicate("isreal", "Whether input has no imaginary part.", () => constant(1, bool), true);
export const signbit: Predicate = predicate(
  "signbit",
  "Whether input's sign bit is set (also of -0).",
  (x) => (x.dtype.is_floating_point ? e.signbit(x) : e.lt(x, 0)),
  null,
);

type Tolerance = Args<[{ other: Tensor }, { rtol?: number }, { atol?: number }, { equal_nan?: boolean }]>;

function checkClose(name: string, { input, other, rtol, atol }: Values): void {
  const [a, b] = [(input as Tensor).dtype, (other as Tensor).dtype];
  if (a !== b) throw new RuntimeError(`${name}: expected tensors of one dtype, got ${a} and ${b}`);
  if (!(Number(rtol) >= 0)) throw new RuntimeError(`${name}: rtol must be greater than or equal to zero, but got ${rtol}`);
  if (!(Number(atol) >= 0)) throw new RuntimeError(`${name}: atol must be greater than or equal to zero, but got ${atol}`);
}

export const isclose: Op<[input: Tensor, ...Tolerance], Tensor, "method"> = pointwise(
  "isclose",
  "input, other, rtol=1e-05, atol=1e-08, equal_nan=False",
  {
    doc: "|input - other| <= atol + rtol * |other|, elementwise.",
    tensors: both,
    kinds: { input: "tensor", other: "tensor" },
    check: (values) => checkClose("isclose", values),
    expr({ input, other }, { rtol, atol, equal_nan }, dtype) {
      let close = e.eq(input!, other!);
      if (equal_nan === true && dtype.is_floating_point) close = e.or(close, e.and(e.isnan(input!), e.isnan(other!)));
      if (Number(rtol) === 0 && Number(atol) === 0) return close;
      const wide = dtype.is_floating_point ? dtype : get_default_dtype();
      const distance = dtype.is_floating_point
        ? e.abs(e.sub(input!, other!))
        : e.cast(e.abs(e.sub(number(input!), number(other!))), wide);
      const allowed = e.add(e.abs(e.mul(e.cast(other!, wide), Number(rtol))), Number(atol));
      return e.or(close, e.and(finite(distance), e.le(distance, allowed)));
    },
  },
);

/** Differences of bools are taken in float64. */
const number = (x: Expr): Expr => (x.dtype === bool ? e.cast(x, float64) : x);

export const allclose: Op<[input: Tensor, ...Tolerance], boolean, "method"> = composite(
  "allclose",
  "input, other, rtol=1e-05, atol=1e-08, equal_nan=False",
  { doc: "Whether all elements are close, as isclose; reads memory." },
  (input: Tensor, other: Tensor, rtol: number, atol: number, equal_nan: boolean) =>
    input.isclose(other, rtol, atol, equal_nan).all().item_sync() as boolean,
);

export const equal: Op<[input: Tensor, ...Args<[{ other: Tensor }]>], boolean, "method"> = composite(
  "equal",
  "input, other",
  { doc: "Whether both have the same shape and values; reads memory." },
  (input: Tensor, other: Tensor) => {
    checkTensor("equal", "other", other);
    if (!sameShape(input.shape, other.shape)) return false;
    return input.eq(other).all().item_sync() as boolean;
  },
);

type WhereOp = Op<[condition: Tensor, ...Args<[{ input: Operand }, { other: Operand }]>], Tensor>;

/** where(condition, input, other); the form with the condition alone is `nonzero`. */
const choose: WhereOp = pointwise("where", "condition, input, other", {
  doc: "input where condition holds, else other.",
  method: false,
  tensors: ["condition", "input", "other"],
  mixed: true,
  widen: false,
  check({ condition }) {
    if (!(condition instanceof Tensor)) throw new TypeError("where: argument 'condition' must be Tensor");
    if (condition.dtype !== bool) {
      throw new RuntimeError(`where: expected condition to be a boolean tensor, but got a tensor with dtype ${condition.dtype}`);
    }
  },
  expr: ({ condition, input, other }, _, dtype) => e.where(condition!, e.cast(input!, dtype), e.cast(other!, dtype)),
  grad: {
    input: [["condition"], (g, { condition }) => choose(condition as Tensor, g, 0)],
    other: [["condition"], (g, { condition }) => choose(condition as Tensor, 0, g)],
  },
});

export const where: WhereOp = composite(
  "where",
  "condition, input=None, other=None",
  {
    doc: "input where condition holds, else other; with the condition alone, the indices of its non-zero elements.",
    method: false,
    tensors: ["input", "other"],
  },
  (condition: Tensor, input: Operand | null, other: Operand | null) => {
    if (input === null || other === null) return condition.nonzero({ as_tuple: true }) as unknown as Tensor;
    return choose(condition, input, other);
  },
);

export type FillValue = Operand;
type MaskedFillOp = Op<[input: Tensor, ...Args<[{ mask: Tensor }, { value: FillValue }]>], Tensor, "method" | "inplace">;

function checkMask(name: string, { mask, value }: Values): void {
  if (!(mask instanceof Tensor) || mask.dtype !== bool) {
    throw new RuntimeError(
      `${name}: only supports boolean masks, but got mask of dtype ${mask instanceof Tensor ? mask.dtype : typeof mask}`,
    );
  }
  if (value instanceof Tensor && value.ndim > 0) {
    throw new RuntimeError(
      `${name}: only supports a 0-dimensional value tensor, but got tensor with ${value.ndim} dimension(s) of shape ${formatShape(value.shape)}`,
    );
  }
  if (!(value instanceof Tensor) && !isScalar(value)) throw new TypeError(`${name}: value must be a number or a 0-d Tensor`);
}

export const masked_fill: MaskedFillOp = pointwise("masked_fill", "input, mask, value", {
  doc: "value where mask holds, else input.",
  inplace: true,
  tensors: ["input", "mask", "value"],
  mixed: true,
  widen: false,
  dtype: (_promoted: DType, { input }) => (input as Tensor).dtype,
  check: (values) => checkMask("masked_fill", values),
  expr: ({ input, mask, value }, _, dtype) => e.where(mask!, e.cast(value!, dtype), input!),
  grad: {
    input: [["mask"], (g, { mask }) => g.masked_fill(mask as Tensor, 0)],
    value: [["mask"], (g, { mask }) => choose(mask as Tensor, g, 0).sum()],
  },
});

type IsinOp = Op<
  [elements: Operand, ...Args<[{ test_elements: Operand }], { assume_unique?: boolean; invert?: boolean }>],
  Tensor
>;

export const isin: IsinOp = composite(
  "isin",
  "elements, test_elements, *, assume_unique=False, invert=False",
  {
    doc: "Whether each element is one of test_elements.",
    tensors: ["elements", "test_elements"],
  },
  (elements: Operand, test: Operand, _unique: boolean, invert: boolean) => {
    for (const x of [elements, test]) {
      if (!(x instanceof Tensor) || !x.dtype.is_complex) continue;
      throw new RuntimeError(`isin: expected real elements and test_elements, which have an order, got ${x.dtype}`);
    }
    const known = elements instanceof Tensor ? elements : test;
    if (!(known instanceof Tensor)) throw new TypeError("isin: elements or test_elements must be a Tensor, got two numbers");
    const a = elements instanceof Tensor ? elements : known.new_full([], elements as Scalar);
    const b = test instanceof Tensor ? test.reshape([-1]) : known.new_full([1], test as Scalar);
    const found = a.unsqueeze(-1).eq(b).any(-1);
    return invert ? found.logical_not() : found;
  },
);
