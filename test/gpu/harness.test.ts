import { describe, expect, it } from "vitest";
import { bfloat16, bool, float16, float32, float64, int32, int64, uint8 } from "../../ts/core/dtype.ts";
import { cast, load, op } from "../../ts/kernel/expr.ts";
import { check, compare, devices, empty, integers, permuted, tensor, uniform } from "./harness.ts";

describe.each(devices)("the harness on $name", (target) => {
  it.each([float16, bfloat16, float32, float64, int32, int64, uint8])("adds %s as the cpu does", async (dtype) => {
    const x = tensor(dtype, [3, 5], integers(15, 1, 0, 9));
    const y = permuted(tensor(dtype, [5, 3], integers(15, 2, 0, 9)), 1, 0);
    const outputs = [op("add", dtype, load(0, dtype), load(1, dtype))];
    const spec = { kind: "map", inputs: [dtype, dtype], scalars: 0, outputs } as const;
    await check(target, { spec, inputs: [x, y], outputs: [empty(dtype, [3, 5])], params: { scalars: [] } });
    const add = { spec, inputs: [x, tensor(dtype, [3, 5], integers(15, 3, 0, 9))], outputs: [0], params: { scalars: [] } };
    await check(target, add); // in place
  });
  it("casts to bool", async () => {
    const spec = { kind: "map", inputs: [float32], scalars: 0, outputs: [cast(load(0, float32), bool)] } as const;
    const x = tensor(float32, [6], [0, 1, -0, 0.5, NaN, Infinity]);
    await check(target, { spec, inputs: [x], outputs: [empty(bool, [6])], params: { scalars: [] } });
  });
});

it("comparisons see what differs", () => {
  expect(() => compare(new Float64Array([1, NaN]), new Float64Array([1, NaN]), float32)).not.toThrow();
  expect(() => compare(new Float64Array([1]), new Float64Array([1.001]), float32)).toThrow("[0] is 1, expected 1.001");
  expect(() => compare(new Float64Array([1]), new Float64Array([NaN]), float32)).toThrow("1 of 1 elements differ");
  expect(() => compare(new Float64Array([1e30]), new Float64Array([Infinity]), float32)).toThrow("differ");
  expect(uniform(1000, 1).reduce((a, b) => a + b) / 1000).toBeCloseTo(0, 1);
});
