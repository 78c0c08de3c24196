/**
 * The template of products: out[batch, i, j] = sum over k of a(i, k) * b(k, j), where a and b are whatever their `Side` reads. Matmul gives
 * sides that walk strides, convolutions such that compute positions, so that no matrix of patches ever exists.
 */

import type { ScalarType } from "../ir.ts";
import { type KernelBuilder, type Num, type SharedVar, type V, type Var } from "../builder.ts";
import { ceilDiv } from "../plan.ts";
import { type GemmPlan, tileOf } from "../plan_matmul.ts";

/** Consecutive steps. */
export interface Walker {
  now(): readonly V[];
  next(): void;
}

/** One operand. States are whatever addresses are made of; lines are rows of a or columns of b. */
export interface Side {
  /** What does not change along k. */
  line(index: V): readonly V[];
  /** What all lines share at step k. */
  step(k: V): readonly V[];
  /** The steps from k on, cheaper than each by itself. */
  walk(k: V): Walker;
  load(line: readonly V[], step: readonly V[]): V;
  /** Where `load` reads, and whether there is anything (null: always); where there is not, it gives zero. */
  readonly find?: (line: readonly V[], step: readonly V[]) => { readonly at: V; readonly inside: V | null };
  /** Four lines at one step as a vector, where they lie side by side and aligned; the number of lines is a multiple of 4 then. */
  readonly loadLines?: (line: readonly V[], step: readonly V[]) => V;
  /** Four steps of one line, likewise (multiples of 4). */
  readonly loadSteps?: (line: readonly V[], step: readonly V[]) => V;
}

/** The side whose addresses are base + line * i + step * k. */
export function linearSide(k: KernelBuilder, base: V, line: V, step: V, load: (at: V) => V): Side {
  return {
    line: (index) => [base.add(index.mul(line))],
    step: (at) => [at.mul(step)],
    walk(from) {
      const at = k.var(from.mul(step));
      return { now: () => [at.get()], next: () => at.set(at.get().add(step)) };
    },
    load: ([p], [q]) => load(p!.add(q!)),
    find: ([p], [q]) => ({ at: p!.add(q!), inside: null }),
  };
}

/** Numbers of lines, `last` included. */
export interface Span {
  readonly first: V;
  readonly last: V;
}

export interface Gemm {
  /** Type of the sums. */
  readonly scalar: ScalarType;
  readonly plan: GemmPlan;
  /** Whether every part of k is a whole number of tiles (tiled), or of unrolled rounds (direct). */
  readonly exact: boolean;
  sides(batch: V): { readonly a: Side; readonly b: Side };
  /** The steps that a block of rows and columns needs, where they are fewer than [from, to): the others' products must be 0. */
  reach?(rows: Span, columns: Span, from: V, to: V): { readonly from: V; readonly to: V };
  /** What becomes of the sums. `part` counts the parts of k. */
  finish(batch: V, part: V): Finish;
}

/** Stores what a sum becomes; what depends on its row or its column only is computed once for all. Lines may be beyond the edge there. */
export interface Finish {
  row(row: V): readonly V[];
  column(column: V): readonly V[];
  store(row: readonly V[], column: readonly V[], sum: V): void;
  /** Stores two columns side by side, the first of which is even; where it exists, both do. */
  storePair?(row: readonly V[], columns: readonly (readonly V[])[], sums: readonly [V, V]): void;
}

/** Run-time sizes that every such program takes. */
export function gemmParams(plan: GemmPlan, shape: { m: number; n: number; k: number }, steps: number): Record<string, number> {
  const tile = tileOf(plan);
  return {
    m: shape.m,
    n: shape.n,
    k: shape.k,
    steps,
    splits: plan.splits,
    tiles_m: ceilDiv(shape.m, tile.m),
    tiles_n: ceilDiv(shape.n, tile.n),
  };
}

export function gemmGroups(plan: GemmPlan, shape: { batch: number; m: number; n: number }): number {
  const tile = tileOf(plan);
  return shape.batch * plan.splits * ceilDiv(shape.m, tile.m) * ceilDiv(shape.n, tile.n);
}

/** The part of the key that this file looks at. */
export function gemmKey({ form, across, threads, rows, columns, depth, splits, stages }: GemmPlan, exact: boolean): string {
  return `${form}/${threads}/${across}/${rows}x${columns}x${depth}x${stages}/${splits > 1}/${exact}`;
}

export interface Place {
  readonly batch: V;
  readonly part: V;
  /** First row and column of the workgroup's tile. */
  readonly row: V;
  readonly column: V;
  /** Steps of this part. */
  readonly from: V;
  readonly to: V;
  readonly m: V;
  readonly n: V;
}

/** Tile rows of a band: what runs at the same time is to be about a square. */
const bandOf = (tile: { readonly m: number; readonly n: number }): number => (tile.n > tile.m ? 16 : 8);

/**
 * @param order Workgroups that run at the same time have numbers side by side. "rows": a row of tiles after the other; "bands": a band of
 * rows of tiles, column by column, so that they share more of both operands.
 */
export function placeOf(k: KernelBuilder, plan: GemmPlan, order: "rows" | "bands" = "rows"): Place {
  const [m, n, all, steps] = ["m", "n", "k", "steps"].map((name) => k.param(name, "u32")) as [V, V, V, V];
  const tilesM = k.param("tiles_m", "u32");
  const tilesN = k.param("tiles_n", "u32");
  const splits = k.param("splits", "u32");
  const tile = tileOf(plan);
  const one = (rest: V, size: V): [V, V] => {
    const quotient = rest.div(size);
    return [rest.sub(quotient.mul(size)), quotient];
  };
  const tileAt = (): { tileM: V; tileN: V; outer: V } => {
    if (order === "rows") {
      const [tileN, rest] = one(k.group, tilesN);
      const [tileM, outer] = one(rest, tilesM);
      return { tileM, tileN, outer };
    }
    const rows = bandOf(tile);
    const [inside, outer] = one(k.group, tilesN.mul(tilesM));
    const [inBand, band] = one(inside, tilesN.mul(rows));
    const first = band.mul(rows);
    const [row, tileN] = one(inBand, tilesM.sub(first).min(rows));
    return { tileM: first.add(row), tileN, outer };
  };
  const { tileM, tileN, outer } = tileAt();
  const [part, batch] = plan.splits > 1 ? one(outer, splits) : [k.u32(0), outer];
  const from = part.mul(steps);
  const to = plan.splits > 1 ? from.add(steps).min(all) : all;
  return { batch, part, row: tileM.mul(tile.m), column: tileN.mul(tile.n), from, to, m, n };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** sum += x * y */
export function accumulate(sum: Var, x: V, y: V): void {
  sum.set(sum.get().add(x.mul(y)));
}

/** `count` rounds, some of them written out: loops have their cost, and so have long programs. */
export function unrolledFor(k: KernelBuilder, count: number, unroll: number, body: (i: V) => void): void {
  k.for(0, count, unroll, (first) => range(unroll).forEach((i) => body(first.add(i))));
}

export function buildGemm(k: KernelBuilder, gemm: Gemm): void {
  const { form } = gemm.plan;
  if (form === "matrix" || form === "pipelined") throw new TypeError(`products of the form ${form} have a file of their own`);
  ({ direct, tiled, thin })[form](k, gemm, placeOf(k, gemm.plan));
}

function direct(k: KernelBuilder, gemm: Gemm, place: Place): void {
  const { across, rows, columns, depth } = gemm.plan;
  const { a, b } = gemm.sides(place.batch);
  const x = k.thread.rem(across);
  const y = k.thread.div(across);
  const rowAt = range(rows).map((r) => place.row.add(y.mul(rows)).add(r));
  const columnAt = range(columns).map((c) => place.column.add(x).add(c * across));
  // Lines beyond the edge read the last one; their sums go nowhere.
  const linesA = rowAt.map((i) => a.line(i.min(place.m.sub(1))));
  const linesB = columnAt.map((j) => b.line(j.min(place.n.sub(1))));
  const sums = range(rows * columns).map(() => k.var(k.const(0, gemm.scalar)));
  const span = (lines: readonly V[]): Span => ({ first: lines[0]!, last: lines.at(-1)! });
  const unrolled = gemm.exact ? depth : 1;
  let { from, to } = place;
  if (gemm.reach !== undefined) {
    // Whole rounds: what is too much is zero.
    const needed = gemm.reach(span(rowAt), span(columnAt), from, to);
    from = needed.from.div(unrolled).mul(unrolled);
    to = needed.to
      .add(unrolled - 1)
      .div(unrolled)
      .mul(unrolled);
  }
  const walkA = a.walk(from);
  const walkB = b.walk(from);
  const round = (): void => {
    const stepA = walkA.now();
    const stepB = walkB.now();
    const ys = linesB.map((line) => b.load(line, stepB));
    linesA.forEach((line, r) => {
      const value = a.load(line, stepA);
      ys.forEach((yc, c) => accumulate(sums[r * columns + c]!, value, yc));
    });
    walkA.next();
    walkB.next();
  };
  k.for(from, to, unrolled, () => range(unrolled).forEach(round));
  const finish = gemm.finish(place.batch, place.part);
  const ends = columnAt.map((column) => ({ exists: column.lt(place.n), state: finish.column(column) }));
  rowAt.forEach((row, r) => {
    const state = finish.row(row);
    k.if(row.lt(place.m), () => {
      ends.forEach((column, c) => {
        k.if(column.exists, () => finish.store(state, column.state, sums[r * columns + c]!.get()));
      });
    });
  });
}

/** Fetches the tile of one side as vectors of four lines, from registers to workgroup memory in two phases. */
class TileLoader {
  readonly #k: KernelBuilder;
  readonly #side: Side;
  readonly #shared: SharedVar;
  readonly #units: readonly {
    readonly at: V;
    readonly step: V;
    readonly lines: readonly (readonly V[])[];
    readonly inside: V | null;
  }[];
  readonly #exact: boolean;
  readonly #scalar: ScalarType;

  /** @param width Lines of the tile. */
  constructor(
    k: KernelBuilder,
    gemm: Gemm,
    side: Side,
    { shared, first, count, width }: { shared: SharedVar; first: V; count: V; width: number },
  ) {
    const { threads, depth } = gemm.plan;
    this.#k = k;
    this.#side = side;
    this.#shared = shared;
    this.#exact = gemm.exact;
    this.#scalar = gemm.scalar;
    const quads = width / 4;
    const units = quads * depth;
    this.#units = range(ceilDiv(units, threads)).map((round) => {
      const unit = k.thread.add(round * threads);
      // Neighbouring threads read neighbouring lines where those are vectors, else neighbouring steps.
      const [quad, step] = side.loadLines !== undefined ? [unit.rem(quads), unit.div(quads)] : [unit.div(depth), unit.rem(depth)];
      const line = first.add(quad.mul(4));
      const lines =
        side.loadLines !== undefined
          ? [side.line(line.min(count.sub(4)))]
          : range(4).map((i) => side.line(line.add(i).min(count.sub(1))));
      const inside = (round + 1) * threads > units ? unit.lt(units) : null;
      return { at: step.mul(quads).add(quad), step, lines, inside };
    });
  }

  fetch(from: V, to: V): void {
    for (const { at, step, lines, inside } of this.#units) {
      const work = (): void => {
        const at_k = from.add(step);
        const state = this.#side.step(this.#exact ? at_k : at_k.min(to.sub(1)));
        let value =
          this.#side.loadLines !== undefined
            ? this.#side.loadLines(lines[0]!, state)
            : this.#k.vector(lines.map((line) => this.#side.load(line, state)));
        if (!this.#exact) value = at_k.lt(to).select(value, this.#k.const(0, this.#scalar, 4));
        this.#shared.store(at, value);
      };
      if (inside === null) work();
      else this.#k.if(inside, work);
    }
  }
}

function tiled(k: KernelBuilder, gemm: Gemm, place: Place): void {
  const { across, rows, columns, depth } = gemm.plan;
  const { a, b } = gemm.sides(place.batch);
  const tile = tileOf(gemm.plan);
  const sharedA = k.shared("a_tile", gemm.scalar, (tile.m / 4) * depth, 4);
  const sharedB = k.shared("b_tile", gemm.scalar, (tile.n / 4) * depth, 4);
  const loadA = new TileLoader(k, gemm, a, { shared: sharedA, first: place.row, count: place.m, width: tile.m });
  const loadB = new TileLoader(k, gemm, b, { shared: sharedB, first: place.column, count: place.n, width: tile.n });
  const x = k.thread.rem(across);
  const y = k.thread.div(across);
  const quadsA = tile.m / 4;
  const quadsB = tile.n / 4;
  const down = gemm.plan.threads / across;
  // A thread's quads of rows (and of columns) lie a tile's stride apart, so that neighbours read neighbouring words.
  const ys = range(rows / 4).map((q) => y.add(q * down));
  const xs = range(columns / 4).map((q) => x.add(q * across));
  const sums = range(rows).map(() => xs.map(() => k.var(k.const(0, gemm.scalar, 4))));
  k.for(place.from, place.to, depth, (from) => {
    loadA.fetch(from, place.to);
    loadB.fetch(from, place.to);
    k.barrier();
    const at = (quad: V, step: V, quads: number): V => step.mul(quads).add(quad);
    unrolledFor(k, depth, 4, (step) => {
      const bs = xs.map((q) => sharedB.load(at(q, step, quadsB)));
      ys.forEach((q, i) => {
        const quad = sharedA.load(at(q, step, quadsA));
        k.lanes(quad).forEach((value, lane) => {
          const wide = k.splat(value, 4);
          bs.forEach((yb, c) => accumulate(sums[i * 4 + lane]![c]!, wide, yb));
        });
      });
    });
    k.barrier();
  });
  const finish = gemm.finish(place.batch, place.part);
  const ends = xs.flatMap((q) =>
    range(4).map((j) => {
      const column = place.column.add(q.mul(4)).add(j);
      return { exists: column.lt(place.n), state: finish.column(column) };
    }),
  );
  sums.forEach((line, i) => {
    const row = place.row.add(ys[Math.floor(i / 4)]!.mul(4)).add(i % 4);
    const state = finish.row(row);
    k.if(row.lt(place.m), () => {
      const values = line.flatMap((sum) => k.lanes(sum.get()));
      ends.forEach((column, c) => k.if(column.exists, () => finish.store(state, column.state, values[c]!)));
    });
  });
}

function thin(k: KernelBuilder, gemm: Gemm, place: Place): void {
  const { across, threads, rows } = gemm.plan;
  const slices = threads / across;
  const { a, b } = gemm.sides(place.batch);
  // Neighbouring threads take neighbouring steps where those lie side by side, else neighbouring columns.
  const alongK = slices >= across;
  const [x, slice] = alongK ? [k.thread.div(slices), k.thread.rem(slices)] : [k.thread.rem(across), k.thread.div(across)];
  const column = place.column.add(x);
  const lineB = b.line(column.min(place.n.sub(1)));
  const linesA = range(rows).map((r) => a.line(place.m.sub(1).min(r)));
  const quads = a.loadSteps !== undefined && b.loadSteps !== undefined;
  const lanes = quads ? 4 : 1;
  const sums = linesA.map(() => k.var(k.const(0, gemm.scalar, lanes)));
  k.for(place.from.add(slice.mul(lanes)), place.to, slices * lanes, (at) => {
    const stepA = a.step(at);
    const stepB = b.step(at);
    const y = quads ? b.loadSteps(lineB, stepB) : b.load(lineB, stepB);
    linesA.forEach((line, r) => accumulate(sums[r]!, quads ? a.loadSteps(line, stepA) : a.load(line, stepA), y));
  });
  const shared = k.shared("sums", gemm.scalar, threads * rows);
  const at = (r: Num, s: Num): V => {
    const line = k.u32(0).add(r).mul(slices).add(s);
    return line.mul(across).add(x);
  };
  sums.forEach((sum, r) => {
    const total = k.lanes(sum.get()).reduce((p, q) => p.add(q));
    shared.store(at(r, slice), total);
  });
  k.barrier();
  const finish = gemm.finish(place.batch, place.part);
  const end = finish.column(column);
  // Slices take turns at the rows; the order of the sum is that of the slices.
  for (let first = 0; first < rows; first += slices) {
    const row = slice.add(first);
    k.if(row.lt(place.m.min(rows)).and(column.lt(place.n)), () => {
      const total = k.var(shared.load(at(row, 0)));
      k.for(1, slices, 1, (s) => total.set(total.get().add(shared.load(at(row, s)))));
      finish.store(finish.row(row), end, total.get());
    });
  }
}
