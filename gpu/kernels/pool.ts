/**
 * pool: windows over [N, C, D, H, W], plain and adaptive, and their gradients. One thread per element of the result: a gradient looks
 * at the windows that contain its element, so nothing is added to from two sides.
 */

import type { View } from "../../ts/core/device.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { int64 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { PoolParams, PoolSpec } from "../../ts/kernel/spec.ts";
import { KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import { gridGroups, workgroupSize } from "../plan.ts";
import { roundTo } from "../scalar/convert.ts";

interface Mode {
  readonly op: "max" | "avg";
  readonly backward: boolean;
  readonly adaptive: boolean;
}
const MODES: { readonly [M in PoolSpec["mode"]]: Mode } = {
  max: { op: "max", backward: false, adaptive: false },
  max_backward: { op: "max", backward: true, adaptive: false },
  adaptive_max: { op: "max", backward: false, adaptive: true },
  adaptive_max_backward: { op: "max", backward: true, adaptive: true },
  avg: { op: "avg", backward: false, adaptive: false },
  avg_backward: { op: "avg", backward: true, adaptive: false },
  adaptive_avg: { op: "avg", backward: false, adaptive: true },
  adaptive_avg_backward: { op: "avg", backward: true, adaptive: true },
};

const DIMS = [0, 1, 2] as const;

/** One window along one dim, i32. */
interface Span {
  readonly begin: V;
  readonly end: V;
  readonly step: V;
  /** Extent with padding, for count_include_pad. */
  readonly padded: V;
}

/** The geometry's run-time params and what follows from them. */
class Windows {
  readonly #k: KernelBuilder;
  readonly #adaptive: boolean;
  constructor(k: KernelBuilder, adaptive: boolean) {
    this.#k = k;
    this.#adaptive = adaptive;
  }
  #param(name: string, d: number): V {
    return this.#k.param(`${name}${d}`, "i32");
  }
  size(d: number): V {
    return this.#param("size", d);
  }
  out(d: number): V {
    return this.#param("out", d);
  }
  volume(of: "size" | "out"): V {
    return this.#param(of, 0).mul(this.#param(of, 1)).mul(this.#param(of, 2));
  }

  /** The window of output `o`. */
  span(d: number, o: V): Span {
    const n = this.size(d);
    const one = this.#k.i32(1);
    if (this.#adaptive) {
      const out = this.out(d);
      const begin = o.mul(n).div(out);
      const end = o.add(1).mul(n).add(out).sub(1).div(out);
      return { begin, end, step: one, padded: end.sub(begin) };
    }
    const [kernel, pad, step] = [this.#param("kernel", d), this.#param("pad", d), this.#param("dilation", d)];
    const from = o.mul(this.#param("stride", d)).sub(pad);
    const reach = from.add(kernel.sub(1).mul(step)).add(1);
    const padded = reach.min(n.add(pad)).sub(from).max(0);
    const missing = from.neg().max(0).add(step).sub(1).div(step);
    const begin = from.add(missing.mul(step));
    return { begin, end: begin.max(reach.min(n)), step, padded };
  }

  /** The first output whose window may contain position `i`, and the one behind the last. */
  outputsAt(d: number, i: V): readonly [V, V] {
    const out = this.out(d);
    if (this.#adaptive) {
      const n = this.size(d);
      return [i.mul(out).div(n), i.add(1).mul(out).add(n).sub(1).div(n).min(out)];
    }
    const [kernel, stride] = [this.#param("kernel", d), this.#param("stride", d)];
    const from = i.add(this.#param("pad", d));
    const first = from.sub(kernel.sub(1).mul(this.#param("dilation", d)));
    return [first.max(0).add(stride).sub(1).div(stride), from.div(stride).add(1).min(out)];
  }

  divisor(spans: readonly Span[]): V {
    const k = this.#k;
    const volume = (extent: (s: Span) => V): V => spans.map(extent).reduce((a, b) => a.mul(b));
    const counted = k.param("count_include_pad", "bool").select(
      volume((s) => s.padded),
      volume((s) => s.end.sub(s.begin)),
    );
    const override = k.param("divisor_override", "i32");
    return override.eq(0).select(counted, override);
  }
}

/** (d, h, w) of position `at` within a plane of the given sizes, i32. */
function unravel(at: V, sizes: readonly V[]): V[] {
  const w = at.rem(sizes[2]!);
  const rest = at.div(sizes[2]!);
  return [rest.div(sizes[1]!), rest.rem(sizes[1]!), w];
}
function ravel(at: readonly V[], sizes: readonly V[]): V {
  return at[0]!.mul(sizes[1]!).add(at[1]!).mul(sizes[2]!).add(at[2]!);
}

/** Visits the box of three spans. */
function eachOf(k: KernelBuilder, spans: readonly Pick<Span, "begin" | "end" | "step">[], visit: (at: V[]) => void): void {
  const [d, h, w] = spans as [Span, Span, Span];
  k.for(d.begin, d.end, d.step, (id) => {
    k.for(h.begin, h.end, h.step, (ih) => {
      k.for(w.begin, w.end, w.step, (iw) => visit([id, ih, iw]));
    });
  });
}

function build(context: GpuContext, { op, backward, adaptive }: Mode, dtype: DType): KernelBuilder {
  const k = new KernelBuilder(
    `pool_${adaptive ? "adaptive_" : ""}${op}${backward ? "_backward" : ""}`,
    workgroupSize(context.caps),
  );
  const { elem, value } = context.layout(dtype);
  const places = context.layout(int64);
  const source = k.input("source", elem);
  const indices = op === "max" && backward ? k.input("indices", places.elem) : null;
  const result = k.output("result", elem);
  const chosen = op === "max" && !backward ? k.output("indices", places.elem) : null;
  const from = k.param("source_offset", "u32");
  const to = k.param("result_offset", "u32");
  const windows = new Windows(k, adaptive);
  const inputs = DIMS.map((d) => windows.size(d));
  const outputs = DIMS.map((d) => windows.out(d));
  const [plane, positions] = [windows.volume("size"), windows.volume("out")];

  k.gridStride(k.param("n", "u32"), (i) => {
    const number = i.convert("i32");
    const own = backward ? plane : positions;
    const row = number.div(own);
    const at = number.sub(row.mul(own));
    const store = (v: V): void => result.store(to.add(i), roundTo(k, v, dtype));
    if (backward) {
      const here = unravel(at, inputs);
      const ranges = DIMS.map((d) => {
        const [begin, end] = windows.outputsAt(d, here[d]!);
        return { begin, end, step: k.i32(1) };
      });
      const sum = k.var(k.const(0, value));
      const first = row.mul(positions);
      eachOf(k, ranges, (o) => {
        const place = first.add(ravel(o, outputs)).convert("u32");
        const add = (): void => {
          const g = source.load(from.add(place));
          sum.set(
            sum.get().add(op === "max" ? g : g.div(windows.divisor(DIMS.map((d) => windows.span(d, o[d]!))).convert(value))),
          );
        };
        if (indices === null) add();
        else k.if(indices.load(k.param("indices_offset", "u32").add(place)).convert("i32").eq(at), add);
      });
      return store(sum.get());
    }
    const spans = unravel(at, outputs).map((o, d) => windows.span(d, o));
    const first = row.mul(plane);
    if (op === "avg") {
      const sum = k.var(k.const(0, value));
      eachOf(k, spans, (p) => sum.set(sum.get().add(source.load(from.add(first.add(ravel(p, inputs)).convert("u32"))))));
      const empty = spans.map((s) => s.begin.ge(s.end)).reduce((a, b) => a.or(b));
      const divisor = empty.select(k.i32(1), windows.divisor(spans));
      return store(sum.get().div(divisor.convert(value)));
    }
    // The first of the largest, except that every NaN replaces what was there (as PyTorch).
    const best = k.var(k.const(-Infinity, value));
    const place = k.var(
      ravel(
        spans.map((s) => s.begin),
        inputs,
      ),
    );
    eachOf(k, spans, (p) => {
      const position = ravel(p, inputs);
      const x = source.load(from.add(first.add(position).convert("u32")));
      k.if(x.gt(best.get()).or(x.isNan()), () => {
        best.set(x);
        place.set(position);
      });
    });
    store(best.get());
    chosen!.store(k.param("indices_offset", "u32").add(i), place.get().convert(places.value));
  });
  return k;
}

function geometry(x: View, y: View, params: PoolParams): Record<string, number> {
  const values: Record<string, number> = {
    count_include_pad: params.count_include_pad ? 1 : 0,
    divisor_override: params.divisor_override,
  };
  for (const d of DIMS) {
    values[`size${d}`] = x.shape[d + 2]!;
    values[`out${d}`] = y.shape[d + 2]!;
    values[`kernel${d}`] = params.kernel[d];
    values[`stride${d}`] = params.stride[d];
    values[`pad${d}`] = params.padding[d];
    values[`dilation${d}`] = params.dilation[d];
  }
  return values;
}

export const lowerPool: GpuLowering<"pool"> = (spec, context) => {
  const mode = MODES[spec.mode];
  const program = context.program(`pool/${spec.mode}/${spec.dtype.name}`, () => build(context, mode, spec.dtype).build());
  return (inputs, outputs, params) => {
    const [source, result] = [inputs[0]!, outputs[0]!];
    const [x, y] = mode.backward ? [result, source] : [source, result];
    const n = numelOf(result.shape);
    const indices = mode.backward ? inputs[1] : outputs[1];
    const values = {
      ...geometry(x, y, params),
      n,
      source_offset: source.offset,
      result_offset: result.offset,
      indices_offset: indices?.offset ?? 0,
    };
    context.launch(program, {
      buffers: [source, ...(mode.backward ? inputs.slice(1) : []), result, ...(mode.backward ? [] : outputs.slice(1))],
      params: values,
      groups: gridGroups(n, program.workgroup),
    });
  };
};
