/**
 * How often the banks of workgroup memory are in each other's way where matrix units read and fill tiles: counted from the very indices that
 * kernels compute. A subgroup's access takes as many rounds as the busiest bank has different words; 16 bytes a thread go eight threads at a time.
 */

import { describe, expect, it } from "vitest";
import { KernelBuilder, type Num, type SharedVar, type V } from "../../gpu/builder.ts";
import type { MatrixFormat } from "../../gpu/ir.ts";
import { type Along, MatrixTile, type TileLayout } from "../../gpu/kernels/matrix_tiles.ts";
import { interpret } from "../../gpu/lower/interpret.ts";

const BANKS = 32;

/** Most different words in one bank. */
function roundsOf(words: readonly number[]): number {
  const banks = new Map<number, Set<number>>();
  for (const word of words) {
    const bank = banks.get(word % BANKS) ?? new Set<number>();
    banks.set(word % BANKS, bank.add(word));
  }
  return Math.max(...[...banks.values()].map((bank) => bank.size));
}
const unitWords = (first: number): number[] => [0, 1, 2, 3].map((i) => first + i);
/** Of units that eight threads at a time read or write: the worst eight. */
function roundsOfUnits(words: readonly number[]): number {
  let worst = 0;
  for (let t = 0; t < words.length; t += 8) worst = Math.max(worst, roundsOf(words.slice(t, t + 8).flatMap(unitWords)));
  return worst;
}

/** What `body` computes per thread, for every call of `note`. */
function computed(threads: number, body: (k: KernelBuilder, note: (index: V) => void) => void): number[][] {
  const k = new KernelBuilder("indices", threads);
  const y = k.output("y", "u32");
  const notes: V[] = [];
  body(k, (index) => notes.push(index));
  notes.forEach((index, i) => y.store(k.thread.add(i * threads), index));
  const result = new Uint32Array(notes.length * threads);
  interpret(k.build(), { buffers: [result], params: {}, groups: 1 });
  return notes.map((_, i) => [...result.subarray(i * threads, (i + 1) * threads)]);
}

/** Rounds of all reads of some fragments. */
function readRounds(
  layout: TileLayout,
  operand: "a" | "b",
  along: Along,
  first: number,
  blocks: number,
  paired: boolean,
): number[] {
  const units: boolean[] = [];
  const indices = computed(32, (k, note) => {
    const noting = (unit: boolean, index: Num, lanes: 1 | 4): V => {
      units.push(unit);
      note(index as V);
      return k.const(0, "u32", lanes);
    };
    const shared = {
      loadMatrices: (index: Num) => noting(true, index, 4),
      loadWord: (index: Num) => noting(false, index, 1),
    } as unknown as SharedVar;
    const read = new MatrixTile(k, shared, layout).reader(operand, along, k.u32(first), paired);
    for (let block = 0; block < blocks; block++) for (let step = 0; step < 2; step++) read(0, block, step);
  });
  return indices.map((words, i) => (units[i] ? roundsOfUnits(words) : roundsOf(words)));
}

function writeRounds(layout: TileLayout, rows: number): number {
  const [words] = computed(rows * layout.units, (k, note) => {
    const tile = new MatrixTile(k, {} as SharedVar, layout);
    note(tile.place(k.thread.div(layout.units), k.thread.rem(layout.units)).mul(4));
  });
  expect(new Set(words).size).toBe(rows * layout.units); // nothing lies on top of something else
  expect(Math.max(...words!)).toBe((rows * layout.units - 1) * 4);
  return roundsOfUnits(words!);
}

describe("tiles of products", () => {
  const lines = [32, 64, 128, 256] as const;
  const cases = (["f16", "tf32"] as const).flatMap((format) =>
    lines.flatMap((n) => (["steps", "lines"] as const).map((along) => [format, n, along] as const)),
  );
  it.each(cases)("%s, %i lines along %s", (format: MatrixFormat, n, along) => {
    const perUnit = format === "f16" ? 8 : 4;
    const depth = 4 * perUnit;
    const layout = { format, units: (along === "steps" ? depth : n) / perUnit, words: format === "tf32" && along === "lines" };
    expect(writeRounds(layout, along === "steps" ? n : depth)).toBe(1);
    for (const operand of ["a", "b"] as const) {
      for (const warp of [16, 32, 64].filter((rows) => rows <= n)) {
        for (let first = 0; first < n; first += warp) {
          const rounds = readRounds(layout, operand, along, first, warp / 16, false);
          expect(Math.max(...rounds)).toBe(1);
        }
      }
    }
  });
});

describe("tiles of attention, which are read along both", () => {
  it.each([
    ["f16", 32, 1],
    ["f16", 64, 1],
    ["f16", 128, 1],
    ["f16", 16, 1],
    ["tf32", 32, 1],
    ["tf32", 64, 1],
    ["tf32", 128, 1],
    // Rows so short that four of them meet in a bank.
    ["tf32", 16, 2],
  ] as const)("%s, lines of %i", (format, width, words) => {
    const layout = { format, units: width / (format === "f16" ? 8 : 4) };
    expect(writeRounds(layout, 64)).toBe(1);
    expect(Math.max(...readRounds(layout, "a", "steps", 16, 2, false))).toBe(1);
    expect(Math.max(...readRounds(layout, "b", "steps", 0, 4, false))).toBe(1);
    expect(Math.max(...readRounds(layout, "b", "lines", 0, width / 16, true))).toBe(words);
  });
});
