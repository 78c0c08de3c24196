/**
 * conv: the three directions of a convolution as products whose operands compute positions (implicit GEMM). A group is a batch entry:
 *   forward      y[co, (n, o)]        = sum over (ci, kernel) of w[co, (ci, kernel)] * x[(ci, kernel), (n, o)]
 *   input_grad   gx[ci, (n, i)]       = sum over (co, kernel) of w[ci, (co, kernel)] * gy[(co, kernel), (n, i)]
 *   weight_grad  gw[co, (ci, kernel)] = sum over (n, o) of gy[co, (n, o)] * x[(n, o), (ci, kernel)]
 */

import type { View } from "../../ts/core/device.ts";
import { NotImplementedError } from "../../ts/core/errors.ts";
import type { ConvParams, Triple } from "../../ts/kernel/spec.ts";
import type { BufferVar, KernelBuilder, Num, V } from "../builder.ts";
import type { Bindable, GpuLowering } from "../context.ts";
import type { MatrixFormat } from "../ir.ts";
import { type GemmShape, planGemm } from "../plan_matmul.ts";
import { planMatrix } from "../plan_matrix.ts";
import { roundTo } from "../scalar/convert.ts";
import { linearSide, type Side, type Walker } from "./gemm.ts";
import { comingOf, type MatrixOperand, type MatrixOperands } from "./gemm_matrix.ts";
import { type FinishBatch, PlanCache, runGemm, storePairAt } from "./gemm_run.ts";
import { type Along, elemsOf, matrixFormat } from "./matrix_tiles.ts";

type Mode = "forward" | "input_grad" | "weight_grad";
const DIMS = ["d", "h", "w"] as const;

/** Sizes of a convolution: x [N, groups * cin, input], w [groups * cout, cin, kernel], y [N, groups * cout, output]. */
interface Problem extends ConvParams {
  readonly x: View;
  readonly w: View;
  readonly y: View;
  readonly batch: number;
  readonly cin: number;
  readonly cout: number;
  readonly input: Triple;
  readonly output: Triple;
  readonly kernel: Triple;
}

const spatial = ({ shape }: View): Triple => [shape[2]!, shape[3]!, shape[4]!];
const volume = ([d, h, w]: Triple): number => d * h * w;

function problemOf(x: View, w: View, y: View, params: ConvParams): Problem {
  return {
    ...params,
    x,
    w,
    y,
    batch: x.shape[0]!,
    cin: w.shape[1]!,
    cout: w.shape[0]! / params.groups,
    input: spatial(x),
    output: spatial(y),
    kernel: spatial(w),
  };
}

/** What a program is built for: which spatial dims there are, and per dim whether patches overhang, and whether they step. */
interface Structure {
  readonly live: readonly number[];
  readonly padded: readonly boolean[];
  readonly strided: readonly boolean[];
  /** Whether kernels of one element are known as such. */
  readonly points: boolean;
}
function structureOf({ input, output, kernel, padding, stride }: Problem, points: boolean): Structure {
  return {
    points: points && volume(kernel) === 1,
    live: [0, 1, 2].filter((d) => input[d]! > 1 || output[d]! > 1 || kernel[d]! > 1),
    padded: padding.map((p) => p > 0),
    strided: stride.map((s) => s > 1),
  };
}

function paramsOf(p: Problem): Record<string, number> {
  const params: Record<string, number> = {
    batch_size: p.batch,
    cin: p.cin,
    cout: p.cout,
    channels_in: p.cin * p.groups,
    channels_out: p.cout * p.groups,
    volume_in: volume(p.input),
    volume_out: volume(p.output),
    volume_kernel: volume(p.kernel),
    x_offset: p.x.offset,
    w_offset: p.w.offset,
    y_offset: p.y.offset,
  };
  DIMS.forEach((name, d) => {
    params[`in_${name}`] = p.input[d]!;
    params[`out_${name}`] = p.output[d]!;
    params[`kernel_${name}`] = p.kernel[d]!;
    params[`stride_${name}`] = p.stride[d]!;
    params[`padding_${name}`] = p.padding[d]!;
    params[`dilation_${name}`] = p.dilation[d]!;
  });
  return params;
}

/** The same sizes inside of a kernel. */
class Geometry {
  readonly live: readonly number[];
  constructor(
    readonly k: KernelBuilder,
    readonly structure: Structure,
  ) {
    this.live = structure.live;
  }
  get(name: string): V {
    return this.k.param(name, "u32");
  }
  dim(what: string, d: number): V {
    return this.get(`${what}_${DIMS[d]!}`);
  }
  stride(d: number): Num {
    return this.structure.strided[d]! ? this.dim("stride", d) : 1;
  }
  padding(d: number): Num {
    return this.structure.padded[d]! ? this.dim("padding", d) : 0;
  }
  /** A flat number as an outer part and live coordinates in `what` ("in", "out" or "kernel"). */
  split(index: V, what: string): { outer: V; coords: V[] } {
    if (what === "kernel" && this.structure.points) return { outer: index, coords: this.live.map(() => this.k.u32(0)) };
    const coords: V[] = [];
    let rest = index;
    for (const d of [...this.live].reverse()) {
      const quotient = rest.div(this.dim(what, d));
      coords.unshift(rest.sub(quotient.mul(this.dim(what, d))));
      rest = quotient;
    }
    return { outer: rest, coords };
  }
  /** Live coordinates as a flat number in `what`. */
  flat(coords: readonly V[], what: string): V {
    return this.live.reduce((at, d, i) => at.mul(this.dim(what, d)).add(coords[i]!), this.k.u32(0));
  }
  /** Consecutive values of `split`, without divisions. */
  odometer(from: V, what: string, use: (outer: V, coords: readonly V[]) => readonly V[]): Walker {
    const { k } = this;
    const { outer, coords } = this.split(from, what);
    if (what === "kernel" && this.structure.points) {
      const digit = k.var(outer);
      return { now: () => use(digit.get(), coords), next: () => digit.set(digit.get().add(1)) };
    }
    const digits = [outer, ...coords].map((x) => k.var(x));
    return {
      now: () => {
        const [first, ...rest] = digits.map((x) => x.get());
        return use(first!, rest);
      },
      next: () => {
        let carry: V | null = null;
        for (let i = digits.length - 1; i >= 0; i--) {
          const digit = digits[i]!;
          const next: V = digit.get().add(carry ?? 1);
          if (i === 0) {
            digit.set(next);
            break;
          }
          const full: V = next.ge(this.dim(what, this.live[i - 1]!));
          digit.set(full.select(k.u32(0), next));
          carry = full.select(k.u32(1), k.u32(0));
        }
      },
    };
  }
}

/** Positions [first address, one coordinate per live dim]; coordinates below zero are huge. */
type State = readonly V[];

type Find = NonNullable<Side["find"]>;

/** A side's way to find elements, and to load them: zero where there is nothing. */
function finding(g: Geometry, buffer: BufferVar, find: Find): Pick<Side, "find" | "load"> {
  return {
    find,
    load(line, step) {
      const { at, inside } = find(line, step);
      if (inside === null) return buffer.load(at);
      const value = buffer.load(inside.select(at, g.k.u32(0)));
      return inside.select(value, g.k.const(0, value.scalar));
    },
  };
}

/** The sum of two states; nothing where a checked coordinate is beyond `what`. */
function findWithin(g: Geometry, what: string, checked: readonly boolean[]): Find {
  return (line, step) => {
    let inside: V | null = null;
    g.live.forEach((d, i) => {
      if (!checked[d]!) return;
      const within = line[1 + i]!.add(step[1 + i]!).lt(g.dim(what, d));
      inside = inside === null ? within : (inside as V).and(within);
    });
    return { at: line[0]!.add(step[0]!), inside };
  };
}
const findSum: Find = ([p], [q]) => ({ at: p!.add(q!), inside: null });

/** Where an output lies in x, and where an element of the kernel lies in its patch. */
function outputState(g: Geometry, base: V, coords: readonly V[]): State {
  const first = g.live.map((d, i) => coords[i]!.mul(g.stride(d)).sub(g.padding(d)));
  return [base.add(g.flat(first, "in")), ...first];
}
function kernelState(g: Geometry, base: V, coords: readonly V[]): State {
  const shift = g.live.map((d, i) => coords[i]!.mul(g.dim("dilation", d)));
  return [base.add(g.flat(shift, "in")), ...shift];
}

type Sides = { readonly a: Side; readonly b: Side };

function forwardSides(g: Geometry, [w, x]: readonly [BufferVar, BufferVar], group: V): Sides {
  const inner = g.get("cin").mul(g.get("volume_kernel"));
  const weights = g.get("w_offset").add(group.mul(g.get("cout")).mul(inner));
  const channels = g.get("x_offset").add(group.mul(g.get("cin")).mul(g.get("volume_in")));
  const image = g.get("channels_in").mul(g.get("volume_in"));
  const patch = (channel: V, coords: readonly V[]): State => kernelState(g, channel.mul(g.get("volume_in")), coords);
  const b: Side = {
    line(index) {
      const { outer, coords } = g.split(index, "out");
      return outputState(g, channels.add(outer.mul(image)), coords);
    },
    step(at) {
      const { outer, coords } = g.split(at, "kernel");
      return patch(outer, coords);
    },
    walk: (from) => g.odometer(from, "kernel", patch),
    ...finding(g, x, findWithin(g, "in", g.structure.padded)),
  };
  return { a: linearSide(g.k, weights, inner, g.k.u32(1), (at) => w.load(at)), b };
}

function inputGradSides(g: Geometry, [w, gy]: readonly [BufferVar, BufferVar], group: V): Sides {
  const inner = g.get("cin").mul(g.get("volume_kernel"));
  const weights = g.get("w_offset").add(group.mul(g.get("cout")).mul(inner));
  const channels = g.get("y_offset").add(group.mul(g.get("cout")).mul(g.get("volume_out")));
  const image = g.get("channels_out").mul(g.get("volume_out"));
  const weight = (channel: V, coords: readonly V[]): State => [channel.mul(inner).add(g.flat(coords, "kernel"))];
  const a: Side = {
    line: (index) => [weights.add(index.mul(g.get("volume_kernel")))],
    step(at) {
      const { outer, coords } = g.split(at, "kernel");
      return weight(outer, coords);
    },
    walk: (from) => g.odometer(from, "kernel", weight),
    ...finding(g, w, findSum),
  };
  const shift = (channel: V, coords: readonly V[]): State => [
    channel.mul(g.get("volume_out")),
    ...g.live.map((d, i) => coords[i]!.mul(g.dim("dilation", d))),
  ];
  const b: Side = {
    line(index) {
      const { outer, coords } = g.split(index, "in");
      return [channels.add(outer.mul(image)), ...g.live.map((d, i) => coords[i]!.add(g.padding(d)))];
    },
    step(at) {
      const { outer, coords } = g.split(at, "kernel");
      return shift(outer, coords);
    },
    walk: (from) => g.odometer(from, "kernel", shift),
    // An output at which this element of the kernel met the position, if there is one.
    ...finding(g, gy, (line, step) => {
      let inside = g.k.bool(true);
      const coords = g.live.map((d, i) => {
        const distance = line[1 + i]!.sub(step[1 + i]!);
        const stride = g.stride(d);
        const at = distance.div(stride);
        if (stride !== 1) inside = inside.and(at.mul(stride).eq(distance));
        inside = inside.and(at.lt(g.dim("out", d)));
        return at;
      });
      return { at: line[0]!.add(step[0]!).add(g.flat(coords, "out")), inside };
    }),
  };
  return { a, b };
}

function weightGradSides(g: Geometry, [gy, x]: readonly [BufferVar, BufferVar], group: V): Sides {
  const [volumeIn, volumeOut] = [g.get("volume_in"), g.get("volume_out")];
  const imageOut = g.get("channels_out").mul(volumeOut);
  const imageIn = g.get("channels_in").mul(volumeIn);
  const rows = g.get("y_offset").add(group.mul(g.get("cout")).mul(volumeOut));
  const channels = g.get("x_offset").add(group.mul(g.get("cin")).mul(volumeIn));
  const output = (image: V, coords: readonly V[]): State => [image.mul(imageOut).add(g.flat(coords, "out"))];
  const a: Side = {
    line: (index) => [rows.add(index.mul(volumeOut))],
    step(at) {
      const { outer, coords } = g.split(at, "out");
      return output(outer, coords);
    },
    walk: (from) => g.odometer(from, "out", output),
    ...finding(g, gy, findSum),
  };
  const start = (image: V, coords: readonly V[]): State => outputState(g, image.mul(imageIn), coords);
  const b: Side = {
    line(index) {
      const { outer, coords } = g.split(index, "kernel");
      return kernelState(g, channels.add(outer.mul(volumeIn)), coords);
    },
    step(at) {
      const { outer, coords } = g.split(at, "out");
      return start(outer, coords);
    },
    walk: (from) => g.odometer(from, "out", start),
    ...finding(g, x, findWithin(g, "in", g.structure.padded)),
  };
  return { a, b };
}

const sidesOf = { forward: forwardSides, input_grad: inputGradSides, weight_grad: weightGradSides };

function shapeOf(mode: Mode, p: Problem): GemmShape {
  const { groups: batch, cin, cout } = p;
  const [places, points, kernel] = [p.batch * volume(p.output), p.batch * volume(p.input), volume(p.kernel)];
  switch (mode) {
    case "forward":
      return { batch, m: cout, n: places, k: cin * kernel };
    case "input_grad":
      return { batch, m: cin, n: points, k: cout * kernel };
    case "weight_grad":
      return { batch, m: cout, n: cin * kernel, k: places };
  }
}

/** Bytes of copies of what lies side by side: as the other distances allow, at most 16. */
function copyBytes(size: number, distances: readonly number[]): MatrixOperand["bytes"] {
  return ([16, 8, 4] as const).find((bytes) => distances.every((x) => (x * size) % bytes === 0)) ?? 0;
}

/** How the operands get to matrix units. Patches of one element are rows of memory; else elements are found one by one. */
function matrixOperands(mode: Mode, p: Problem, format: MatrixFormat, asyncCopy: boolean): MatrixOperands {
  const size = format === "tf32" ? 4 : 2;
  const single = asyncCopy && size === 4 ? 4 : 0;
  const way = (along: Along, distances: readonly number[] | null): MatrixOperand => {
    const bytes = distances === null || !asyncCopy ? 0 : copyBytes(size, distances);
    return { along, bytes: bytes === 0 ? single : bytes, ragged: false };
  };
  const [inner, input, output] = [p.cin * volume(p.kernel), volume(p.input), volume(p.output)];
  const points = volume(p.kernel) === 1 && p.stride.every((s) => s === 1) && p.padding.every((x) => x === 0);
  switch (mode) {
    case "forward":
      return { format, a: way("steps", [p.w.offset, inner]), b: way("lines", points ? [p.x.offset, input] : null) };
    case "input_grad": {
      const weights = volume(p.kernel) === 1 ? [p.w.offset, p.cin] : null;
      return { format, a: way(weights ? "lines" : "steps", weights), b: way("lines", points ? [p.y.offset, output] : null) };
    }
    case "weight_grad":
      return { format, a: way("steps", [p.y.offset, output]), b: way("steps", points ? [p.x.offset, input] : null) };
  }
}

export const lowerConv: GpuLowering<"conv"> = (spec, context) => {
  const { mode, dtype, bias } = spec;
  if (!dtype.is_floating_point) throw new NotImplementedError(`conv: no kernel for ${dtype}; convert to float32`);
  const { elem } = context.layout(dtype);
  const plans = new PlanCache();

  /** Rows are channels of the result, columns its images and positions; a weight's gradient is dense as it comes. */
  const finish = (k: KernelBuilder, pairs: boolean): FinishBatch => {
    const biases = bias ? k.input("bias", elem) : null;
    const result = k.output("result", elem, pairs ? 2 : 1);
    const param = (name: string): V => k.param(name, "u32");
    return (group) => {
      const channels = group.mul(param("m"));
      if (mode === "weight_grad") {
        return {
          row: (row) => [param("w_offset").add(channels.add(row).mul(param("n")))],
          column: (column) => [column],
          store: ([row], [column], sum) => result.store(row!.add(column!), roundTo(k, sum, dtype)),
          ...(pairs ? { storePair: storePairAt(k, result) } : {}),
        };
      }
      const forward = mode === "forward";
      const size = param(forward ? "volume_out" : "volume_in");
      const base = param(forward ? "y_offset" : "x_offset");
      const image = param(forward ? "channels_out" : "channels_in").mul(size);
      return {
        row(row) {
          const channel = channels.add(row);
          const at = base.add(channel.mul(size));
          return biases === null ? [at] : [at, param("bias_offset").add(channel)];
        },
        column(column) {
          const number = column.div(size);
          return [number.mul(image).add(column.sub(number.mul(size)))];
        },
        store([row, biasAt], [column], sum) {
          const value = biases === null ? sum : sum.add(biases.load(biasAt!));
          result.store(row!.add(column!), roundTo(k, value, dtype));
        },
        ...(pairs ? { storePair } : {}),
      };
      function storePair(row: readonly V[], columns: readonly (readonly V[])[], sums: readonly [V, V]): void {
        const added = biases === null ? null : biases.load(row[1]!);
        const [x, y] = sums.map((sum) => (added === null ? sum : sum.add(added))) as [V, V];
        storePairAt(k, result)(row, columns, [x, y]);
      }
    };
  };

  return (inputs, outputs, params) => {
    const [first, second, third] = inputs as [View, View, View | undefined];
    const result = outputs[0]!;
    if (result.shape.includes(0)) return;
    const problem =
      mode === "forward"
        ? problemOf(first, second, result, params)
        : mode === "input_grad"
          ? problemOf(result, second, first, params)
          : problemOf(second, result, first, params);
    const shape = shapeOf(mode, problem);
    const format = matrixFormat(context.caps, dtype, params.tf32);
    const matrix = format && matrixOperands(mode, problem, format, context.caps.asyncCopy);
    const coming = matrix === null ? "gathered" : comingOf(matrix);
    const plan = plans.find(
      shape,
      `${format ?? ""}/${coming}`,
      () => (format && planMatrix(context.caps, shape, format, coming)) ?? planGemm(context.caps, shape, false, false),
    );
    const units = plan.form === "matrix" ? { elems: elemsOf(format!), matrix: matrix! } : {};
    const even = mode === "weight_grad" ? [result.offset, shape.n] : [result.offset, volume(spatial(result))];
    const structure = structureOf(problem, plan.form === "matrix");
    const structureKey = `${structure.points ? "points" : ""}${structure.live.join("")}/${[...structure.padded, ...structure.strided].map(Number).join("")}`;
    const operands: readonly [Bindable, Bindable] = mode === "weight_grad" ? [first, second] : [second, first];
    runGemm(context, {
      name: `conv_${mode}`,
      sidesKey: structureKey,
      finishKey: String(bias),
      dtype,
      shape,
      plan,
      operands,
      lanes: [1, 1],
      ...units,
      pairs: even.every((x) => x % 2 === 0),
      sides: (k, buffers, group) => sidesOf[mode](new Geometry(k, structure), buffers, group),
      finish,
      targets: bias ? [third!, result] : [result],
      params: { ...paramsOf(problem), bias_offset: third?.offset ?? 0 },
    });
  };
};
