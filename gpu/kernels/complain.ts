/** Bad data met by kernels: see GpuContext.complaint. */

import type { BufferVar, V } from "../builder.ts";

/** Leaves a note of the bad value (an integer), unless there is an earlier one. */
export function complain(complaint: BufferVar, code: V, value: V): void {
  const { block } = value;
  block.if(complaint.atomic("max", 0, code).eq(0), () => {
    complaint.atomic("exchange", 1, value.scalar === "i64" ? value.convert("u32") : value.bitcast("u32"));
  });
}
