import { describe, expect, test } from "vitest";
import { convForward, convInputGrad, convWeightGrad, type Conv, type ConvShape } from "../../wasm/device/cpp/conv.ts";
import { Harness, randomF64, variants, worstError } from "./cpp_harness.ts";

type Triple = [number, number, number];
function shape(
  batch: number,
  groups: number,
  cin: number,
  cout: number,
  input: Triple,
  kernel: Triple,
  stride: Triple,
  padding: Triple,
  dilation: Triple,
): ConvShape {
  const output = input.map(
    (n, i) => Math.floor((n + 2 * padding[i]! - dilation[i]! * (kernel[i]! - 1) - 1) / stride[i]!) + 1,
  ) as Triple;
  return { batch, groups, cin, cout, input, output, kernel, stride, padding, dilation };
}

const one: Triple = [1, 1, 1];
const none: Triple = [0, 0, 0];
const shapes: [string, ConvShape][] = [
  ["3x3", shape(2, 1, 5, 7, [1, 12, 13], [1, 3, 3], one, [0, 1, 1], one)],
  ["5x5, one channel", shape(5, 1, 1, 6, [1, 14, 14], [1, 5, 5], one, none, one)],
  ["stride 2, merged images", shape(3, 1, 4, 9, [1, 9, 8], [1, 3, 3], [1, 2, 2], [0, 1, 1], one)],
  ["stride 3, dilation 2", shape(2, 2, 3, 4, [1, 17, 19], [1, 3, 2], [1, 3, 2], [0, 2, 1], [1, 2, 3])],
  ["padding beyond the kernel", shape(2, 1, 2, 3, [1, 3, 4], [1, 2, 2], one, [0, 4, 3], one)],
  ["1x1", shape(2, 1, 6, 5, [1, 9, 11], one, one, none, one)],
  ["1x1 groups", shape(2, 3, 2, 5, [1, 9, 11], one, one, none, one)],
  ["1d", shape(2, 1, 3, 4, [1, 1, 50], [1, 1, 7], one, [0, 0, 3], one)],
  ["3d", shape(2, 1, 2, 3, [5, 6, 7], [2, 3, 3], [2, 1, 2], [1, 0, 1], [1, 2, 1])],
  ["depthwise", shape(2, 6, 1, 1, [1, 11, 10], [1, 3, 3], one, [0, 1, 1], one)],
  ["depthwise, stride, multiplier", shape(2, 3, 1, 2, [1, 11, 10], [1, 3, 3], [1, 2, 2], [0, 1, 1], one)],
  ["deep", shape(9, 1, 40, 130, [1, 7, 7], [1, 3, 3], one, [0, 1, 1], one)],
];

/** Visits every multiply of the convolution: x index, w index, y index. */
function each(s: ConvShape, visit: (x: number, w: number, y: number) => void): void {
  const [ID, IH, IW] = s.input;
  const [OD, OH, OW] = s.output;
  const [KD, KH, KW] = s.kernel;
  for (let n = 0; n < s.batch; n++)
    for (let co = 0; co < s.groups * s.cout; co++)
      for (let od = 0; od < OD; od++)
        for (let oh = 0; oh < OH; oh++)
          for (let ow = 0; ow < OW; ow++)
            for (let c = 0; c < s.cin; c++)
              for (let kd = 0; kd < KD; kd++)
                for (let kh = 0; kh < KH; kh++)
                  for (let kw = 0; kw < KW; kw++) {
                    const d = od * s.stride[0] - s.padding[0] + kd * s.dilation[0];
                    const h = oh * s.stride[1] - s.padding[1] + kh * s.dilation[1];
                    const w = ow * s.stride[2] - s.padding[2] + kw * s.dilation[2];
                    if (d < 0 || d >= ID || h < 0 || h >= IH || w < 0 || w >= IW) continue;
                    const channel = Math.floor(co / s.cout) * s.cin + c;
                    visit(
                      (((n * s.groups * s.cin + channel) * ID + d) * IH + h) * IW + w,
                      (((co * s.cin + c) * KD + kd) * KH + kh) * KW + kw,
                      (((n * s.groups * s.cout + co) * OD + od) * OH + oh) * OW + ow,
                    );
                  }
}

describe.each(variants())("conv (%s)", (variant) => {
  const h = new Harness(variant);
  test.each(shapes)("%s: forward and both gradients", (_, s) => {
    const volume = (t: readonly number[]): number => t.reduce((a, b) => a * b, 1);
    const nx = s.batch * s.groups * s.cin * volume(s.input);
    const nw = s.groups * s.cout * s.cin * volume(s.kernel);
    const ny = s.batch * s.groups * s.cout * volume(s.output);
    const [x, w, y, bias, inBias] = [
      randomF64(nx, 1),
      randomF64(nw, 2),
      randomF64(ny, 3),
      randomF64(s.groups * s.cout, 4),
      randomF64(s.groups * s.cin, 5),
    ];
    const wantY = Float64Array.from({ length: ny }, (_, i) => bias[Math.floor(i / volume(s.output)) % (s.groups * s.cout)]!);
    const wantX = Float64Array.from({ length: nx }, (_, i) => inBias[Math.floor(i / volume(s.input)) % (s.groups * s.cin)]!);
    const wantW = new Float64Array(nw);
    each(s, (ix, iw, iy) => {
      wantY[iy]! += x[ix]! * w[iw]!;
      wantX[ix]! += y[iy]! * w[iw]!;
      wantW[iw]! += y[iy]! * x[ix]!;
    });
    for (const dtype of ["f32", "f64"] as const)
      for (const reversed of [false, true]) {
        h.clear();
        h.reversed = reversed;
        const bytes = dtype === "f32" ? 4 : 8;
        const put = (a: Float64Array): number => h.put(dtype === "f32" ? Float32Array.from(a) : a);
        const blank = (length: number): number => {
          const ptr = h.workspace(length * bytes);
          h.heap.u8.fill(255, ptr, ptr + length * bytes);
          return ptr;
        };
        const get = (ptr: number, length: number): ArrayLike<number> =>
          dtype === "f32" ? h.f32(ptr, length) : h.f64(ptr, length);
        const conv: Conv = { dtype, shape: s, x: put(x), w: put(w), y: put(y) };
        const tolerance = dtype === "f32" ? 2e-5 : 1e-13;
        const forward = { ...conv, y: blank(ny), bias: put(bias) };
        convForward(h, forward);
        expect(worstError(get(forward.y, ny), wantY), `${dtype} forward`).toBeLessThan(tolerance);
        const input = { ...conv, x: blank(nx), bias: put(inBias) };
        convInputGrad(h, input);
        expect(worstError(get(input.x, nx), wantX), `${dtype} input gradient`).toBeLessThan(tolerance);
        const weight = { ...conv, w: blank(nw) };
        convWeightGrad(h, weight);
        expect(worstError(get(weight.w, nw), wantW), `${dtype} weight gradient`).toBeLessThan(tolerance);
      }
  });
});
