/**
 * `map`: one expression per output over one iteration space. Three walks: four elements at a time along a dense inner dim; any strides, an
 * element per thread; and, where an input lies across the output (transposing copies), blocks of 4 x 4 in registers, or tiles through
 * workgroup memory where it is not aligned.
 */

import type { View } from "../../ts/core/device.ts";
import { RuntimeError } from "../../ts/core/errors.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { specKey } from "../../ts/kernel/spec_key.ts";
import type { MapSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { GpuCaps, GpuContext, GpuLowering } from "../context.ts";
import type { Lanes, Program } from "../ir.ts";
import { isNarrow, ceilDiv, collapse, workgroupSize, type Walk } from "../plan.ts";
import { ExprBuilder, type ExprInfo, inspect } from "../scalar/expr.ts";
import { indexOf, indexParams } from "../scalar/indices.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, type StridedView, viewParams } from "./common.ts";

/** Expressions longer than this are not unrolled four times: compiling them would take too long. */
const MOST_UNROLLED = 64;
const TILE = 32;
/** Threads of a tile's workgroup: rows of TILE. */
const TILE_ROWS = 8;

/** How a view is addressed: by vectors of 4, or by elements. */
type Access = "dense" | "any";

interface Plan {
  readonly walk: Walk;
  readonly mode: "vector" | "scalar" | "tiled" | "blocks";
  /** Per view (outputs, then inputs). */
  readonly access: readonly Access[];
  /** Modes tiled and blocks: the dim along which the inputs that lie across are dense, and which those are. */
  readonly across: number;
  readonly tiled: readonly boolean[];
}

export const lowerMap: GpuLowering<"map"> = (spec, context) => {
  const buffers = spec.inputs.length + spec.outputs.length;
  if (buffers > context.caps.maxStorageBuffers) {
    throw new RuntimeError(
      `map: ${spec.inputs.length} inputs and ${spec.outputs.length} outputs are more than the ${context.caps.maxStorageBuffers} buffers that a kernel on this device can bind; compute the expression in parts`,
    );
  }
  const info = inspect(context, spec.outputs);
  const base = specKey(spec);

  return (inputs, outputs, { scalars }) => {
    const { shape } = outputs[0]!;
    const total = numelOf(shape);
    if (total === 0) return;
    const views = [...outputs, ...inputs];
    const plan = planMap(views, outputs.length, info, context.caps);
    const params: Record<string, number | bigint> = { ...info.params(scalars), ...indexParams(info, shape) };
    const aliasing = elementwise(inputs, outputs, plan) ? "elementwise" : "copy";
    const { walk } = plan;
    const rank = walk.shape.length;
    const keyOf = (mode: string, access: readonly Access[]): string =>
      `${base}|${mode}${rank}${access.map((a) => a[0]!).join("")}`;

    if (plan.mode === "tiled" || plan.mode === "blocks") {
      const tiles = [ceilDiv(walk.shape[plan.across]!, TILE), ceilDiv(walk.shape[rank - 1]!, TILE)];
      const rest = walk.shape.filter((_, d) => d !== plan.across && d !== rank - 1);
      const program = context.program(`${keyOf(plan.mode, plan.access)},${plan.across}${plan.tiled.map(Number).join("")}`, () =>
        (plan.mode === "tiled" ? tiledProgram : blocksProgram)(spec, context, info, plan),
      );
      views.forEach((v, i) => Object.assign(params, viewParams(nameOf(i, outputs.length), v.offset, walk.strides[i]!)));
      Object.assign(params, shapeParams("size", walk.shape), { tiles_across: tiles[0]!, tiles_inner: tiles[1]! });
      const groups = tiles[0]! * tiles[1]! * numelOf(rest);
      context.launch(program, { buffers: views, params, groups, aliasing });
      return;
    }

    const launch = (mode: "vector" | "scalar", access: readonly Access[], from: number, count: number): void => {
      const program = context.program(keyOf(mode, access), () => flatProgram(spec, context, info, mode, access, rank));
      const step = mode === "vector" ? 4 : 1;
      views.forEach((v, i) => {
        const unit = access[i] === "dense" ? step : 1;
        const strides = walk.strides[i]!;
        const last = strides.length - 1;
        const offset = v.offset + (last === 0 ? from * strides[0]! : 0);
        Object.assign(
          params,
          viewParams(
            nameOf(i, outputs.length),
            offset / unit,
            strides.map((s, d) => (d === last ? s : s / unit)),
          ),
        );
      });
      const sizes = walk.shape.map((n, d) => (d === rank - 1 ? Math.floor(n / step) : n));
      Object.assign(params, shapeParams("size", sizes), { first: from, count: count / step });
      const groups = ceilDiv(count / step, workgroupSize(context.caps));
      context.launch(program, { buffers: views, params, groups, aliasing });
    };
    const whole = plan.mode === "vector" ? total - (total % 4) : total;
    launch(plan.mode, plan.access, 0, whole);
    if (whole < total) {
      launch(
        "scalar",
        views.map(() => "any"),
        whole,
        total - whole,
      );
    }
  };
};

const nameOf = (view: number, outputs: number): string => (view < outputs ? `out${view}` : `in${view - outputs}`);

function planMap(views: readonly View[], outputs: number, info: ExprInfo, caps: GpuCaps): Plan {
  const walk = flat(views, outputs) ?? collapse(info.indices.length > 0 ? views : ordered(views));
  const rank = walk.shape.length;
  const any: Plan = { walk, mode: "scalar", access: views.map(() => "any"), across: -1, tiled: [] };
  if (rank === 0) return any;
  const inner = rank - 1;
  const n = walk.shape[inner]!;
  const step = (i: number): number => walk.strides[i]![inner]!;
  if (!views.every((_, i) => i >= outputs || step(i) === 1)) return any;

  // (Inputs that are one value along the inner dim need no alignment.)
  const aligned = views.every(
    (v, i) =>
      step(i) === 0 || (step(i) === 1 && v.offset % 4 === 0 && walk.strides[i]!.every((s, d) => d === inner || s % 4 === 0)),
  );
  if (aligned && info.cost <= MOST_UNROLLED && n >= 4 && (n % 4 === 0 || (rank === 1 && n >= 4096))) {
    return { ...any, mode: "vector", access: views.map((_, i) => (step(i) === 1 ? "dense" : "any")) };
  }

  // Which dim do inputs that lie across run along?
  if (n < TILE / 2 || numelOf(walk.shape) < 4 * TILE * TILE) return any;
  for (let i = outputs; i < views.length; i++) {
    if (step(i) <= 1) continue;
    const across = walk.strides[i]!.indexOf(1);
    if (across < 0 || walk.shape[across]! < TILE / 2) continue;
    const tiledAll = views.map((_, j) => j >= outputs && step(j) > 1 && walk.strides[j]![across] === 1);
    const multiples = (j: number, unit: number): boolean =>
      views[j]!.offset % 4 === 0 && walk.strides[j]!.every((s, d) => d === unit || s % 4 === 0);
    const fits = n % 4 === 0 && walk.shape[across]! % 4 === 0 && info.cost <= MOST_UNROLLED / 4;
    if (fits && views.every((_, j) => (j < outputs ? multiples(j, inner) : !tiledAll[j]! || multiples(j, across)))) {
      const access = views.map((_, j): Access => (tiledAll[j]! || (step(j) === 1 && multiples(j, inner)) ? "dense" : "any"));
      return { walk, mode: "blocks", access, across, tiled: tiledAll };
    }
    if (isNarrow(caps)) return any;
    let room = Math.floor(caps.maxWorkgroupStorage / (TILE * (TILE + 1) * 8));
    const tiled = tiledAll.map((t) => t && room-- > 0);
    if (tiled.some(Boolean)) return { ...any, mode: "tiled", across, tiled };
  }
  return any;
}

/** The walk of views that are all dense, or one value: nothing to look for. */
function flat(views: readonly View[], outputs: number): Walk | null {
  const { shape } = views[0]!;
  const total = numelOf(shape);
  if (total <= 1) return null;
  const strides: (readonly number[])[] = [];
  for (let i = 0; i < views.length; i++) {
    const s = views[i]!.strides;
    let dense = true;
    let single = i >= outputs;
    let expected = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      if (shape[d] === 1) continue;
      if (s[d] !== expected) dense = false;
      if (s[d] !== 0) single = false;
      expected *= shape[d]!;
    }
    if (!dense && !single) return null;
    strides.push(dense ? ONE : ZERO);
  }
  return { shape: [total], strides };
}
const ONE = [1];
const ZERO = [0];

/** The views with their dims in the order of the first output's strides. */
function ordered(views: readonly View[]): readonly View[] {
  const { strides } = views[0]!;
  if (strides.every((s, d) => d === 0 || s <= strides[d - 1]!)) return views;
  const order = strides.map((_, d) => d).sort((a, b) => strides[b]! - strides[a]!);
  return views.map((v) => ({ ...v, shape: order.map((d) => v.shape[d]!), strides: order.map((d) => v.strides[d]!) }));
}

/** Whether each element of an input that shares memory with an output is read only by the thread that overwrites it, before it does. */
function elementwise(inputs: readonly View[], outputs: readonly View[], plan: Plan): boolean {
  for (let o = 0; o < outputs.length; o++) {
    for (let i = 0; i < inputs.length; i++) {
      const [output, input] = [outputs[o]!, inputs[i]!];
      if (input.buffer !== output.buffer) continue;
      const j = outputs.length + i;
      if (plan.access[j] !== plan.access[o] || plan.tiled[j] === true) return false;
      const same = input.offset === output.offset && input.dtype === output.dtype;
      const walked = plan.walk.strides[j]!.every((s, d) => s === plan.walk.strides[o]![d]);
      if (!(same && walked) && !apart(input, output)) return false;
    }
  }
  return true;
}

/** Whether two views of one buffer have no elements in common, by their first and last ones. */
function apart(a: View, b: View): boolean {
  const last = (v: View): number => v.shape.reduce((at, n, d) => at + (n - 1) * v.strides[d]!, v.offset);
  return a.dtype === b.dtype && (last(a) < b.offset || last(b) < a.offset);
}

interface Bound {
  readonly buffer: BufferVar;
  readonly view: StridedView;
}

/** Declares the buffers, outputs first, as the launch gives them. */
function declare(k: KernelBuilder, spec: MapSpec, context: GpuContext, rank: number, lanes: (view: number) => Lanes): Bound[] {
  const dtypes = [...spec.outputs.map((x) => x.dtype), ...spec.inputs];
  return dtypes.map((dtype, i) => {
    const { elem } = context.layout(dtype);
    const name = nameOf(i, spec.outputs.length);
    const buffer = i < spec.outputs.length ? k.output(name, elem, lanes(i)) : k.input(name, elem, lanes(i));
    return { buffer, view: declareView(k, name, rank) };
  });
}

/** One element, or one vector of 4 along the inner dim, per thread. */
function flatProgram(
  spec: MapSpec,
  context: GpuContext,
  info: ExprInfo,
  mode: "vector" | "scalar",
  access: readonly Access[],
  rank: number,
): Program {
  const k = new KernelBuilder("map", workgroupSize(context.caps));
  const outputs = spec.outputs.length;
  const lanes = mode === "vector" ? 4 : 1;
  const bound = declare(k, spec, context, rank, (i) => (access[i] === "dense" ? lanes : 1));
  const shape = declareShape(k, "size", rank);
  const first = k.param("first", "u32");
  const exprs = new ExprBuilder(k, context, info.roots);
  const i = k.group.mul(k.workgroup).add(k.thread);
  k.if(i.lt(k.param("count", "u32")), () => {
    const coords = rank === 1 ? [i] : coordinatesOf(i, shape);
    const at = bound.map(({ view }, v) => {
      // Dense along the inner dim, or constant: its stride is known.
      if (mode === "scalar" || rank === 0) return addressOf(view, coords);
      const outer = addressOf(view, coords.slice(0, -1));
      return access[v] === "dense" ? outer.add(coords.at(-1)!) : outer;
    });
    const loaded = spec.inputs.map((_, j) => bound[outputs + j]!.buffer.load(at[outputs + j]!));
    const results = Array.from({ length: lanes }, (_, lane) => {
      const linear = i.mul(lanes).add(first).add(lane);
      return exprs.stored(spec.outputs, {
        load: (j) => (loaded[j]!.type.lanes === 1 ? loaded[j]! : loaded[j]!.lane(lane)),
        index: indexOf(k, linear),
      });
    });
    for (let o = 0; o < outputs; o++) {
      const value = lanes === 1 ? results[0]![o]! : k.vector(results.map((r) => r[o]!));
      bound[o]!.buffer.store(at[o]!, value);
    }
  });
  return k.build();
}

/** What the programs of modes tiled and blocks share: where a workgroup's TILE x TILE elements are. */
function tilePlace(k: KernelBuilder, shape: readonly V[], across: number) {
  const rank = shape.length;
  const others = shape.map((_, d) => d).filter((d) => d !== across && d !== rank - 1);
  const [tilesAcross, tilesInner] = [k.param("tiles_across", "u32"), k.param("tiles_inner", "u32")];
  const line = k.group.div(tilesInner);
  const block = line.div(tilesAcross);
  const fixed = coordinatesOf(
    block,
    others.map((d) => shape[d]!),
  );
  return {
    inner0: k.group.sub(line.mul(tilesInner)).mul(TILE),
    across0: line.sub(block.mul(tilesAcross)).mul(TILE),
    /** Coordinates of the element at a place along the two dims. */
    coordinates: (a: V, i: V): V[] => {
      const coords: V[] = [];
      others.forEach((d, j) => (coords[d] = fixed[j]!));
      coords[across] = a;
      coords[rank - 1] = i;
      return coords;
    },
    linear: (coords: readonly V[]): V => coords.reduce((at, c, d) => at.mul(shape[d]!).add(c)),
  };
}

/** Blocks of 4 x 4 elements per thread: vectors are read along `across`, and written along the inner dim. */
function blocksProgram(spec: MapSpec, context: GpuContext, info: ExprInfo, plan: Plan): Program {
  const perRow = TILE / 4;
  const k = new KernelBuilder("map_blocks", perRow * perRow);
  const outputs = spec.outputs.length;
  const rank = plan.walk.shape.length;
  const bound = declare(k, spec, context, rank, (v) => (plan.access[v] === "dense" ? 4 : 1));
  const shape = declareShape(k, "size", rank);
  const exprs = new ExprBuilder(k, context, info.roots);
  const { inner0, across0, coordinates, linear } = tilePlace(k, shape, plan.across);
  const a = across0.add(k.thread.rem(perRow).mul(4));
  const i = inner0.add(k.thread.div(perRow).mul(4));
  k.if(a.lt(shape[plan.across]!).and(i.lt(shape[rank - 1]!)), () => {
    const at = (v: number, da: number, di: number): V => addressOf(bound[v]!.view, coordinates(a.add(da), i.add(di)));
    const vector = (v: number, da: number, di: number): V => bound[v]!.buffer.load(at(v, da, di).shr(2));
    const four = [0, 1, 2, 3];
    const turned = bound.map((_, v) => (plan.tiled[v] === true ? four.map((di) => vector(v, 0, di)) : null));
    for (const da of four) {
      const rows = bound.map((_, v) => (v >= outputs && !turned[v] && plan.access[v] === "dense" ? vector(v, da, 0) : null));
      const results = four.map((di) =>
        exprs.stored(spec.outputs, {
          load: (j) => {
            const v = outputs + j;
            return turned[v]?.[di]!.lane(da) ?? rows[v]?.lane(di) ?? bound[v]!.buffer.load(at(v, da, di));
          },
          index: indexOf(k, linear(coordinates(a.add(da), i.add(di)))),
        }),
      );
      for (let o = 0; o < outputs; o++) bound[o]!.buffer.store(at(o, da, 0).shr(2), k.vector(results.map((r) => r[o]!)));
    }
  });
  return k.build();
}

/** Tiles of TILE x TILE: read along `across`, computed and written along the inner dim. */
function tiledProgram(spec: MapSpec, context: GpuContext, info: ExprInfo, plan: Plan): Program {
  const k = new KernelBuilder("map_tiled", TILE * TILE_ROWS);
  const outputs = spec.outputs.length;
  const { across } = plan;
  const rank = plan.walk.shape.length;
  const bound = declare(k, spec, context, rank, () => 1);
  const shape = declareShape(k, "size", rank);
  const exprs = new ExprBuilder(k, context, info.roots);
  const { inner0, across0, coordinates, linear: numberOf } = tilePlace(k, shape, across);
  const column = k.thread.rem(TILE);
  const row = k.thread.div(TILE);
  const [lastAcross, lastInner] = [shape[across]!, shape[rank - 1]!];

  const tiles = bound.map(({ buffer }, v) =>
    plan.tiled[v] === true ? k.shared(`tile${v - outputs}`, buffer.type.scalar, TILE * (TILE + 1)) : null,
  );
  for (let r = 0; r < TILE; r += TILE_ROWS) {
    const place = row.add(r);
    const [a, i] = [across0.add(column), inner0.add(place)];
    k.if(a.lt(lastAcross).and(i.lt(lastInner)), () => {
      bound.forEach(({ buffer, view }, v) =>
        tiles[v]?.store(place.mul(TILE + 1).add(column), buffer.load(addressOf(view, coordinates(a, i)))),
      );
    });
  }
  k.barrier();
  for (let r = 0; r < TILE; r += TILE_ROWS) {
    const place = row.add(r);
    const [a, i] = [across0.add(place), inner0.add(column)];
    k.if(a.lt(lastAcross).and(i.lt(lastInner)), () => {
      const coords = coordinates(a, i);
      const linear = numberOf(coords);
      const results = exprs.stored(spec.outputs, {
        load: (j) => {
          const v = outputs + j;
          const tile = tiles[v];
          return tile ? tile.load(column.mul(TILE + 1).add(place)) : bound[v]!.buffer.load(addressOf(bound[v]!.view, coords));
        },
        index: indexOf(k, linear),
      });
      results.forEach((value, o) => bound[o]!.buffer.store(addressOf(bound[o]!.view, coords), value));
    });
  }
  return k.build();
}
