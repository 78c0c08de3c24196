/**
 * Scans along the last dim. A line is scanned by up to `THREADS` neighbouring threads, each of which takes chunks of neighbouring elements; the
 * chunks' totals are scanned in workgroup memory. Few long lines are cut into segments: their totals first, then those are scanned, then
 * the segments once more with what came before them. The order of all combinations depends on the shape alone.
 */

import type { View } from "../../ts/core/device.ts";
import { type DType, int64 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { ScanSpec } from "../../ts/kernel/spec.ts";
import { type Block, type BufferVar, KernelBuilder, type SharedVar, type V } from "../builder.ts";
import type { GpuContext, GpuLowering, Temporary } from "../context.ts";
import type { Program, ScalarType } from "../ir.ts";
import { ceilDiv, collapse, workgroupSize } from "../plan.ts";
import { emitOp } from "../scalar/table.ts";
import { castTo, roundTo } from "../scalar/convert.ts";
import { isZero, unless } from "../scalar/basics.ts";
import { addressOf, clampIndex, coordinatesOf, declareShape, declareView, greatest, shapeParams, viewParams } from "./common.ts";

const THREADS = 128;
/** Neighbouring elements of one thread. */
const CHUNK = 4;
/** With so many lines (or so short ones) a thread takes a whole line. */
const MANY_LINES = 2048;
const SHORT_LINE = 16;
/** Lines from this length on are cut into segments when there are few. */
const LONG_LINE = 1 << 14;
const FEW_LINES = 32;
const MOST_SEGMENTS = 256;

/** What is known of a run of elements: one or two values that combine with the next run's. */
interface Monoid {
  readonly types: readonly ScalarType[];
  /** Of a single element at `index` of its line. */
  of(b: Block, x: V, index: V): readonly V[];
  empty(b: Block): readonly V[];
  combine(b: Block, x: readonly V[], y: readonly V[]): readonly V[];
  /** The outputs: of the accumulator's type, then the position as u32. */
  result(b: Block, x: readonly V[]): readonly V[];
}

/** A position before all others: of no element. */
const NOWHERE = 0xffffffff;

function monoid(op: ScanSpec["op"], type: ScalarType): Monoid {
  const simple = (neutral: number, combine: (x: V, y: V) => V): Monoid => ({
    types: [type],
    of: (_, x) => [x],
    empty: (b) => [b.const(neutral, type)],
    combine: (_, [x], [y]) => [combine(x!, y!)],
    result: (_, x) => x,
  });
  switch (op) {
    case "cumsum":
      return simple(0, (x, y) => x.add(y));
    case "cumprod":
      return simple(1, (x, y) => x.mul(y));
    case "cummax":
    case "cummin":
      return {
        types: [type, "u32"],
        of: (_, x, index) => [x, index],
        empty: (b) => [b.const(0, type), b.u32(NOWHERE)],
        combine: (_, [x, at], [y, later]) => {
          const beats = op === "cummax" ? y!.ge(x!) : y!.le(x!);
          const float = type === "f32" || type === "f64";
          const wins = float ? y!.isNan().or(x!.isNan().not().and(beats)) : beats;
          const takes = later!.ne(NOWHERE).and(at!.eq(NOWHERE).or(wins));
          return [takes.select(y!, x!), takes.select(later!, at!)];
        },
        result: (_, x) => x,
      };
    case "logcumsumexp": {
      const lowest = -greatest(type);
      const scalar = (b: Block, name: "exp" | "log", x: V): V => emitOp(b, name, type, [x], type);
      // The greatest exponent, and the sum of exponentials relative to it; of minus infinity nothing is added, of NaN a NaN.
      return {
        types: [type, type],
        of: (b, x) => {
          const nothing = x.eq(-Infinity);
          const nan = x.isNan();
          const sum = nan.select(x, nothing.select(b.const(0, type), b.const(1, type)));
          return [nan.or(nothing).select(b.const(lowest, type), x), sum];
        },
        empty: (b) => [b.const(lowest, type), b.const(0, type)],
        combine: (b, [m, s], [n, t]) => {
          // (Equal infinities have no difference.)
          const same = m!.eq(n!);
          const smaller = scalar(b, "exp", same.select(b.const(0, type), m!.min(n!).sub(m!.max(n!))));
          const first = m!.ge(n!);
          return [first.select(m!, n!), first.select(t!.fma(smaller, s!), s!.fma(smaller, t!))];
        },
        result: (b, [m, s]) => {
          const sum = m!.add(scalar(b, "log", s!));
          return [unless(b, sum, [isZero(s!), -Infinity])];
        },
      };
    }
  }
}

/** What a program does with its segment. */
type Stage = "whole" | "totals" | "rest";

interface Plan {
  /** One thread per line. */
  readonly alone: boolean;
  readonly threads: number;
  readonly stage: Stage;
  /** Of the dims but the last. */
  readonly rank: number;
}

export const lowerScan: GpuLowering<"scan"> = (spec, context) => {
  const source = context.layout(spec.input);
  const { value } = context.layout(spec.dtype);
  const positions = spec.op === "cummax" || spec.op === "cummin";
  const type = spec.dtype.is_floating_point && value === "i32" ? source.value : value;
  const math = monoid(spec.op, type);
  const base = `scan/${spec.op}/${spec.input.name}/${spec.dtype.name}`;
  const most = workgroupSize(context.caps, THREADS);

  return ([x], outputs) => {
    const views = [x!, ...outputs.slice(0, positions ? 2 : 1)];
    const total = numelOf(x!.shape);
    if (total === 0) return;
    const n = x!.shape.at(-1)!;
    const lines = total / n;
    const walk = collapse(views.map(withoutLast));
    const rank = walk.shape.length;

    const params: Record<string, number> = { lines, n, ...shapeParams("size", walk.shape) };
    views.forEach((v, i) => {
      Object.assign(params, viewParams(`view${i}`, v.offset, walk.strides[i]!));
      params[`step${i}`] = v.strides.at(-1)!;
    });
    const alone = n <= SHORT_LINE || lines >= MANY_LINES;
    let lanes = 1;
    while (lanes < most && lanes * CHUNK < n) lanes *= 2;
    // Where a thread takes a line, smaller workgroups spread few lines over more of the GPU.
    const threads = alone ? Math.min(most, 64) : most;
    const perGroup = alone ? threads : threads / lanes;
    const run = (stage: Stage, segments: number, segment: number, buffers: readonly (View | Temporary)[]): void => {
      const program = context.program(`${base}/${stage},${alone},${rank}`, () =>
        scanProgram(spec, context, math, { alone, threads, stage, rank }),
      );
      const groups = ceilDiv(lines, perGroup) * segments;
      context.launch(program, { buffers, params: { ...params, segments, segment, lanes }, groups });
    };
    if (alone || n < LONG_LINE || lines > FEW_LINES) return run("whole", 1, n, views);

    const tile = lanes * CHUNK;
    const segment = ceilDiv(ceilDiv(n, MOST_SEGMENTS), 4 * tile) * 4 * tile;
    const segments = ceilDiv(n, segment);
    const totals = math.types.map((t) => context.temporary(lines * segments, t as "f32"));
    run("totals", segments, segment, [x!, ...totals]);
    const carry = context.program(`${base}/carry`, () => carryProgram(math, most));
    context.launch(carry, { buffers: totals, params: { lines, segments }, groups: ceilDiv(lines, most) });
    run("rest", segments, segment, [...views, ...totals]);
  };
};

function withoutLast(v: View): View {
  return { ...v, shape: v.shape.slice(0, -1), strides: v.strides.slice(0, -1) };
}

/** Scans segments of lines: by `lanes` threads each, so that a workgroup has several lines where they are short, or by one. */
function scanProgram(spec: ScanSpec, context: GpuContext, math: Monoid, { alone, threads, stage, rank }: Plan): Program {
  const k = new KernelBuilder(`scan_${spec.op}`, threads);
  const source = context.layout(spec.input);
  const input = k.input("x", source.elem);
  const outputs = stage === "totals" ? [] : declareOutputs(k, spec, context);
  const others =
    stage === "whole"
      ? []
      : math.types.map((t, i) => (stage === "totals" ? k.output(`total${i}`, t as "f32") : k.input(`total${i}`, t as "f32")));
  const [lines, n, segments, segment, lanes] = ["lines", "n", "segments", "segment", "lanes"].map((name) =>
    k.param(name, "u32"),
  ) as [V, V, V, V, V];
  const shape = declareShape(k, "size", rank);
  const views = Array.from({ length: 1 + outputs.length }, (_, i) => ({
    view: declareView(k, `view${i}`, rank),
    step: k.param(`step${i}`, "u32"),
  }));
  const accumulator = math.types[0]!;
  const read = (start: V, index: V): readonly V[] => {
    const raw = input.load(start.add(index.mul(views[0]!.step)));
    return math.of(k, castTo(k, raw, spec.input, spec.dtype, { value: accumulator }), index);
  };
  const write = (starts: readonly V[], index: V, values: readonly V[]): void => {
    const results = math.result(k, values);
    outputs.forEach(({ buffer, dtype }, o) => {
      const result = roundTo(k, results[o]!.convert(context.layout(dtype).value), dtype);
      buffer.store(starts[o]!.add(index.mul(views[o + 1]!.step)), result);
    });
  };

  if (alone) {
    const line = k.group.mul(threads).add(k.thread);
    k.if(line.lt(lines), () => {
      const coords = coordinatesOf(line, shape);
      const [from, ...starts] = views.map(({ view }) => addressOf(view, rank === 0 ? [] : coords));
      const sofar = math.empty(k).map((v) => k.var(v));
      k.for(0, n, 1, (index) => {
        const own = read(from!, index);
        const both = math.combine(
          k,
          sofar.map((c) => c.get()),
          own,
        );
        write(starts, index, both);
        sofar.forEach((c, i) => c.set(both[i]!));
      });
    });
    return k.build();
  }

  const each = k.u32(threads).div(lanes);
  const block = stage === "whole" ? k.group : k.group.div(segments);
  const part = stage === "whole" ? k.u32(0) : k.group.sub(block.mul(segments));
  const row = k.thread.div(lanes);
  const own = block.mul(each).add(row);
  const present = own.lt(lines);
  const line = clampIndex(own, lines);
  const lane = k.thread.sub(row.mul(lanes));
  const coords = coordinatesOf(line, shape);
  const [from, ...starts] = views.map(({ view }) => addressOf(view, rank === 0 ? [] : coords));
  const start = part.mul(segment);
  const end = stage === "whole" ? n : n.min(start.add(segment));
  const place = line.mul(segments).add(part);
  const carry = (stage === "rest" ? others.map((o) => o.load(place)) : math.empty(k)).map((v) => k.var(v));
  const scratch = math.types.map((t, i) => k.shared(`scratch${i}`, t, 2 * threads));

  k.for(start, end, lanes.mul(CHUNK), (tile) => {
    const first = tile.add(lane.mul(CHUNK));
    const neutral = math.empty(k);
    const prefixes: (readonly V[])[] = [];
    for (let e = 0; e < CHUNK; e++) {
      const index = first.add(e);
      const inside = index.lt(end);
      const values = read(from!, clampIndex(index, n)).map((v, i) => inside.select(v, neutral[i]!));
      const last = prefixes.at(-1);
      prefixes.push(last === undefined ? values : math.combine(k, last, values));
    }
    const { before, total } = scanLanes(k, math, scratch, lane, lanes, prefixes.at(-1)!);
    const sofar = carry.map((c) => c.get());
    if (stage !== "totals") {
      const offset = math.combine(k, sofar, before);
      prefixes.forEach((prefix, e) => {
        const index = first.add(e);
        k.if(present.and(index.lt(end)), () => write(starts, index, math.combine(k, offset, prefix)));
      });
    }
    math.combine(k, sofar, total).forEach((v, i) => carry[i]!.set(v));
  });
  if (stage === "totals") {
    k.if(present.and(lane.eq(0)), () => others.forEach((o, i) => o.store(place, carry[i]!.get())));
  }
  return k.build();
}

function declareOutputs(k: KernelBuilder, spec: ScanSpec, context: GpuContext): { buffer: BufferVar; dtype: DType }[] {
  const outputs = [{ buffer: k.output("y", context.layout(spec.dtype).elem), dtype: spec.dtype }];
  if (spec.op === "cummax" || spec.op === "cummin") {
    outputs.push({ buffer: k.output("positions", context.layout(int64).elem), dtype: int64 });
  }
  return outputs;
}

/** What the lanes before this one of its line have, and what all have together. */
function scanLanes(
  k: KernelBuilder,
  math: Monoid,
  scratch: readonly SharedVar[],
  lane: V,
  lanes: V,
  values: readonly V[],
): { before: readonly V[]; total: readonly V[] } {
  const { thread } = k;
  // Two halves in turn: who is behind still reads the one while the other is written.
  const half = k.var(k.u32(0));
  const distance = k.var(k.u32(1));
  const own = values.map((v) => k.var(v));
  const put = (v: readonly V[]): void => v.forEach((x, i) => scratch[i]!.store(thread.add(half.get()), x));
  const get = (at: V): V[] => scratch.map((s) => s.load(at.add(half.get())));
  put(values);
  k.barrier();
  k.while(
    () => distance.get().lt(lanes),
    () => {
      const d = distance.get();
      const reaches = lane.ge(d);
      const mine = own.map((v) => v.get());
      const both = math.combine(k, get(reaches.select(thread.sub(d), thread)), mine);
      own.forEach((v, i) => v.set(reaches.select(both[i]!, mine[i]!)));
      half.set(k.u32(k.workgroup).sub(half.get()));
      distance.set(d.mul(2));
      put(own.map((v) => v.get()));
      k.barrier();
    },
  );
  const neutral = math.empty(k);
  const first = lane.eq(0);
  const before = get(first.select(thread, thread.sub(1))).map((v, i) => first.select(neutral[i]!, v));
  const total = get(thread.sub(lane).add(lanes.sub(1)));
  k.barrier();
  return { before, total };
}

/** Replaces the totals of a line's segments by what comes before each. */
function carryProgram(math: Monoid, threads: number): Program {
  const k = new KernelBuilder("scan_carry", threads);
  const totals = math.types.map((t, i) => k.output(`total${i}`, t as "f32"));
  const segments = k.param("segments", "u32");
  const line = k.group.mul(threads).add(k.thread);
  k.if(line.lt(k.param("lines", "u32")), () => {
    const before = math.empty(k).map((v) => k.var(v));
    const start = line.mul(segments);
    k.for(start, start.add(segments), 1, (at) => {
      const own = totals.map((t) => t.load(at));
      const sofar = before.map((v) => v.get());
      totals.forEach((t, i) => t.store(at, sofar[i]!));
      math.combine(k, sofar, own).forEach((v, i) => before[i]!.set(v));
    });
  });
  return k.build();
}
