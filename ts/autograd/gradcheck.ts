/** Gradients against finite differences. */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { complex128, float64 } from "../core/dtype.ts";
import { no_grad } from "../core/grad_mode.ts";
import { formatShape, isContiguous, sameShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { Generator } from "../ops/generator.ts";
import { grad } from "./backward.ts";
import { jvp, type Tensors } from "./functional.ts";

export class GradcheckError extends RuntimeError {
  override name = "GradcheckError";
}

export interface GradcheckOptions {
  /** Step of the differences. Default: 1e-6. */
  eps?: number;
  /** Default: 1e-5. */
  atol?: number;
  /** Default: 1e-3. */
  rtol?: number;
  /** Otherwise a mismatch makes the result false. Default: true. */
  raise_exception?: boolean;
  /** How far two runs of one backward may differ. Default: 0. */
  nondet_tol?: number;
  /** Whether gradients of zero, alone and together with others, must give zeros. Default: true. */
  check_undefined_grad?: boolean;
  /** Whether gradients must come in the inputs' types. (The walk converts them, so that only hooks can break this.) Default: false. */
  check_grad_dtypes?: boolean;
  /** Compare products with the Jacobian from the right, too, as `torch.autograd.functional.jvp` gives them. Default: false. */
  check_forward_ad?: boolean;
  /** Default: true. */
  check_backward_ad?: boolean;
  /** Compare uᵀ J v for a random u and v instead of every element: two evaluations per input. Default: false. */
  fast_mode?: boolean;
}

export interface GradgradcheckOptions extends GradcheckOptions {
  /** Gradients of outputs that are drawn get gaps in their memory. Default: false. */
  gen_non_contig_grad_outputs?: boolean;
  /** Check the first gradients' Jacobian from the right. Default: false. */
  check_fwd_over_rev?: boolean;
  /** Default: true. */
  check_rev_over_rev?: boolean;
}

type Func = (...inputs: Tensor[]) => Tensors;
interface Check extends Required<GradcheckOptions> {
  readonly func: Func;
  readonly inputs: readonly Tensor[];
  /** Positions of the inputs that require grad. */
  readonly targets: readonly number[];
  readonly generator: Generator;
}

const listOf = (x: Tensors): readonly Tensor[] => (x instanceof Tensor ? [x] : x);
const differentiable = (outputs: Tensors): Tensor[] => listOf(outputs).filter((t) => t.dtype.differentiable);
/** Real numbers in a tensor: two per complex one. */
const width = (t: Tensor): number => t.numel() * (t.dtype.is_complex ? 2 : 1);

/** As real numbers, (re, im) of complex ones. */
function numbers(t: Tensor): Float64Array {
  const x = t.detach();
  return (x.dtype.is_complex ? ops.view_as_real(x) : x).to(float64).data_sync() as Float64Array;
}

/** The inverse of `numbers`, in the shape and type of `like`. */
function tensorOf(values: Float64Array, { dtype, device, shape }: Tensor): Tensor {
  const flat = ops.tensor(values, { dtype: dtype.real, device });
  return (dtype.is_complex ? ops.view_as_complex(flat.reshape([...shape, 2])) : flat.reshape(shape)).detach();
}

/** An input with other values: it lies in memory as the given one does. */
function inputOf(values: Float64Array, like: Tensor): Tensor {
  const { dtype, device, shape, _strides: strides } = like;
  const t = tensorOf(values, like);
  return isContiguous(shape, strides) ? t : ops.empty_strided([...shape], [...strides], { dtype, device }).copy_(t);
}

/**
 * Whether the gradients of `func` agree with central differences.
 *
 * `inputs`: one tensor or several, any shapes, of which one at least requires grad; float64 or complex128, as narrower types are too coarse for
 * `eps`. `func` returns one tensor or several; those that are not of a floating or complex type are left out. Complex numbers count as
 * their (re, im) form. PyTorch's options for sparse tensors and for batched gradients (`torch.func` lies above this) have no counterpart.
 *
 * Throws GradcheckError where they don't agree (`raise_exception: false`: returns false); ValueError where no input requires grad;
 * RuntimeError for inputs with elements that share memory.
 */
export function gradcheck(func: Func, inputs: Tensors, options: GradcheckOptions = {}): boolean {
  const given = listOf(inputs);
  const targets = given.map((_, i) => i).filter((i) => given[i]!.requires_grad && given[i]!.dtype.differentiable);
  if (targets.length === 0) {
    throw new ValueError(
      "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.",
    );
  }
  for (const i of targets) checkInput(given[i]!, i);
  const check: Check = {
    ...{ eps: 1e-6, atol: 1e-5, rtol: 1e-3, raise_exception: true, nondet_tol: 0 },
    ...{
      check_undefined_grad: true,
      check_grad_dtypes: false,
      check_forward_ad: false,
      check_backward_ad: true,
      fast_mode: false,
    },
    ...options,
    ...{ func, inputs: given, targets, generator: new Generator("cpu").manual_seed(0) },
  };
  try {
    run(check);
  } catch (error) {
    if (!check.raise_exception && error instanceof GradcheckError) return false;
    throw error;
  }
  return true;
}

function checkInput(t: Tensor, position: number): void {
  if (t.dtype !== float64 && t.dtype !== complex128) {
    console.warn(
      `Input #${position} requires gradient and is of ${t.dtype}, not of double precision: the check will likely fail. Use float64 or complex128.`,
    );
  }
  if (t.shape.some((n, d) => n > 1 && t._strides[d] === 0)) {
    throw new RuntimeError(
      `gradcheck: input ${position}, of shape ${formatShape(t.shape)} and strides ${formatShape(t._strides)}, has elements that share memory, so that no difference in one of them can be taken. Call contiguous() on it, or expand it within the function.`,
    );
  }
}

function run(check: Check): void {
  const outputs = differentiable(check.func(...check.inputs));
  if (!outputs.some((t) => t.requires_grad)) return checkConstant(check, outputs);
  if (check.fast_mode) compareProducts(check, outputs);
  else compareElements(check, outputs);
  if (check.check_forward_ad) compareForward(check, outputs);
  if (check.check_undefined_grad && check.check_backward_ad) checkUndefined(check, outputs);
}

/** The outputs where input `position` has other values. */
function evaluate(check: Check, position: number, values: Float64Array): Float64Array[] {
  const t = no_grad(() => inputOf(values, check.inputs[position]!)).requires_grad_();
  return differentiable(check.func(...check.inputs.map((x, i) => (i === position ? t : x)))).map(numbers);
}

/** Derivatives of all outputs along `direction` in input `position`. */
function difference(check: Check, position: number, direction: (k: number) => number): Float64Array[] {
  const at = numbers(check.inputs[position]!);
  const [above, below] = [check.eps, -check.eps].map((step) =>
    evaluate(
      check,
      position,
      at.map((x, k) => x + step * direction(k)),
    ),
  ) as [Float64Array[], Float64Array[]];
  return above.map((values, o) => values.map((x, i) => (x - below[o]![i]!) / (2 * check.eps)));
}

/** Gradients of sum(u * output) in all targets, as numbers. Runs twice where that must not matter. */
function backward(check: Check, output: Tensor, u: Float64Array): Float64Array[] {
  const targets = check.targets.map((i) => check.inputs[i]!);
  if (!output.requires_grad) return targets.map((t) => new Float64Array(width(t)));
  const v = no_grad(() => tensorOf(u, output));
  const once = (): Float64Array[] => {
    const found = grad(output, targets, { grad_outputs: v, retain_graph: true, allow_unused: true });
    return found.map((g, j) => {
      if (g === null) return new Float64Array(width(targets[j]!));
      checkForm(check, g, targets[j]!, check.targets[j]!);
      return numbers(g);
    });
  };
  const first = once();
  once().forEach((again, j) => {
    const worst = again.reduce((m, x, k) => (Object.is(x, first[j]![k]) ? m : Math.max(m, Math.abs(x - first[j]![k]!))), 0);
    if (worst <= check.nondet_tol) return;
    throw new GradcheckError(
      `Backward is not reentrant: running it twice with the same input and grad_output gives gradients of input ${check.targets[j]} that differ by ${worst}. The tolerance for nondeterminism was ${check.nondet_tol}.`,
    );
  });
  return first;
}

function checkForm(check: Check, g: Tensor, input: Tensor, position: number): void {
  if (!sameShape(g.shape, input.shape)) {
    throw new GradcheckError(
      `grad is of shape ${formatShape(g.shape)}, input ${position} of shape ${formatShape(input.shape)}: expected equal shapes`,
    );
  }
  if (check.check_grad_dtypes && g.dtype !== input.dtype) {
    throw new GradcheckError(`grad is of ${g.dtype}, input ${position} of ${input.dtype}: expected equal types`);
  }
}

/** NaN matches NaN, and infinities themselves. */
function close(got: number, want: number, atol: number, rtol: number): boolean {
  return Object.is(got, want) || Math.abs(got - want) <= atol + rtol * Math.abs(want);
}

function compareElements(check: Check, outputs: readonly Tensor[]): void {
  const { inputs, targets, atol, rtol } = check;
  if (!check.check_backward_ad) return;
  // [output][element of it][target]
  const analytical = outputs.map((out) =>
    Array.from({ length: width(out) }, (_, i) => {
      const one = new Float64Array(width(out));
      one[i] = 1;
      return backward(check, out, one);
    }),
  );
  targets.forEach((position, j) => {
    const n = width(inputs[position]!);
    for (let k = 0; k < n; k++) {
      const numerical = difference(check, position, (at) => (at === k ? 1 : 0));
      numerical.forEach((column, o) => {
        column.forEach((want, i) => {
          const got = analytical[o]![i]![j]![k]!;
          if (close(got, want, atol, rtol)) return;
          throw new GradcheckError(
            `Jacobian mismatch for output ${o} with respect to input ${position}, at output element ${i} and input element ${k}: numerical ${want}, analytical ${got}`,
          );
        });
      });
    }
  });
}

/** Numbers between 0 and 1 whose squares sum to 1. */
function direction(check: Check, n: number): Float64Array {
  const drawn = ops.rand([n], { dtype: float64, generator: check.generator, device: "cpu" }).data_sync() as Float64Array;
  const norm = Math.sqrt(drawn.reduce((s, x) => s + x * x, 0));
  return n === 0 ? drawn : drawn.map((x) => x / norm);
}

const sum = (x: Float64Array): number => x.reduce((a, b) => a + b, 0);
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((s, x, i) => s + x * b[i]!, 0);

function compareProducts(check: Check, outputs: readonly Tensor[]): void {
  const { inputs, targets, atol, rtol } = check;
  if (!check.check_backward_ad) return;
  const us = outputs.map((out) => direction(check, width(out)));
  const rows = outputs.map((out, o) => backward(check, out, us[o]!));
  targets.forEach((position, j) => {
    const v = direction(check, width(inputs[position]!));
    if (v.length === 0) return;
    const numerical = difference(check, position, (k) => v[k]!);
    numerical.forEach((column, o) => {
      const want = dot(us[o]!, column);
      const got = dot(rows[o]![j]!, v);
      // As if every element were off by atol.
      if (close(got, want, atol * sum(us[o]!) * sum(v), rtol)) return;
      compareElements(check, outputs);
      throw new GradcheckError(
        `Jacobian mismatch for output ${o} with respect to input ${position}, in fast mode only: numerical ${want}, analytical ${got}; element by element they agree. If the function is right, compare with fast_mode: false or a greater atol.`,
      );
    });
  });
}

/** J v along each input, by differentiating vᵀ J in v, against differences. */
function compareForward(check: Check, outputs: readonly Tensor[]): void {
  const { inputs, targets, atol, rtol } = check;
  const live = outputs.map((t) => t.requires_grad);
  const func = (...own: Tensor[]): Tensor[] => {
    const moved = [...inputs];
    targets.forEach((position, j) => (moved[position] = own[j]!));
    return differentiable(check.func(...moved)).filter((_, o) => live[o]);
  };
  const points = targets.map((i) => inputs[i]!);
  targets.forEach((position, j) => {
    const v = direction(check, width(inputs[position]!));
    const along = points.map((t, i) => (i === j ? no_grad(() => tensorOf(v, t)) : ops.zeros_like(t.detach())));
    const wanted = difference(check, position, (k) => v[k]!);
    const [, tangents] = jvp(func, points, along);
    let at = 0;
    outputs.forEach((out, o) => {
      const got = live[o] ? numbers(listOf(tangents)[at++]!) : new Float64Array(width(out));
      const i = got.findIndex((x, k) => !close(x, wanted[o]![k]!, atol * sum(v), rtol));
      if (i < 0) return;
      throw new GradcheckError(
        `Jacobian mismatch for output ${o} with respect to input ${position}, from the right, at output element ${i}: numerical ${wanted[o]![i]}, forward ${got[i]}`,
      );
    });
  });
}

/** No output requires grad: then none may depend on an input. */
function checkConstant(check: Check, outputs: readonly Tensor[]): void {
  if (outputs.length === 0) return;
  for (const position of check.targets) {
    const n = width(check.inputs[position]!);
    const v = check.fast_mode ? direction(check, n) : null;
    for (let k = 0; k < (v === null ? n : 1); k++) {
      const columns = difference(check, position, v === null ? (at) => (at === k ? 1 : 0) : (at) => v[at]!);
      columns.forEach((column, o) => {
        const i = column.findIndex((x) => !close(x, 0, check.atol, 0));
        if (i < 0) return;
        throw new GradcheckError(
          `Numerical gradient for function expected to be zero, as no output requires grad: that of element ${i} of output ${o} with respect to input ${position} is ${column[i]}`,
        );
      });
    }
  }
}

/** Gradients of zero give zeros, whether the other outputs get zeros or nothing. */
function checkUndefined(check: Check, outputs: readonly Tensor[]): void {
  const targets = check.targets.map((i) => check.inputs[i]!);
  const live = outputs.filter((t) => t.requires_grad);
  const sets = live.length > 1 ? [live, ...live.map((t) => [t])] : [live];
  for (const set of sets) {
    const zeros = set.map((t) => ops.zeros_like(t.detach()));
    const found = grad(set, targets, { grad_outputs: zeros, retain_graph: true, allow_unused: true });
    found.forEach((g, j) => {
      if (g === null || numbers(g).every((x) => x === 0)) return;
      throw new GradcheckError(
        `Expected gradients of zeros to give zeros, but that of input ${check.targets[j]} is not zero. Backward must do with outputs that have no gradient (null), and be linear.`,
      );
    });
  }
}

/**
 * Whether the gradients of the gradients of `func` agree with central differences.
 *
 * `grad_outputs`: the gradients of the outputs that require grad, in their shapes and types, at which to look; by default numbers drawn from a
 * normal distribution. Otherwise as `gradcheck`, whose errors it has.
 */
export function gradgradcheck(
  func: Func,
  inputs: Tensors,
  grad_outputs: Tensors | null = null,
  options: GradgradcheckOptions = {},
): boolean {
  const { gen_non_contig_grad_outputs = false, check_fwd_over_rev = false, check_rev_over_rev = true, ...rest } = options;
  const given = listOf(inputs);
  const outputs = differentiable(func(...given)).filter((t) => t.requires_grad);
  const generator = new Generator("cpu").manual_seed(0);
  const vectors =
    grad_outputs !== null ? listOf(grad_outputs) : outputs.map((t) => randomLike(t, generator, gen_non_contig_grad_outputs));
  const first = (...args: Tensor[]): Tensor[] => {
    const own = args.slice(0, given.length);
    const outs = differentiable(func(...own)).filter((t) => t.requires_grad);
    const found = grad(
      outs,
      own.filter((t) => t.requires_grad),
      { grad_outputs: args.slice(given.length), create_graph: true, allow_unused: true },
    );
    return found.filter((g) => g !== null);
  };
  const checks = { check_forward_ad: check_fwd_over_rev, check_backward_ad: check_rev_over_rev };
  return gradcheck(first, [...given, ...vectors], { ...rest, ...checks });
}

function randomLike(t: Tensor, generator: Generator, gaps: boolean): Tensor {
  const shape = [...t.shape, ...(gaps ? [2] : []), ...(t.dtype.is_complex ? [2] : [])];
  const drawn = ops.randn(shape, { dtype: t.dtype.real, generator, device: "cpu" }).to(t.device);
  const values = t.dtype.is_complex ? ops.view_as_complex(drawn) : drawn;
  return (gaps ? values.select(-1, 0) : values).detach().requires_grad_();
}
