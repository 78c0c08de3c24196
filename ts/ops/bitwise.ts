/** Bits of integers and bools. */

import { Category, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Op } from "../engine/define.ts";
import { pointwise, type Values } from "../engine/pointwise.ts";
import type { Args } from "../engine/signature.ts";
import type { Tensor } from "../core/tensor.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import type { Operand, UnaryOp } from "./arithmetic.ts";

type BitwiseOp = Op<[input: Operand, ...Args<[{ other: Operand }]>], Tensor, "method" | "inplace">;

function checkBits(name: string, least: Category): (values: Values, dtype: DType) => void {
  return (_values, dtype) => {
    if (dtype.category > Category.integral || dtype.category < least) {
      throw new RuntimeError(
        `${name}: not implemented for ${dtype}; integral${least === Category.bool ? " and bool" : ""} tensors only`,
      );
    }
  };
}

function bitwise(name: string, doc: string, least: Category, expr: (a: Expr, b: Expr) => Expr): BitwiseOp {
  return pointwise(name, "input, other", {
    doc,
    inplace: true,
    tensors: ["input", "other"],
    check: checkBits(name, least),
    expr: ({ input, other }) => expr(input!, other!),
  });
}

export const bitwise_and: BitwiseOp = bitwise("bitwise_and", "input & other.", Category.bool, e.bitwise_and);
export const bitwise_or: BitwiseOp = bitwise("bitwise_or", "input | other.", Category.bool, e.bitwise_or);
export const bitwise_xor: BitwiseOp = bitwise("bitwise_xor", "input ^ other.", Category.bool, e.bitwise_xor);
export const bitwise_left_shift: BitwiseOp = bitwise(
  "bitwise_left_shift",
  "input << other; 0 where other is negative or as large as the type.",
  Category.integral,
  e.shift_left,
);
export const bitwise_right_shift: BitwiseOp = bitwise(
  "bitwise_right_shift",
  "input >> other, keeping the sign.",
  Category.integral,
  e.shift_right,
);
export const bitwise_not: UnaryOp = pointwise("bitwise_not", "input", {
  doc: "~input; the logical not of bools.",
  inplace: true,
  check: checkBits("bitwise_not", Category.bool),
  expr: ({ input }) => e.bitwise_not(input!),
});
