/**
 * torch.special: Hermite, Laguerre and Legendre polynomials by their three-term recurrences, as PyTorch computes them. Degrees are values of a
 * tensor: the greatest is read, and a step is taken by the elements whose degree it does not exceed.
 */

import { type DType, float64, get_default_dtype } from "../core/dtype.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { pointwise } from "../engine/pointwise.ts";
import { resultType } from "../engine/promotion.ts";
import type { Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { Operand } from "./arithmetic.ts";
import { where } from "./compare.ts";
import { as_tensor } from "./creation_more.ts";
import { broadcast_tensors } from "./view_forms.ts";

type PolynomialOp = Op<[input: Operand, ...Args<[{ n: Operand }]>], Tensor>;

interface Family {
  /** The polynomial of degree 1. */
  readonly first: (x: Tensor) => Tensor;
  /** That of degree k + 1, from those of degrees k - 1 and k. */
  readonly next: (k: number, x: Tensor, before: Tensor, last: Tensor) => Tensor;
  /** Greater degrees give NaN. */
  readonly limit?: (dtype: DType) => number;
  /** Values that are known without the recurrence, for degrees from 0 on. */
  readonly known?: (x: Tensor, n: Tensor, value: Tensor) => Tensor;
}

/** a * b + c, rounded once, as PyTorch's compilers make of it: where terms cancel, its results hang on that. */
const fma: Op<[a: Tensor, b: Tensor, c: Tensor], Tensor> = pointwise("fma", "a, b, c", {
  doc: "a * b + c, rounded once.",
  tensors: ["a", "b", "c"],
  method: false,
  expr: ({ a, b, c }) => e.fma(a!, b!, c!),
  grad: {
    a: [["b"], (g, { b }) => g.mul(b as Tensor)],
    b: [["a"], (g, { a }) => g.mul(a as Tensor)],
    c: [[], (g) => g],
  },
});

// Beyond these degrees the values overflow almost everywhere.
const hermitian = (dtype: DType): number => (dtype === float64 ? 512 : 128);

function polynomial(name: string, doc: string, { first, next, limit, known }: Family): PolynomialOp {
  const body = (input: Operand, n: Operand): Tensor => {
    const promoted = resultType(name, [input, n]);
    const dtype = promoted.is_floating_point ? promoted : get_default_dtype();
    const like = input instanceof Tensor ? input : n;
    if (!(like instanceof Tensor)) throw new TypeError(`${name}: expected a tensor among input and n, got two numbers`);
    const place = (v: Operand): Tensor => as_tensor(v, { dtype, device: like.device });
    const [x, degree] = broadcast_tensors(place(input), place(n).trunc()) as [Tensor, Tensor];
    const most = x.numel() === 0 ? 0 : Number(degree.nan_to_num(0).amax().item_sync());
    let [before, last] = [x.mul(0).add(1), first(x)];
    let value = where(degree.lt(1), before, last);
    const steps = Math.min(most, limit?.(dtype) ?? most);
    for (let k = 1; k < steps; k++) {
      [before, last] = [last, next(k, x, before, last)];
      value = where(degree.gt(k), last, value);
    }
    if (limit !== undefined) value = where(degree.gt(limit(dtype)), NaN, value);
    if (known !== undefined) value = known(x, degree, value);
    return where(degree.eq(0), 1, where(degree.ge(0), value, 0)).to(dtype);
  };
  return composite(
    name,
    "input, n",
    { doc: `${doc}; n is rounded towards 0, and negative n give 0.`, method: false, tensors: ["input", "n"], complex: false },
    body,
  );
}

export const hermite_polynomial_h: PolynomialOp = polynomial(
  "hermite_polynomial_h",
  "The physicist's Hermite polynomial of degree n at input",
  {
    first: (x) => x.add(x),
    next: (k, x, before, last) => fma(x.add(x), last, before.mul(-2 * k)),
    limit: hermitian,
  },
);

export const hermite_polynomial_he: PolynomialOp = polynomial(
  "hermite_polynomial_he",
  "The probabilist's Hermite polynomial of degree n at input",
  { first: (x) => x, next: (k, x, before, last) => fma(x, last, before.mul(-k)), limit: hermitian },
);

export const laguerre_polynomial_l: PolynomialOp = polynomial(
  "laguerre_polynomial_l",
  "The Laguerre polynomial of degree n at input",
  {
    first: (x) => x.neg().add(1),
    next: (k, x, before, last) =>
      fma(
        x
          .neg()
          .add(1)
          .add(2 * k),
        last,
        before.mul(-k),
      ).div(k + 1),
    known: (x, _, value) => where(x.eq(0), 1, value),
  },
);

export const legendre_polynomial_p: PolynomialOp = polynomial(
  "legendre_polynomial_p",
  "The Legendre polynomial of degree n at input",
  {
    first: (x) => x,
    next: (k, x, before, last) => fma(x.mul(2 * k + 1), last, before.mul(-k)).div(k + 1),
    known: (x, n, value) => where(x.abs().eq(1), where(x.gt(0).logical_or(n.remainder(2).eq(0)), 1, -1), value),
  },
);
