/**
 * Elementwise steps in place over many parameters per launch. Parameters whose state lies in the same memory with them (Device.pack) share one
 * binding, so that a launch takes a gradient per further binding; others take a binding for each of their tensors.
 */

import type { View } from "../../ts/core/device.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import type { Program } from "../ir.ts";
import { ceilDiv, workgroupSize } from "../plan.ts";

const THREADS = 128;
/** Elements of one thread, a workgroup's threads apart. */
const PER_THREAD = 16;
/** Parameters of one launch at most: each has code of its own. */
const MOST_SLOTS = 15;

/** What happens to each element. */
export interface SlotStep {
  readonly name: string;
  /** What the code depends on, but for the number of tensors and of slots. */
  readonly key: string;
  readonly dtype: DType;
  /** Run-time scalars. */
  readonly values: Readonly<Record<string, number | bigint>>;
  /** Called where the kernel begins; the result is called for each slot's element, and gives the new values of its tensors, rounded to the dtype. */
  readonly begin: (k: KernelBuilder) => (gradient: V, own: readonly V[]) => readonly V[];
}

/** A parameter: its gradient, then itself and its state. */
interface Slot {
  readonly gradient: View;
  readonly own: readonly View[];
  readonly size: number;
}

/** Steps the groups of `outputs`, as many as there are gradients. */
export function stepInPlace(context: GpuContext, gradients: readonly View[], outputs: readonly View[], step: SlotStep): void {
  const most = context.caps.maxStorageBuffers;
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
  const launch = (slots: readonly Slot[], together: boolean, atOnce: number): void => {
    for (let i = 0; i < slots.length; i += atOnce) launchSlots(context, step, slots.slice(i, i + atOnce), together);
  };
  for (const slots of packed.values()) launch(slots, true, Math.min(most - 1, MOST_SLOTS));
  launch(loose, false, Math.max(1, Math.min(Math.floor(most / (each + 1)), MOST_SLOTS)));
}

function launchSlots(context: GpuContext, step: SlotStep, slots: readonly Slot[], packed: boolean): void {
  const each = slots[0]!.own.length;
  const program = context.program(`${step.name}/${step.key}/${each}/${slots.length}/${packed}`, () =>
    slotsProgram(context, step, each, slots.length, packed),
  );
  const params: Record<string, number | bigint> = { ...step.values };
  let groups = 0;
  slots.forEach(({ gradient, own, size }, i) => {
    groups += ceilDiv(size, program.workgroup * PER_THREAD);
    params[`end${i}`] = groups;
    params[`size${i}`] = size;
    params[`gradient${i}_offset`] = gradient.offset;
    own.forEach((v, j) => (params[`own${i}_${j}_offset`] = v.offset));
  });
  const first = slots[0]!.own[0]!;
  const own = packed ? [first] : slots.flatMap((s) => s.own);
  const buffers = [...own, ...slots.map((s) => s.gradient)];
  context.launch(program, { buffers, params, groups, aliasing: "elementwise" });
}

function slotsProgram(context: GpuContext, step: SlotStep, each: number, slots: number, packed: boolean): Program {
  const k = new KernelBuilder(step.name, workgroupSize(context.caps, THREADS));
  const { elem } = context.layout(step.dtype);
  const names = Array.from({ length: slots }, (_, i) => i);
  const tensors = names.map((i) => Array.from({ length: each }, (_, j) => `own${i}_${j}`));
  const one = packed ? k.output("own", elem) : null;
  const own: BufferVar[][] = tensors.map((list) => list.map((name) => one ?? k.output(name, elem)));
  const gradients = names.map((i) => k.input(`gradient${i}`, elem));
  const u32 = (name: string): V => k.param(name, "u32");
  const element = step.begin(k);

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
      const values = element(
        g,
        places.map(({ buffer, at }) => buffer.load(at)),
      );
      values.forEach((v, j) => places[j]!.buffer.store(places[j]!.at, v));
    });
  };
  branch(0, slots);
  return k.build();
}
