/** The adapters between kernel specs and the planners of the C++ kernels, against plain loops in float64. */

import { describe, expect, it } from "vitest";
import { float64, int64, int8 } from "../../ts/core/dtype.ts";
import type { View } from "../../ts/core/device.ts";
import type { ConvParams, OptimizerParams, PoolParams } from "../../ts/kernel/spec.ts";
import { device, empty, exact, FLOATS, from, run, values } from "./device_tools.ts";

describe("matmul", () => {
  it.each([...FLOATS, int8])("of $name with a full bias", (dtype) => {
    const [batches, m, n, k] = [2, 5, 7, 6];
    const [a, b, c] = [exact([batches, m, k], 1), exact([k, n], 2), exact([batches, m, n], 3)];
    const bView: View = { ...from(dtype, [k, n], b), shape: [batches, k, n], strides: [0, n, 1] };
    for (const beta of [0, 2]) {
      const out = from(dtype, [batches, m, n], new Float64Array(batches * m * n).fill(1));
      const inputs = [from(dtype, [batches, m, k], a), bView, from(dtype, [batches, m, n], c)];
      run({ kind: "matmul", dtype, bias: true }, inputs, [out], { alpha: 1, beta });
      const got = values(out);
      for (let i = 0; i < batches * m * n; i++) {
        const [row, column] = [Math.floor(i / n), i % n];
        let sum = 0;
        for (let j = 0; j < k; j++) sum += a[row * k + j]! * b[j * n + column]!;
        const value = beta + sum + c[i]!;
        expect(got[i]).toBe(dtype === int8 ? (value << 24) >> 24 : value);
      }
    }
  });
});

describe("conv", () => {
  const params: ConvParams = { stride: [1, 2, 1], padding: [0, 1, 2], dilation: [1, 1, 2], groups: 2 };
  const [N, G, CI, CO] = [2, 2, 3, 2];
  const [input, kernel, output] = [
    [1, 7, 6],
    [1, 3, 2],
    [1, 4, 8],
  ];
  const shapes = { x: [N, G * CI, ...input], w: [G * CO, CI, ...kernel], y: [N, G * CO, ...output] };

  /** Calls `visit` with the positions in x, w and y of every product that a convolution consists of. */
  function products(visit: (x: number, w: number, y: number) => void): void {
    const at = (shape: readonly number[], ...index: number[]): number => index.reduce((p, i, d) => p * shape[d]! + i, 0);
    for (let b = 0; b < N; b++)
      for (let co = 0; co < G * CO; co++)
        for (let ci = 0; ci < CI; ci++)
          for (let oy = 0; oy < output[1]!; oy++)
            for (let ox = 0; ox < output[2]!; ox++)
              for (let ky = 0; ky < kernel[1]!; ky++)
                for (let kx = 0; kx < kernel[2]!; kx++) {
                  const iy = oy * params.stride[1] - params.padding[1] + ky * params.dilation[1];
                  const ix = ox * params.stride[2] - params.padding[2] + kx * params.dilation[2];
                  if (iy < 0 || ix < 0 || iy >= input[1]! || ix >= input[2]!) continue;
                  const channel = Math.floor(co / CO) * CI + ci;
                  visit(at(shapes.x, b, channel, 0, iy, ix), at(shapes.w, co, ci, 0, ky, kx), at(shapes.y, b, co, 0, oy, ox));
                }
  }

  it.each(FLOATS)("of $name: forward and both gradients", (dtype) => {
    const [x, w, gy, bias] = [exact(shapes.x, 1), exact(shapes.w, 2), exact(shapes.y, 3), exact([G * CO], 4)];
    const perChannel = output[1]! * output[2]!;
    const y = Float64Array.from(gy, (_, i) => bias[Math.floor(i / perChannel) % (G * CO)]!);
    const [gx, gw] = [new Float64Array(x.length), new Float64Array(w.length)];
    products((i, j, o) => {
      y[o]! += x[i]! * w[j]!;
      gx[i]! += gy[o]! * w[j]!;
      gw[j]! += gy[o]! * x[i]!;
    });
    const [xv, wv, gyv] = [from(dtype, shapes.x, x), from(dtype, shapes.w, w), from(dtype, shapes.y, gy)];
    const [yv, gxv, gwv] = [empty(dtype, shapes.y), empty(dtype, shapes.x), empty(dtype, shapes.w)];
    run({ kind: "conv", mode: "forward", dtype, bias: true }, [xv, wv, from(dtype, [G * CO], bias)], [yv], params);
    run({ kind: "conv", mode: "input_grad", dtype, bias: false }, [gyv, wv], [gxv], params);
    run({ kind: "conv", mode: "weight_grad", dtype, bias: false }, [gyv, xv], [gwv], params);
    const rounded = (exactly: Float64Array): Float64Array => values(from(dtype, [exactly.length], exactly));
    expect(values(yv)).toEqual(rounded(y));
    expect(values(gxv)).toEqual(rounded(gx));
    expect(values(gwv)).toEqual(rounded(gw));
  });

  it("of integers is an error that says what to do", () => {
    expect(() => device.prepare({ kind: "conv", mode: "forward", dtype: int8, bias: false })).toThrow(
      "conv: no cpu kernel for torch.int8; convert to a floating dtype",
    );
  });
});

describe("optimizer", () => {
  const params: OptimizerParams = {
    lr: 0.1,
    momentum: 0.9,
    dampening: 0.25,
    nesterov: false,
    beta1: 0.8,
    beta2: 0.9,
    eps: 1e-3,
    weight_decay: 0.05,
    maximize: false,
    step: 1,
  };
  const [start, gradient] = [exact([20], 1), exact([20], 2)];

  function expectClose(view: View, expected: Float64Array, tolerance: number): void {
    values(view).forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(tolerance));
  }

  it.each(FLOATS)("sgd with momentum in $name, two steps", (dtype) => {
    const [p, buffer, g] = [from(dtype, [20], start), empty(dtype, [20]), from(dtype, [20], gradient)];
    const [expected, momentum] = [start.slice(), new Float64Array(20)];
    for (let step = 1; step <= 2; step++) {
      run({ kind: "optimizer", op: "sgd", dtype }, [g], [p, buffer], { ...params, step });
      for (let i = 0; i < 20; i++) {
        const d = gradient[i]! + params.weight_decay * expected[i]!;
        momentum[i] = step === 1 ? d : params.momentum * momentum[i]! + (1 - params.dampening) * d;
        expected[i]! -= params.lr * momentum[i]!;
      }
    }
    expectClose(p, expected, dtype.itemsize === 2 ? 0.06 : 1e-5);
  });

  it.each([
    ["adam", false],
    ["adam", true],
    ["adamw", false],
  ] as const)("%s (amsgrad: %s) over two parameters at once, three steps", (op, amsgrad) => {
    const count = amsgrad ? 4 : 3;
    const zeros = new Float64Array(20);
    const outputs = [0, 1].flatMap((k) =>
      Array.from({ length: count }, (_, s) => from(float64, [20], s === 0 ? start.map((v) => v + k) : zeros)),
    );
    const gradients = [
      from(float64, [20], gradient),
      from(
        float64,
        [20],
        gradient.map((v) => -2 * v),
      ),
    ];
    const expected = [0, 1].map((k) => start.map((v) => v + k));
    const [m, v, most] = [0, 1, 2].map(() => [new Float64Array(20), new Float64Array(20)]) as [
      Float64Array[],
      Float64Array[],
      Float64Array[],
    ];
    for (let step = 1; step <= 3; step++) {
      run({ kind: "optimizer", op, dtype: float64 }, gradients, outputs, { ...params, step });
      for (let k = 0; k < 2; k++)
        for (let i = 0; i < 20; i++) {
          const [p, decay] = [expected[k]!, params.weight_decay];
          let g = gradient[i]! * (k === 0 ? 1 : -2);
          if (op === "adam") g += decay * p[i]!;
          else p[i]! *= 1 - params.lr * decay;
          m[k]![i] = params.beta1 * m[k]![i]! + (1 - params.beta1) * g;
          v[k]![i] = params.beta2 * v[k]![i]! + (1 - params.beta2) * g * g;
          most[k]![i] = Math.max(most[k]![i]!, v[k]![i]!);
          const second = (amsgrad ? most : v)[k]![i]!;
          const denominator = Math.sqrt(second) / Math.sqrt(1 - params.beta2 ** step) + params.eps;
          p[i]! -= ((params.lr / (1 - params.beta1 ** step)) * m[k]![i]!) / denominator;
        }
    }
    expectClose(outputs[0]!, expected[0]!, 1e-9);
    expectClose(outputs[count]!, expected[1]!, 1e-9);
    expectClose(outputs[count + 2]!, v[1]!, 1e-9);
  });
});

describe("pool", () => {
  const params: PoolParams = {
    kernel: [1, 3, 2],
    stride: [1, 2, 2],
    padding: [0, 1, 0],
    dilation: [1, 1, 1],
    count_include_pad: false,
    divisor_override: 0,
  };
  const [xShape, yShape, planes] = [[2, 3, 1, 5, 6], [2, 3, 1, 3, 3], 6];
  const [x, g] = [exact(xShape, 1), exact(yShape, 2)];

  /** Calls `visit` with each output's position and those of its window's inputs. */
  function windows(bounds: (o: number, axis: 0 | 1) => [number, number], visit: (out: number, inputs: number[]) => void): void {
    for (let p = 0; p < planes; p++)
      for (let oy = 0; oy < 3; oy++)
        for (let ox = 0; ox < 3; ox++) {
          const [[y0, y1], [x0, x1]] = [bounds(oy, 0), bounds(ox, 1)];
          const inputs: number[] = [];
          for (let iy = y0; iy < y1; iy++) for (let ix = x0; ix < x1; ix++) inputs.push(p * 30 + iy * 6 + ix);
          visit(p * 9 + oy * 3 + ox, inputs);
        }
  }
  const plain = (o: number, axis: 0 | 1): [number, number] =>
    axis === 0 ? [Math.max(0, o * 2 - 1), Math.min(5, o * 2 + 2)] : [o * 2, o * 2 + 2];
  const adaptive = (o: number, axis: 0 | 1): [number, number] => {
    const n = axis === 0 ? 5 : 6;
    return [Math.floor((o * n) / 3), Math.ceil(((o + 1) * n) / 3)];
  };

  it.each(FLOATS)("max in $name: values, indices and gradient; adaptive as well", (dtype) => {
    for (const [mode, bounds] of [
      ["max", plain],
      ["adaptive_max", adaptive],
    ] as const) {
      const [y, at, gx] = [new Float64Array(54), new Float64Array(54), new Float64Array(180)];
      windows(bounds, (out, inputs) => {
        const best = inputs.reduce((a, b) => (x[b]! > x[a]! ? b : a));
        y[out] = x[best]!;
        at[out] = best % 30;
        gx[best]! += g[out]!;
      });
      const [yv, indices, gxv] = [empty(dtype, yShape), empty(int64, yShape), empty(dtype, xShape)];
      run({ kind: "pool", mode, dtype }, [from(dtype, xShape, x)], [yv, indices], params);
      expect(values(yv)).toEqual(y);
      expect(values(indices)).toEqual(at);
      run({ kind: "pool", mode: "max_backward", dtype }, [from(dtype, yShape, g), indices], [gxv], params);
      expect(values(gxv)).toEqual(gx);
    }
  });

  it.each([
    ["avg", plain],
    ["adaptive_avg", adaptive],
  ] as const)("%s and its gradient", (mode, bounds) => {
    const [y, gx] = [new Float64Array(54), new Float64Array(180)];
    windows(bounds, (out, inputs) => {
      for (const i of inputs) {
        y[out]! += x[i]! / inputs.length;
        gx[i]! += g[out]! / inputs.length;
      }
    });
    const [yv, gxv] = [empty(float64, yShape), empty(float64, xShape)];
    run({ kind: "pool", mode, dtype: float64 }, [from(float64, xShape, x)], [yv], params);
    run({ kind: "pool", mode: `${mode}_backward`, dtype: float64 }, [from(float64, yShape, g)], [gxv], params);
    values(yv).forEach((value, i) => expect(value).toBeCloseTo(y[i]!, 12));
    values(gxv).forEach((value, i) => expect(value).toBeCloseTo(gx[i]!, 12));
  });
});
