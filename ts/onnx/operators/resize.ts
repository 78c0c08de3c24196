/** Resize and Upsample: one dimension after the other, by indices and weights that are computed on the host. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { bad } from "../wire.ts";
import { dimension, onDevice, type Call, type Operators } from "./context.ts";

interface Rules {
  readonly coordinates: string;
  readonly nearest: string;
  readonly mode: string;
  readonly cubic: number;
  readonly excludeOutside: boolean;
}

/** Where position i of the result lies in the input. */
function position(rules: Rules, i: number, from: number, to: number, scale: number): number {
  switch (rules.coordinates) {
    case "asymmetric":
      return i / scale;
    case "align_corners":
      return to === 1 ? 0 : (i * (from - 1)) / (to - 1);
    case "pytorch_half_pixel":
      return to > 1 ? (i + 0.5) / scale - 0.5 : 0;
    case "half_pixel_symmetric": {
      const adjusted = to / (scale * from);
      return (from / 2) * (1 - adjusted) + (i + 0.5) / scale - 0.5;
    }
    default:
      return (i + 0.5) / scale - 0.5;
  }
}

function roundBy(rule: string, x: number): number {
  if (rule === "floor") return Math.floor(x);
  if (rule === "ceil") return Math.ceil(x);
  return rule === "round_prefer_ceil" ? Math.floor(x + 0.5) : Math.ceil(x - 0.5);
}

function cubicWeight(a: number, t: number): number {
  const x = Math.abs(t);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/** Which inputs make output i, with what weights. */
function taps(rules: Rules, x: number, n: number): [index: number, weight: number][] {
  const clamp = (i: number): number => Math.min(Math.max(i, 0), n - 1);
  const first = Math.floor(x);
  if (rules.mode === "nearest") return [[clamp(roundBy(rules.nearest, x)), 1]];
  if (rules.mode === "linear") {
    const at = Math.min(Math.max(x, 0), n - 1);
    const low = Math.floor(at);
    return [
      [low, 1 - (at - low)],
      [clamp(low + 1), at - low],
    ];
  }
  const all = [-1, 0, 1, 2].map((k): [number, number] => [first + k, cubicWeight(rules.cubic, x - first - k)]);
  if (!rules.excludeOutside) return all.map(([i, w]) => [clamp(i), w]);
  const total = all.reduce((s, [i, w]) => s + (i >= 0 && i < n ? w : 0), 0);
  return all.map(([i, w]) => [clamp(i), i >= 0 && i < n ? w / total : 0]);
}

function resizeAlong(x: Tensor, d: number, to: number, scale: number, rules: Rules): Tensor {
  const n = x.shape[d]!;
  const rows = Array.from({ length: to }, (_, i) => taps(rules, position(rules, i, n, to, scale), n));
  const line = x.shape.map((_, k) => (k === d ? to : 1));
  const part = (k: number): Tensor => {
    const index = torch.tensor(
      rows.map((r) => r[k]![0]),
      { dtype: torch.int64, device: "cpu" },
    );
    const picked = x.index_select(d, onDevice(index, x.device));
    if (rules.mode === "nearest") return picked;
    const weights = rows.map((r) => r[k]![1]);
    return picked.mul(torch.tensor(weights, { dtype: x.dtype, device: x.device }).reshape(line));
  };
  return rows[0]!.map((_, k) => part(k)).reduce((a, b) => a.add(b));
}

function resize(c: Call): Tensor {
  const x = c.x(0);
  const old = c.node.node.op_type === "Upsample" || c.opset < 11;
  const given = c.has(old ? 1 : 2) && c.raw(old ? 1 : 2).numel() > 0 ? c.numbers(old ? 1 : 2) : (c.floats("scales") ?? []);
  const sizes = !old && c.has(3) ? c.numbers(3) : null;
  const listed = c.attribute("axes") === null ? x.shape.map((_, d) => d) : c.ints("axes");
  const axes = listed.map((a) => dimension(c, a, x.ndim));
  if ((sizes ?? given).length !== axes.length)
    throw bad(`${c.node.title}: ${(sizes ?? given).length} sizes for ${axes.length} axes`);
  if (c.int("antialias", 0) !== 0) throw c.unsupported("antialias");
  const policy = c.string("keep_aspect_ratio_policy", "stretch");
  if (policy !== "stretch") throw c.unsupported(`keep_aspect_ratio_policy '${policy}'`);
  const rules: Rules = {
    coordinates: c.string("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel"),
    nearest: c.string("nearest_mode", old ? "floor" : "round_prefer_floor"),
    mode: c.string("mode", "nearest"),
    cubic: c.float("cubic_coeff_a", -0.75),
    excludeOutside: c.int("exclude_outside", 0) !== 0,
  };
  if (rules.coordinates === "tf_crop_and_resize") throw c.unsupported(rules.coordinates);
  let out = x;
  axes.forEach((d, i) => {
    const n = x.shape[d]!;
    const to = sizes === null ? Math.floor(n * given[i]!) : sizes[i]!;
    const scale = sizes === null ? given[i]! : to / n;
    if (to !== n || scale !== 1) out = resizeAlong(out, d, to, scale, rules);
  });
  return out;
}

export const resizes: Operators = { Resize: resize, Upsample: resize };
