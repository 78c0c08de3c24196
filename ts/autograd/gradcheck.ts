/** Gradients against finite differences. */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { float64 } from "../core/dtype.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { Generator } from "../ops/random.ts";
import { grad } from "./backward.ts";
import type { Tensors } from "./functional.ts";

export class GradcheckError extends RuntimeError {
  override name = "GradcheckError";
}

export interface GradcheckOptions {
  eps?: number;
  atol?: number;
  rtol?: number;
  /** Otherwise a mismatch makes the result false. */
  raise_exception?: boolean;
}

type Func = (...inputs: Tensor[]) => Tensors;
const listOf = (x: Tensors): readonly Tensor[] => (x instanceof Tensor ? [x] : x);
const numbers = (t: Tensor): Float64Array => t.detach().to(float64).data_sync() as Float64Array;

/** Whether the gradients of `func` agree with central differences. Use float64 inputs: narrower ones are too coarse for `eps`. */
export function gradcheck(func: Func, inputs: Tensors, options: GradcheckOptions = {}): boolean {
  const { eps = 1e-6, atol = 1e-5, rtol = 1e-3, raise_exception = true } = options;
  const given = listOf(inputs);
  if (!given.some((t) => t.requires_grad)) {
    throw new ValueError(
      "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.",
    );
  }
  try {
    check(func, given, eps, atol, rtol);
  } catch (error) {
    if (!raise_exception && error instanceof GradcheckError) return false;
    throw error;
  }
  return true;
}

function differentiable(outputs: Tensors): Tensor[] {
  return listOf(outputs).filter((t) => t.dtype.is_floating_point);
}

function check(func: Func, inputs: readonly Tensor[], eps: number, atol: number, rtol: number): void {
  const outputs = differentiable(func(...inputs));
  const targets = inputs.map((t, i) => [t, i] as const).filter(([t]) => t.requires_grad);
  const analytical = outputs.map((out) =>
    rowsOf(
      out,
      targets.map(([t]) => t),
    ),
  );
  targets.forEach(([input, position], j) => {
    const values = numbers(input);
    for (let k = 0; k < values.length; k++) {
      const [below, above] = [-eps, eps].map((step) => {
        const moved = values.slice();
        moved[k]! += step;
        const t = ops.tensor(moved, { dtype: input.dtype, device: input.device }).reshape(input.shape).detach().requires_grad_();
        return differentiable(func(...inputs.map((x, i) => (i === position ? t : x)))).map(numbers);
      });
      outputs.forEach((_, o) => {
        for (let i = 0; i < above![o]!.length; i++) {
          const numeric = (above![o]![i]! - below![o]![i]!) / (2 * eps);
          const exact = analytical[o]![i]![j]![k]!;
          if (Math.abs(exact - numeric) <= atol + rtol * Math.abs(numeric)) continue;
          throw new GradcheckError(
            `Jacobian mismatch for output ${o} with respect to input ${position}, at output element ${i} and input element ${k}: numerical ${numeric}, analytical ${exact}`,
          );
        }
      });
    }
  });
}

/** The Jacobian by backward: [output element][input][input element]. */
function rowsOf(out: Tensor, inputs: readonly Tensor[]): Float64Array[][] {
  const n = out.numel();
  const rows: Float64Array[][] = [];
  for (let i = 0; i < n; i++) {
    if (!out.requires_grad) {
      rows.push(inputs.map((t) => new Float64Array(t.numel())));
      continue;
    }
    const one = new Float64Array(n);
    one[i] = 1;
    const v = ops.tensor(one, { dtype: out.dtype, device: out.device }).reshape(out.shape);
    const found = grad(out, inputs, { grad_outputs: v, retain_graph: true, allow_unused: true });
    rows.push(found.map((g, j) => (g === null ? new Float64Array(inputs[j]!.numel()) : numbers(g))));
  }
  return rows;
}

/** Whether the gradients of the gradients of `func` agree with central differences. */
export function gradgradcheck(
  func: Func,
  inputs: Tensors,
  grad_outputs: Tensors | null = null,
  options: GradcheckOptions = {},
): boolean {
  const given = listOf(inputs);
  const outputs = differentiable(func(...given)).filter((t) => t.requires_grad);
  const generator = new Generator("cpu").manual_seed(0);
  const vectors =
    grad_outputs !== null
      ? listOf(grad_outputs)
      : outputs.map((t) =>
          ops
            .randn([...t.shape], { dtype: t.dtype, generator, device: "cpu" })
            .to(t.device)
            .detach()
            .requires_grad_(),
        );
  const first = (...args: Tensor[]): Tensor[] => {
    const own = args.slice(0, given.length);
    const outs = differentiable(func(...own)).filter((t) => t.requires_grad);
    const found = grad(
      outs,
      own.filter((t) => t.requires_grad),
      {
        grad_outputs: args.slice(given.length),
        create_graph: true,
        allow_unused: true,
      },
    );
    return found.filter((g) => g !== null);
  };
  return gradcheck(first, [...given, ...vectors], options);
}
