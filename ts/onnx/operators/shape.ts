/** Operators that move elements, and those that compute with shapes: the latter stay on the cpu, where their values can be read. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { bad } from "../wire.ts";
import { dimension, onDevice, type Call, type Operators } from "./context.ts";

const F = torch.nn.functional;

const int64s = (values: readonly number[]): Tensor =>
  torch.tensor(values, { dtype: torch.int64, device: "cpu" }).reshape([values.length]);

function reshape(c: Call): Tensor {
  const x = c.raw(0);
  const wanted = c.has(1) ? c.numbers(1) : c.ints("shape");
  const keep = c.int("allowzero", 0) === 0;
  return x.reshape(wanted.map((n, d) => (n === 0 && keep ? (x.shape[d] ?? 0) : n)));
}

function squeeze(c: Call): Tensor {
  const x = c.raw(0);
  const axes = c.listed(1, "axes");
  const drop =
    axes === null ? x.shape.map((_, d) => d).filter((d) => x.shape[d] === 1) : axes.map((a) => dimension(c, a, x.ndim));
  return x.reshape(x.shape.filter((_, d) => !drop.includes(d)));
}

function unsqueeze(c: Call): Tensor {
  const x = c.raw(0);
  const axes = c.listed(1, "axes") ?? [];
  const rank = x.ndim + axes.length;
  return axes
    .map((a) => dimension(c, a, rank))
    .sort((a, b) => a - b)
    .reduce((t, d) => t.unsqueeze(d), x);
}

function flatten(c: Call): Tensor {
  const x = c.raw(0);
  const axis = c.int("axis", 1);
  const at = axis < 0 ? axis + x.ndim : axis;
  const size = (list: readonly number[]): number => list.reduce((a, b) => a * b, 1);
  return x.reshape([size(x.shape.slice(0, at)), size(x.shape.slice(at))]);
}

/** `starts` and `ends` clamp as Python's do; steps may be negative. */
function slice(c: Call): Tensor {
  let x = c.raw(0);
  const starts = c.listed(1, "starts") ?? [];
  const ends = c.listed(2, "ends") ?? [];
  const axes = c.listed(3, "axes") ?? starts.map((_, i) => i);
  const steps = c.has(4) ? c.numbers(4) : starts.map(() => 1);
  axes.forEach((axis, i) => {
    const d = dimension(c, axis, x.ndim);
    const n = x.shape[d]!;
    const step = steps[i] ?? 1;
    if (step === 0) throw bad(`${c.node.title} has a step of 0`);
    const clamp = (v: number, low: number, high: number): number => Math.min(Math.max(v < 0 ? v + n : v, low), high);
    if (step > 0) {
      x = x.slice(d, clamp(starts[i]!, 0, n), clamp(ends[i]!, 0, n), step);
      return;
    }
    // Backwards: the same of the flipped tensor.
    const first = clamp(starts[i]!, -1, n - 1);
    const stop = clamp(ends[i]!, -1, n - 1);
    x = x.flip(d).slice(d, n - 1 - first, Math.max(n - 1 - stop, n - 1 - first), -step);
  });
  return x;
}

function split(c: Call): Tensor[] {
  const x = c.raw(0);
  const d = dimension(c, c.int("axis", 0), x.ndim);
  const sizes = c.listed(1, "split");
  if (sizes !== null) return x.split(sizes, d) as unknown as Tensor[];
  const parts = c.int("num_outputs", c.node.outputs.length);
  if (!(parts > 0)) throw bad(`${c.node.title} splits into ${parts} parts`);
  return x.split(Math.max(Math.ceil(x.shape[d]! / parts), 1), d) as unknown as Tensor[];
}

/** Indices may count from the end. */
function wrapped(index: Tensor, n: number): Tensor {
  const wide = index.dtype === torch.int64 ? index : index.to(torch.int64);
  return torch.where(wide.lt(0), wide.add(n), wide);
}

function gather(c: Call): Tensor {
  const x = c.raw(0);
  const index = c.raw(1);
  const d = dimension(c, c.int("axis", 0), x.ndim);
  const n = x.shape[d]!;
  if (index.ndim === 0 && index.device.type === "cpu") return x.select(d, Number(index.item_sync()));
  const at = wrapped(onDevice(index, x.device), n);
  const rows = x.index_select(d, at.reshape([-1]));
  return rows.reshape([...x.shape.slice(0, d), ...index.shape, ...x.shape.slice(d + 1)]);
}

function gatherND(c: Call): Tensor {
  const [x, index] = [c.x(0), c.x(1)];
  const batch = c.int("batch_dims", 0);
  const depth = index.shape.at(-1) ?? 0;
  const parts: Tensor[] = [];
  for (let d = 0; d < batch; d++) {
    const line = torch.arange(x.shape[d]!, { device: x.device });
    parts.push(line.reshape(index.shape.slice(0, -1).map((_, k) => (k === d ? x.shape[d]! : 1))));
  }
  for (let k = 0; k < depth; k++) parts.push(wrapped(index.select(-1, k), x.shape[batch + k]!));
  return x.index(...parts);
}

function scatterND(c: Call): Tensor {
  const [x, index, updates] = [c.x(0), c.x(1), c.x(2)];
  const reduction = c.string("reduction", "none");
  if (reduction !== "none" && reduction !== "add") throw c.unsupported(`reduction '${reduction}'`);
  const depth = index.shape.at(-1)!;
  const parts = Array.from({ length: depth }, (_, k) => wrapped(index.select(-1, k), x.shape[k]!));
  return x.index_put(parts, updates, reduction === "add");
}

const REDUCTIONS: Readonly<Record<string, string>> = { add: "sum", mul: "prod", max: "amax", min: "amin" };

function scatterElements(c: Call): Tensor {
  const [x, updates] = [c.x(0), c.x(2)];
  const d = dimension(c, c.int("axis", 0), x.ndim);
  const at = wrapped(c.x(1), x.shape[d]!);
  const reduction = c.string("reduction", "none");
  if (reduction === "none") return x.scatter(d, at, updates);
  if (reduction === "add") return x.scatter_add(d, at, updates);
  const reduce = REDUCTIONS[reduction];
  if (reduce === undefined) throw c.unsupported(`reduction '${reduction}'`);
  return x.scatter_reduce(d, at, updates, reduce as "prod");
}

function expand(c: Call): Tensor {
  const x = c.raw(0);
  const wanted = c.numbers(1);
  const rank = Math.max(wanted.length, x.ndim);
  const at = (list: readonly number[], d: number): number => list[d - rank + list.length] ?? 1;
  // Both ways: a size of 1 asks for what is there.
  return x.expand(Array.from({ length: rank }, (_, d) => (at(wanted, d) === 1 ? at(x.shape, d) : at(wanted, d))));
}

function pad(c: Call): Tensor {
  const x = c.x(0);
  const pads = c.listed(1, "pads") ?? [];
  const mode = c.string("mode", "constant");
  const value = c.has(2) ? (c.raw(2).item_sync() as number) : c.float("value", 0);
  const axes = c.has(3) ? c.numbers(3).map((a) => dimension(c, a, x.ndim)) : x.shape.map((_, d) => d);
  if (pads.length !== 2 * axes.length) throw bad(`${c.node.title}: ${pads.length} pads for ${axes.length} axes`);
  const before = new Map(axes.map((d, i) => [d, [pads[i]!, pads[i + axes.length]!] as const]));
  if (mode === "constant") {
    const list = x.shape
      .map((_, d) => before.get(d) ?? [0, 0])
      .reverse()
      .flat();
    return F.pad(x, list, { mode, value });
  }
  // Each dimension by itself: any may be padded, and by reflecting any number of times is not asked for.
  let out = x;
  for (const [d, [low, high]] of before) {
    if (low === 0 && high === 0) continue;
    const n = x.shape[d]!;
    const at = Array.from({ length: n + low + high }, (_, i) => source(mode, i - low, n));
    if (at.some((i) => i < 0 || i >= n)) throw bad(`${c.node.title}: pads ${low} and ${high} of a dimension of ${n}`);
    out = out.index_select(d, onDevice(int64s(at), x.device));
  }
  return out;
}

function source(mode: string, i: number, n: number): number {
  if (mode === "edge") return Math.min(Math.max(i, 0), n - 1);
  if (mode === "wrap") return ((i % n) + n) % n;
  return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

function constantOfShape(c: Call): Tensor {
  const value = c.tensor("value") ?? torch.zeros([1], { dtype: torch.float32, device: "cpu" });
  return torch.full(c.numbers(0), value.item_sync() as number, { dtype: value.dtype, device: "cpu" });
}

function constant(c: Call): Tensor {
  const t = c.tensor("value");
  if (t !== null) return t;
  const floats = c.floats("value_floats");
  if (floats !== null) return torch.tensor(floats, { dtype: torch.float32, device: "cpu" }).reshape([floats.length]);
  if (c.attribute("value_ints") !== null) return int64s(c.ints("value_ints"));
  if (c.attribute("value_float") !== null)
    return torch.tensor(c.float("value_float", 0), { dtype: torch.float32, device: "cpu" });
  if (c.attribute("value_int") !== null) return torch.tensor(c.int("value_int", 0), { dtype: torch.int64, device: "cpu" });
  throw c.unsupported(`a constant of [${[...c.node.attributes.keys()].join(", ")}]`);
}

function shape(c: Call): Tensor {
  const sizes = c.raw(0).shape;
  const from = c.int("start", 0);
  const to = c.attribute("end") === null ? sizes.length : c.int("end", 0);
  return int64s(sizes.slice(from, to));
}

function depthToSpace(c: Call): Tensor {
  const x = c.x(0);
  const [n, ch, h, w] = x.shape as [number, number, number, number];
  const b = c.int("blocksize", 1);
  if (c.string("mode", "DCR") === "CRD") return F.pixel_shuffle(x, b);
  const parts = x.reshape([n, b, b, ch / (b * b), h, w]).permute([0, 3, 4, 1, 5, 2]);
  return parts.reshape([n, ch / (b * b), h * b, w * b]);
}

function spaceToDepth(c: Call): Tensor {
  const x = c.x(0);
  const [n, ch, h, w] = x.shape as [number, number, number, number];
  const b = c.int("blocksize", 1);
  const parts = x.reshape([n, ch, h / b, b, w / b, b]).permute([0, 3, 5, 1, 2, 4]);
  return parts.reshape([n, ch * b * b, h / b, w / b]);
}

export const shapes: Operators = {
  Concat: (c) => torch.cat(c.all(), c.int("axis", 0)),
  Constant: constant,
  ConstantOfShape: constantOfShape,
  DepthToSpace: depthToSpace,
  Expand: expand,
  Flatten: flatten,
  Gather: gather,
  GatherElements: (c) => {
    const x = c.x(0);
    const d = dimension(c, c.int("axis", 0), x.ndim);
    return x.gather(d, wrapped(c.x(1), x.shape[d]!));
  },
  GatherND: gatherND,
  NonZero: (c) => c.x(0).nonzero().t(),
  Pad: pad,
  Reshape: reshape,
  Scatter: scatterElements,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  Shape: shape,
  Size: (c) => torch.tensor(c.raw(0).numel(), { dtype: torch.int64, device: "cpu" }),
  Slice: slice,
  SpaceToDepth: spaceToDepth,
  Split: split,
  Squeeze: squeeze,
  Tile: (c) => c.raw(0).tile(c.numbers(1)),
  Transpose: (c) => {
    const x = c.raw(0);
    const order = c.attribute("perm") === null ? x.shape.map((_, d) => x.ndim - 1 - d) : c.ints("perm");
    return x.permute(order);
  },
  Unsqueeze: unsqueeze,
};
