/** Reductions, scans, selections and matrix products: first and second derivatives against central differences, and what PyTorch documents. */

import { describe, expect, test } from "vitest";
import type { Tensor } from "../../ts/core/tensor.ts";
import * as torch from "../../ts/entry.node.ts";

const { float64, float32, int64 } = torch;
const F = torch.nn.functional;
const numbers = (t: Tensor): number[] => Array.from(t.contiguous().data_sync(), Number);
const STEP = 1e-5;

type Fn = (...args: Tensor[]) => Tensor;
interface Argument {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

function close(got: readonly number[], want: readonly number[], tolerance: number, what: string): void {
  expect(got.length).toBe(want.length);
  got.forEach((g, i) => {
    const bound = tolerance * (1 + Math.abs(want[i]!));
    expect(Math.abs(g - want[i]!), `${what}[${i}]: got ${g}, want ${want[i]}`).toBeLessThanOrEqual(bound);
  });
}

const leaf = ({ shape, values }: Argument): Tensor =>
  torch
    .tensor([...values], { dtype: float64 })
    .reshape([...shape])
    .requires_grad_();
/** A different weight for each element. */
const ramp = (t: Tensor, from: number): Tensor =>
  torch
    .arange(t.numel(), { dtype: float64 })
    .mul(0.37)
    .add(from)
    .cos()
    .reshape([...t.shape]);

/** The numeric gradient of a scalar function of all arguments. */
function differences(f: (args: readonly Argument[]) => number, args: readonly Argument[]): number[][] {
  return args.map(({ values }, k) =>
    values.map((x, i) => {
      const at = (by: number): number =>
        f(args.map((a, j) => (j === k ? { ...a, values: a.values.map((v, m) => (m === i ? x + by : v)) } : a)));
      return (at(STEP) - at(-STEP)) / (2 * STEP);
    }),
  );
}

function check(f: Fn, args: readonly Argument[]): void {
  const weighted = (xs: Tensor[]): Tensor => {
    const y = f(...xs);
    return y.mul(ramp(y, 0.2)).sum();
  };
  const gradients = (xs: Tensor[], create_graph: boolean): Tensor[] =>
    torch.autograd.grad(weighted(xs), xs, { create_graph, allow_unused: true }).map((g, i) => g ?? xs[i]!.detach().mul(0));
  const xs = args.map(leaf);
  const first = gradients(xs, true);
  const want = differences((as) => Number(weighted(as.map(leaf)).item_sync()), args);
  first.forEach((g, k) => close(numbers(g), want[k]!, 1e-6, `derivative by argument ${k}`));

  const dot = (gs: readonly Tensor[]): Tensor => gs.map((g, k) => g.mul(ramp(g, k + 1)).sum()).reduce((a, b) => a.add(b));
  const total = dot(first);
  if (!total.requires_grad) return;
  const second = torch.autograd.grad(total, xs, { allow_unused: true });
  const want2 = differences((as) => Number(dot(gradients(as.map(leaf), false)).item_sync()), args);
  second.forEach((g, k) =>
    close(g === null ? want2[k]!.map(() => 0) : numbers(g), want2[k]!, 1e-5, `second derivative by argument ${k}`),
  );
}

const VALUES = [0.3, -0.7, 1.4, -2.2, 0.05, 0.9, 1.1, -0.4, 2.3, -1.2, 0.6, -0.35];
const matrix: Argument = { shape: [3, 4], values: VALUES };
const positive: Argument = { shape: [3, 4], values: VALUES.map(Math.abs) };
const withZeros: Argument = { shape: [3, 4], values: VALUES.map((x, i) => (i === 1 || i === 8 || i === 10 ? 0 : x)) };
const other: Argument = { shape: [3, 4], values: VALUES.map((x, i) => 0.7 * x - 0.2 * i + 1) };
const tall: Argument = { shape: [4, 3], values: VALUES.map((x, i) => Math.sin(7 * x + i)) };
const cube: Argument = { shape: [2, 2, 3], values: VALUES };

const CASES: Record<string, readonly [Fn, ...Argument[]]> = {
  sum: [(x) => x.sum([0, 2], true), cube],
  mean: [(x) => x.mean(-1), cube],
  prod: [(x) => x.prod(1), matrix],
  "prod of all": [(x) => x.prod(), matrix],
  var: [(x) => x.var(1), matrix],
  "var over two dims": [(x) => x.var([0, 2], { correction: 0 }), cube],
  std: [(x) => x.std(0, { keepdim: true }), matrix],
  "var and mean": [
    (x) => {
      const r = torch.var_mean(x, 1);
      return r.var.mul(r.mean);
    },
    matrix,
  ],
  logsumexp: [(x) => x.logsumexp([0, 1]), cube],
  max: [(x) => x.max(1).values, matrix],
  "max of all": [(x) => x.max().square(), matrix],
  amin: [(x) => x.amin([0, 2]), cube],
  "two maxima": [(x) => x.max(x.neg()), matrix],
  cumsum: [(x) => x.cumsum(1).square(), matrix],
  cumprod: [(x) => x.cumprod(0), matrix],
  logcumsumexp: [(x) => x.logcumsumexp(1), matrix],
  cummax: [(x) => x.cummax(1).values.square(), matrix],
  sort: [(x) => x.sort(0, true).values.pow(3), matrix],
  topk: [(x) => x.topk(2, 0).values.square(), matrix],
  kthvalue: [(x) => x.kthvalue(2, 0).values.square(), matrix],
  median: [(x) => x.median(1).values.square(), matrix],
  quantile: [(x) => x.quantile(0.4, 1).square(), matrix],
  norm: [(x) => x.norm(), matrix],
  "norm 3": [(x) => torch.linalg.vector_norm(x, 3, 1), matrix],
  "norm 1.5": [(x) => torch.linalg.vector_norm(x, 1.5, 0), matrix],
  "norm inf": [(x) => torch.linalg.vector_norm(x, Infinity, 0).square(), matrix],
  "matrix norm 1": [(x) => torch.linalg.matrix_norm(x, 1).square(), matrix],
  cdist: [(x, y) => torch.cdist(x, y, 3), matrix, other],
  renorm: [(x) => x.renorm(2, 0, 1.5), matrix],
  cov: [(x) => x.cov(), matrix],
  corrcoef: [(x) => x.corrcoef(), matrix],
  trapezoid: [(y, x) => torch.trapezoid(y, x), matrix, other],
  gradient: [(x) => torch.gradient(x, { spacing: [0.5, 2], edge_order: 2 })[1]!, { shape: [3, 4], values: VALUES }],
  cross: [(x, y) => x.cross(y, 1), tall, { ...tall, values: VALUES }],
  mm: [(x, y) => x.mm(y), matrix, tall],
  matmul: [(x, y) => x.matmul(y), cube, { shape: [2, 3, 2], values: VALUES }],
  "matrix times vector": [(x, y) => x.matmul(y), cube, { shape: [3], values: [0.3, -1, 2] }],
  addmm: [(z, x, y) => z.addmm(x, y, { beta: 0.5, alpha: 2 }), { shape: [3], values: [1, 2, 3] }, matrix, tall],
  linear: [(x, w, b) => F.linear(x, w, b), cube, { shape: [2, 3], values: VALUES.slice(0, 6) }, { shape: [2], values: [1, -2] }],
  einsum: [(x, y) => torch.einsum("bij,jk->ikb", x, y), cube, { shape: [3, 2], values: VALUES.slice(0, 6) }],
  multi_dot: [(x, y) => torch.linalg.multi_dot([x, y, x]), matrix, tall],
  matrix_power: [(x) => torch.linalg.matrix_power(x, 3), { shape: [2, 2], values: VALUES.slice(0, 4) }],
};

describe("derivatives", () => {
  for (const [name, [f, ...args]] of Object.entries(CASES)) {
    test(name, () => check(f, args));
  }
  // First derivatives only: at a zero the formulas branch.
  for (const [name, f] of Object.entries({
    "prod with zeros": (x: Tensor) => x.prod(1),
    "cumprod with zeros": (x: Tensor) => x.cumprod(1),
  })) {
    test(name, () => {
      const x = leaf(withZeros);
      const y = f(x);
      const [g] = torch.autograd.grad(y.mul(ramp(y, 0.2)).sum(), [x]);
      const want = differences(
        ([a]) => {
          const z = f(leaf(a!));
          return Number(z.mul(ramp(z, 0.2)).sum().item_sync());
        },
        [withZeros],
      );
      close(numbers(g!), want[0]!, 1e-6, name);
    });
  }
  test("positive values keep log sums finite", () => {
    const x = leaf(positive);
    x.mul(1000).logsumexp(1).sum().backward();
    expect(numbers(x.grad!).every(Number.isFinite)).toBe(true);
  });
});

describe("values", () => {
  test("equal maxima share the gradient, a picked one keeps it", () => {
    const x = torch.tensor([2, 1, 2], { dtype: float32, requires_grad: true });
    x.max().backward();
    expect(numbers(x.grad!)).toEqual([0.5, 0, 0.5]);
    x.grad = null;
    x.max(0).values.backward();
    expect(numbers(x.grad!)).toEqual([1, 0, 0]);
  });
  test("NaN wins", () => {
    const x = torch.tensor([1, NaN, 3]);
    for (const t of [x.max(), x.min(), x.median(), x.amax(), x.sum(), x.cummax(0).values.select(0, 2)])
      expect(t.item_sync()).toBeNaN();
    expect(x.nanmedian().item_sync()).toBe(1);
    expect(x.nansum().item_sync()).toBe(4);
    expect(Number(x.argmax().item_sync())).toBe(1);
  });
  test("nothing", () => {
    const x = torch.zeros([0, 3]);
    expect(numbers(x.sum(0))).toEqual([0, 0, 0]);
    expect(numbers(x.prod(0))).toEqual([1, 1, 1]);
    expect(numbers(x.mean(0))).toEqual([NaN, NaN, NaN]);
    expect(x.sum(1).shape).toEqual([0]);
    expect(() => x.max()).toThrow(/numel\(\) == 0/);
    expect(() => x.amax(0)).toThrow(torch.IndexError);
    expect(numbers(torch.zeros([2, 0]).mm(torch.zeros([0, 2])))).toEqual([0, 0, 0, 0]);
  });
  test("integers sum as int64, means need floats", () => {
    const x = torch.tensor([200, 100], { dtype: torch.uint8 });
    expect(x.sum().dtype).toBe(int64);
    expect(Number(x.sum().item_sync())).toBe(300);
    expect(() => x.mean()).toThrow(/floating point/);
  });
  test("half precision accumulates in float32", () => {
    const x = torch.ones([70000], { dtype: torch.float16 });
    expect(x.mean().item_sync()).toBe(1);
    expect(x.mul(0.01).norm().item_sync()).toBeCloseTo(2.646, 2);
  });
  test("an in-place op on a linear layer's result keeps the gradient", () => {
    const w = torch.ones([2, 2]).requires_grad_();
    F.linear(torch.ones([1, 2]), w)
      .mul_(3)
      .sum()
      .backward();
    expect(numbers(w.grad!)).toEqual([3, 3, 3, 3]);
  });
  test("matrices that do not fit", () => {
    const x = torch.ones([2, 3]);
    expect(() => x.mm(x)).toThrow("mm: shapes [2, 3] and [2, 3] cannot be multiplied (3 vs 2)");
    expect(() => x.mm(torch.ones([3, 2], { dtype: float64 }))).toThrow(/same dtype/);
    expect(() => F.linear(x, torch.ones([2, 2]))).toThrow(/linear: .*\[2, 3\].*\[2, 2\]/);
    expect(() => torch.einsum("ij,jk->iz", x, x.t())).toThrow(/einsum/);
  });
  test("unique rows with inverse and counts", () => {
    const x = torch.tensor([
      [2, 1],
      [1, 3],
      [2, 1],
    ]);
    const [out, inverse, counts] = torch.unique(x, { dim: 0, return_inverse: true, return_counts: true }) as Tensor[];
    expect(numbers(out!)).toEqual([1, 3, 2, 1]);
    expect(numbers(inverse!)).toEqual([1, 0, 1]);
    expect(numbers(counts!)).toEqual([1, 2]);
  });
});

describe("strided inputs give what dense ones give", () => {
  torch.manual_seed(0);
  const dense = torch.randn([4, 5, 6]);
  const strided = dense.permute([2, 0, 1]).contiguous().permute([1, 2, 0]).repeat([1, 1, 2]).slice(2, 0, 6);
  const part = torch.stack([dense, dense], 3).select(3, 1);
  const functions: Record<string, (x: Tensor) => Tensor> = {
    sum: (x) => x.sum([0, 2]),
    prod: (x) => x.prod(1),
    var: (x) => x.var([1, 2]),
    "max indices": (x) => x.max(1).indices,
    argmin: (x) => x.argmin(),
    cumsum: (x) => x.cumsum(1),
    "cummax indices": (x) => x.cummax(0).indices,
    sort: (x) => x.sort(1).indices,
    topk: (x) => x.topk(3, 0).values,
    median: (x) => x.median(),
    kthvalue: (x) => x.kthvalue(2, 1).values,
    unique: (x) => torch.unique(x.mul(2).round()),
    norm: (x) => x.norm(3, 1),
    logsumexp: (x) => x.logsumexp(1),
    matmul: (x) => x.matmul(x.mT),
    linear: (x) => F.linear(x, x.select(0, 0), x.select(0, 1).select(1, 2)),
    searchsorted: (x) => torch.searchsorted(x.sort(1).values.transpose(1, 2), x.transpose(1, 2)),
    quantile: (x) => x.quantile(0.3, 1),
    histc: (x) => torch.histc(x, 5),
    "any over two dims": (x) => x.gt(1.5).any([0, 2]),
  };
  for (const [name, f] of Object.entries(functions)) {
    test(name, () => {
      const want = f(dense);
      for (const x of [strided, part]) {
        const got = f(x);
        expect(got.shape).toEqual(want.shape);
        close(numbers(got), numbers(want), 1e-5, name);
      }
    });
  }
});
