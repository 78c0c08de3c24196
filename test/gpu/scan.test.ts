import { describe, it } from "vitest";
import { bfloat16, type DType, float16, float32, float64, int32, int64, int8, uint8 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { ScanOp } from "../../ts/kernel/spec.ts";
import { check, devices, empty, integers, type Operand, permuted, tensor, type Tolerance, uniform } from "./harness.ts";

const OPS: readonly ScanOp[] = ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"];

function outputs(op: ScanOp, dtype: DType, shape: readonly number[]): Operand[] {
  return op === "cummax" || op === "cummin" ? [empty(dtype, shape), empty(int64, shape)] : [empty(dtype, shape)];
}
/** Values whose products neither overflow nor vanish, and among which there are ties. */
function values(op: ScanOp, dtype: DType, size: number): Float64Array {
  if (!dtype.is_floating_point) return integers(size, size, dtype.is_signed ? -3 : 0, 4);
  if (op === "cumprod") return uniform(size, size, 0.995, 1.005);
  if (op === "cummax" || op === "cummin") return integers(size, size, -500, 500);
  return uniform(size, size, -1, 3);
}
/** All roundings of a product count. */
const bound = (op: ScanOp): Partial<Tolerance> => (op === "cumprod" ? { rtol: 1e-3 } : LOOSE);
const LOOSE: Partial<Tolerance> = { rtol: 3e-5, atol: 3e-5 };

describe.each(devices)("scan on $name", (target) => {
  const run = (
    op: ScanOp,
    x: Operand,
    out = x.shape,
    dtype = x.dtype,
    tolerance: Partial<Tolerance> = x.dtype === float32 ? LOOSE : {},
  ) =>
    check(target, {
      spec: { kind: "scan", op, input: x.dtype, dtype },
      inputs: [x],
      outputs: outputs(op, dtype, out),
      params: null,
      tolerance,
    });

  const shapes = [[1], [7], [3, 5], [2, 33], [5, 130], [3, 2, 1025], [1, 2500], [130, 17]];
  if (!target.slow) shapes.push([3000, 40], [2, 100000], [1, 1000003]);
  it.each(OPS)("%s over lines of any length", async (op) => {
    for (const shape of shapes)
      await run(op, tensor(float32, shape, values(op, float32, numelOf(shape))), shape, float32, bound(op));
  });
  it("long lines in segments", async () => {
    for (const op of OPS) await run(op, tensor(float32, [2, 20001], values(op, float32, 40002)));
  });
  it("other dtypes", async () => {
    for (const dtype of [float16, bfloat16, int32, int64, int8, uint8, float64]) {
      // (Every dtype and op is a program to compile.)
      for (const op of target.slow ? OPS : (["cumsum", "cummax"] as const)) {
        if (op === "logcumsumexp" && !dtype.is_floating_point) continue;
        await run(op, tensor(dtype, [3, 70], values(op, dtype, 210)));
      }
    }
    await run("cumsum", tensor(uint8, [2, 40], integers(80, 1, 0, 200)), [2, 40], int64);
    await run("cumsum", tensor(float16, [2, 40], uniform(80, 2)), [2, 40], float32, LOOSE);
  });
  it("views of any strides", async () => {
    const x = tensor(float32, [6, 5, 40], uniform(1200, 4));
    for (const op of OPS) {
      await run(op, permuted(x, 1, 2, 0));
      await run(op, permuted(x, 2, 0, 1));
      const step = { ...x, shape: [6, 20], strides: [200, 2], offset: 7 };
      await run(op, step);
      await run(op, { ...x, shape: [4, 30], strides: [0, 1], offset: 3 });
    }
    // Outputs along another dim, as ops write them.
    const spec = { kind: "scan", op: "cummax", input: float32, dtype: float32 } as const;
    const y = [empty(float32, [6, 5, 40]), empty(int64, [6, 5, 40])].map((o) => permuted(o, 2, 1, 0));
    await check(target, { spec, inputs: [permuted(x, 2, 1, 0)], outputs: y, params: null });
  });
  it("NaN, infinities and ties", async () => {
    const { NaN: nan, Infinity: inf } = globalThis;
    const lines = [
      [1, 1, 0, nan, 5, nan, 2, 2],
      [-inf, -inf, 0, 1, inf, inf, 2, -inf],
      [nan, 1, 2, 3, 3, 3, 0, -0],
      [-inf, -inf, -inf, -inf, -inf, -inf, -inf, -inf],
      [88, 89, 90, 100, -100, 100, 3e38, 1],
      [inf, 1, 2, 3, -inf, 3, 0, -0],
    ];
    for (const op of ["cummax", "cummin", "logcumsumexp"] as const) {
      await run(op, tensor(float32, [6, 8], lines.flat()));
      // The same with several threads to a line.
      const spread = lines.flatMap((line) => line.flatMap((v) => new Array<number>(9).fill(v)));
      await run(op, tensor(float32, [6, 72], spread));
    }
  });
  it("nothing", async () => {
    for (const op of OPS) await run(op, tensor(float32, [0, 4], []));
  });
});
