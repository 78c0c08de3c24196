/** The programs of reduce.ts. */

import type { DType } from "../../ts/core/dtype.ts";
import { int64 } from "../../ts/core/dtype.ts";
import type { Expr } from "../../ts/kernel/expr.ts";
import type { ReduceSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V, type Var } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import type { Program } from "../ir.ts";
import { ExprBuilder } from "../scalar/expr.ts";
import { indexOf } from "../scalar/indices.ts";
import { addressOf, coordinatesOf, declareShape, declareView, type StridedView } from "./common.ts";
import { elemOf, type Fold, type Tuple } from "./reduce_ops.ts";

/** What of a reduction's plan changes the program. */
export interface FoldShape {
  readonly workgroup: number;
  /** Threads per result; a power of two. */
  readonly lanes: number;
  /** Neighbouring threads work on neighbouring results, not on one. */
  readonly columns: boolean;
  readonly keptRank: number;
  readonly reducedRank: number;
  /** Per input: read by vectors along the innermost reduced dim. */
  readonly vectors: readonly boolean[];
  /** Results are cut into segments; partial results are stored. */
  readonly split: boolean;
  /** Elements are folded in runs, whose results are folded. */
  readonly longRuns: boolean;
  /** The lanes of a result are in one subgroup, and are folded there. */
  readonly subgroups: boolean;
  /** Steps that a thread takes at once. */
  readonly unrolled: number;
}

/** Lanes up to this many are folded by the first one, after a single barrier. */
const AT_ONCE = 16;
/** Steps of a run. */
const RUN = 64;

/** A thread's place: which result (row) it works on, and which of its lanes it is. */
interface Place {
  readonly row: V;
  readonly local: V;
  readonly lane: V;
}

function placeOf(k: KernelBuilder, { lanes, workgroup, columns }: FoldShape, block: V): Place {
  const perGroup = workgroup / lanes;
  const local = columns ? k.thread.rem(perGroup) : k.thread.div(lanes);
  const lane = columns ? k.thread.div(perGroup) : k.thread.rem(lanes);
  return { row: block.mul(perGroup).add(local), local, lane };
}

/** Folds the lanes' tuples; the first lane of each result gets what comes out, which is undefined in the others. */
function foldLanes(k: KernelBuilder, fold: Fold, shape: FoldShape, place: Place, tuple: Tuple): Var[] {
  const { lanes, workgroup, columns } = shape;
  const total = tuple.map((v) => k.var(v));
  if (lanes === 1) return total;
  if (shape.subgroups) {
    for (let width = 1; width < lanes; width *= 2) {
      const own = total.map((t) => t.get());
      const other = own.map((v) => k.subgroup("shuffle_xor", v, width));
      fold.combine(k, own, other).forEach((v, i) => total[i]!.set(v));
    }
    return total;
  }
  const perGroup = workgroup / lanes;
  const arrays = fold.types.map((type, i) => k.shared(`fold${i}`, type, workgroup));
  const slot = (lane: V): V => (columns ? lane.mul(perGroup).add(place.local) : place.local.mul(lanes).add(lane));
  const write = (values: Tuple): void => values.forEach((v, i) => arrays[i]!.store(k.thread, v));
  const join = (from: V): void => {
    const next = fold.combine(
      k,
      total.map((t) => t.get()),
      arrays.map((a) => a.load(slot(from))),
    );
    next.forEach((v, i) => total[i]!.set(v));
  };
  write(tuple);
  k.barrier();
  let left = lanes;
  if (lanes > AT_ONCE) {
    k.if(place.lane.lt(AT_ONCE), () => {
      k.for(AT_ONCE, lanes, AT_ONCE, (i) => join(place.lane.add(i)));
      write(total.map((t) => t.get()));
    });
    k.barrier();
    left = AT_ONCE;
  }
  k.if(place.lane.eq(0), () => {
    k.for(1, left, 1, join);
  });
  return total;
}

/** Where results go: the outputs along the kept dims. */
function declareResults(k: KernelBuilder, spec: ReduceSpec, context: GpuContext, count: number): BufferVar[] {
  const second = spec.op === "welford" ? spec.dtype : int64;
  const first = spec.op === "argmax" || spec.op === "argmin" ? int64 : spec.dtype;
  return [first, second].slice(0, count).map((dtype: DType, i) => k.output(`out${i}`, context.layout(dtype).elem));
}

function storeResults(
  k: KernelBuilder,
  fold: Fold,
  out: StridedView,
  outputs: readonly BufferVar[],
  coords: readonly V[],
  tuple: Tuple,
): void {
  const at = addressOf(out, coords);
  fold.results(k, tuple).forEach((v, i) => {
    outputs[i]!.store(i === 0 ? at : at.sub(out.offset).add(k.param("out1_offset", "u32")), v);
  });
}

/** Coordinates along the reduced dims, of every `stride`-th element. */
class Odometer {
  readonly #coords: Var[];
  readonly #steps: readonly V[];
  readonly #shape: readonly V[];

  constructor(k: KernelBuilder, shape: readonly V[], start: V, stride: number) {
    this.#shape = shape;
    this.#coords = coordinatesOf(start, shape).map((c) => k.var(c));
    this.#steps = coordinatesOf(k.u32(stride), shape);
  }
  get(): V[] {
    return this.#coords.map((c) => c.get());
  }
  advance(): void {
    let carry: V | null = null;
    for (let d = this.#coords.length - 1; d >= 0; d--) {
      let c = this.#coords[d]!.get().add(this.#steps[d]!);
      if (carry !== null) c = c.add(carry);
      if (d > 0) {
        const over = c.ge(this.#shape[d]!);
        carry = over.convert("u32");
        c = over.select(c.sub(this.#shape[d]!), c);
      }
      this.#coords[d]!.set(c);
    }
  }
}

/** Folds an expression over the inputs. */
export function foldProgram(spec: ReduceSpec, expr: Expr, fold: Fold, context: GpuContext, shape: FoldShape): Program {
  const k = new KernelBuilder(`reduce_${spec.op}`, shape.workgroup);
  const { lanes, keptRank, reducedRank, split } = shape;
  const rank = keptRank + reducedRank;
  const outputCount = spec.op === "max_arg" || spec.op === "min_arg" || spec.op === "welford" ? 2 : 1;
  const outputs = split
    ? fold.types.map((type, i) => k.output(`part${i}`, elemOf(type)))
    : declareResults(k, spec, context, outputCount);
  const vector = shape.vectors.some(Boolean);
  const inputs = spec.inputs.map((dtype, i) => ({
    buffer: k.input(`in${i}`, context.layout(dtype).elem, shape.vectors[i] === true ? 4 : 1),
    view: declareView(k, `in${i}`, rank),
  }));
  const out = declareView(k, "out", keptRank);
  const sizes = declareShape(k, "size", rank);
  const rows = k.param("rows", "u32");
  const exprs = new ExprBuilder(k, context, [expr]);

  const segments = k.param("segments", "u32");
  // Segments of a row are neighbours like rows; those of columns are workgroups of their own.
  const byGroup = split && shape.columns;
  const block = byGroup ? k.group.div(segments) : k.group;
  const place = placeOf(k, shape, block);
  const units = split && !byGroup ? rows.mul(segments) : rows;
  const within = place.row.lt(units);
  const unit = place.row.min(units.sub(1));
  const row = split && !byGroup ? unit.div(segments) : unit;
  const segment = !split ? k.u32(0) : byGroup ? k.group.sub(block.mul(segments)) : unit.sub(row.mul(segments));
  const kept = coordinatesOf(row, sizes.slice(0, keptRank));
  const bases = inputs.map(({ view }) => addressOf(view, kept));

  const from = split ? segment.mul(k.param("length", "u32")) : k.u32(0);
  const until = split ? from.add(k.param("length", "u32")).min(k.param("steps", "u32")) : k.param("steps", "u32");
  const end = within.select(until, from);
  const start = from.add(place.lane);
  const reduced = sizes.slice(keptRank);
  const odometer = reducedRank > 1 ? new Odometer(k, reduced, start, lanes) : null;

  const total = fold.identity(k).map((v) => k.var(v));
  const joinTo = (accumulator: readonly Var[], tuple: Tuple): void => {
    fold
      .combine(
        k,
        accumulator.map((t) => t.get()),
        tuple,
      )
      .forEach((v, i) => accumulator[i]!.set(v));
  };
  /** The values of the next `steps` steps from j on. */
  const take = (j: V, steps: number): { readonly value: V; readonly position: V }[] => {
    const at = Array.from({ length: steps }, (_, s) => {
      const coords = odometer === null ? [j.add(s * lanes)] : odometer.get();
      odometer?.advance();
      return inputs.map(({ buffer, view }, i) => {
        let address = bases[i]!;
        for (let d = 0; d < reducedRank; d++) {
          // The innermost stride is known where vectors are read: 1 or, for single values, 0.
          if (vector && d === reducedRank - 1) address = shape.vectors[i] === true ? address.add(coords[d]!) : address;
          else address = address.add(coords[d]!.mul(view.strides[keptRank + d]!));
        }
        return buffer.load(address);
      });
    });
    const count = vector ? 4 : 1;
    return at.flatMap((loaded, s) => {
      const position = j.add(s * lanes).mul(count);
      const first = row.mul(k.param("reduced", "u32")).add(position);
      return Array.from({ length: count }, (_, lane) => {
        const [value] = exprs.values([expr], {
          load: (i) => (loaded[i]!.type.lanes === 1 ? loaded[i]! : loaded[i]!.lane(lane)),
          index: indexOf(k, first.add(lane)),
        });
        return { value: value!, position: position.add(lane) };
      });
    });
  };
  const step = (j: V, steps: number, accumulator: readonly Var[]): void => {
    const taken = take(j, steps);
    if (fold.several !== undefined && taken.length > 1) {
      joinTo(
        accumulator,
        fold.several(
          k,
          taken.map((t) => t.value),
        ),
      );
    } else taken.forEach(({ value, position }) => joinTo(accumulator, fold.single(k, value, position)));
  };
  /** Steps from `first` on, while below `last`. */
  const steps = (first: V, last: V, accumulator: readonly Var[]): void => {
    const { unrolled } = shape;
    if (unrolled === 1) {
      k.for(first, last, lanes, (j) => step(j, 1, accumulator));
      return;
    }
    const next = k.var(first);
    const ahead = (unrolled - 1) * lanes;
    k.while(
      () => next.get().add(ahead).lt(last),
      () => {
        step(next.get(), unrolled, accumulator);
        next.set(next.get().add(unrolled * lanes));
      },
    );
    k.for(next.get(), last, lanes, (j) => step(j, 1, accumulator));
  };

  if (shape.longRuns) {
    k.for(start, end, RUN * lanes, (first) => {
      const run = fold.identity(k).map((v) => k.var(v));
      steps(first, end.min(first.add(RUN * lanes)), run);
      joinTo(
        total,
        run.map((r) => r.get()),
      );
    });
  } else steps(start, end, total);

  const result = foldLanes(
    k,
    fold,
    shape,
    place,
    total.map((t) => t.get()),
  );
  k.if(within.and(place.lane.eq(0)), () => {
    const tuple = result.map((t) => t.get());
    if (split) tuple.forEach((v, i) => outputs[i]!.store(row.mul(segments).add(segment), v));
    else storeResults(k, fold, out, outputs, kept, tuple);
  });
  return k.build();
}

/** Folds the partial results of segments. `steps` is their number. */
export function finishProgram(spec: ReduceSpec, fold: Fold, context: GpuContext, given: FoldShape, outputCount: number): Program {
  const shape: FoldShape = { ...given, columns: false };
  const k = new KernelBuilder(`reduce_${spec.op}_finish`, shape.workgroup);
  const outputs = declareResults(k, spec, context, outputCount);
  const parts = fold.types.map((type, i) => k.input(`part${i}`, elemOf(type)));
  const out = declareView(k, "out", shape.keptRank);
  const sizes = declareShape(k, "size", shape.keptRank);
  const rows = k.param("rows", "u32");
  const place = placeOf(k, shape, k.group);
  const within = place.row.lt(rows);
  const row = place.row.min(rows.sub(1));
  const steps = k.param("steps", "u32");
  const total = fold.identity(k).map((v) => k.var(v));
  k.for(place.lane, within.select(steps, k.u32(0)), shape.lanes, (j) => {
    const tuple = parts.map((p) => p.load(row.mul(steps).add(j)));
    fold
      .combine(
        k,
        total.map((t) => t.get()),
        tuple,
      )
      .forEach((v, i) => total[i]!.set(v));
  });
  const result = foldLanes(
    k,
    fold,
    shape,
    place,
    total.map((t) => t.get()),
  );
  k.if(within.and(place.lane.eq(0)), () => {
    storeResults(
      k,
      fold,
      out,
      outputs,
      coordinatesOf(row, sizes),
      result.map((t) => t.get()),
    );
  });
  return k.build();
}
