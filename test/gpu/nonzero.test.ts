import { describe, it } from "vitest";
import { bool, type DType, float16, float32, float64, int64, uint8 } from "../../ts/core/dtype.ts";
import type { NonzeroSpec } from "../../ts/kernel/spec.ts";
import { check, cpu, devices, empty, evaluate, integers, type Operand, permuted, supports, tensor } from "./harness.ts";

const spec = (mode: NonzeroSpec["mode"], dtype: DType): NonzeroSpec => ({ kind: "nonzero", mode, dtype });

describe.each(devices)("nonzero on $name", (target) => {
  /** Counts, then lists. */
  async function both(x: Operand): Promise<void> {
    if (!supports(target, { inputs: [x], outputs: [] })) return;
    const count = { spec: spec("count", x.dtype), inputs: [x], outputs: [empty(int64, [1])], params: null };
    await check(target, count);
    const [n] = (await evaluate(cpu, count))[0]!;
    const outputs = [empty(int64, [n!, x.shape.length])];
    await check(target, { spec: spec("write", x.dtype), inputs: [x], outputs, params: null });
  }

  it.each([float32, float16, float64, int64, uint8, bool])("of %s", async (dtype) => {
    await both(tensor(dtype, [4, 5, 3], integers(60, 1, 0, 2)));
    await both(permuted(tensor(dtype, [4, 5, 3], integers(60, 2, 0, 2)), 2, 0, 1));
  });

  it("NaN counts, zeros of both signs do not, and the smallest numbers do", async () => {
    await both(tensor(float32, [6], [NaN, 0, -0, 1e-45, -Infinity, -1]));
  });

  it("none, all, many, a single element", async () => {
    await both(tensor(float32, [70], new Float64Array(70)));
    await both(tensor(float32, [70], new Float64Array(70).fill(3)));
    await both(tensor(float32, [], [3]));
    await both(tensor(float32, [], [0]));
    await both(tensor(float32, [0, 3], []));
    if (!target.slow) await both(tensor(uint8, [300, 500], integers(150000, 3, 0, 3)));
  });
});
