/**
 * What the attention kernels have in common: a workgroup owns a block of rows (queries, or keys for their gradients) and walks over tiles of
 * columns, with scores = rows x columns^T and sums += weights x columns, both through workgroup memory in chunks of the head's width.
 * Eight threads share a row; a thread has the scores of every eighth column, and every eighth vector of a row's sums.
 */

import type { View } from "../../ts/core/device.ts";
import { type BufferVar, type KernelBuilder, type Num, type SharedVar, type V, type Var } from "../builder.ts";
import type { GpuCaps } from "../context.ts";
import type { ScalarType } from "../ir.ts";
import { ceilDiv } from "../plan.ts";
import { greatest } from "./common.ts";
import { unrolledFor } from "./gemm.ts";
import { expNonPositive } from "./row_math.ts";

/** Threads of a row. */
const LANES = 8;
/** Columns of a tile. */
export const COLUMNS = 32;
/** Vectors of four of a chunk of the head's width. */
const QUADS = 8;
export const CHUNK = QUADS * 4;
/** Vectors between two lines in workgroup memory: an odd number, so that lines begin in different banks. */
const PITCH = QUADS + 1;
const WEIGHT_PITCH = COLUMNS + 1;
export const THREADS = 128;

export interface TilePlan {
  readonly rowsPerThread: 1 | 2;
  /** Whether rows fold by shuffles. */
  readonly shuffles: boolean;
}

export function planTiles(caps: GpuCaps, rows: number): TilePlan {
  return {
    rowsPerThread: rows > THREADS / LANES && caps.maxWorkgroupStorage >= 16384 ? 2 : 1,
    shuffles: caps.subgroups !== null && caps.subgroups.min >= LANES,
  };
}
export const blockRows = ({ rowsPerThread }: TilePlan): number => (THREADS / LANES) * rowsPerThread;
export const planKey = ({ rowsPerThread, shuffles }: TilePlan): string => `${rowsPerThread}${shuffles}`;
export const chunksOf = (width: number): number => ceilDiv(width, CHUNK);

/** Whether rows of a view can be read as vectors of four. */
export function readsQuads({ shape, strides, offset }: View): boolean {
  return [offset, strides[0]!, strides[1]!, shape[2]!].every((x) => x % 4 === 0);
}

/** Lines of a batch entry: [lines, width], contiguous along the width. */
export class Lines {
  readonly count: V;
  readonly width: V;
  readonly #base: V;
  readonly #row: V;

  constructor(
    readonly k: KernelBuilder,
    readonly buffer: BufferVar,
    name: string,
    batch: V,
    sizes: { readonly count: V; readonly width: V },
  ) {
    this.count = sizes.count;
    this.width = sizes.width;
    this.#row = k.param(`${name}_row`, "u32");
    this.#base = k.param(`${name}_offset`, "u32").add(batch.mul(k.param(`${name}_batch`, "u32")));
  }
  /** Where an existing line begins. */
  at(line: V): V {
    return this.#base.add(line.mul(this.#row));
  }
  /** Four elements from `first` on; zeros beyond the width. Lines beyond the last are the last. */
  quad(line: V, first: V): V {
    const { k, buffer, width } = this;
    const start = this.at(line.min(this.count.sub(1)));
    const { scalar } = buffer.type;
    if (buffer.param.lanes === 4) {
      const value = buffer.load(start.add(first.min(width.sub(4))).shr(2));
      return first.lt(width).select(value, k.const(0, scalar, 4));
    }
    const parts = [0, 1, 2, 3].map((i) => {
      const e = first.add(i);
      return e.lt(width).select(buffer.load(start.add(e.min(width.sub(1)))), k.const(0, scalar));
    });
    return k.vector(parts);
  }
}
export function linesParams(name: string, { offset, strides, shape }: View): Record<string, number> {
  return { [`${name}_offset`]: offset, [`${name}_row`]: strides[1]!, [`${name}_batch`]: shape[0] === 1 ? 0 : strides[0]! };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export class Tiles {
  readonly lane: V;
  /** The thread's rows within the block. */
  readonly rows: readonly V[];
  readonly #k: KernelBuilder;
  readonly #scalar: ScalarType;
  readonly #plan: TilePlan;
  readonly #rowTile: SharedVar;
  readonly #columnTile: SharedVar;

  constructor(k: KernelBuilder, scalar: ScalarType, plan: TilePlan) {
    this.#k = k;
    this.#scalar = scalar;
    this.#plan = plan;
    this.lane = k.thread.rem(LANES);
    const first = k.thread.div(LANES);
    this.rows = range(plan.rowsPerThread).map((r) => first.add((r * THREADS) / LANES));
    this.#rowTile = k.shared("row_tile", scalar, blockRows(plan) * PITCH, 4);
    this.#columnTile = k.shared("column_tile", scalar, COLUMNS * PITCH, 4);
  }

  #fetch(target: SharedVar, lines: Lines, first: V, count: number, chunk: Num): void {
    const k = this.#k;
    for (let done = 0; done < count * QUADS; done += THREADS) {
      const unit = k.thread.add(done);
      const [line, quad] = [unit.div(QUADS), unit.rem(QUADS)];
      const element = k.u32(0).add(chunk).mul(QUADS).add(quad).mul(4);
      target.store(line.mul(PITCH).add(quad), lines.quad(first.add(line), element));
    }
  }

  /** Products of the thread's rows with its columns. Begins with a barrier. */
  scores(rows: Lines, firstRow: V, columns: Lines, firstColumn: V): V[][] {
    const k = this.#k;
    const sums = this.rows.map(() => range(COLUMNS / LANES).map(() => k.var(k.const(0, this.#scalar, 4))));
    const chunks = rows.width.add(CHUNK - 1).div(CHUNK);
    k.for(0, chunks, 1, (chunk) => {
      k.barrier();
      this.#fetch(this.#rowTile, rows, firstRow, blockRows(this.#plan), chunk);
      this.#fetch(this.#columnTile, columns, firstColumn, COLUMNS, chunk);
      k.barrier();
      unrolledFor(k, QUADS, 2, (quad) => {
        const xs = this.rows.map((row) => this.#rowTile.load(row.mul(PITCH).add(quad)));
        range(COLUMNS / LANES).forEach((j) => {
          const y = this.#columnTile.load(this.column(j).mul(PITCH).add(quad));
          xs.forEach((x, r) => sums[r]![j]!.set(sums[r]![j]!.get().add(x.mul(y))));
        });
      });
    });
    return sums.map((row) =>
      row.map((sum) => {
        const [a, b, c, d] = k.lanes(sum.get()) as [V, V, V, V];
        return a.add(b).add(c.add(d));
      }),
    );
  }

  /** The j-th of the thread's columns within the tile. */
  column(j: number): V {
    return this.lane.add(j * LANES);
  }

  weights(name: string): SharedVar {
    return this.#k.shared(name, this.#scalar, blockRows(this.#plan) * WEIGHT_PITCH);
  }
  weightAt(row: V, column: V): V {
    return row.mul(WEIGHT_PITCH).add(column);
  }

  /** A row's sums, one vector per chunk of the width. */
  sums(chunks: number): Var[][] {
    return this.rows.map(() => range(chunks).map(() => this.#k.var(this.#k.const(0, this.#scalar, 4))));
  }
  /** sums += weights x columns. Begins with a barrier; weights of columns beyond the last must be 0. */
  mix(sums: readonly (readonly Var[])[], weights: SharedVar, columns: Lines, firstColumn: V): void {
    const k = this.#k;
    range(sums[0]!.length).forEach((chunk) => {
      k.barrier();
      this.#fetch(this.#columnTile, columns, firstColumn, COLUMNS, chunk);
      k.barrier();
      unrolledFor(k, COLUMNS, 4, (column) => {
        const y = this.#columnTile.load(column.mul(PITCH).add(this.lane));
        this.rows.forEach((row, r) => {
          const weight = k.splat(weights.load(this.weightAt(row, column)), 4);
          const sum = sums[r]![chunk]!;
          sum.set(sum.get().add(weight.mul(y)));
        });
      });
    });
  }
  /** Calls `store` with every element of the sums that exists. */
  each(sums: readonly Var[], width: V, store: (element: V, value: V) => void): void {
    const k = this.#k;
    sums.forEach((sum, chunk) => {
      const first = this.lane.add(chunk * QUADS).mul(4);
      k.lanes(sum.get()).forEach((value, i) => {
        const element = first.add(i);
        k.if(element.lt(width), () => store(element, value));
      });
    });
  }

  /**
   * One value per thread's row, folded over the threads of the row; all get the result. `scratch` (one of `weights`) is written; begins and
   * ends with a barrier, or needs none.
   */
  fold(values: readonly V[], scratch: SharedVar, combine: (x: V, y: V) => V): V[] {
    const k = this.#k;
    if (this.#plan.shuffles) {
      return values.map((value) => {
        let total = value;
        for (let step = 1; step < LANES; step *= 2) total = combine(total, k.subgroup("shuffle_xor", total, step));
        return total;
      });
    }
    k.barrier();
    values.forEach((value, r) => scratch.store(this.weightAt(this.rows[r]!, this.lane), value));
    k.barrier();
    const totals = values.map((_, r) =>
      range(LANES)
        .map((lane) => scratch.load(this.weightAt(this.rows[r]!, k.u32(lane))))
        .reduce(combine),
    );
    k.barrier();
    return totals;
  }
}

/** The additive mask, any strides. */
export class Mask {
  readonly #at: (query: V, key: V) => V;
  constructor(
    k: KernelBuilder,
    readonly buffer: BufferVar,
    batch: V,
  ) {
    const [rows, columns] = [k.param("mask_row", "u32"), k.param("mask_column", "u32")];
    const base = k.param("mask_offset", "u32").add(batch.mul(k.param("mask_batch", "u32")));
    this.#at = (query, key) => base.add(query.mul(rows)).add(key.mul(columns));
  }
  load(query: V, key: V): V {
    return this.buffer.load(this.#at(query, key));
  }
}
export function maskParams(mask: View | undefined): Record<string, number> {
  if (mask === undefined) return {};
  const stride = (d: number): number => (mask.shape[d] === 1 ? 0 : mask.strides[d]!);
  return { mask_offset: mask.offset, mask_batch: stride(0), mask_row: stride(1), mask_column: stride(2) };
}

/** A score as the softmax sees it; the least number where the key does not count. The positions must exist. */
export function finishScore(
  k: KernelBuilder,
  product: V,
  { mask, causal, query, key }: { mask: Mask | null; causal: boolean; query: V; key: V },
): V {
  const { scalar } = product;
  let score = product.mul(k.param("scale", scalar));
  if (mask !== null) score = score.add(mask.load(query, key));
  const none = k.const(-greatest(scalar), scalar);
  // -Inf of the mask becomes the same; NaN stays.
  score = score.lt(none).select(none, score);
  return causal ? key.le(query).select(score, none) : score;
}

/** e^(score - shift), 0 where the key does not count. */
export function weightOf(score: V, shift: V): V {
  return score.le(-greatest(score.scalar)).select(score.block.const(0, score.scalar), expNonPositive(score.sub(shift)));
}
