/** The parts of a parameter block that `map` and `reduce` share (wasm/assembly/block_machine.ts reads them). */

import type { Shape } from "../../../ts/core/shape.ts";
import type { ParamWriter } from "../params.ts";
import type { Program } from "./program.ts";
import { roundTo, toBigInt, wrapTo } from "./scalars.ts";

export function launchWords(program: Program, views: number, rank: number): number {
  return 6 + 2 * program.scalars.length + views * (2 + rank) + rank + 2 * program.indices.length;
}

export function writeScalars(p: ParamWriter, program: Program, values: readonly (number | bigint)[]): void {
  const uses = program.scalars;
  for (let i = 0; i < uses.length; i++) {
    const { slot, dtype } = uses[i]!;
    const x = values[slot]!;
    switch (dtype.compute) {
      case "f32":
        p.f32(dtype.itemsize === 4 ? Number(x) : roundTo(Number(x), dtype)).i32(0);
        break;
      case "f64":
        p.f64(Number(x));
        break;
      case "i64":
        p.i64(toBigInt(x));
        break;
      case "i32":
        p.i32(wrapTo(typeof x === "bigint" ? Number(BigInt.asIntN(32, x)) : x, dtype)).i32(0);
        break;
    }
  }
}

/** Per index node: over how many elements an index stays the same, and how many there are. */
export function writeIndices(p: ParamWriter, program: Program, shape: Shape): void {
  for (const dim of program.indices) {
    const from = dim === "linear" ? 0 : shape.length - 1 - dim;
    const to = dim === "linear" ? shape.length : from + 1;
    let size = 1;
    let inner = 1;
    for (let d = Math.max(from, 0); d < to; d++) size *= shape[d]!;
    for (let d = to; d < shape.length; d++) inner *= shape[d]!;
    p.i32(inner).i32(size);
  }
}
