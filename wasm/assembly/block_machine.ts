/**
 * The block machine: runs a compiled expression over a range of elements, block by block, so that intermediate values stay in the
 * first-level cache. map.ts and reduce.ts drive it.
 *
 * A program (wasm/device/lower/program.ts writes it) is 32-bit words:
 *   registers, inputs, outputs, uniforms, scalars, index nodes, prologue instructions, body instructions,
 *   per register its offset in the scratch area,
 *   per input and output log2 of its element size,
 *   per uniform { register, slot of its value or -1 for the constant that follows, 8 bytes low and high, log2 of its size },
 *   per index node its register,
 *   per instruction { row << 2 | lane, d, a, b, c }, with registers as byte offsets into the register table.
 * Registers are, in this order: the inputs, the outputs, the uniforms (every element has one value), everything else.
 * The prologue computes what depends on uniforms only, once per task.
 *
 * A run's parameters:
 *   program, elements, elements per task, rank, two words for the driver,
 *   per scalar 8 bytes,
 *   per input and output { address, Mode, byte strides [rank] }, sizes [rank],
 *   per index node { elements per step, steps }.
 */

import { BLOCK } from "./block_rows";
import { FUNCTIONS } from "./block_table";
import { indices, splat, transfer } from "./block_views";

export enum Mode {
  /** Consecutive in iteration order: used where it lies. */
  direct,
  strided,
  /** One value for all elements. */
  single,
}

/** Bytes at the start of the scratch area for the odometer. */
const COORDINATES: usize = 256;
const HEADER: usize = 32;
const RUN_HEADER: usize = 24;

// The run that this thread is in.
let program: usize = 0;
let run: usize = 0;
let base: usize = 0;
let registers: usize = 0;
let views: usize = 0;
let instructions: usize = 0;

@inline function shifts(): usize {
  return program + HEADER + (load<u32>(program) << 2);
}
@inline function viewWords(): i32 {
  return 2 + load<i32>(run, 12);
}

/** Sets up the registers for blocks of at most `n` elements. */
export function begin(params: usize, scratch: usize, n: i32): void {
  run = params;
  base = scratch;
  program = load<u32>(params);
  registers = scratch + COORDINATES;
  views = params + RUN_HEADER + (<usize>load<u32>(program, 16) << 3);
  const count = load<i32>(program);
  for (let r = 0; r < count; r++) {
    store<u32>(registers + (r << 2), scratch + load<u32>(program + HEADER + (r << 2)));
  }
  const inputs = load<i32>(program, 4);
  const words = viewWords() << 2;
  for (let i = 0; i < inputs; i++) {
    const view = views + i * words;
    if (load<i32>(view, 4) == Mode.single) {
      splat(load<u32>(registers + (i << 2)), load<u32>(view), load<i32>(shifts() + (i << 2)), n);
    }
  }
  let at = shifts() + ((load<u32>(program, 4) + load<u32>(program, 8)) << 2);
  for (let left = load<u32>(program, 12); left > 0; left--, at += 20) {
    const slot = load<i32>(at, 4);
    const value = slot < 0 ? at + 8 : params + RUN_HEADER + (<usize>slot << 3);
    splat(load<u32>(registers + (load<u32>(at) << 2)), value, load<i32>(at, 16), n);
  }
  at += <usize>load<u32>(program, 20) << 2;
  const prologue = load<i32>(program, 24);
  execute(at, prologue, n);
  instructions = at + prologue * 20;
}

/** Computes elements [position, position + n); their registers hold them until the next block. */
export function block(position: u32, n: i32): void {
  const inputs = load<i32>(program, 4);
  const outputs = load<i32>(program, 8);
  const words = viewWords() << 2;
  const rank = load<i32>(run, 12);
  const sizes = views + (inputs + outputs) * words;
  let view = views;
  for (let i = 0; i < inputs + outputs; i++, view += words) {
    const mode = load<i32>(view, 4);
    const shift = load<i32>(shifts() + (i << 2));
    if (mode == Mode.direct) store<u32>(registers + (i << 2), load<u32>(view) + (position << shift));
    else if (mode == Mode.strided && i < inputs) {
      transfer(load<u32>(registers + (i << 2)), load<u32>(view), view + 8, sizes, rank, shift, position, n, false, base);
    }
  }
  const nodes = load<i32>(program, 20);
  if (nodes > 0) {
    let at = shifts() + ((inputs + outputs) << 2) + load<u32>(program, 12) * 20;
    let node = sizes + (rank << 2);
    for (let i = 0; i < nodes; i++, at += 4, node += 8) {
      indices(load<u32>(registers + (load<u32>(at) << 2)), position, load<u32>(node), load<u32>(node, 4), n);
    }
  }
  execute(instructions, load<i32>(program, 28), n);
  view = views + inputs * words;
  for (let i = inputs; i < inputs + outputs; i++, view += words) {
    if (load<i32>(view, 4) != Mode.strided) continue;
    const shift = load<i32>(shifts() + (i << 2));
    transfer(load<u32>(registers + (i << 2)), load<u32>(view), view + 8, sizes, rank, shift, position, n, true, base);
  }
}

/** Where register number `r` holds the current block. */
export function register(r: u32): usize {
  return load<u32>(registers + (r << 2));
}

// For drivers that fetch and store blocks themselves (block_tiles.ts).

export function inputCount(): i32 {
  return load<i32>(program, 4);
}
export function viewCount(): i32 {
  return load<i32>(program, 4) + load<i32>(program, 8);
}
/** The parameters of a view: address, mode, strides. */
export function viewAt(i: i32): usize {
  return views + i * (viewWords() << 2);
}
export function shiftOf(i: i32): i32 {
  return load<i32>(shifts() + (i << 2));
}
/** Runs the instructions on the `n` elements that the input registers hold. */
export function compute(n: i32): void {
  execute(instructions, load<i32>(program, 28), n);
}

/** Whether register `r` is an input whose elements all lie in iteration order, used in place. */
export function inPlace(r: u32): bool {
  return r < load<u32>(program, 4) && load<i32>(views + r * (viewWords() << 2), 4) == Mode.direct;
}

function execute(at: usize, count: i32, n: i32): void {
  const table = registers;
  for (; count > 0; count--, at += 20) {
    const operation = load<u32>(at);
    const f = unchecked(FUNCTIONS[operation >> 2]);
    f(
      operation & 3,
      load<u32>(table + load<u32>(at, 4)),
      load<u32>(table + load<u32>(at, 8)),
      load<u32>(table + load<u32>(at, 12)),
      load<u32>(table + load<u32>(at, 16)),
      n,
    );
  }
}

/** The map kernel: one task computes one range of elements of every output. */
export function map(params: usize, task: u32, scratch: usize): void {
  const chunk = load<u32>(params, 8);
  let position = task * chunk;
  const end = min<u32>(position + chunk, load<u32>(params, 4));
  begin(params, scratch, min<u32>(BLOCK, end - position));
  for (; position < end; position += BLOCK) block(position, min<u32>(BLOCK, end - position));
}
