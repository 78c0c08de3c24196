/**
 * Tiles of workgroup memory that matrix units read from. A tile consists of rows of units of 16 bytes. Units lie permuted within their rows
 * (by exclusive or), such that what a subgroup reads or writes at once is spread over all banks: test/gpu/matrix_banks.test.ts counts.
 *
 * "steps": a row is a line of the operand (a row of a, a column of b) and runs along k; "lines": a row is a step of k and runs along lines.
 */

import type { DType } from "../../ts/core/dtype.ts";
import type { GpuCaps } from "../context.ts";
import { type KernelBuilder, type Num, type SharedVar, type V } from "../builder.ts";
import type { Elem, MatrixFormat } from "../ir.ts";

export type Along = "lines" | "steps";

/** Bytes of a unit. */
export const UNIT = 16;
/** Rows of a and of the sums that one instruction takes; columns of b and of the sums. */
export const MMA_ROWS = 16;
export const MMA_COLUMNS = 8;

export interface FormatTraits {
  /** Elements of a unit. An instruction takes two units along k. */
  readonly perUnit: 4 | 8;
  /** Steps of one instruction. */
  readonly steps: 8 | 16;
  /** How buffers are bound: halves go through registers as they are. */
  readonly elem: Elem;
}
const HALF: FormatTraits = { perUnit: 8, steps: 16, elem: "i16" };
export const FORMATS: { readonly [F in MatrixFormat]: FormatTraits } = {
  f16: HALF,
  bf16: HALF,
  tf32: { perUnit: 4, steps: 8, elem: "f32" },
};

/** How two operands are bound. */
export const elemsOf = (format: MatrixFormat): readonly [Elem, Elem] => [FORMATS[format].elem, FORMATS[format].elem];

const FORMAT_OF: Readonly<Record<string, MatrixFormat>> = { float16: "f16", bfloat16: "bf16", float32: "tf32" };

/** How a dtype goes to matrix units, where it may. */
export function matrixFormat({ matrix, wide }: GpuCaps, dtype: DType, tf32: boolean | undefined): MatrixFormat | null {
  const format = FORMAT_OF[dtype.name];
  // Elsewhere halves do not lie in memory as what they are.
  if (format === undefined || matrix?.[format] !== true || !wide) return null;
  return format === "tf32" && tf32 !== true ? null : format;
}

/** a + b, where b is known: its low bits flip bits that are zero in `a` before its units were permuted. */
function offset(a: V, b: number): V {
  return a.xor(b & 7).add(b & ~7);
}

export interface TileLayout {
  readonly format: MatrixFormat;
  /** Units of a row: a power of two. */
  readonly units: number;
  /**
   * Whether the tile is there for words of four rows and eight neighbours (tf32 that runs along lines, steps in their order), not for units
   * of eight rows at one place.
   */
  readonly words?: boolean;
}

export class MatrixTile {
  readonly #k: KernelBuilder;
  readonly #layout: TileLayout;

  /** @param shared Vectors of four u32: a unit each. It may hold several tiles: the functions take the first unit of one. */
  constructor(
    k: KernelBuilder,
    readonly shared: SharedVar,
    layout: TileLayout,
  ) {
    this.#k = k;
    this.#layout = layout;
  }

  /** By what the units of a row are permuted. */
  #swizzle(row: V): V {
    const { units, words = false } = this.#layout;
    if (words) return row.and(3).mul(2);
    return units >= 8 ? row.and(7) : row.div(8 / units).and(units - 1);
  }
  /** Where a unit lies. */
  place(row: V, unit: V): V {
    return row.mul(this.#layout.units).add(unit.xor(this.#swizzle(row)));
  }

  /** Words on their way to matrix units. */
  #rounded(value: V): V {
    if (this.#layout.format !== "tf32") return value;
    const k = this.#k;
    return k.vector(k.lanes(value).map((x) => k.op("round_tf32", x.bitcast("f32")).bitcast("u32")));
  }

  /**
   * Reads fragments of 16 lines from `first` on (a multiple of 16, the same in the subgroup): as operand a, or as operand b for two
   * products (lanes 0 and 1, lanes 2 and 3). `read(base, block, step)`: the block'th 16 lines, the step'th instruction along k.
   * @param along How the tile lies.
   * @param paired tf32 along lines: steps 2 t and 2 t + 1 take the places of t and t + 4, as sums that become a factor have them.
   */
  reader(operand: "a" | "b", along: Along, first: V, paired = false): (base: Num, block: number, step: number) => V {
    const k = this.#k;
    const lane = k.subgroupLane;
    const { format, units } = this.#layout;
    const start = (base: Num): V => k.u32(0).add(base);
    if (along === "lines" && format === "tf32") return this.#wordReader(operand, first, paired);
    // a: matrices 1 and 3 are further lines, 2 and 3 further along k. b: the other way round.
    const [low, high] = [lane.div(8).and(1), lane.div(16)];
    const [line, step] = operand === "a" ? [low, high] : [high, low];
    if (along === "steps") {
      const row = first.add(line.mul(8)).add(lane.and(7));
      const rows = row.mul(units);
      const unit = step.xor(this.#swizzle(row));
      return (base, block, at) => {
        const place = start(base)
          .add(rows)
          .add(offset(unit, 2 * at));
        return this.#rounded(this.shared.loadMatrices(place.add(block * MMA_ROWS * units).mul(4), false));
      };
    }
    const row = step.mul(8).add(lane.and(7));
    const rows = row.mul(units);
    const unit = first.div(8).add(line).xor(this.#swizzle(row));
    return (base, block, at) => {
      const place = start(base)
        .add(rows)
        .add(offset(unit, 2 * block));
      return this.shared.loadMatrices(place.add(at * 16 * units).mul(4), true);
    };
  }

  /** ldmatrix transposes halves only: words one by one. */
  #wordReader(operand: "a" | "b", first: V, paired: boolean): ReturnType<MatrixTile["reader"]> {
    const k = this.#k;
    const { units } = this.#layout;
    const [g, t] = [k.subgroupLane.div(4), k.subgroupLane.and(3)];
    const word = g.and(3);
    const rows = [0, 1].map((later) => (paired ? t.mul(2).add(later) : t.add(4 * later)));
    const starts = rows.map((row) => row.mul(units));
    const places = rows.map((row) => first.div(4).add(g.div(4)).xor(this.#swizzle(row)));
    return (base, block, at) => {
      const parts = [0, 1, 2, 3].map((i) => {
        const [line, later] = operand === "a" ? [i & 1, i >> 1] : [i >> 1, i & 1];
        const unit = offset(places[later]!, 4 * block + 2 * line);
        const place = k
          .u32(0)
          .add(base)
          .add(starts[later]!)
          .add(unit)
          .add(at * 8 * units);
        return this.shared.loadWord(place.mul(4).add(word));
      });
      return this.#rounded(k.vector(parts));
    };
  }
}
