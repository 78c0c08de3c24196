/** `torch.autograd.functional`: products with Jacobians and Hessians, and these themselves. */

import { RuntimeError } from "../core/errors.ts";
import { enable_grad } from "../core/grad_mode.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { grad } from "./backward.ts";

/** One tensor, or several. */
export type Tensors = Tensor | readonly Tensor[];
export interface FunctionalOptions {
  /** Whether the result can be differentiated again. */
  create_graph?: boolean;
  /** An error, rather than zeros, when an output does not depend on an input. */
  strict?: boolean;
}

type Func = (...inputs: Tensor[]) => Tensors;

const isList = (x: Tensors): x is readonly Tensor[] => Array.isArray(x);
const listOf = (x: Tensors): readonly Tensor[] => (isList(x) ? x : [x]);
const like = (model: Tensors, list: readonly Tensor[]): Tensors => (isList(model) ? list : list[0]!);

/** Inputs of one's own: part of the caller's graph where a graph shall be made, else leaves. */
function ownInputs(inputs: Tensors, create_graph: boolean): Tensor[] {
  return listOf(inputs).map((t) => (create_graph && t.requires_grad ? t.view_as(t) : t.detach().requires_grad_()));
}

function checkVector(name: string, v: readonly Tensor[], like: readonly Tensor[], what: string): void {
  if (v.length !== like.length)
    throw new RuntimeError(`${name}: v has ${v.length} tensors, but there are ${like.length} ${what}`);
  v.forEach((t, i) => {
    if (!sameShape(t.shape, like[i]!.shape)) {
      throw new RuntimeError(
        `${name}: v ${i} has invalid size: should be ${formatShape(like[i]!.shape)} but got ${formatShape(t.shape)}.`,
      );
    }
  });
}

function vectorFor(name: string, v: Tensors | null, of: readonly Tensor[], what: string): readonly Tensor[] {
  if (v !== null) {
    const list = listOf(v);
    checkVector(name, list, of, what);
    return list;
  }
  if (of.length !== 1 || of[0]!.numel() !== 1) {
    throw new RuntimeError(`${name}: the vector v can only be null if there is one of the ${what} and it has a single element`);
  }
  return [ops.ones_like(of[0]!)];
}

/** Gradients, zeros where there is none. */
function gradients(
  name: string,
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  vectors: readonly Tensor[],
  create_graph: boolean,
  strict: boolean,
): Tensor[] {
  const used = outputs.map((t, i) => [t, vectors[i]!] as const).filter(([t]) => t.requires_grad);
  const found =
    used.length === 0
      ? inputs.map(() => null)
      : grad(
          used.map(([t]) => t),
          inputs,
          { grad_outputs: used.map(([, v]) => v), create_graph, retain_graph: true, allow_unused: true },
        );
  return found.map((g, i) => {
    if (g !== null) return g;
    if (strict)
      throw new RuntimeError(
        `${name}: the output of the user-provided function is independent of input ${i}. This is not allowed in strict mode.`,
      );
    return ops.zeros_like(inputs[i]!);
  });
}

const finish = (list: readonly Tensor[], create_graph: boolean): readonly Tensor[] =>
  create_graph ? list : list.map((t) => t.detach());

function pair(
  outputs: Tensors,
  inputs: Tensors,
  outs: readonly Tensor[],
  results: readonly Tensor[],
  create_graph: boolean,
): [Tensors, Tensors] {
  return [like(outputs, finish(outs, create_graph)), like(inputs, finish(results, create_graph))];
}

/** `[func(inputs), vᵀ J]`. */
export function vjp(func: Func, inputs: Tensors, v: Tensors | null = null, options: FunctionalOptions = {}): [Tensors, Tensors] {
  const { create_graph = false, strict = false } = options;
  return enable_grad(() => {
    const own = ownInputs(inputs, create_graph);
    const outputs = func(...own);
    const outs = listOf(outputs);
    const vectors = vectorFor("vjp", v, outs, "outputs");
    return pair(outputs, inputs, outs, gradients("vjp", outs, own, vectors, create_graph, strict), create_graph);
  });
}

/** `[func(inputs), J v]`, by differentiating `uᵀ J` in u. */
export function jvp(func: Func, inputs: Tensors, v: Tensors | null = null, options: FunctionalOptions = {}): [Tensors, Tensors] {
  const { create_graph = false, strict = false } = options;
  return enable_grad(() => {
    const own = ownInputs(inputs, create_graph);
    const vectors = vectorFor("jvp", v, own, "inputs");
    const outputs = func(...own);
    const outs = listOf(outputs);
    const u = outs.map((t) => ops.zeros_like(t).requires_grad_());
    const back = gradients("jvp", outs, own, u, true, strict);
    const result = gradients("jvp", back, u, vectors, create_graph, strict);
    return pair(outputs, outputs, outs, result, create_graph);
  });
}

/** A matrix of Jacobians where there are lists, [output][input]; each has the output's dimensions, then the input's. */
export type Jacobian = Tensor | readonly Tensor[] | readonly (readonly Tensor[])[];

export function jacobian(func: Func, inputs: Tensors, options: FunctionalOptions = {}): Jacobian {
  const { create_graph = false, strict = false } = options;
  return enable_grad(() => {
    const own = ownInputs(inputs, create_graph);
    const outputs = func(...own);
    const rows = listOf(outputs).map((out) => {
      const n = out.numel();
      const basis = ops.eye(n, { dtype: out.dtype, device: out.device });
      const parts: Tensor[][] = own.map(() => []);
      for (let i = 0; i < n; i++) {
        const v = basis.select(0, i).reshape(out.shape);
        gradients("jacobian", [out], own, [v], create_graph, strict).forEach((g, j) => parts[j]!.push(g));
      }
      const whole = parts.map((list, j) => {
        const shape = [...out.shape, ...own[j]!.shape];
        return n === 0 ? ops.zeros(shape, { dtype: out.dtype, device: out.device }) : ops.stack(list).reshape(shape);
      });
      return finish(whole, create_graph);
    });
    const each = rows.map((row) => (isList(inputs) ? row : row[0]!));
    return (isList(outputs) ? each : each[0]!) as Jacobian;
  });
}

function single(name: string, func: Func): (...inputs: Tensor[]) => Tensor {
  return (...inputs) => {
    const out = func(...inputs);
    if (isList(out)) throw new RuntimeError(`The function given to ${name} should return a single Tensor`);
    if (out.numel() !== 1)
      throw new RuntimeError(`The Tensor returned by the function given to ${name} should contain a single element`);
    return out.reshape([]);
  };
}

/** Second derivatives of a function with one value: for lists of inputs [input][input]. */
export function hessian(func: Func, inputs: Tensors, options: FunctionalOptions = {}): Jacobian {
  const { create_graph = false, strict = false } = options;
  const value = single("hessian", func);
  const first = (...own: Tensor[]): Tensors =>
    jacobian(value, isList(inputs) ? own : own[0]!, { create_graph: true, strict }) as Tensors;
  return jacobian(first, inputs, { create_graph, strict });
}

/** `[func(inputs), vᵀ H]`. */
export function vhp(func: Func, inputs: Tensors, v: Tensors | null = null, options: FunctionalOptions = {}): [Tensor, Tensors] {
  const { create_graph = false, strict = false } = options;
  return enable_grad(() => {
    const own = ownInputs(inputs, create_graph);
    const vectors = vectorFor("vhp", v, own, "inputs");
    const out = single("vhp", func)(...own);
    const first = gradients("vhp", [out], own, [ops.ones_like(out)], true, strict);
    const second = gradients("vhp", first, own, vectors, create_graph, strict);
    return pair(out, inputs, [out], second, create_graph) as [Tensor, Tensors];
  });
}

/** `[func(inputs), H v]`; by the symmetry of the Hessian the same as `vhp`. */
export const hvp = vhp;
