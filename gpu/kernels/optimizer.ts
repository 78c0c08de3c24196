/**
 * `optimizer`: steps in place over many parameters per launch. Parameters whose state lies in the same memory with them (Device.pack) share one
 * binding, so that a launch takes a gradient per further binding; others take a binding for each of their tensors. What depends on the
 * step number is computed on the host in double precision.
 */

import type { View } from "../../ts/core/device.ts";
import { type DType, float64 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { OptimizerParams, OptimizerSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import type { Program } from "../ir.ts";
import { ceilDiv, workgroupSize } from "../plan.ts";
import { roundTo } from "../scalar/convert.ts";

const THREADS = 128;
/** Elements of one thread, a workgroup's threads apart. */
const PER_THREAD = 16;
/** Parameters of one launch at most: each has code of its own. */
const MOST_SLOTS = 15;

/** A parameter: its gradient, then itself and its state. */
interface Slot {
  readonly gradient: View;
  readonly own: readonly View[];
  readonly size: number;
}

/** What changes a program's structure. */
interface Variant {
  readonly op: OptimizerSpec["op"];
  readonly dtype: DType;
  /** Tensors of a parameter: itself and its state. */
  readonly each: number;
  readonly slots: number;
  /** All tensors but the gradients lie in one memory. */
  readonly packed: boolean;
  readonly decays: boolean;
  readonly nesterov: boolean;
  readonly moves: boolean;
  /** lerp from the nearer end: to the gradient, or from it. */
  readonly near: boolean;
}

export const lowerOptimizer: GpuLowering<"optimizer"> = (spec, context) => {
  const most = context.caps.maxStorageBuffers;
  return (gradients, outputs, params) => {
    const each = outputs.length / gradients.length;
    const loose: Slot[] = [];
    const packed = new Map<object, Slot[]>();
    gradients.forEach((gradient, i) => {
      const size = numelOf(gradient.shape);
      if (size === 0) return;
      const slot: Slot = { gradient, own: outputs.slice(i * each, (i + 1) * each), size };
      const memory = context.memoryOf(slot.own[0]!);
      if (slot.own.some((v) => context.memoryOf(v) !== memory) || context.memoryOf(gradient) === memory) loose.push(slot);
      else if (packed.has(memory)) packed.get(memory)!.push(slot);
      else packed.set(memory, [slot]);
    });
    // One alone gains nothing.
    for (const [memory, slots] of packed) {
      if (slots.length > 1 || each > 1) continue;
      loose.push(...slots);
      packed.delete(memory);
    }
    const step = (slots: readonly Slot[], together: boolean, atOnce: number): void => {
      for (let i = 0; i < slots.length; i += atOnce) stepSlots(spec, context, params, slots.slice(i, i + atOnce), together);
    };
    for (const slots of packed.values()) step(slots, true, Math.min(most - 1, MOST_SLOTS));
    step(loose, false, Math.max(1, Math.min(Math.floor(most / (each + 1)), MOST_SLOTS)));
  };
};

function stepSlots(
  spec: OptimizerSpec,
  context: GpuContext,
  params: OptimizerParams,
  slots: readonly Slot[],
  packed: boolean,
): void {
  const { weight_decay, momentum, nesterov, beta1 } = params;
  const variant: Variant = {
    op: spec.op,
    dtype: spec.dtype,
    each: slots[0]!.own.length,
    slots: slots.length,
    packed,
    decays: weight_decay !== 0,
    nesterov: spec.op === "sgd" && nesterov,
    moves: spec.op === "sgd" && momentum !== 0,
    near: 1 - beta1 < 0.5,
  };
  const key = Object.values(variant).join("/");
  const program = context.program(`optimizer/${key}`, () => stepProgram(variant, context));
  const values = hostValues(spec, params);
  let groups = 0;
  slots.forEach(({ gradient, own, size }, i) => {
    groups += ceilDiv(size, program.workgroup * PER_THREAD);
    values[`end${i}`] = groups;
    values[`size${i}`] = size;
    values[`gradient${i}_offset`] = gradient.offset;
    own.forEach((v, j) => (values[`own${i}_${j}_offset`] = v.offset));
  });
  const first = slots[0]!.own[0]!;
  const own = packed ? [first] : slots.flatMap((s) => s.own);
  const buffers = [...own, ...slots.map((s) => s.gradient)];
  context.launch(program, { buffers, params: values, groups, aliasing: "elementwise" });
}

/** All scalars of a step, each rounded once. */
function hostValues({ op, dtype }: OptimizerSpec, params: OptimizerParams): Record<string, number> {
  const { lr, momentum, dampening, beta1, beta2, eps, weight_decay, maximize, step } = params;
  const values = { sign: maximize ? -1 : 1, decay: weight_decay };
  if (op === "sgd") return { ...values, rate: -lr, momentum, take: 1 - dampening, first: step === 1 ? 1 : 0 };
  const weight = 1 - beta1;
  return {
    ...values,
    shrink: op === "adamw" ? 1 - lr * weight_decay : 1,
    weight: weight < 0.5 ? weight : 1 - (dtype === float64 ? weight : Math.fround(weight)),
    beta2,
    take2: 1 - beta2,
    root: Math.sqrt(1 - beta2 ** step),
    eps,
    rate: -(lr / (1 - beta1 ** step)),
  };
}

function stepProgram(variant: Variant, context: GpuContext): Program {
  const { op, dtype, each, slots, packed } = variant;
  const k = new KernelBuilder(`optimizer_${op}`, workgroupSize(context.caps, THREADS));
  const { elem } = context.layout(dtype);
  const names = Array.from({ length: slots }, (_, i) => i);
  const tensors = names.map((i) => Array.from({ length: each }, (_, j) => `own${i}_${j}`));
  const one = packed ? k.output("own", elem) : null;
  const own: BufferVar[][] = tensors.map((list) => list.map((name) => one ?? k.output(name, elem)));
  const gradients = names.map((i) => k.input(`gradient${i}`, elem));
  const u32 = (name: string): V => k.param(name, "u32");

  /** Finds the parameter that this workgroup works on, from..to - 1, and steps its elements. */
  const branch = (from: number, to: number): void => {
    if (to - from > 1) {
      const middle = (from + to) >> 1;
      k.if(
        k.group.lt(u32(`end${middle - 1}`)),
        () => branch(from, middle),
        () => branch(middle, to),
      );
      return;
    }
    const before = from === 0 ? k.group : k.group.sub(u32(`end${from - 1}`));
    const first = before.mul(k.workgroup * PER_THREAD).add(k.thread);
    const end = u32(`size${from}`).min(first.add(k.workgroup * PER_THREAD));
    k.for(first, end, k.workgroup, (index) => {
      const g = gradients[from]!.load(index.add(u32(`gradient${from}_offset`)));
      const places = own[from]!.map((buffer, j) => ({ buffer, at: index.add(u32(`own${from}_${j}_offset`)) }));
      update(k, variant, g, places);
    });
  };
  branch(0, slots);
  return k.build();
}

interface Place {
  readonly buffer: BufferVar;
  readonly at: V;
}

/** One element; the order of operations is PyTorch's, of its single-tensor forms. */
function update(k: KernelBuilder, variant: Variant, gradient: V, places: readonly Place[]): void {
  const { op, dtype, decays, moves, nesterov, near } = variant;
  const scalar = dtype === float64 ? "f64" : "f32";
  const param = (name: string): V => k.param(name, scalar);
  const values = places.map(({ buffer, at }) => buffer.load(at));
  const put = (j: number, v: V): void => places[j]!.buffer.store(places[j]!.at, roundTo(k, v, dtype));
  let x = values[0]!;
  let g = gradient.mul(param("sign"));
  if (op === "sgd") {
    if (decays) g = g.add(x.mul(param("decay")));
    if (moves) {
      const run = values[1]!.mul(param("momentum")).add(g.mul(param("take")));
      const buffer = k.param("first", "u32").ne(0).select(g, run);
      put(1, buffer);
      g = nesterov ? g.add(buffer.mul(param("momentum"))) : buffer;
    }
    return put(0, x.add(g.mul(param("rate"))));
  }
  if (op === "adamw") x = x.mul(param("shrink"));
  else if (decays) g = g.add(x.mul(param("decay")));
  let [, m, v] = values as [V, V, V];
  const way = g.sub(m);
  m = near ? m.add(way.mul(param("weight"))) : g.sub(way.mul(param("weight")));
  v = v.mul(param("beta2")).add(g.mul(param("take2")).mul(g));
  put(1, m);
  put(2, v);
  if (places.length === 4) {
    const largest = values[3]!;
    v = largest.isNan().or(largest.ge(v)).select(largest, v);
    put(3, v);
  }
  const denominator = v.sqrt().div(param("root")).add(param("eps"));
  put(0, x.add(m.mul(param("rate")).div(denominator)));
}
