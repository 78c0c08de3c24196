/**
 * The template of products on matrix units: a workgroup's warps own rectangles of its tile of the output. Tiles of the operands come to
 * workgroup memory some rounds ahead, by asynchronous copies where their elements lie side by side, else through registers; fragments
 * are read one instruction ahead.
 */

import { type BufferVar, type KernelBuilder, type SharedVar, type V, type Var } from "../builder.ts";
import type { MatrixFormat } from "../ir.ts";
import { type GemmPlan, tileOf } from "../plan_matmul.ts";
import type { Coming } from "../plan_matrix.ts";
import { type Gemm, type Place, placeOf, type Side } from "./gemm.ts";
import { type Along, FORMATS, MatrixTile, MMA_COLUMNS, MMA_ROWS, UNIT } from "./matrix_tiles.ts";

/** How an operand gets to workgroup memory. */
export interface MatrixOperand {
  /** What lies side by side in memory, or what neighbouring threads should read. */
  readonly along: Along;
  /** Bytes of an asynchronous copy: so many lie side by side, aligned. 0: elements come one by one through registers. */
  readonly bytes: 0 | 4 | 8 | 16;
  /** Whether the number of lines is not a multiple of the elements of a copy. */
  readonly ragged: boolean;
}
export interface MatrixOperands {
  readonly format: MatrixFormat;
  readonly a: MatrixOperand;
  readonly b: MatrixOperand;
}

export function matrixKey({ format, a, b }: MatrixOperands): string {
  const text = ({ along, bytes, ragged }: MatrixOperand): string => `${along}${bytes}${ragged ? "r" : ""}`;
  return `${format}/${text(a)}/${text(b)}`;
}

/** How the operands come, for the plan. What is found element by element needs registers for that, copied or not. */
export const comingOf = ({ a, b }: MatrixOperands): Coming => {
  const least = Math.min(a.bytes, b.bytes);
  return least > 4 ? "copied" : Math.max(a.bytes, b.bytes) > 0 ? "mixed" : "gathered";
};

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** A unit of a tile that a thread fetches in each round. */
interface Task {
  readonly exists: V | null;
  /** Where it goes, in units. */
  readonly place: V;
  /** Its first step within the tile. */
  readonly step: V;
  /** The lines of its parts: of its copies, or of its elements. */
  readonly lines: readonly { readonly state: readonly V[]; readonly elements: V | null }[];
}

interface LoaderPlace {
  readonly tile: MatrixTile;
  readonly shared: SharedVar;
  readonly buffer: BufferVar;
  /** The tile's first line, and how many the operand has. */
  readonly first: V;
  readonly count: V;
  /** Lines of the tile. */
  readonly lines: number;
  /** Where the steps end. */
  readonly to: V;
}

class Loader {
  readonly #k: KernelBuilder;
  readonly #side: Side;
  readonly #operand: MatrixOperand;
  readonly #place: LoaderPlace;
  readonly #exact: boolean;
  /** Elements of a unit, and of a copy (1 where there are none). */
  readonly #perUnit: number;
  readonly #perPart: number;
  readonly #tasks: readonly Task[];

  constructor(
    k: KernelBuilder,
    plan: GemmPlan,
    side: Side,
    operand: MatrixOperand,
    format: MatrixFormat,
    exact: boolean,
    place: LoaderPlace,
  ) {
    const { perUnit } = FORMATS[format];
    this.#k = k;
    this.#side = side;
    this.#operand = operand;
    this.#place = place;
    this.#exact = exact;
    this.#perUnit = perUnit;
    this.#perPart = operand.bytes === 0 ? 1 : (operand.bytes / UNIT) * perUnit;
    const { along } = operand;
    const { lines, first, tile } = place;
    const perRow = (along === "steps" ? plan.depth : lines) / perUnit;
    const units = (lines * plan.depth) / perUnit;
    this.#tasks = range(Math.ceil(units / plan.threads)).map((round) => {
      const unit = k.thread.add(round * plan.threads);
      const [row, inRow] = [unit.div(perRow), unit.rem(perRow)];
      const line = first.add(along === "steps" ? row : inRow.mul(perUnit));
      return {
        exists: (round + 1) * plan.threads > units ? unit.lt(units) : null,
        place: tile.place(row, inRow),
        step: along === "steps" ? inRow.mul(perUnit) : row,
        lines: this.#linesOf(line),
      };
    });
  }

  /** Lines beyond the edge are the last one: their sums go nowhere. */
  #linesOf(line: V): Task["lines"] {
    const { along, bytes, ragged } = this.#operand;
    const { count } = this.#place;
    const side = this.#side;
    if (along === "steps") return [{ state: side.line(line.min(count.sub(1))), elements: null }];
    const n = this.#perPart;
    const last = ragged ? count.sub(1).div(n).mul(n) : count.sub(n);
    return range(this.#perUnit / n).map((part) => {
      const at = line.add(part * n).min(last);
      return { state: side.line(at), elements: ragged && bytes > 0 ? count.sub(at).min(n) : null };
    });
  }

  /** Starts to fetch the steps from `from` on to the tile at unit `base`; what comes back ends it. */
  fetch(from: V, base: V): () => void {
    if (this.#operand.bytes === 0) {
      const values = this.#tasks.map((task) => this.#gather(task, from));
      return () => {
        this.#tasks.forEach((task, i) => {
          const store = (): void => this.#place.shared.store(base.add(task.place), values[i]!);
          if (task.exists === null) store();
          else this.#k.if(task.exists, store);
        });
      };
    }
    for (const task of this.#tasks) {
      if (task.exists === null) this.#copy(task, from, base);
      else this.#k.if(task.exists, () => this.#copy(task, from, base));
    }
    return () => undefined;
  }
  get asynchronous(): boolean {
    return this.#operand.bytes > 0;
  }

  #copy(task: Task, from: V, base: V): void {
    const { bytes, along } = this.#operand;
    const { to, buffer, shared } = this.#place;
    if (bytes === 0) return;
    const k = this.#k;
    const n = this.#perPart;
    const word = base.add(task.place).mul(4);
    const first = from.add(task.step);
    const walker = along === "steps" && n === 1 ? this.#side.walk(first) : null;
    range(this.#perUnit / n).forEach((part) => {
      const step = first.add(along === "steps" ? part * n : 0);
      const { state, elements } = task.lines[along === "steps" ? 0 : part]!;
      const found = this.#side.find!(state, walker?.now() ?? this.#side.step(step));
      walker?.next();
      const none = k.u32(0);
      let count = elements;
      if (!this.#exact) {
        const there = along === "steps" ? to.sub(step).min(n) : (count ?? k.u32(n));
        count = step.lt(to).select(there, none);
      }
      if (found.inside !== null) count = found.inside.select(count ?? k.u32(n), none);
      shared.copyFrom(buffer, word.add((part * bytes) / 4), found.at, bytes, count);
    });
  }

  #gather(task: Task, from: V): V {
    const { along } = this.#operand;
    const { to, buffer } = this.#place;
    const k = this.#k;
    const first = from.add(task.step);
    const walker = along === "steps" ? this.#side.walk(first) : null;
    const fixed = walker === null ? this.#side.step(first) : null;
    const elements = range(this.#perUnit).map((i) => {
      const state = fixed ?? walker!.now();
      const { at, inside } = this.#side.find!(task.lines[walker === null ? i : 0]!.state, state);
      walker?.next();
      // Rounds beyond the last are fetched as well: there are no steps in them.
      const exists = (walker === null ? first : first.add(i)).lt(to);
      const ok = inside === null ? exists : exists.and(inside);
      const value = buffer.load(ok.select(at, k.u32(0)));
      return ok.select(value, k.const(0, value.scalar)).bitcast("u32");
    });
    if (this.#perUnit === 4) return k.vector(elements);
    return k.vector(range(4).map((i) => elements[2 * i]!.and(0xffff).or(elements[2 * i + 1]!.shl(16))));
  }
}

export function buildMatrixGemm(
  k: KernelBuilder,
  gemm: Gemm,
  operands: MatrixOperands,
  buffers: readonly [BufferVar, BufferVar],
): void {
  const { plan, exact } = gemm;
  const { format } = operands;
  const { across, depth, rows, columns, stages } = plan;
  const { perUnit, steps } = FORMATS[format];
  const place = placeOf(k, plan, "bands");
  const tile = tileOf(plan);
  const sides = gemm.sides(place.batch);
  const warp = k.thread.div(32);
  const warpRow = warp.div(across).mul(rows);
  const warpColumn = warp.rem(across).mul(columns);
  const operand = (i: 0 | 1) => {
    const side = i === 0 ? sides.a : sides.b;
    const how = i === 0 ? operands.a : operands.b;
    const lines = i === 0 ? tile.m : tile.n;
    const units = (lines * depth) / perUnit;
    const shared = k.shared(i === 0 ? "a_tile" : "b_tile", "u32", units * stages, 4);
    const words = format === "tf32" && how.along === "lines";
    const layout = { format, units: (how.along === "steps" ? depth : lines) / perUnit, words };
    const matrix = new MatrixTile(k, shared, layout);
    const loader = new Loader(k, plan, side, how, format, exact, {
      tile: matrix,
      shared,
      buffer: buffers[i],
      first: i === 0 ? place.row : place.column,
      count: i === 0 ? place.m : place.n,
      lines,
      to: place.to,
    });
    const read = matrix.reader(i === 0 ? "a" : "b", how.along, i === 0 ? warpRow : warpColumn);
    return { units, loader, read };
  };
  const [a, b] = [operand(0), operand(1)];

  const blocks = { a: rows / MMA_ROWS, b: columns / MMA_ROWS };
  const readStep = (stage: V, step: number): { a: V[]; b: V[] } => ({
    a: range(blocks.a).map((block) => a.read(stage.mul(a.units), block, step)),
    b: range(blocks.b).map((block) => b.read(stage.mul(b.units), block, step)),
  });
  /** Starts to fetch a tile where there is one. */
  const fetch = (from: V, stage: V, certain: boolean): (() => void)[] => {
    const ends: (() => void)[] = [];
    for (const { loader, units } of [a, b]) {
      const start = (): unknown => ends.push(loader.fetch(from, stage.mul(units)));
      if (certain || !loader.asynchronous) start();
      else k.if(from.lt(place.to), start);
    }
    k.commitCopies();
    return ends;
  };
  const after = (stage: V): V => stage.ge(stages - 1).select(k.u32(0), stage.add(1));

  for (let stage = 0; stage < stages - 1; stage++) {
    fetch(place.from.add(stage * depth), k.u32(stage), stage === 0).forEach((end) => end());
  }
  const meet = (): void => {
    k.waitCopies(stages - 2);
    k.barrier();
  };
  meet();
  const first = readStep(k.u32(0), 0);
  const current = { a: first.a.map((x) => k.var(x)), b: first.b.map((x) => k.var(x)) };
  const sums = range(blocks.a).map(() => range(columns / MMA_COLUMNS).map(() => k.var(k.const(0, "f32", 4))));
  const [reading, writing] = [k.var(k.u32(0)), k.var(k.u32(stages - 1))];
  const inTile = depth / steps;

  k.for(place.from, place.to, depth, (from) => {
    let fragments = { a: current.a.map((x) => x.get()), b: current.b.map((x) => x.get()) };
    const stage = reading.get();
    const next = after(stage);
    let ends: readonly (() => void)[] = [];
    range(inTile).forEach((step) => {
      const last = step === inTile - 1;
      if (last) {
        ends.forEach((end) => end());
        meet();
      }
      const coming = readStep(last ? next : stage, last ? 0 : step + 1);
      if (step === 0) {
        const target = writing.get();
        ends = fetch(from.add((stages - 1) * depth), target, false);
        writing.set(after(target));
      }
      multiply(k, format, fragments, sums);
      fragments = coming;
    });
    current.a.forEach((x, i) => x.set(fragments.a[i]!));
    current.b.forEach((x, i) => x.set(fragments.b[i]!));
    reading.set(next);
  });
  storeSums(k, gemm, place, sums, place.row.add(warpRow), place.column.add(warpColumn));
}

/** sums += a b, for all blocks of a warp. */
function multiply(
  k: KernelBuilder,
  format: MatrixFormat,
  { a, b }: { readonly a: readonly V[]; readonly b: readonly V[] },
  sums: readonly (readonly Var[])[],
): void {
  const halves = b.flatMap((pair) => {
    const [p, q, r, s] = k.lanes(pair) as [V, V, V, V];
    return [k.vector([p, q]), k.vector([r, s])];
  });
  a.forEach((rows, i) => {
    halves.forEach((columns, j) => {
      const sum = sums[i]![j]!;
      sum.set(k.mma(format, rows, columns, sum.get()));
    });
  });
}

function storeSums(k: KernelBuilder, gemm: Gemm, place: Place, sums: readonly (readonly Var[])[], row: V, column: V): void {
  const finish = gemm.finish(place.batch, place.part);
  const lane = k.subgroupLane;
  const firstColumn = column.add(lane.rem(4).mul(2));
  const ends = sums[0]!.map((_, j) => {
    const at = firstColumn.add(j * MMA_COLUMNS);
    return [0, 1].map((i) => ({ exists: at.add(i).lt(place.n), state: finish.column(at.add(i)) }));
  });
  sums.forEach((line, i) => {
    const values = line.map((sum) => k.lanes(sum.get()));
    [0, 1].forEach((half) => {
      const at = row.add(lane.div(4)).add(i * MMA_ROWS + half * 8);
      const state = finish.row(at);
      k.if(at.lt(place.m), () => {
        ends.forEach(([left, right], j) => {
          const [x, y] = [values[j]![2 * half]!, values[j]![2 * half + 1]!];
          const { storePair } = finish;
          if (storePair !== undefined) {
            k.if(left!.exists, () => storePair(state, [left!.state, right!.state], [x, y]));
            return;
          }
          k.if(left!.exists, () => finish.store(state, left!.state, x));
          k.if(right!.exists, () => finish.store(state, right!.state, y));
        });
      });
    });
  });
}

/** Bytes of workgroup memory. */
export function matrixStorage(plan: GemmPlan, format: MatrixFormat): number {
  const tile = tileOf(plan);
  return ((tile.m + tile.n) * plan.depth * UNIT * plan.stages) / FORMATS[format].perUnit;
}
