import { describe, expect, it } from "vitest";
import { bfloat16, type DType, float16, float32, float64, int64 } from "../../ts/core/dtype.ts";
import { IndexError } from "../../ts/core/errors.ts";
import type { RowwiseParams, RowwiseSpec } from "../../ts/kernel/spec.ts";
import { check, cpu, devices, download, empty, evaluate, integers, type Operand, tensor, uniform, upload } from "./harness.ts";

const PARAMS: RowwiseParams = { eps: 1e-5, groups: 1, ignore: -100, flag: true };
const loose = (dtype: DType): { rtol: number; atol: number } => {
  if (dtype === float64) return { rtol: 1e-12, atol: 1e-13 };
  if (dtype === float16) return { rtol: 4e-3, atol: 4e-3 };
  return dtype === bfloat16 ? { rtol: 3e-2, atol: 3e-2 } : { rtol: 2e-5, atol: 1e-5 };
};

const spec = (op: RowwiseSpec["op"], dtype: DType = float32, affine: 0 | 1 | 2 = 0): RowwiseSpec => ({
  kind: "rowwise",
  op,
  dtype,
  affine,
});
/** Random numbers; not at the start of their memory. */
function random(dtype: DType, shape: readonly number[], seed: number, low = -3, high = 3, offset = 0): Operand {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(dtype, shape, uniform(size + offset, seed, low, high), { offset });
}
const stats = (dtype: DType): DType => (dtype === float64 ? float64 : float32);

/** Rows that a thread, a subgroup or a workgroup takes; held in registers or not; in vectors or not. */
const SHAPES: readonly (readonly [number, number])[] = [
  [1, 1],
  [3, 5],
  [7, 10],
  [20, 12],
  [5, 64],
  [3, 130],
  [2, 768],
  [2, 4100],
  [1, 9001],
];
const DTYPES = [float32, float16, bfloat16, float64];

describe.each(devices)("rowwise on $name", (target) => {
  describe.each(SHAPES)("%i rows of %i", (rows, n) => {
    const dtypes = n === 10 || (target.slow && rows * n < 500) ? DTYPES : [float32];
    it("softmax, log_softmax and their gradients", async () => {
      for (const dtype of dtypes) {
        const x = random(dtype, [rows, n], 1, -8, 8);
        for (const op of ["softmax", "log_softmax"] as const) {
          const test = { spec: spec(op, dtype), inputs: [x], outputs: [empty(dtype, [rows, n])], params: PARAMS };
          await check(target, { ...test, tolerance: loose(dtype) });
          const y = (await evaluate(cpu, test))[0]!;
          const inputs = [random(dtype, [rows, n], 2), tensor(dtype, [rows, n], y)];
          const back = { ...test, spec: spec(`${op}_backward`, dtype), inputs, tolerance: loose(dtype) };
          await check(target, n > 2000 ? { ...back, tolerance: { rtol: 1e-4, atol: 1e-4 } } : back);
        }
      }
    });

    it("layer_norm and rms_norm with their gradients", async () => {
      for (const dtype of dtypes) {
        const x = random(dtype, [rows, n], 3, -1, 4);
        const [weight, bias] = [random(dtype, [n], 4), random(dtype, [n], 5)];
        const full = empty(dtype, [rows, n]);
        const each = empty(stats(dtype), [rows]);
        const tolerance = n < 4 ? { rtol: 1e-2, atol: 1e-2 } : loose(dtype);
        for (const affine of target.slow || n < 100 ? ([0, 1, 2] as const) : ([2] as const)) {
          const parameters = [weight, bias].slice(0, affine);
          const inputs = [x, ...parameters];
          const params = { ...PARAMS, eps: 1e-3 };
          const forward = { spec: spec("layer_norm", dtype, affine), inputs, outputs: [full, each, each], params, tolerance };
          await check(target, forward);
          const [, mean, rstd] = await evaluate(cpu, forward);
          const gy = random(dtype, [rows, n], 6);
          const saved = [tensor(stats(dtype), [rows], mean!), tensor(stats(dtype), [rows], rstd!)];
          await check(target, {
            spec: spec("layer_norm_backward", dtype, affine),
            inputs: [gy, x, ...saved, ...parameters.slice(0, 1)],
            outputs: [full, ...parameters.map(() => empty(dtype, [n]))],
            params,
            tolerance,
          });
          if (affine === 2) continue;
          const rms = { ...forward, spec: spec("rms_norm", dtype, affine), outputs: [full, each] };
          await check(target, rms);
          const root = tensor(stats(dtype), [rows], (await evaluate(cpu, rms))[1]!);
          await check(target, {
            spec: spec("rms_norm_backward", dtype, affine),
            inputs: [gy, x, root, ...parameters],
            outputs: [full, ...parameters.map(() => empty(dtype, [n]))],
            params,
            tolerance,
          });
        }
      }
    });

    it("cross_entropy and its gradient", async () => {
      for (const dtype of dtypes) {
        const x = random(dtype, [rows, n], 7, -8, 8);
        const targets = integers(rows, 8, 0, n);
        if (rows > 2) targets[1] = 3 % n; // ignored below
        const params = { ...PARAMS, ignore: rows > 2 ? 3 % n : -100 };
        const each = empty(dtype, [rows]);
        const inputs = [x, tensor(int64, [rows], targets)];
        const lse = empty(stats(dtype) === float64 ? float64 : dtype, [rows]);
        const forward = { spec: spec("cross_entropy", dtype), inputs, outputs: [each, lse], params, tolerance: loose(dtype) };
        await check(target, forward);
        const saved = tensor(lse.dtype, [rows], (await evaluate(cpu, forward))[1]!);
        await check(target, {
          spec: spec("cross_entropy_backward", dtype),
          inputs: [random(dtype, [rows], 9), ...inputs, saved],
          outputs: [empty(dtype, [rows, n])],
          params,
          tolerance: loose(dtype),
        });
      }
    });
  });

  it("weights' gradients over many rows, in blocks", async () => {
    for (const [rows, n] of target.slow
      ? [[150, 6]]
      : [
          [150, 6],
          [2000, 64],
          [1100, 36],
        ]) {
      const full = [rows!, n!];
      const inputs = [
        random(float32, full, 1),
        random(float32, full, 2),
        random(float32, [rows!], 3),
        random(float32, [rows!], 4, 0.5, 1),
      ];
      await check(target, {
        spec: spec("layer_norm_backward", float32, 2),
        inputs: [...inputs, random(float32, [n!], 5)],
        outputs: [empty(float32, full), empty(float32, [n!]), empty(float32, [n!])],
        params: PARAMS,
        tolerance: { rtol: 1e-4, atol: 1e-3 },
      });
    }
  });

  it("rows at odd places of memory", async () => {
    for (const offset of [3, 4]) {
      const x = random(float32, [3, 12], 1, -3, 3, offset);
      await check(target, { spec: spec("softmax"), inputs: [x], outputs: [empty(float32, [3, 12])], params: PARAMS });
      const weight = random(float32, [12], 2, -3, 3, offset === 3 ? 4 : 1);
      const outputs = [empty(float32, [3, 12]), empty(float32, [3]), empty(float32, [3])];
      await check(target, { spec: spec("layer_norm", float32, 1), inputs: [x, weight], outputs, params: PARAMS });
    }
  });

  it("NaN, infinities and large numbers as on the cpu", async () => {
    const [inf, nan] = [Infinity, NaN];
    const rows = [
      [1, 2, -inf, 3],
      [-inf, -inf, -inf, -inf],
      [1, inf, 2, 3],
      [1, nan, 2, 3],
      [3e38, -3e38, 1, 0],
      [-3.4e38, -3.4e38, -3.4e38, -3.4e38],
      [1000, 1001, 1002, 999],
      [nan, nan, nan, nan],
      [-1e-38, 0, -0, 1e-40],
      [inf, -inf, inf, 0],
    ];
    for (const width of [4, 5, 200]) {
      // Wider rows repeat the last number.
      const wide = rows.map((r) => [...r, ...Array<number>(width - 4).fill(r[0] === r[1] ? r[3]! : -inf)]);
      const x = tensor(float32, [rows.length, width], wide.flat());
      for (const op of ["softmax", "log_softmax"] as const) {
        await check(target, { spec: spec(op), inputs: [x], outputs: [empty(float32, [rows.length, width])], params: PARAMS });
      }
      const inputs = [x, tensor(int64, [rows.length], new Float64Array(rows.length).fill(2))];
      const forward = {
        spec: spec("cross_entropy"),
        inputs,
        outputs: [empty(float32, [10]), empty(float32, [10])],
        params: PARAMS,
      };
      await check(target, forward);
      const outputs = [empty(float32, [rows.length, width]), empty(float32, [10]), empty(float32, [10])];
      const norm = {
        spec: spec("layer_norm"),
        inputs: [tensor(float32, [4, width], wide.slice(0, 4).flat())],
        outputs,
        params: PARAMS,
      };
      const four = [empty(float32, [4, width]), empty(float32, [4]), empty(float32, [4])];
      await check(target, { ...norm, outputs: four });
    }
  });

  it("float64 beyond float32's range", async () => {
    const x = tensor(
      float64,
      [4, 4],
      [1e300, -1e300, 1, 0, -1e300, -1e300, -1e300, -1e300, 1e100, 1e100, -Infinity, 5, NaN, 1, 2, 3],
    );
    for (const op of ["softmax", "log_softmax"] as const) {
      await check(target, { spec: spec(op, float64), inputs: [x], outputs: [empty(float64, [4, 4])], params: PARAMS });
    }
  });

  it("statistics far from zero keep their digits", async () => {
    const x = tensor(float32, [3, 300], uniform(900, 1, 10000, 10001));
    const outputs = [empty(float32, [3, 300]), empty(float32, [3]), empty(float32, [3])];
    const tolerance = { rtol: 1e-3, atol: 1e-2 };
    await check(target, { spec: spec("layer_norm"), inputs: [x], outputs, params: PARAMS, tolerance });
    for (const shape of [
      [3, 4, 75],
      [150, 6, 1],
    ]) {
      const channels = shape[1]!;
      const stat = [empty(float32, [channels]), empty(float32, [channels])];
      const inputs = [tensor(float32, shape, uniform(900, 1, 10000, 10001))];
      await check(target, {
        spec: spec("batch_norm_stats"),
        inputs,
        outputs: stat,
        params: PARAMS,
        tolerance: { rtol: 1e-3, atol: 1e-5 },
      });
    }
  });

  describe.each([
    [3, 4, 5],
    [2, 3, 16],
    [5, 8, 1],
    [150, 3, 1],
    [1, 2, 300],
    [70, 2, 4],
    [4, 1, 1],
  ])("batch_norm of %i x %i x %i", (batch, channels, size) => {
    it("and its gradient", async () => {
      for (const dtype of target.slow || size === 5 ? DTYPES : [float32]) {
        const shape = [batch, channels, size];
        const stat = stats(dtype);
        const x = random(dtype, shape, 1, -1, 3);
        const tolerance = loose(dtype);
        const pair = [empty(stat, [channels]), empty(stat, [channels])];
        const forward = { spec: spec("batch_norm_stats", dtype), inputs: [x], outputs: pair, params: PARAMS, tolerance };
        await check(target, forward);
        const mean = random(stat, [channels], 2);
        const rstd = random(stat, [channels], 3, 0.5, 2);
        const parameters = [random(dtype, [channels], 4), random(dtype, [channels], 5)];
        for (const affine of [0, 1, 2] as const) {
          const own = parameters.slice(0, affine);
          const inputs = [x, mean, rstd, ...own];
          await check(target, {
            spec: spec("batch_norm", dtype, affine),
            inputs,
            outputs: [empty(dtype, shape)],
            params: PARAMS,
            tolerance,
          });
          for (const flag of [true, false]) {
            await check(target, {
              spec: spec("batch_norm_backward", dtype, affine),
              inputs: [random(dtype, shape, 6), x, mean, rstd, ...own.slice(0, 1)],
              outputs: [empty(dtype, shape), ...own.map(() => empty(dtype, [channels]))],
              params: { ...PARAMS, flag },
              tolerance: dtype === float32 ? { rtol: 1e-4, atol: 1e-4 } : tolerance,
            });
          }
        }
      }
    });
  });

  describe.each([
    [2, 2, 3, 5],
    [3, 2, 2, 4],
    [2, 3, 4, 1],
    [1, 1, 2, 200],
    [40, 1, 2, 6],
  ])("group_norm of %i images, %i groups of %i channels of %i", (batch, groups, each, size) => {
    it("and its gradient", async () => {
      for (const dtype of target.slow || size === 5 ? DTYPES : [float32]) {
        const shape = [batch * groups, each, size];
        const x = random(dtype, shape, 1, -1, 3);
        const stat = empty(stats(dtype), [batch * groups]);
        const params = { ...PARAMS, groups };
        const tolerance = dtype === float32 ? { rtol: 1e-4, atol: 1e-4 } : loose(dtype);
        const parameters = [random(dtype, [groups * each], 4), random(dtype, [groups * each], 5)];
        for (const affine of [0, 1, 2] as const) {
          const own = parameters.slice(0, affine);
          const outputs = [empty(dtype, shape), stat, stat];
          const forward = { spec: spec("group_norm", dtype, affine), inputs: [x, ...own], outputs, params, tolerance };
          await check(target, forward);
          const saved = (await evaluate(cpu, forward)).slice(1).map((v) => tensor(stat.dtype, [batch * groups], v));
          await check(target, {
            spec: spec("group_norm_backward", dtype, affine),
            inputs: [random(dtype, shape, 6), x, ...saved, ...own.slice(0, 1)],
            outputs: [empty(dtype, shape), ...own.map(() => empty(dtype, [groups * each]))],
            params,
            tolerance,
          });
        }
      }
    });
  });

  it("no rows, or rows of nothing", async () => {
    for (const shape of [
      [0, 4],
      [3, 0],
    ]) {
      const [rows, n] = shape as [number, number];
      const x = tensor(float32, shape, []);
      await check(target, { spec: spec("softmax"), inputs: [x], outputs: [empty(float32, shape)], params: PARAMS });
      const each = tensor(float32, [rows], new Float64Array(rows).fill(1));
      await check(target, {
        spec: spec("layer_norm_backward", float32, 2),
        inputs: [x, x, each, each, random(float32, [n], 1)],
        outputs: [empty(float32, shape), empty(float32, [n]), empty(float32, [n])],
        params: PARAMS,
      });
    }
    const none = tensor(float32, [0, 3, 5], []);
    const three = random(float32, [3], 1);
    await check(target, {
      spec: spec("batch_norm_backward", float32, 2),
      inputs: [none, none, three, three, three],
      outputs: [empty(float32, [0, 3, 5]), empty(float32, [3]), empty(float32, [3])],
      params: PARAMS,
    });
  });

  it("a target out of range is an error at the next read", async () => {
    const { device } = target;
    for (const bad of [5, -1]) {
      const views = [tensor(float32, [2, 5], uniform(10, 1)), tensor(int64, [2], [1, bad])].map((x) => upload(device, x));
      const outputs = [empty(float32, [2]), empty(float32, [2])].map((x) => upload(device, x));
      device.run(device.prepare(spec("cross_entropy")), views, outputs, PARAMS);
      const error: unknown = await download(outputs[0]!).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(IndexError);
      expect((error as Error).message).toBe(`cross_entropy: target ${bad} is out of bounds (expected 0 to 4, or -100 to ignore)`);
      await download(outputs[0]!); // told once
    }
  });
});
