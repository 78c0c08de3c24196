/** Traces, cross products, powers of matrices. */

import { bool, int64 } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { broadcastShapes, formatShape, normalizeDim } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { registry } from "./install.ts";
import { cat } from "./joining.ts";

export const trace: Op<[input: Tensor], Tensor, "method"> = composite(
  "trace",
  "input",
  { doc: "Sum of a matrix's diagonal." },
  (input: Tensor) => {
    checkTensor("trace", "input", input);
    if (input.ndim !== 2) throw new RuntimeError(`trace: expected a matrix, but got shape ${formatShape(input.shape)}`);
    return input.diagonal().sum({ dtype: input.dtype.is_floating_point ? input.dtype : int64 });
  },
);

type CrossOp = Op<[input: Tensor, ...Args<[{ other: Tensor }, { dim?: number | null }]>], Tensor, "method">;

export const cross: CrossOp = composite(
  "cross",
  "input, other, dim=None",
  { doc: "Cross products of the 3-vectors along dim (by default the first of size 3)." },
  (input: Tensor, other: Tensor, dim: number | null) => {
    checkTensor("cross", "input", input);
    checkTensor("cross", "other", other);
    if (input.ndim !== other.ndim) {
      throw new RuntimeError(`cross: inputs must have the same number of dimensions, got ${input.ndim} and ${other.ndim}`);
    }
    const shape = broadcastShapes("cross", input.shape, other.shape);
    const d = dim === null ? input.shape.indexOf(3) : normalizeDim("cross", dim, input.ndim);
    if (d < 0) throw new RuntimeError(`cross: no dimension of size 3 in input, whose shape is ${formatShape(input.shape)}`);
    if (input.shape[d] !== 3 || other.shape[d] !== 3) {
      throw new RuntimeError(`cross: inputs dimension ${d} must have length 3. Got ${input.shape[d]} and ${other.shape[d]}`);
    }
    const [a, b] = [input.expand(shape), other.expand(shape)];
    // Component i is a[i+1] b[i+2] - a[i+2] b[i+1]: turned copies, so that all three are computed at once.
    const turned = (t: Tensor, by: number): Tensor => cat([t.slice(d, by), t.slice(d, 0, by)], d);
    return turned(a, 1)
      .mul(turned(b, 2))
      .sub(turned(a, 2).mul(turned(b, 1)));
  },
);

export const matrix_power: Op<[input: Tensor, ...Args<[{ n: number }]>], Tensor, "method"> = composite(
  "matrix_power",
  "input, n",
  { doc: "input multiplied by itself n times, by squaring; negative n: of the inverse." },
  (input: Tensor, n: number) => {
    checkTensor("linalg.matrix_power", "input", input);
    const size = input.shape.at(-1);
    if (input.ndim < 2 || input.shape.at(-2) !== size) {
      throw new RuntimeError(
        `linalg.matrix_power: input must be batches of square matrices, but they have shape ${formatShape(input.shape)}`,
      );
    }
    // Not an identity on its own: the result stays connected to input.
    if (n === 0) return input.masked_fill(input.new_ones([], { dtype: bool }), 0).add(input.new_ones([size!]).diag());
    let base = input;
    if (n < 0) {
      const inv = registry.get("linalg.inv") as unknown as (a: Tensor) => Tensor;
      base = inv(input);
    }
    let out: Tensor | null = null;
    for (let rest = Math.abs(n); rest > 0; rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) out = out === null ? base : out.matmul(base);
      if (rest > 1) base = base.matmul(base);
    }
    return n === 1 ? out!.clone() : out!;
  },
);
