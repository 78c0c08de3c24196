/** Differences and integrals of samples along a dimension. */

import { bool, isScalar, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDim, normalizeDims } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { cat } from "./joining.ts";

type DiffOp = Op<
  [input: Tensor, ...Args<[{ n?: number }, { dim?: number }, { prepend?: Tensor | null }, { append?: Tensor | null }]>],
  Tensor,
  "method"
>;

export const diff: DiffOp = composite(
  "diff",
  "input, n=1, dim=-1, prepend=None, append=None",
  {
    doc: "Differences of neighbours along dim, n times; prepend and append are joined on first.",
  },
  (input: Tensor, n: number, dim: number, prepend: Tensor | null, append: Tensor | null) => {
    checkTensor("diff", "input", input);
    if (input.ndim === 0) throw new RuntimeError("diff: expects input to be at least one-dimensional");
    const d = normalizeDim("diff", dim, input.ndim);
    if (!(n >= 0)) throw new RuntimeError(`diff: order must be non-negative but got ${n}`);
    let x = input;
    if (prepend !== null || append !== null) {
      const ends = [prepend, input, append].filter((t): t is Tensor => t !== null);
      for (const t of ends) {
        if (t.ndim !== input.ndim)
          throw new RuntimeError("diff: expects prepend or append to have the same number of dimensions as input");
      }
      x = cat(ends, d);
    }
    if (n === 0) return x.clone();
    for (let i = 0; i < n; i++) {
      const size = x.shape[d]!;
      if (size === 0) break;
      const [later, earlier] = [x.slice(d, 1), x.slice(d, 0, size - 1)];
      x = x.dtype === bool ? later.logical_xor(earlier) : later.sub(earlier);
    }
    return x;
  },
);

type TrapezoidOp = Op<[y: Tensor, ...Args<[{ x?: Tensor | null }], { dx?: Scalar; dim?: number }>], Tensor>;
type Spacing = Tensor | Scalar | null;

/** Twice the area of each trapezoid; widths as a tensor, or 1. */
function areas(name: string, y: Tensor, x: Tensor | null, dim: number): Tensor {
  const n = y.shape[dim]!;
  const sums = y.slice(dim, 1).add(y.slice(dim, 0, Math.max(n - 1, 0)));
  if (x === null) return sums;
  let at = x;
  if (x.ndim === 1 && y.ndim !== 1) {
    if (x.shape[0] !== n) {
      throw new RuntimeError(`${name}: There must be one \`x\` value for each sample point, got ${x.shape[0]} for ${n}`);
    }
    at = x.reshape(y.shape.map((_, d) => (d === dim ? n : 1)));
  }
  while (at.ndim < y.ndim) at = at.unsqueeze(0);
  const d = dim - y.ndim + at.ndim;
  return at
    .slice(d, 1)
    .sub(at.slice(d, 0, Math.max(at.shape[d]! - 1, 0)))
    .mul(sums);
}

function checkSpacing(name: string, y: Tensor, x: Spacing, dx: Scalar): { points: Tensor | null; width: Scalar } {
  checkTensor(name, "y", y);
  if (x instanceof Tensor && x.dtype === bool)
    throw new RuntimeError(`${name}: received a bool input for x, but bool is not supported`);
  if (y.dtype === bool) throw new RuntimeError(`${name}: received a bool input for y, but bool is not supported`);
  if (isScalar(x)) return { points: null, width: x };
  if (typeof dx === "boolean") throw new RuntimeError(`${name}: Currently, we only support dx as a real number.`);
  return { points: x, width: dx };
}

function integral(name: "trapezoid" | "trapz"): TrapezoidOp {
  return composite(
    name,
    "y, x=None, *, dx=1, dim=-1",
    {
      doc: "Integral along dim by the trapezoidal rule, at points x or dx apart.",
    },
    (y: Tensor, x: Spacing, dx: Scalar, dim: number) => {
      const { points, width } = checkSpacing(name, y, x, dx);
      const d = normalizeDim(name, dim, y.ndim);
      if (y.shape[d] === 0) return y.new_zeros(y.shape.filter((_, i) => i !== d));
      if (points !== null) return areas(name, y, points, d).sum(d).div(2);
      const ends = y.select(d, 0).add(y.select(d, -1)).mul(0.5);
      return y.sum(d).sub(ends).mul(width);
    },
  );
}

export const trapezoid: TrapezoidOp = integral("trapezoid");
export const trapz: TrapezoidOp = integral("trapz");

export const cumulative_trapezoid: TrapezoidOp = composite(
  "cumulative_trapezoid",
  "y, x=None, *, dx=1, dim=-1",
  {
    doc: "Running integral along dim by the trapezoidal rule.",
  },
  (y: Tensor, x: Spacing, dx: Scalar, dim: number) => {
    const { points, width } = checkSpacing("cumulative_trapezoid", y, x, dx);
    const d = normalizeDim("cumulative_trapezoid", dim, y.ndim);
    const running = areas("cumulative_trapezoid", y, points, d).cumsum(d);
    return points !== null ? running.div(2) : running.mul(Number(width) / 2);
  },
);

type GradientSpacing = Scalar | readonly Scalar[] | readonly Tensor[] | Tensor | null;
type GradientOp = Op<
  [input: Tensor, options?: { spacing?: GradientSpacing; dim?: number | readonly number[] | null; edge_order?: number }],
  Tensor[]
>;

export const gradient: GradientOp = composite(
  "gradient",
  "input, *, spacing=None, dim=None, edge_order=1",
  {
    doc: "Derivatives of samples along each dim, from neighbours; spacing is a step, one per dim, or the points' coordinates.",
    method: false,
  },
  (input: Tensor, spacing: GradientSpacing, dim: number | readonly number[] | null, edge: number) => {
    checkTensor("gradient", "input", input);
    const list: (Scalar | Tensor)[] = Array.isArray(spacing)
      ? (spacing as (Scalar | Tensor)[])
      : spacing === null
        ? []
        : [spacing as Scalar | Tensor];
    const all = dim === null && list.length === 1 && list[0] instanceof Tensor && input.ndim > 1 ? 0 : dim;
    const dims = normalizeDims("gradient", all, input.ndim);
    if (edge !== 1 && edge !== 2) throw new RuntimeError(`gradient: only supports edge_order=1 and edge_order=2, got ${edge}`);
    if (list.length > 1 && list.length !== dims.length) {
      throw new RuntimeError(
        `gradient: expected spacing to be unspecified, a scalar or a list of length equal to ${dims.length}, but got a list of length ${list.length}`,
      );
    }
    for (const d of dims) {
      if (input.shape[d]! < edge + 1) {
        throw new RuntimeError(
          `gradient: expected each dimension size to be at least edge_order+1, got shape ${formatShape(input.shape)}`,
        );
      }
    }
    return dims.map((d, i) => {
      const step = list.length === 0 ? 1 : list[list.length === 1 ? 0 : i]!;
      return step instanceof Tensor ? uneven(input, step, d, edge) : even(input, Number(step), d, edge);
    });
  },
);

function even(x: Tensor, step: number, d: number, edge: number): Tensor {
  const n = x.shape[d]!;
  const at = (i: number): Tensor => x.slice(d, i < 0 ? n + i : i, (i < 0 ? n + i : i) + 1);
  const middle = x
    .slice(d, 2)
    .sub(x.slice(d, 0, n - 2))
    .div(2);
  const first = edge === 1 ? at(1).sub(at(0)) : at(0).mul(-1.5).add(at(1).mul(2)).add(at(2).mul(-0.5));
  const last = edge === 1 ? at(-1).sub(at(-2)) : at(-3).mul(0.5).add(at(-2).mul(-2)).add(at(-1).mul(1.5));
  return cat([first, middle, last], d).mul(1 / step);
}

/** Second-order formulas for neighbours at distances a (before) and b (after). */
function uneven(x: Tensor, points: Tensor, d: number, edge: number): Tensor {
  const n = x.shape[d]!;
  if (points.ndim !== 1 || points.shape[0] !== n) {
    throw new RuntimeError(
      `gradient: expected the coordinates of dim ${d} to be a vector of ${n}, got shape ${formatShape(points.shape)}`,
    );
  }
  const wide = (t: Tensor): Tensor => t.reshape(x.shape.map((_, i) => (i === d ? -1 : 1)));
  const at = (i: number): Tensor => x.slice(d, i < 0 ? n + i : i, (i < 0 ? n + i : i) + 1);
  const steps = points.slice(0, 1).sub(points.slice(0, 0, n - 1));
  const m = n - 1;
  const a = steps.slice(0, 0, m - 1);
  const b = steps.slice(0, 1);
  const both = a.add(b);
  const middle = x
    .slice(d, 0, n - 2)
    .mul(wide(b.neg().div(a.mul(both))))
    .add(x.slice(d, 1, n - 1).mul(wide(b.sub(a).div(a.mul(b)))))
    .add(x.slice(d, 2).mul(wide(a.div(b.mul(both)))));
  const step = (i: number): Tensor => wide(steps.slice(0, i < 0 ? m + i : i, (i < 0 ? m + i : i) + 1));
  let first: Tensor;
  let last: Tensor;
  if (edge === 1) {
    first = at(1).sub(at(0)).div(step(0));
    last = at(-1).sub(at(-2)).div(step(-1));
  } else {
    const three = (p: Tensor, q: Tensor, from: number, forward: boolean): Tensor => {
      const sum = p.add(q);
      const c0 = forward ? p.mul(2).add(q).neg().div(p.mul(sum)) : q.div(p.mul(sum));
      const c1 = forward ? sum.div(p.mul(q)) : sum.neg().div(p.mul(q));
      const c2 = forward ? p.neg().div(q.mul(sum)) : q.mul(2).add(p).div(q.mul(sum));
      return at(from)
        .mul(c0)
        .add(at(from + 1).mul(c1))
        .add(at(from + 2).mul(c2));
    };
    first = three(step(0), step(1), 0, true);
    last = three(step(-2), step(-1), n - 3, false);
  }
  return cat([first, middle, last], d);
}
