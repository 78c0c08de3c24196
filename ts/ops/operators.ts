/** Python's reflected operators, and methods whose arguments are in another order than the function's: methods only. */

import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { add, mul, pow, remainder, rsub, type Operand } from "./arithmetic.ts";
import { bitwise_and, bitwise_or, bitwise_xor } from "./bitwise.ts";
import * as compare from "./compare.ts";
import * as math from "./math.ts";

type Reflected = Op<[self: Tensor, ...Args<[{ other: Operand }]>], Tensor, "method">;

function reflected(name: string, sign: string, body: (self: Tensor, other: Operand) => Tensor): Reflected {
  return composite(name, "self, other", { doc: `other ${sign} self.`, tensors: ["other"] }, body);
}

/** Ops take a number as their first argument too where the second is a tensor. */
type Loose = (a: Operand, b: Operand) => Tensor;

export const __radd__: Reflected = reflected("__radd__", "+", (self, other) => add(self, other));
export const __rsub__: Reflected = reflected("__rsub__", "-", (self, other) => rsub(self, other));
export const __rmul__: Reflected = reflected("__rmul__", "*", (self, other) => mul(self, other));
export const __rdiv__: Reflected = reflected("__rdiv__", "/", (self, other) => mul(self.reciprocal(), other));
export const __rmod__: Reflected = reflected("__rmod__", "%", (self, other) => (remainder as Loose)(other, self));
export const __rpow__: Reflected = reflected("__rpow__", "**", (self, other) => pow(other, self));
export const __rand__: Reflected = reflected("__rand__", "&", (self, other) => bitwise_and(self, other));
export const __ror__: Reflected = reflected("__ror__", "|", (self, other) => bitwise_or(self, other));
export const __rxor__: Reflected = reflected("__rxor__", "^", (self, other) => bitwise_xor(self, other));
export const __rmatmul__: Op<[self: Tensor, ...Args<[{ other: Tensor }]>], Tensor, "method"> = composite(
  "__rmatmul__",
  "self, other",
  { doc: "other @ self." },
  (self: Tensor, other: Tensor) => other.matmul(self),
);

type WhereMethod = Op<[self: Tensor, ...Args<[{ condition: Tensor }, { other: Operand }]>], Tensor, "method">;

export const where: WhereMethod = composite(
  "where",
  "self, condition, other",
  { doc: "self where condition holds, else other.", tensors: ["other"] },
  (self: Tensor, condition: Tensor, other: Operand) => compare.where(condition, self, other),
);

type PolygammaMethod = Op<[self: Tensor, ...Args<[{ n: number }]>], Tensor, "method" | "inplace">;

export const polygamma: PolygammaMethod = composite(
  "polygamma",
  "self, n",
  { doc: "The n-th derivative of digamma.", inplace: true },
  (self: Tensor, n: number) => math.polygamma(n, self),
);
