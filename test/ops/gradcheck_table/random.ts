/** Random arguments for the table of gradient checks: shapes, dims, numbers away from kinks, tensors that lie in memory in all ways. */

import type { Tensor } from "../../../ts/core/tensor.ts";
import * as torch from "../../../ts/entry.node.ts";

export type Shape = number[];

export interface ShapeLimits {
  /** Least and greatest rank; 0 and 4 where not given. */
  rank?: number | readonly [number, number];
  /** Least size of a dimension; where not given 1, and once in a while 0. */
  min?: number;
  max?: number;
  /** Most elements. */
  numel?: number;
}

/** What an entry of the table draws: inputs that get gradients, and what is called with them. */
export interface Sample {
  readonly inputs: readonly Tensor[];
  readonly call: (...inputs: Tensor[]) => unknown;
  /** Said along with the inputs where something fails. */
  readonly note?: string;
  /** It has no second derivatives, in PyTorch either. */
  readonly once?: boolean;
}

export const numelOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export class Random {
  /** Tensors are complex128. */
  complex = false;
  private state: number;
  /** All values so far: none comes twice, so that nothing ties. */
  private readonly drawn: number[] = [];
  /** Tensors that the op is to see expanded to a shape. */
  readonly expanded = new Map<Tensor, Shape>();

  constructor(seed: number) {
    this.state = seed | 0;
  }

  /** In [0, 1): mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  /** A whole number from low to high, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
  bool(chance = 0.5): boolean {
    return this.next() < chance;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)]!;
  }
  /** The list in another order. */
  shuffle<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }

  shape({ rank = [0, 4], min, max = 4, numel = 16 }: ShapeLimits = {}): Shape {
    const [low, high] = typeof rank === "number" ? [rank, rank] : rank;
    const shape = Array.from({ length: this.int(low, high) }, () => this.int(Math.max(1, min ?? 0), max));
    // A few sizes of 0 go a long way.
    if (min === undefined && shape.length > 0 && this.bool(0.06)) shape[this.int(0, shape.length - 1)] = 0;
    while (numelOf(shape) > numel) {
      const d = this.int(0, shape.length - 1);
      if (shape[d]! > Math.max(1, min ?? 1)) shape[d]!--;
      else if (shape.every((n) => n <= Math.max(1, min ?? 1))) break;
    }
    return shape;
  }
  /** One of the dims, from either end. */
  dim(shape: readonly number[]): number {
    const n = Math.max(shape.length, 1);
    return this.int(-n, n - 1);
  }
  /** Several dims, none of them twice. */
  someDims(shape: readonly number[], least = 0): number[] {
    const all = this.shuffle(shape.map((_, d) => d));
    return all.slice(0, this.int(Math.min(least, all.length), all.length)).map((d) => (this.bool() ? d : d - shape.length));
  }
  /** What reductions take: nothing, a dim or several. */
  dims(shape: readonly number[]): number | number[] | null {
    const kind = this.int(0, 3);
    if (kind === 0 || shape.length === 0) return null;
    return kind === 3 ? this.someDims(shape, 1) : this.dim(shape);
  }
  /** A shape that broadcasts to this one. */
  narrower(shape: readonly number[]): Shape {
    const from = this.bool(0.3) ? this.int(0, shape.length) : 0;
    return shape.slice(from).map((n) => (this.bool(0.25) ? 1 : n));
  }

  /** A number between low and high, at least 0.06 from all multiples of 0.5 and 0.002 from all others: functions have kinks, and ties, there. */
  number(low = -3, high = 3): number {
    for (let tries = 0; ; tries++) {
      const x = low + this.next() * (high - low);
      if (tries < 200) {
        if (Math.abs(x * 2 - Math.round(x * 2)) < 0.12) continue;
        if (this.drawn.some((y) => Math.abs(Math.abs(x) - Math.abs(y)) < 0.002)) continue;
      }
      this.drawn.push(x);
      return x;
    }
  }

  /** Values between low and high that get no gradient. */
  constant(shape: readonly number[], low = -3, high = 3): Tensor {
    const values = (n: number): Tensor =>
      torch.tensor(
        Array.from({ length: n }, () => this.number(low, high)),
        { dtype: torch.float64 },
      );
    const n = numelOf(shape);
    if (!this.complex) return values(n).reshape([...shape]);
    return torch.complex(values(n), values(n)).reshape([...shape]);
  }

  /** Values between low and high that get a gradient; some lie in memory out of order, with gaps, or are read more than once. */
  x(shape: readonly number[] = this.shape(), low = -3, high = 3): Tensor {
    const leaf = (t: Tensor): Tensor => t.detach().requires_grad_();
    const way = this.int(0, 7);
    if (way === 0 && shape.length > 1) {
      const order = this.shuffle(shape.map((_, d) => d));
      const back = order.map((_, d) => order.indexOf(d));
      const t = this.constant(
        order.map((d) => shape[d]!),
        low,
        high,
      );
      return leaf(t.permute(back));
    }
    if (way === 1 && shape.length > 0) {
      const d = this.int(0, shape.length - 1);
      const wide = shape.map((n, i) => (i === d ? 2 * n + 1 : n));
      return leaf(this.constant(wide, low, high).slice(d, 1, null, 2));
    }
    if (way === 2 && shape.length > 0) {
      const t = leaf(this.constant(this.narrower(shape), low, high));
      this.expanded.set(t, [...shape]);
      return t;
    }
    return leaf(this.constant(shape, low, high));
  }
  /** The same, of which no two elements are equal. */
  apart(shape: readonly number[] = this.shape(), low = -3, high = 3): Tensor {
    const t = this.x(shape, low, high);
    if (!this.expanded.has(t)) return t;
    this.expanded.delete(t);
    return this.constant(shape, low, high).detach().requires_grad_();
  }
  /** Of 0, 1, ..., n - 1. */
  indices(shape: readonly number[], n: number): Tensor {
    return torch
      .tensor(
        Array.from({ length: numelOf(shape) }, () => this.int(0, n - 1)),
        { dtype: torch.int64 },
      )
      .reshape([...shape]);
  }
  mask(shape: readonly number[], chance = 0.5): Tensor {
    return torch
      .tensor(
        Array.from({ length: numelOf(shape) }, () => this.bool(chance)),
        { dtype: torch.bool },
      )
      .reshape([...shape]);
  }
  /** Two shapes that broadcast to one. */
  shapes(limits: ShapeLimits = {}): [Shape, Shape] {
    const shape = this.shape(limits);
    const pair: [Shape, Shape] = this.bool(0.4) ? [shape, [...shape]] : [shape, this.narrower(shape)];
    return this.bool(0.7) ? pair : [pair[1], pair[0]];
  }
}
