/** Softmax and its kin: torch.softmax, torch.log_softmax and those of torch.nn.functional. */

import type { DType } from "../../core/dtype.ts";
import { NotImplementedError, RuntimeError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { normalizeDim, numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { contiguous, copyOf, empty, run } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import type { RowwiseSpec } from "../../kernel/spec.ts";
import { zeros_like } from "../creation.ts";
import { shaped } from "./shared.ts";

const NO_PARAMS = { eps: 0, groups: 1, ignore: 0, flag: false };

/** Runs a row kernel along `dim` of equally shaped tensors. */
function alongRows(op: RowwiseSpec["op"], inputs: readonly Tensor[], dim: number): Tensor {
  const x = inputs[0]!;
  const last = x.ndim - 1;
  const n = x.ndim === 0 ? 1 : x.shape[dim]!;
  if (x.numel() === 0) return empty(x.shape, x.dtype, x.device);
  const moved = dim < last ? inputs.map((t) => t.transpose(dim, last)) : inputs;
  const rows = x.numel() / n;
  const flat = moved.map((t) => shaped(contiguous(t), [rows, n]));
  const out = empty(moved[0]!.shape, x.dtype, x.device);
  run({ kind: "rowwise", op, dtype: x.dtype, affine: 0 }, flat, [shaped(out, [rows, n])], NO_PARAMS);
  return dim < last ? copyOf(out.transpose(dim, last), x.dtype) : out;
}

type Primitive = Op<[input: Tensor, dim: number], Tensor>;

function primitive(name: "softmax" | "log_softmax"): Primitive {
  const op: Primitive = defineOp(name, "input, dim", {
    doc: `${name} by a row kernel.`,
    method: false,
    forward(ctx, input: Tensor, dim: number) {
      const out = alongRows(name, [input], dim);
      ctx.save(out);
      ctx.state = dim;
      return out;
    },
    backward(ctx, g: Tensor) {
      const [y] = ctx.saved();
      const dim = ctx.state as number;
      if (!is_grad_enabled()) return [alongRows(`${name}_backward`, [g, y!], dim)];
      const dims = y!.ndim === 0 ? [] : [dim];
      if (name === "softmax") {
        const gy = g.mul(y!);
        return [gy.sub(y!.mul(gy.sum(dims, dims.length > 0)))];
      }
      return [g.sub(y!.exp().mul(g.sum(dims, dims.length > 0)))];
    },
  });
  return op;
}

const softmax_rows: Primitive = primitive("softmax");
const log_softmax_rows: Primitive = primitive("log_softmax");

function apply(name: string, kernel: Primitive, input: Tensor, dim: number | null, dtype: DType | null): Tensor {
  checkTensor(name, "input", input);
  // Without a dim, as PyTorch's old default: 0 for 0, 1 and 3 dimensions, else 1.
  const d = normalizeDim(name, dim ?? (input.ndim === 0 || input.ndim === 1 || input.ndim === 3 ? 0 : 1), input.ndim);
  const x = dtype === null ? input : input.to(dtype);
  if (!x.dtype.is_floating_point) {
    throw new NotImplementedError(`${name}: not implemented for ${x.dtype}; give a floating-point dtype`);
  }
  return kernel(x, d);
}

type Method = Op<[input: Tensor, ...Args<[{ dim: number }, { dtype?: DType | null }]>], Tensor, "method">;
type Function = Op<
  [input: Tensor, ...Args<[{ dim?: number | null }, { _stacklevel?: number }, { dtype?: DType | null }]>],
  Tensor
>;

/** Ops of `torch` itself. */
export const root: { readonly softmax: Method; readonly log_softmax: Method } = {
  softmax: composite(
    "softmax",
    "input, dim, dtype=None",
    { doc: "exp(input) divided by its sum along dim." },
    (input: Tensor, dim: number, dtype: DType | null) => apply("softmax", softmax_rows, input, dim, dtype),
  ),
  log_softmax: composite(
    "log_softmax",
    "input, dim, dtype=None",
    { doc: "log(softmax(input)) along dim, computed stably." },
    (input: Tensor, dim: number, dtype: DType | null) => apply("log_softmax", log_softmax_rows, input, dim, dtype),
  ),
};

export const softmax: Function = composite(
  "softmax",
  "input, dim=None, _stacklevel=3, dtype=None",
  { doc: "exp(input) divided by its sum along dim.", method: false },
  (input: Tensor, dim: number | null, _stacklevel: number, dtype: DType | null) =>
    apply("softmax", softmax_rows, input, dim, dtype),
);
export const log_softmax: Function = composite(
  "log_softmax",
  "input, dim=None, _stacklevel=3, dtype=None",
  { doc: "log(softmax(input)) along dim, computed stably.", method: false },
  (input: Tensor, dim: number | null, _stacklevel: number, dtype: DType | null) =>
    apply("log_softmax", log_softmax_rows, input, dim, dtype),
);
export const softmin: Function = composite(
  "softmin",
  "input, dim=None, _stacklevel=3, dtype=None",
  { doc: "softmax(-input) along dim.", method: false },
  (input: Tensor, dim: number | null, _stacklevel: number, dtype: DType | null) =>
    apply("softmin", softmax_rows, (dtype === null ? input : input.to(dtype)).neg(), dim, null),
);

type GumbelOp = Op<[logits: Tensor, ...Args<[{ tau?: number }, { hard?: boolean }, { eps?: number }, { dim?: number }]>], Tensor>;
export const gumbel_softmax: GumbelOp = composite(
  "gumbel_softmax",
  "logits, tau=1, hard=False, eps=1e-10, dim=-1",
  {
    doc: "Samples from the Gumbel-softmax distribution; hard: one-hot, with the gradient of the soft sample.",
    method: false,
  },
  (logits: Tensor, tau: number, hard: boolean, _eps: number, dim: number) => {
    const d = normalizeDim("gumbel_softmax", dim, logits.ndim);
    if (!logits.dtype.is_floating_point) {
      throw new RuntimeError(`gumbel_softmax: expected floating-point logits, got ${logits.dtype}`);
    }
    const gumbels = zeros_like(logits).exponential_().log().neg();
    const soft = softmax_rows(logits.add(gumbels).div(tau), d);
    if (!hard || numelOf(soft.shape) === 0) return soft;
    const best = soft.detach().argmax(d, true);
    const one = zeros_like(soft).scatter(d, best, 1);
    return one.sub(soft.detach()).add(soft);
  },
);
