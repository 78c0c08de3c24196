/**
 * What attention on matrix units has in common: a workgroup of four warps owns rows (queries, or keys for their gradients), each warp blocks
 * of 16, and walks over tiles of columns that come to workgroup memory one round ahead. Scores stay in registers, and become factors there.
 */

import type { View } from "../../ts/core/device.ts";
import type { AttentionParams, AttentionSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, type KernelBuilder, type Num, type SharedVar, type V, type Var } from "../builder.ts";
import type { GpuCaps } from "../context.ts";
import type { MatrixFormat } from "../ir.ts";
import type { Lines, Mask } from "./attention_tiles.ts";
import { LOG2E } from "./row_math.ts";
import { FORMATS, matrixFormat, MatrixTile, MMA_COLUMNS, MMA_ROWS, UNIT } from "./matrix_tiles.ts";

export const WARPS = 4;
export const THREADS = WARPS * 32;
const STAGES = 2;
const MOST_WIDTH = 128;
/** Registers that may hold fragments. */
const HELD = 32;

export interface MatrixPlan {
  readonly format: MatrixFormat;
  /** Blocks of 16 rows of a warp. */
  readonly blocks: 1 | 2;
  /** Columns of a tile. */
  readonly columns: 32 | 64;
}
export const ownRows = ({ blocks }: MatrixPlan): number => WARPS * blocks * MMA_ROWS;

interface Widths {
  /** Units of a line in workgroup memory, and those of them that are read: whole pairs of columns. */
  readonly units: number;
  readonly used: number;
  /** Instructions along a line. */
  readonly steps: number;
}
function widthsOf(format: MatrixFormat, width: number): Widths {
  const { perUnit, steps } = FORMATS[format];
  const used = (Math.ceil(width / MMA_ROWS) * MMA_ROWS) / perUnit;
  return { units: 2 ** Math.ceil(Math.log2(used)), used, steps: Math.ceil(width / steps) };
}

/** Bytes of the tiles of two operands: the rows that are owned, and the columns. */
function storage({ format, columns, ...rest }: MatrixPlan, widths: readonly number[], owned: readonly number[]): number {
  const bytes = (width: number): number => widthsOf(format, width).units * UNIT;
  const rows = owned.reduce((n, width) => n + ownRows({ format, columns, ...rest }) * bytes(width), 0);
  return rows + widths.reduce((n, width) => n + STAGES * columns * (bytes(width) + 8), 0);
}

/** The plan for a spec, or null: other kernels have it. */
export function planMatrixAttention(
  caps: GpuCaps,
  { mode, dtype, mask }: AttentionSpec,
  { q, k, v }: { q: View; k: View; v: View },
  { scale, tf32 }: AttentionParams,
): MatrixPlan | null {
  const format = matrixFormat(caps, dtype, tf32);
  const widths = [q.shape[2]!, v.shape[2]!];
  // The greatest product gives the greatest score only with a positive scale.
  if (format === null || !(scale > 0) || Math.min(...widths) < 1 || Math.max(...widths) > MOST_WIDTH) return null;
  if (q.shape[1]! === 0 || k.shape[1]! === 0) return null;
  const forward = mode === "forward";
  const narrow = Math.max(...widths) <= (format === "tf32" || (forward && mask) ? 32 : 64);
  const candidates: MatrixPlan[] = [
    { format, blocks: 1, columns: 64 },
    { format, blocks: 1, columns: 32 },
  ];
  if (forward && narrow && q.shape[1]! > WARPS * MMA_ROWS) candidates.unshift({ format, blocks: 2, columns: 64 });
  if (!forward && !narrow) candidates.shift(); // registers
  const owned = forward ? [widths[0]!] : widths;
  return candidates.find((plan) => storage(plan, widths, owned) <= caps.maxWorkgroupStorage) ?? null;
}

/** Bytes that rows of a view can be copied by, at most 16; 0: element by element. */
export function rowBytes(caps: GpuCaps, format: MatrixFormat, { offset, strides }: View): 0 | 4 | 8 | 16 {
  if (!caps.asyncCopy) return 0;
  const size = format === "tf32" ? 4 : 2;
  return ([16, 8, 4] as const).find((bytes) => [offset, strides[0]!, strides[1]!].every((x) => (x * size) % bytes === 0)) ?? 0;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Lines of an operand in workgroup memory: zeros beyond the last one and beyond the width. */
export class LineTile {
  readonly tile: MatrixTile;
  readonly shared: SharedVar;
  readonly steps: number;
  /** Units of one tile. */
  readonly size: number;
  readonly #k: KernelBuilder;
  readonly #lines: Lines;
  readonly #bytes: 0 | 4 | 8 | 16;
  readonly #perUnit: number;
  readonly #width: number;
  readonly #whole: boolean;
  readonly #tasks: readonly { readonly row: V; readonly element: V; readonly place: V; readonly exists: V | null }[];

  /** @param width Elements of a line: what a program is built for. */
  constructor(
    k: KernelBuilder,
    format: MatrixFormat,
    name: string,
    { lines, bytes, width, rows, stages }: { lines: Lines; bytes: 0 | 4 | 8 | 16; width: number; rows: number; stages: number },
  ) {
    const { units, used, steps } = widthsOf(format, width);
    this.#k = k;
    this.#lines = lines;
    this.#bytes = bytes;
    this.#width = width;
    this.#perUnit = FORMATS[format].perUnit;
    this.steps = steps;
    this.size = rows * units;
    this.shared = k.shared(name, "u32", this.size * stages, 4);
    this.tile = new MatrixTile(k, this.shared, { format, units });
    this.#whole = width === used * this.#perUnit;
    const count = rows * used;
    this.#tasks = range(Math.ceil(count / THREADS)).map((round) => {
      const unit = k.thread.add(round * THREADS);
      const [row, inRow] = [unit.div(used), unit.rem(used)];
      const exists = (round + 1) * THREADS > count ? unit.lt(count) : null;
      return { row, element: inRow.mul(this.#perUnit), place: this.tile.place(row, inRow), exists };
    });
  }
  get asynchronous(): boolean {
    return this.#bytes > 0;
  }

  /** Starts to fetch lines from `first` on to the tile at unit `base`; what comes back ends it. */
  fetch(first: V, base: Num): () => void {
    const k = this.#k;
    const start = k.u32(0).add(base);
    const guarded = (exists: V | null, work: () => void): void => {
      if (exists === null) work();
      else k.if(exists, work);
    };
    if (this.asynchronous) {
      this.#tasks.forEach((task) => guarded(task.exists, () => this.#copy(task, first.add(task.row), start)));
      return () => undefined;
    }
    const values = this.#tasks.map(({ row, element }) => this.#gather(first.add(row), element));
    return () =>
      this.#tasks.forEach(({ place, exists }, i) => {
        guarded(exists, () => this.shared.store(start.add(place), values[i]!));
      });
  }

  #copy({ element, place }: { element: V; place: V }, line: V, base: V): void {
    const bytes = this.#bytes;
    if (bytes === 0) return;
    const { buffer, count } = this.#lines;
    const k = this.#k;
    const n = (bytes / UNIT) * this.#perUnit;
    const exists = line.lt(count);
    const at = this.#lines.at(line).add(element);
    const word = base.add(place).mul(4);
    range(this.#perUnit / n).forEach((part) => {
      const from = element.add(part * n);
      const there = this.#whole ? k.u32(n) : from.lt(this.#width).select(k.u32(this.#width).sub(from).min(n), k.u32(0));
      this.shared.copyFrom(buffer, word.add((part * bytes) / 4), at.add(part * n), bytes, exists.select(there, k.u32(0)));
    });
  }

  #gather(line: V, element: V): V {
    const { buffer, count } = this.#lines;
    const k = this.#k;
    const exists = line.lt(count);
    const at = this.#lines.at(line).add(element);
    const elements = range(this.#perUnit).map((i) => {
      const ok = exists.and(element.add(i).lt(this.#width));
      const value = buffer.load(ok.select(at.add(i), k.u32(0)));
      return ok.select(value, k.const(0, value.scalar)).bitcast("u32");
    });
    if (this.#perUnit === 4) return k.vector(elements);
    return k.vector(range(4).map((i) => elements[2 * i]!.and(0xffff).or(elements[2 * i + 1]!.shl(16))));
  }
}

/** Fragments of operand a: block and step to a value. */
export type Fragments = (block: number, step: number) => V;

/** The fragments of rows of these tiles that a warp owns: from registers where there is room for all, else read each time. */
export function ownFragments(plan: MatrixPlan, tiles: readonly LineTile[], firstRow: V): Fragments[] {
  const held = tiles.reduce((n, { steps }) => n + plan.blocks * steps * 4, 0) <= HELD;
  return tiles.map(({ tile, steps }) => {
    const read = tile.reader("a", "steps", firstRow);
    if (!held) return (block, step) => read(0, block, step);
    const all = range(plan.blocks).map((block) => range(steps).map((step) => read(0, block, step)));
    return (block, step) => all[block]![step]!;
  });
}

/** Sums of blocks x columns, a vector of four for each 16 x 8. */
export type Sums = readonly (readonly Var[])[];
export function newSums(k: KernelBuilder, plan: MatrixPlan, columns: number): Sums {
  return range(plan.blocks).map(() => range(Math.ceil(columns / MMA_ROWS) * 2).map(() => k.var(k.const(0, "f32", 4))));
}

/** sums += a b. `b(pair, step)`: 16 columns. */
export function accumulate(
  k: KernelBuilder,
  { format, blocks }: MatrixPlan,
  sums: Sums,
  { a, b, steps }: { a: Fragments; b: (pair: number, step: number) => V; steps: number },
): void {
  for (let step = 0; step < steps; step++) {
    const rows = range(blocks).map((block) => a(block, step));
    for (let pair = 0; pair < sums[0]!.length / 2; pair++) {
      const [p, q, r, s] = k.lanes(b(pair, step)) as [V, V, V, V];
      [k.vector([p, q]), k.vector([r, s])].forEach((columns, half) => {
        rows.forEach((row, block) => {
          const sum = sums[block]![2 * pair + half]!;
          sum.set(k.mma(format, row, columns, sum.get()));
        });
      });
    }
  }
}

/** Values of scores (four per block and 8 columns) as operand a of products along the columns. */
export function asFragments(k: KernelBuilder, format: MatrixFormat, values: readonly (readonly (readonly V[])[])[]): Fragments {
  if (format === "tf32") {
    // Columns 2 t and 2 t + 1 are steps t and t + 4: the other operand is read to match (`paired`).
    return (block, step) => {
      const [w, x, y, z] = values[block]![step]!.map((v) => k.op("round_tf32", v).bitcast("u32")) as [V, V, V, V];
      return k.vector([w, y, x, z]);
    };
  }
  return (block, step) => {
    const [left, right] = [values[block]![2 * step]!, values[block]![2 * step + 1]!] as const;
    const halves = [left, right].flatMap(([w, x, y, z]) => [k.pack(format, w!, x!), k.pack(format, y!, z!)]);
    return k.vector(halves);
  };
}
/** Instructions along `columns` columns of scores. */
export const stepsAlong = ({ format, columns }: MatrixPlan): number => columns / FORMATS[format].steps;

/** Where a thread's values are: its rows within the warp's, its first column within eight. */
export class Places {
  readonly lane: V;
  /** Of block 0, upper half. */
  readonly row: V;
  readonly column: V;
  constructor(readonly k: KernelBuilder) {
    this.lane = k.subgroupLane;
    this.row = this.lane.div(4);
    this.column = this.lane.rem(4).mul(2);
  }
  /** Row of the i-th of the four values of a block. */
  rowOf(block: number, i: number): V {
    return this.row.add(block * MMA_ROWS + (i >> 1) * 8);
  }
  columnOf(tile: number, i: number): V {
    return this.column.add(tile * MMA_COLUMNS + (i & 1));
  }
  /** Folds over the four threads of a row; all get the result. */
  fold(value: V, combine: (x: V, y: V) => V): V {
    const near = combine(value, this.k.subgroup("shuffle_xor", value, 1));
    return combine(near, this.k.subgroup("shuffle_xor", near, 2));
  }
}

/** Replaces the values of sums one by one. */
export function eachSum(k: KernelBuilder, sums: Sums, change: (value: V, block: number, tile: number, i: number) => V): void {
  sums.forEach((row, block) =>
    row.forEach((sum, tile) => {
      const values = k.lanes(sum.get());
      sum.set(k.vector(values.map((value, i) => change(value, block, tile, i))));
    }),
  );
}

/** Scores with their mask, for base 2; positions beyond the edges are clamped. */
export function addMask(
  k: KernelBuilder,
  sums: Sums,
  mask: Mask,
  at: (block: number, tile: number, i: number) => { query: V; key: V },
): void {
  const factor = k.param("scale", "f32").mul(LOG2E);
  eachSum(k, sums, (value, block, tile, i) => {
    const { query, key } = at(block, tile, i);
    return value.fma(factor, mask.load(query, key).mul(LOG2E));
  });
}

/** Stores rows of sums, two columns at once where `target` is a buffer of pairs. */
export function storeRows(
  k: KernelBuilder,
  places: Places,
  sums: Sums,
  {
    target,
    firstRow,
    rows,
    start,
    width,
    factor,
  }: {
    target: BufferVar;
    /** The warp's first row, and how many there are. */
    firstRow: V;
    rows: V;
    /** Where a row begins. */
    start: (row: V) => V;
    width: number;
    factor: (block: number, half: number) => V | null;
  },
): void {
  const pairs = target.param.lanes === 2;
  sums.forEach((line, block) => {
    [0, 1].forEach((half) => {
      const row = firstRow.add(places.rowOf(block, 2 * half));
      const by = factor(block, half);
      k.if(row.lt(rows), () => {
        const at = start(row);
        line.forEach((sum, tile) => {
          const values = k.lanes(sum.get()).slice(2 * half, 2 * half + 2).map((x) => (by === null ? x : x.mul(by))); // prettier-ignore
          const certain = (tile + 1) * MMA_COLUMNS <= width;
          const guarded = (column: V, work: () => void): void => (certain ? work() : k.if(column.lt(width), work));
          if (pairs) {
            const column = places.columnOf(tile, 0);
            guarded(column, () => target.store(at.add(column).div(2), k.vector(values)));
          } else {
            values.forEach((value, i) => {
              const column = places.columnOf(tile, i);
              guarded(column, () => target.store(at.add(column), value));
            });
          }
        });
      });
    });
  });
}
