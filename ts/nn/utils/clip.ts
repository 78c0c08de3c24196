/** Limits on gradients, and parameters as one vector. */

import { RuntimeError, ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import { bind } from "../layer.ts";
import { setData } from "../parameter.ts";

type Tensors = Iterable<Tensor> | Tensor;

function listOf(tensors: Tensors): Tensor[] {
  return tensors instanceof Tensor ? [tensors] : [...tensors];
}
function gradientsOf(parameters: Tensors): Tensor[] {
  return listOf(parameters).flatMap((p) => (p.grad === null ? [] : [p.grad]));
}

/** The order of a norm; "inf" as Python's float() takes it. */
type NormType = number | "inf" | "-inf";
function orderOf(type: NormType): number {
  if (typeof type === "number") return type;
  if (type === "inf" || type === "-inf") return type === "inf" ? Infinity : -Infinity;
  throw new ValueError(`norm_type should be a number, "inf" or "-inf", got ${String(type)}`);
}

/** The norm of all tensors as if they were one vector. */
export function get_total_norm(
  tensors: Tensors,
  ...given: Args<[{ norm_type?: NormType }, { error_if_nonfinite?: boolean }, { foreach?: boolean | null }]>
): Tensor {
  const [type, strict] = bind<[NormType, boolean, boolean | null]>(
    "get_total_norm",
    "norm_type=2.0, error_if_nonfinite=False, foreach=None",
    given,
  );
  const p = orderOf(type);
  const list = listOf(tensors);
  if (list.length === 0) return ops.zeros([]);
  const total = no_grad(() => {
    if (p === Infinity) return ops.stack(list.map((t) => t.abs().max() as Tensor)).max() as Tensor;
    if (p === -Infinity) return ops.stack(list.map((t) => t.abs().min() as Tensor)).min() as Tensor;
    if (p === 0) return ops.stack(list.map((t) => t.ne(0).any().to(t.dtype))).sum();
    const norms = ops.stack(
      list.map((t) =>
        p === 2
          ? t.mul(t).sum().sqrt()
          : t
              .abs()
              .pow(p)
              .sum()
              .pow(1 / p),
      ),
    );
    return p === 2
      ? norms.mul(norms).sum().sqrt()
      : norms
          .pow(p)
          .sum()
          .pow(1 / p);
  });
  if (strict && !Number.isFinite(Number(total.item_sync()))) {
    throw new RuntimeError(
      `The total norm of order ${p} for gradients from \`parameters\` is non-finite, so it cannot be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set \`error_if_nonfinite: false\``,
    );
  }
  return total;
}

/** Scales all gradients by what brings a joint norm of `total_norm` to at most `max_norm`. Nothing is read back. */
export function clip_grads_with_norm_(
  parameters: Tensors,
  ...given: Args<[{ max_norm: number }, { total_norm: Tensor }, { foreach?: boolean | null }]>
): void {
  const [max, total] = bind<[number, Tensor, boolean | null]>(
    "clip_grads_with_norm_",
    "max_norm, total_norm, foreach=None",
    given,
  );
  no_grad(() => {
    const scale = ops.clamp(ops.mul(ops.reciprocal(total.add(1e-6)), max), { max: 1 });
    for (const g of gradientsOf(parameters)) g.mul_(scale.to({ device: g.device }));
  });
}

/** Scales all gradients so that their joint norm is at most `max_norm`; gives the norm before. Nothing is read back. */
export function clip_grad_norm_(
  parameters: Tensors,
  ...given: Args<[{ max_norm: number }, { norm_type?: NormType }, { error_if_nonfinite?: boolean }, { foreach?: boolean | null }]>
): Tensor {
  const [max, p, strict] = bind<[number, NormType, boolean, boolean | null]>(
    "clip_grad_norm_",
    "max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None",
    given,
  );
  const list = listOf(parameters);
  const total = get_total_norm(gradientsOf(list), p, strict);
  clip_grads_with_norm_(list, max, total);
  return total;
}
/** @deprecated The name of old. */
export { clip_grad_norm_ as clip_grad_norm };

/** Limits each gradient to [-clip_value, clip_value]. */
export function clip_grad_value_(
  parameters: Tensors,
  ...given: Args<[{ clip_value: number }, { foreach?: boolean | null }]>
): void {
  const [limit] = bind<[number, boolean | null]>("clip_grad_value_", "clip_value, foreach=None", given);
  no_grad(() => {
    for (const g of gradientsOf(parameters)) g.clamp_({ min: -limit, max: limit });
  });
}

export function parameters_to_vector(parameters: Iterable<Tensor>): Tensor {
  return ops.cat([...parameters].map((p) => p.reshape(-1)));
}

/** Gives parameters the values of a vector, of which they become parts. */
export function vector_to_parameters(vec: Tensor, parameters: Iterable<Tensor>): void {
  if (!(vec instanceof Tensor)) throw new TypeError("vector_to_parameters: expected a tensor");
  let at = 0;
  for (const p of [...parameters]) {
    const n = p.numel();
    setData(p, vec.narrow(0, at, n).view(p.shape).detach());
    at += n;
  }
}
