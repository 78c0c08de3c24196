/** Counting and listing non-zero elements: threads count blocks of neighbours, the counts are scanned, and the same threads write. */

import type { View } from "../../ts/core/device.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import { ceilDiv, workgroupSize } from "../plan.ts";
import { truth } from "../scalar/convert.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, viewParams } from "./common.ts";
import { exclusiveScan } from "./radix.ts";

/** Elements of one thread. */
const BLOCK = 32;

export const lowerNonzero: GpuLowering<"nonzero"> = (spec, context) => (inputs, outputs) => {
  const x = inputs[0]!;
  const out = outputs[0]!;
  const n = numelOf(x.shape);
  if (spec.mode === "count" && n === 0) return context.zero(out, out.offset, 1);
  if (numelOf(out.shape) === 0) return;
  const blocks = ceilDiv(n, BLOCK);
  // One more count, of 0, so that the last start is the number of all.
  const counts = context.temporary(blocks + 1, "i32");
  const starts = context.temporary(blocks + 1, "i32");
  context.zero(counts, blocks, 1);
  const launch = (mode: "blocks" | "write", buffers: Parameters<GpuContext["launch"]>[1]["buffers"]): void => {
    const program = context.program(programKey(context, mode, x, out), () => blockProgram(context, mode, x, out));
    const params = {
      ...shapeParams("size", x.shape),
      ...viewParams("x", x.offset, x.strides),
      n,
      blocks,
      out_offset: out.offset,
    };
    context.launch(program, { buffers, params, groups: ceilDiv(blocks, program.workgroup) });
  };
  launch("blocks", [x, counts]);
  exclusiveScan(context, counts, starts, blocks + 1);
  if (spec.mode === "write") return launch("write", [x, starts, out]);
  const { elem, value } = context.layout(out.dtype);
  const program = context.program(`nonzero_total|${elem}`, () => {
    const k = new KernelBuilder("nonzero_total", 1);
    const from = k.input("starts", "i32");
    k.output("out", elem).store(k.param("out_offset", "u32"), from.load(k.param("blocks", "u32")).convert(value));
    return k.build();
  });
  context.launch(program, { buffers: [starts, out], params: { blocks, out_offset: out.offset }, groups: 1 });
};

function programKey(context: GpuContext, mode: string, x: View, out: View): string {
  const [from, to] = [context.layout(x.dtype).elem, context.layout(out.dtype).elem];
  return `nonzero_${mode}|${from}|${to}|${x.shape.length}|${workgroupSize(context.caps, 64)}`;
}

function blockProgram(context: GpuContext, mode: "blocks" | "write", x: View, out: View): ReturnType<KernelBuilder["build"]> {
  const k = new KernelBuilder(`nonzero_${mode}`, workgroupSize(context.caps, 64));
  const rank = x.shape.length;
  const from = k.input("x", context.layout(x.dtype).elem);
  const counts = mode === "blocks" ? k.output("counts", "i32") : k.input("starts", "i32");
  const { elem, value } = context.layout(out.dtype);
  const to = mode === "write" ? k.output("out", elem) : null;
  const sizes = declareShape(k, "size", rank);
  const view = declareView(k, "x", rank);
  const block = k.group.mul(k.workgroup).add(k.thread);
  k.if(block.lt(k.param("blocks", "u32")), () => {
    const count = k.var(to === null ? k.i32(0) : counts.load(block));
    const first = block.mul(BLOCK);
    k.for(first, first.add(BLOCK).min(k.param("n", "u32")), 1, (i) => {
      const coords = coordinatesOf(i, sizes);
      k.if(truth(from.load(addressOf(view, coords))), () => {
        if (to !== null) {
          const row = count.get().convert("u32").mul(rank).add(k.param("out_offset", "u32"));
          coords.forEach((c: V, d) => to.store(row.add(d), c.convert(value)));
        }
        count.set(count.get().add(1));
      });
    });
    if (to === null) counts.store(block, count.get());
  });
  return k.build();
}
