/** Running sums, products and extremes along a dimension. */

import { bool, int64, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import type { Tensor } from "../core/tensor.ts";
import { defineOp, named, type Op } from "../engine/define.ts";
import { alias, empty, run } from "../engine/run.ts";
import type { Args } from "../engine/signature.ts";
import type { ScanOp } from "../kernel/spec.ts";
import { ones_like } from "./creation.ts";
import { VALUES_INDICES, type ValuesAndIndices } from "./extremes.ts";
import { cat } from "./joining.ts";
import { asVector } from "./scatter_kernels.ts";
import { cast, floating, oneDim } from "./reduction.ts";

/** The same memory with `dim` last; no autograd. */
export function dimLast(t: Tensor, dim: number): Tensor {
  const order = t.shape.map((_, d) => d).filter((d) => d !== dim);
  order.push(dim);
  const x = asVector(t);
  if (t.ndim === 0) return x;
  return alias(
    t,
    order.map((d) => t.shape[d]!),
    order.map((d) => t._strides[d]!),
    t._offset,
  );
}

/** Scans into new tensors of the input's shape. */
function scan(op: ScanOp, x: Tensor, dim: number, ...dtypes: DType[]): Tensor[] {
  const outputs = dtypes.map((dtype) => empty(x.shape, dtype, x.device));
  if (x.numel() === 0) return outputs;
  const spec = { kind: "scan", op, input: x.dtype, dtype: dtypes[0]! } as const;
  run(
    spec,
    [dimLast(x, dim)],
    outputs.map((t) => dimLast(t, dim)),
    null,
  );
  return outputs;
}

type CumulativeOp = Op<[input: Tensor, ...Args<[{ dim: number }], { dtype?: DType | null }>], Tensor, "method" | "inplace">;

/** From the other end: sums of each element and all that follow. */
const sumFromEnd = (g: Tensor, dim: number): Tensor => g.flip([dim]).cumsum(dim).flip([dim]);

export const cumsum: CumulativeOp = defineOp("cumsum", "input, dim, *, dtype=None", {
  doc: "Running sum along dim. Integers are summed as int64 unless dtype says otherwise.",
  inplace: true,
  forward(ctx, input: Tensor, dim: number, dtype: DType | null) {
    const d = oneDim("cumsum", input, dim);
    const type = dtype ?? (input.dtype.is_floating_point ? input.dtype : int64);
    ctx.state = { d };
    return scan("cumsum", cast(input, type), d, type)[0]!;
  },
  backward({ state: { d } }, g: Tensor) {
    return [g.ndim === 0 ? g : sumFromEnd(g, d)];
  },
});

export const cumprod: CumulativeOp = defineOp("cumprod", "input, dim, *, dtype=None", {
  doc: "Running product along dim. Integers are multiplied as int64 unless dtype says otherwise.",
  inplace: true,
  forward(ctx, input: Tensor, dim: number, dtype: DType | null) {
    const d = oneDim("cumprod", input, dim);
    const type = dtype ?? (input.dtype.is_floating_point ? input.dtype : int64);
    const x = cast(input, type);
    ctx.state = { d };
    ctx.save(ctx.needs[0] ? x : null);
    return scan("cumprod", x, d, type)[0]!;
  },
  backward(ctx, g: Tensor) {
    return [g.ndim === 0 ? g : runningProductGrad(ctx.saved()[0]!, g, (ctx.state as { d: number }).d)];
  },
});

/**
 * To be differentiated again: element by element, the sum over what follows of g * (the product without it). Else, before the first zero of a
 * line: (sum over what follows of g * result) / x. At it: the same with that zero taken out, so that no division is needed. After it every
 * derivative is 0.
 */
function runningProductGrad(x: Tensor, g: Tensor, dim: number): Tensor {
  if (is_grad_enabled() && x.requires_grad) {
    const n = x.shape[dim]!;
    if (n === 0) return g;
    const part = (t: Tensor, from: number, length: number): Tensor => t.narrow(dim, from, length);
    const one = ones_like(part(x, 0, 1));
    const lines = Array.from({ length: n }, (_, k) => {
      const before = k === 0 ? one : part(x, 0, k).prod(dim, true);
      const after = cat([one, part(x, k + 1, n - k - 1)], dim).cumprod(dim);
      return part(g, k, n - k)
        .mul(after)
        .sum(dim, true)
        .mul(before);
    });
    return cat(lines, dim);
  }
  const zero = x.eq(0);
  const zeros = zero.cumsum(dim);
  const first = zero.logical_and(zeros.eq(1));
  const before = sumFromEnd(g.mul(x.cumprod(dim)), dim).div(x.masked_fill(zero, 1));
  const at = sumFromEnd(g.mul(x.masked_fill(first, 1).cumprod(dim)), dim);
  return before.masked_fill(zeros.gt(0), 0).add(at.masked_fill(first.logical_not(), 0));
}

type RunningOp = Op<[input: Tensor, ...Args<[{ dim: number }]>], ValuesAndIndices, "method">;

function running(name: "cummax" | "cummin", what: string): RunningOp {
  return defineOp(name, "input, dim", {
    doc: `The ${what} so far along dim, and where it is (the last of equals).`,
    forward(ctx, input: Tensor, dim: number) {
      const d = oneDim(name, input, dim);
      const out = scan(name, input, d, input.dtype, int64);
      ctx.save(out[1]!);
      ctx.state = { d };
      return named(VALUES_INDICES, out);
    },
    backward(ctx, g: Tensor) {
      const { d } = ctx.state as { d: number };
      return [g.new_zeros(g.shape).scatter_add(d, ctx.saved()[0]!, g)];
    },
  });
}

export const cummax: RunningOp = running("cummax", "greatest");
export const cummin: RunningOp = running("cummin", "least");

export const logcumsumexp: Op<[input: Tensor, ...Args<[{ dim: number }]>], Tensor, "method"> = defineOp(
  "logcumsumexp",
  "input, dim",
  {
    doc: "log of the running sum of e^input along dim, without overflow.",
    forward(ctx, input: Tensor, dim: number) {
      const d = oneDim("logcumsumexp", input, dim);
      if (input.dtype === bool || !input.dtype.is_floating_point) {
        throw new RuntimeError(`logcumsumexp: not implemented for ${input.dtype}`);
      }
      const out = scan("logcumsumexp", input, d, floating(input.dtype))[0]!;
      ctx.state = { d };
      ctx.save(input, out);
      return out;
    },
    backward(ctx, g: Tensor) {
      const [input, out] = ctx.saved() as [Tensor, Tensor];
      const { d } = ctx.state as { d: number };
      if (g.ndim === 0 || g.numel() === 0) return [g];
      if (is_grad_enabled()) {
        // To be differentiated again: no logarithms of gradients.
        const top = input.detach().amax(d, true);
        return [
          input
            .sub(top)
            .exp()
            .mul(sumFromEnd(g.mul(top.sub(out).exp()), d)),
        ];
      }
      // Gradients of either sign apart, as logarithms: e^-out would overflow.
      const part = (positive: Tensor): Tensor => {
        const log = positive.log().sub(out);
        return log.flip([d]).logcumsumexp(d).flip([d]).add(input).exp();
      };
      return [part(g.clamp_min(0)).sub(part(g.neg().clamp_min(0)))];
    },
  },
);
