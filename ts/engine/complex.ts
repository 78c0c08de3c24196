/**
 * How ops treat complex arguments. No kernel knows of complex numbers: their ops are formulas of real and imaginary parts, real tensors over the
 * same memory. So every device has them, and gradients come by themselves, in PyTorch's convention: the gradient of a complex tensor is
 * that of its (re, im) form.
 */

import { Complex } from "../core/dtype.ts";
import { NotImplementedError, RuntimeError } from "../core/errors.ts";
import { formatShape, isContiguous } from "../core/shape.ts";
import { needsGraph, Tensor } from "../core/tensor.ts";
import { record } from "./node.ts";
import { complexOf, paired, pairsOf, partOf } from "./pairs.ts";
import { copyOf } from "./run.ts";
import { bindOp, checkTensor, isOptions, type Signature } from "./signature.ts";

type Rule = (...args: never[]) => unknown;

const rules = new Map<string, Rule>();

/** What the op of this name does with complex arguments, which come in its signature's order with defaults filled in; `this` is the op on reals. */
export function complexRule(name: string, rule: Rule): void {
  rules.set(name, rule);
}

function isComplex(x: unknown): boolean {
  if (x instanceof Tensor) return x.dtype.is_complex;
  if (x instanceof Complex) return true;
  if (Array.isArray(x)) return x.some((y) => isComplex(y));
  if (!isOptions(x)) return (x as { is_complex?: unknown } | null)?.is_complex === true;
  return Object.values(x).some((y) => typeof y === "object" && y !== null && isComplex(y));
}

/** The call of an op as it is with complex arguments: by the op's rule; where `passes` (views, formulas of other ops) as without. */
export function withComplexRule(
  name: string,
  signature: Signature,
  passes: boolean,
  fn: (...args: unknown[]) => unknown,
): (...args: unknown[]) => unknown {
  return (...given) => {
    let complex = false;
    for (const x of given) {
      // The common cases first: this runs at every call of every op.
      if (typeof x !== "object" || x === null || !(x instanceof Tensor ? x.dtype.is_complex : isComplex(x))) continue;
      complex = true;
      break;
    }
    if (!complex) return fn(...given);
    const rule = rules.get(name) as ((...args: unknown[]) => unknown) | undefined;
    if (rule !== undefined) {
      const bound = bindOp(name, signature, given);
      if (["tensor", "operand"].includes(signature.kinds[0]!) && !bound.some((x) => x instanceof Tensor)) {
        checkTensor(name, signature.names[0]!, bound[0]);
      }
      return rule.apply(fn, bound);
    }
    if (passes) return fn(...given);
    throw new NotImplementedError(
      `${name}: not implemented for complex tensors; compute with their parts (torch.view_as_real, x.real, x.imag)`,
    );
  };
}

/** The same memory as [..., 2] reals. */
export function viewAsReal(input: Tensor): Tensor {
  const out = pairsOf(input);
  if (needsGraph(input)) record("ViewAsReal", [input], [out], ([g]) => [viewAsComplex(dense(g!))], null);
  return out;
}

/** [..., 2] reals as complex numbers. */
export function viewAsComplex(input: Tensor): Tensor {
  const { shape, _strides: strides, _offset: offset } = input;
  const last = input.ndim - 1;
  if (last < 0 || shape[last] !== 2) {
    throw new RuntimeError(`view_as_complex: Tensor must have a last dimension of size 2, got shape ${formatShape(shape)}`);
  }
  if (strides[last] !== 1) throw new RuntimeError("view_as_complex: Tensor must have a last dimension with stride 1");
  if (offset % 2 !== 0 || strides.slice(0, last).some((s, d) => s % 2 !== 0 && shape[d]! > 1)) {
    throw new RuntimeError("view_as_complex: Tensor must have a storage_offset and strides, but for the last, divisible by 2");
  }
  const out = complexOf(input);
  if (needsGraph(input)) record("ViewAsComplex", [input], [out], ([g]) => [viewAsReal(g!)], null);
  return out;
}

function dense(t: Tensor): Tensor {
  if (isContiguous(t.shape, t._strides)) return t;
  const out = copyOf(t, t.dtype);
  if (needsGraph(t)) record("Clone", [t], [out], ([g]) => [g], null);
  return out;
}

/** All real (0) or imaginary (1) parts, a view. */
export function part(input: Tensor, which: 0 | 1): Tensor {
  const out = partOf(input, which);
  const backward = (g: Tensor): Tensor => (which === 0 ? joined(g, null) : joined(null, g));
  if (needsGraph(input)) record(which === 0 ? "Real" : "Imag", [input], [out], ([g]) => [backward(g!)], null);
  return out;
}

/** Complex numbers of these parts, broadcast to each other; null: zeros. */
export function joined(re: Tensor | null, im: Tensor | null): Tensor {
  const out = paired(re, im);
  const inputs = [re, im].filter((t) => t !== null);
  if (inputs.some(needsGraph)) record("Complex", inputs, [out], ([g]) => inputs.map((t) => part(g!, t === re ? 0 : 1)), null);
  return out;
}
