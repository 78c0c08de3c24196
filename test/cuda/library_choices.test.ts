/** When a product goes to a library, and how it is described to it: without a device. */

import { describe, expect, it } from "vitest";
import type { View } from "../../ts/core/device.ts";
import { LibraryChoices, type LibraryQueue } from "../../gpu/cuda/libraries.ts";
import { convProblem } from "../../gpu/cuda/library_conv.ts";
import { matmulProblem } from "../../gpu/cuda/library_matmul.ts";
import { float32 } from "../../ts/core/dtype.ts";

/** A queue on which runs take the milliseconds that they say; null: the library's call fails. */
class FakeQueue implements LibraryQueue {
  readonly cublasLt = null;
  readonly cudnn = null;
  capturing = false;
  readonly ran: string[] = [];
  forgotten = 0;
  #clock: number | null = 0;

  work(name: string, ms: number | null): () => void {
    return () => {
      this.ran.push(name);
      this.#clock = ms === null || this.#clock === null ? null : this.#clock + ms;
    };
  }
  time(run: () => void): number {
    return this.timeCalls(run)!;
  }
  timeCalls(run: () => void): number | null {
    this.#clock = 0;
    run();
    const ms = this.#clock;
    this.#clock = 0;
    return ms;
  }
  matmul(): void {}
  conv(): void {}
  forgetPlans(): void {
    this.forgotten++;
  }
}

function setUp(own: number, ...library: (number | null | readonly [call: number, finish: number])[]) {
  const queue = new FakeQueue();
  const choices = new LibraryChoices(queue);
  const way = (i: number): { call: () => void; finish: (() => void) | null } | null => {
    const ms = library[i];
    if (ms === undefined) return null;
    if (ms === null || typeof ms === "number") return { call: queue.work(`library ${i}`, ms), finish: null };
    return { call: queue.work(`library ${i}`, ms[0]), finish: queue.work(`finish ${i}`, ms[1]) };
  };
  /** What computes a result of this shape: its last run. */
  const run = (kind: string, exact: string): string => {
    queue.ran.length = 0;
    choices.runFastest(kind, exact, queue.work("own", own), way, 8);
    return queue.ran.at(-1)!;
  };
  return { queue, choices, run };
}

describe("the choice", () => {
  it("falls on the fastest, which computes the result at last", () => {
    expect(setUp(5, 3, 2, 4).run("k", "e")).toBe("library 1");
    expect(setUp(1, 3, 2, 4).run("k", "e")).toBe("own");
    expect(setUp(5).run("k", "e")).toBe("own");
    expect(setUp(5, null, 4).run("k", "e")).toBe("library 1");
    expect(setUp(5, null).run("k", "e")).toBe("own");
  });
  it("counts what finishes the library's work", () => {
    expect(setUp(5, [2, 4], [4, 0.5]).run("k", "e")).toBe("finish 1");
    expect(setUp(5, [2, 4]).run("k", "e")).toBe("own");
  });
  it("stays for all shapes of a kind: the candidate for the shape that was tried, the first for others", () => {
    const { queue, choices, run } = setUp(5, 3, 2);
    expect(run("k", "e")).toBe("library 1");
    expect(run("k", "e")).toBe("library 1");
    expect(queue.ran).toEqual(["library 1"]);
    expect(run("k", "other")).toBe("library 0");
    expect(queue.ran).toEqual(["library 0"]);
    expect(choices.timed).toBe(1);
    run("another kind", "e");
    expect(choices.timed).toBe(2);
  });
  it("does not time on what is hopeless", () => {
    const { queue, run } = setUp(1, 1000, 0.5);
    expect(run("k", "e")).toBe("library 1");
    expect(queue.ran.filter((name) => name === "library 0")).toHaveLength(1);
  });
  it("is put off while a graph is captured", () => {
    const { queue, choices, run } = setUp(1, 3);
    queue.capturing = true;
    expect(run("k", "e")).toBe("library 0");
    expect(queue.ran).toEqual(["library 0"]);
    expect(choices.timed).toBe(0);
    queue.capturing = false;
    expect(run("k", "e")).toBe("own");
  });
  it("plans are made once, and forgotten when there are too many, but not within a capture", () => {
    const { queue, choices } = setUp(1);
    let made = 0;
    const plan = (key: string): unknown => choices.plan(key, () => ({ plan: made++, workspace: 0 }));
    expect(plan("a")).toEqual({ plan: 0, workspace: 0 });
    expect(plan("a")).toEqual({ plan: 0, workspace: 0 });
    for (let i = 0; i < 4095; i++) plan(`b${i}`);
    expect(queue.forgotten).toBe(0);
    queue.capturing = true;
    plan("c");
    expect(queue.forgotten).toBe(0);
    queue.capturing = false;
    plan("d");
    expect(queue.forgotten).toBe(1);
    expect(plan("a")).not.toEqual({ plan: 0, workspace: 0 });
  });
});

const view = (shape: number[], strides: number[]): View => ({ buffer: null as never, dtype: float32, shape, strides, offset: 0 });

/** Which element of memory the library takes for an entry of an operand. */
const place = (
  transposed: boolean,
  ld: number,
  stride: number,
  [batch, row, column]: readonly [number, number, number],
): number => batch * stride + (transposed ? column * ld + row : row * ld + column);

/** Checks the description of both operands element by element against the views. */
function describes(a: View, b: View): boolean {
  const [batch, m, k] = a.shape as [number, number, number];
  const n = b.shape[2]!;
  const all = Math.max(batch, b.shape[0]!);
  const problem = matmulProblem([a, b], view([all, m, n], [m * n, n, 1]));
  if (problem === null) return false;
  expect(problem.m * problem.batch).toBe(m * all);
  expect([problem.n, problem.k]).toEqual([n, k]);
  expect(problem.lda).toBeGreaterThanOrEqual(problem.transA ? problem.m : k);
  expect(problem.ldb).toBeGreaterThanOrEqual(problem.transB ? k : n);
  for (let i = 0; i < all; i++) {
    const at = (v: View, row: number, column: number): number =>
      (v.shape[0] === 1 ? 0 : i * v.strides[0]!) + row * v.strides[1]! + column * v.strides[2]!;
    for (let q = 0; q < k; q++) {
      for (let row = 0; row < m; row++) {
        // Rows of batches that were joined go on.
        const [entry, line] = problem.batch === all ? [i, row] : [0, i * m + row];
        expect(place(problem.transA, problem.lda, problem.strideA, [entry, line, q])).toBe(at(a, row, q));
      }
      for (let column = 0; column < n; column++) {
        const entry = problem.batch === all ? i : 0;
        expect(place(problem.transB, problem.ldb, problem.strideB, [entry, q, column])).toBe(at(b, q, column));
      }
    }
  }
  return true;
}

describe("operands as cuBLASLt gets them", () => {
  const b = view([1, 4, 3], [0, 3, 1]);
  it.each([
    ["rows", view([1, 5, 4], [0, 4, 1])],
    ["columns", view([1, 5, 4], [0, 1, 5])],
    ["rows apart", view([1, 5, 4], [0, 9, 1])],
    ["columns apart", view([1, 5, 4], [0, 1, 11])],
    ["one row", view([1, 1, 4], [0, 0, 1])],
    ["one row with gaps", view([1, 1, 4], [0, 7, 2])],
    ["batches that are one matrix", view([3, 5, 4], [20, 4, 1])],
    ["batches of one row", view([3, 1, 4], [9, 4, 1])],
    ["the same matrix again", view([3, 5, 4], [0, 4, 1])],
    ["batches by columns", view([3, 5, 4], [20, 1, 5])],
  ])("%s", (_, a) => expect(describes(a, b)).toBe(true));

  it.each([
    ["several", view([3, 4, 6], [24, 6, 1])],
    ["transposed", view([3, 4, 6], [24, 1, 4])],
    ["one column", view([3, 4, 1], [8, 2, 5])],
    ["one column along memory", view([3, 4, 1], [4, 1, 1])],
  ])("second operands: %s", (_, second) => expect(describes(view([3, 2, 4], [8, 4, 1]), second)).toBe(true));

  it("are refused where neither rows nor columns lie dense, or lines overlap", () => {
    expect(describes(view([1, 5, 4], [0, 8, 2]), b)).toBe(false);
    expect(describes(view([1, 5, 4], [0, 0, 1]), b)).toBe(false);
    expect(describes(view([1, 5, 4], [0, 1, 0]), b)).toBe(false);
    expect(describes(view([1, 5, 4], [0, 2, 1]), b)).toBe(false);
  });

  it("take a bias of one vector only", () => {
    const [a, out] = [view([1, 5, 4], [0, 4, 1]), view([1, 5, 3], [15, 3, 1])];
    expect(matmulProblem([a, b, view([1, 5, 3], [0, 0, 1])], out)).not.toBeNull();
    expect(matmulProblem([a, b, view([1, 5, 3], [0, 1, 0])], out)).toBeNull();
    expect(matmulProblem([a, b, view([1, 5, 3], [15, 3, 1])], out)).toBeNull();
    expect(matmulProblem([a, b, view([1, 5, 3], [0, 0, 0])], out)).toBeNull();
  });
});

describe("convolutions as cuDNN gets them", () => {
  const dense = (...shape: number[]): View =>
    view(
      shape,
      shape.map((_, i) => shape.slice(i + 1).reduce((p, n) => p * n, 1)),
    );
  const params = { stride: [1, 2, 1], padding: [0, 1, 0], dilation: [1, 1, 2], groups: 2 } as const;
  const [x, w, y] = [dense(2, 4, 1, 6, 7), dense(6, 2, 1, 3, 2), dense(2, 6, 1, 3, 5)];
  const flat = {
    input: [2, 4, 6, 7],
    weight: [6, 2, 3, 2],
    output: [2, 6, 3, 5],
    stride: [2, 1],
    padding: [1, 0],
    dilation: [1, 2],
  };

  it("have two dims where the third is none, in every direction", () => {
    const work = 2 * 6 * 15 * 2 * 6;
    expect(convProblem("forward", [x, w], y, params)).toEqual({ mode: "forward", ...flat, groups: 2, work });
    expect(convProblem("input_grad", [y, w], x, params)).toEqual({ mode: "input_gradient", ...flat, groups: 2, work });
    expect(convProblem("weight_grad", [y, x], w, params)).toEqual({ mode: "weight_gradient", ...flat, groups: 2, work });
  });
  it("and three where there are three", () => {
    const deep = convProblem("forward", [dense(1, 4, 2, 6, 7), w], dense(1, 6, 2, 3, 5), params);
    expect([deep.input, deep.stride]).toEqual([
      [1, 4, 2, 6, 7],
      [1, 2, 1],
    ]);
    const padded = convProblem("forward", [x, w], dense(2, 6, 3, 3, 5), { ...params, padding: [1, 1, 0] });
    expect(padded.output).toEqual([2, 6, 3, 3, 5]);
  });
});
