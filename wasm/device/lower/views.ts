/** How a set of views of one shape is best walked: the order of dims, which of them run together, which views need no walking. */

import type { View } from "../../../ts/core/device.ts";
import { isContiguous, sameShape } from "../../../ts/core/shape.ts";

/** How a kernel reaches a view's elements (`Mode` of wasm/assembly/block_machine.ts). */
export const enum Mode {
  direct = 0,
  strided = 1,
  single = 2,
}

export interface Walk {
  /** Whether blocks had better be tiles of the last two dims. */
  readonly tiled: boolean;
  /** Sizes of the dims that are left, outermost first; none when every view is direct or single. */
  readonly sizes: number[];
  /** Per view: mode, and strides in bytes. */
  readonly modes: Mode[];
  readonly strides: number[][];
}

/** Whether all views lie in row-major order without gaps, or have one element for all. */
export function isPlain(views: readonly View[]): boolean {
  for (let i = 0; i < views.length; i++) {
    const { shape, strides } = views[i]!;
    if (!isContiguous(shape, strides) && !isSingle(views[i]!)) return false;
  }
  return true;
}

export function isSingle({ shape, strides }: View): boolean {
  for (let d = 0; d < shape.length; d++) if (strides[d] !== 0 && shape[d] !== 1) return false;
  return true;
}

/** Whether two lists of views have the same shapes, strides and dtypes, one by one. */
export function sameLayouts(a: readonly View[], b: readonly View[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (x.dtype !== y.dtype || !sameShape(x.shape, y.shape) || !sameShape(x.strides, y.strides)) return false;
  }
  return true;
}

/** The plans made last, by the layouts that they were made for. */
export class Plans<P> {
  readonly #known: { views: readonly View[]; extra: number; plan: P }[] = [];

  find(views: readonly View[], extra: number): P | undefined {
    const known = this.#known;
    for (let i = 0; i < known.length; i++) {
      const k = known[i]!;
      if (k.extra === extra && sameLayouts(k.views, views)) return k.plan;
    }
    return undefined;
  }

  add(views: readonly View[], extra: number, plan: P): P {
    if (this.#known.length === MOST_PLANS) this.#known.shift();
    // Views without their memory: a plan must not keep it alive.
    const layouts = views.map((v) => ({ ...v, buffer: null as unknown as View["buffer"] }));
    this.#known.push({ views: layouts, extra, plan });
    return plan;
  }
}
const MOST_PLANS = 8;

/**
 * The same walk in tiles, where that spares cache lines: some input's consecutive elements belong to another dim than the last. That
 * dim becomes the last but one.
 */
export function tiled(walk: Walk, inputs: readonly View[]): Walk {
  const last = walk.sizes.length - 1;
  for (let i = 0; i < inputs.length; i++) {
    const strides = walk.strides[i]!;
    const { itemsize } = inputs[i]!.dtype;
    if (walk.modes[i] !== Mode.strided || Math.abs(strides[last]!) < 64) continue;
    const close = strides.findIndex((s, d) => Math.abs(s) === itemsize && walk.sizes[d]! >= 4);
    if (close < 0) continue;
    const move = (xs: readonly number[]): number[] => [...xs.filter((_, d) => d !== close && d !== last), xs[close]!, xs[last]!];
    return {
      tiled: true,
      sizes: move(walk.sizes),
      modes: walk.modes.map((m) => (m === Mode.direct ? Mode.strided : m)),
      strides: walk.strides.map(move),
    };
  }
  return walk;
}

/**
 * Plans a walk over `views` (all of one shape). Dims before `fixed` may change places with each other, and so may those from there
 * on. Without `reorder` all stay in row-major order.
 */
export function planWalk(views: readonly View[], order: View, reorder: boolean): Walk {
  const { shape } = order;
  const dims = shape.map((_, d) => d).filter((d) => shape[d] !== 1);
  // Memory order of the output: writes that jump cost most. Among dims that it does not tell apart the order stays.
  if (reorder) dims.sort((a, b) => Math.abs(order.strides[b]!) - Math.abs(order.strides[a]!));
  const sizes: number[] = [];
  const strides: number[][] = views.map(() => []);
  for (const d of dims) {
    const n = shape[d]!;
    const last = sizes.length - 1;
    if (last >= 0 && views.every((v, i) => strides[i]![last] === v.strides[d]! * n * v.dtype.itemsize)) {
      sizes[last]! *= n;
      views.forEach((v, i) => (strides[i]![last] = v.strides[d]! * v.dtype.itemsize));
    } else {
      sizes.push(n);
      views.forEach((v, i) => strides[i]!.push(v.strides[d]! * v.dtype.itemsize));
    }
  }
  const modes = views.map((v, i) => {
    if (strides[i]!.every((s) => s === 0)) return Mode.single;
    let expected = v.dtype.itemsize;
    for (let k = sizes.length - 1; k >= 0; k--) {
      if (strides[i]![k] !== expected) return Mode.strided;
      expected *= sizes[k]!;
    }
    return Mode.direct;
  });
  return { tiled: false, sizes, modes, strides };
}
