/**
 * The template of f32 products in full precision for GPUs with asynchronous copies: as "tiled", but the tiles of some rounds are under way
 * while one is multiplied, and a warp's threads form a rectangle, so that they share what they read.
 */

import { type BufferVar, type KernelBuilder, type SharedVar, type V, type Var } from "../builder.ts";
import { tileOf, WARP_COLUMNS, WARP_ROWS } from "../plan_matmul.ts";
import { accumulate, type Gemm, type Place, placeOf, type Side } from "./gemm.ts";
import type { MatrixOperand } from "./gemm_matrix.ts";

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Brings tiles to [step][line]: quads of lines at once where they lie side by side, else element by element. */
class Loader {
  readonly #k: KernelBuilder;
  readonly #side: Side;
  readonly #buffer: BufferVar;
  readonly #shared: SharedVar;
  readonly #exact: boolean;
  readonly #to: V;
  readonly #bytes: 4 | 8 | 16;
  readonly #tasks: readonly {
    readonly word: V;
    readonly step: V;
    readonly state: readonly V[];
    readonly elements: V | null;
    readonly exists: V | null;
  }[];

  constructor(
    k: KernelBuilder,
    { plan, exact }: Gemm,
    side: Side,
    { along, bytes, ragged }: MatrixOperand,
    place: { buffer: BufferVar; shared: SharedVar; first: V; count: V; lines: number; to: V },
  ) {
    const { lines, first, count } = place;
    const { threads, depth } = plan;
    this.#k = k;
    this.#side = side;
    this.#buffer = place.buffer;
    this.#shared = place.shared;
    this.#exact = exact;
    this.#to = place.to;
    this.#bytes = along === "lines" && bytes !== 0 ? bytes : 4;
    const n = this.#bytes / 4;
    const total = (lines * depth) / n;
    // Neighbouring threads read neighbours in memory.
    const [perRow, rowsAreSteps] = along === "lines" ? [lines / n, true] : [depth, false];
    this.#tasks = range(Math.ceil(total / threads)).map((round) => {
      const unit = k.thread.add(round * threads);
      const [row, inRow] = [unit.div(perRow), unit.rem(perRow)];
      const [step, line] = rowsAreSteps ? [row, inRow.mul(n)] : [inRow, row];
      const last = ragged && n > 1 ? count.sub(1).div(n).mul(n) : count.sub(n);
      const at = first.add(line).min(last);
      return {
        word: step.mul(lines).add(line),
        step,
        state: side.line(at),
        elements: ragged && n > 1 ? count.sub(at).min(n) : null,
        exists: (round + 1) * threads > total ? unit.lt(total) : null,
      };
    });
  }

  /** Starts to bring the steps from `from` on to the tile at word `base`. */
  fetch(from: V, base: V): void {
    const k = this.#k;
    const n = this.#bytes / 4;
    for (const { word, step, state, elements, exists } of this.#tasks) {
      const copy = (): void => {
        const at = from.add(step);
        const found = this.#side.find!(state, this.#side.step(at));
        let count = elements;
        for (const condition of [this.#exact ? null : at.lt(this.#to), found.inside]) {
          if (condition !== null) count = condition.select(count ?? k.u32(n), k.u32(0));
        }
        this.#shared.copyFrom(this.#buffer, base.add(word), found.at, this.#bytes, count);
      };
      if (exists === null) copy();
      else k.if(exists, copy);
    }
  }
}

export function buildPipelinedGemm(
  k: KernelBuilder,
  gemm: Gemm,
  operands: { readonly a: MatrixOperand; readonly b: MatrixOperand },
  buffers: readonly [BufferVar, BufferVar],
): void {
  const { plan } = gemm;
  const { across, depth, rows, columns, stages } = plan;
  const place = placeOf(k, plan, "bands");
  const tile = tileOf(plan);
  const sides = gemm.sides(place.batch);
  const [a, b] = (["a", "b"] as const).map((name) => {
    const lines = name === "a" ? tile.m : tile.n;
    const shared = k.shared(`${name}_tile`, "f32", (lines / 4) * depth * stages, 4);
    const loader = new Loader(k, gemm, sides[name], operands[name], {
      buffer: buffers[name === "a" ? 0 : 1],
      shared,
      first: name === "a" ? place.row : place.column,
      count: name === "a" ? place.m : place.n,
      lines,
      to: place.to,
    });
    return { shared, loader, lines, size: lines * depth };
  }) as [Operand, Operand];

  const fetch = (from: V, stage: V): void => [a, b].forEach(({ loader, size }) => loader.fetch(from, stage.mul(size)));
  for (let stage = 0; stage < stages - 1; stage++) {
    const from = place.from.add(stage * depth);
    if (stage === 0) fetch(from, k.u32(0));
    else k.if(from.lt(place.to), () => fetch(from, k.u32(stage)));
    k.commitCopies();
  }

  const warp = k.thread.div(32);
  const lane = k.thread.rem(32);
  const warpQuadRow = warp.div(across).mul((WARP_ROWS * rows) / 4);
  const warpQuadColumn = warp.rem(across).mul((WARP_COLUMNS * columns) / 4);
  // A thread's quads of rows (and of columns) lie a warp's stride apart, so that neighbours read neighbouring words.
  const ys = range(rows / 4).map((q) => warpQuadRow.add(lane.div(WARP_COLUMNS)).add(q * WARP_ROWS));
  const xs = range(columns / 4).map((q) => warpQuadColumn.add(lane.rem(WARP_COLUMNS)).add(q * WARP_COLUMNS));
  const sums = range(rows).map(() => xs.map(() => k.var(k.const(0, "f32", 4))));
  const [reading, writing] = [k.var(k.u32(0)), k.var(k.u32(stages - 1))];
  const after = (stage: V): V => stage.ge(stages - 1).select(k.u32(0), stage.add(1));

  k.for(place.from, place.to, depth, (from) => {
    k.waitCopies(stages - 2);
    k.barrier();
    const target = writing.get();
    const coming = from.add((stages - 1) * depth);
    k.if(coming.lt(place.to), () => fetch(coming, target));
    k.commitCopies();
    writing.set(after(target));
    const stage = reading.get();
    const [baseA, baseB] = [a, b].map(({ size }) => stage.mul(size / 4)) as [V, V];
    range(depth).forEach((step) => {
      const bs = xs.map((x) => b.shared.load(baseB.add((step * b.lines) / 4).add(x)));
      ys.forEach((y, i) => {
        const quad = a.shared.load(baseA.add((step * a.lines) / 4).add(y));
        k.lanes(quad).forEach((value, l) => {
          const wide = k.splat(value, 4);
          bs.forEach((yb, c) => accumulate(sums[i * 4 + l]![c]!, wide, yb));
        });
      });
    });
    reading.set(after(stage));
  });
  k.waitCopies(0);
  storeSums(k, gemm, place, sums, ys, xs);
}

interface Operand {
  readonly shared: SharedVar;
  readonly loader: Loader;
  readonly lines: number;
  readonly size: number;
}

function storeSums(
  k: KernelBuilder,
  gemm: Gemm,
  place: Place,
  sums: readonly (readonly Var[])[],
  ys: readonly V[],
  xs: readonly V[],
): void {
  const finish = gemm.finish(place.batch, place.part);
  const { storePair } = finish;
  const ends = xs.map((x) =>
    range(4).map((j) => {
      const column = place.column.add(x.mul(4)).add(j);
      return { exists: column.lt(place.n), state: finish.column(column) };
    }),
  );
  sums.forEach((line, i) => {
    const row = place.row.add(ys[Math.floor(i / 4)]!.mul(4)).add(i % 4);
    const state = finish.row(row);
    k.if(row.lt(place.m), () => {
      line.forEach((sum, c) => {
        const values = k.lanes(sum.get());
        ends[c]!.forEach((end, j) => {
          if (storePair === undefined) k.if(end.exists, () => finish.store(state, end.state, values[j]!));
          else if (j % 2 === 0) {
            const next = ends[c]![j + 1]!;
            k.if(end.exists, () => storePair(state, [end.state, next.state], [values[j]!, values[j + 1]!]));
          }
        });
      });
    });
  });
}
