import { describe, expect, it } from "vitest";
import type { DType } from "../../ts/core/dtype.ts";
import { bfloat16, float16, float32, float64 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { ConvSpec, Triple } from "../../ts/kernel/spec.ts";
import { type Case, check, devices, empty, evaluate, type Operand, tensor, uniform } from "./harness.ts";

interface Sizes {
  readonly batch?: number;
  /** Channels of one group. */
  readonly cin: number;
  readonly cout: number;
  readonly input: Triple;
  readonly kernel: Triple;
  readonly stride?: Triple;
  readonly padding?: Triple;
  readonly dilation?: Triple;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly dtype?: DType;
}

const one: Triple = [1, 1, 1];
const none: Triple = [0, 0, 0];
const dense = (dtype: DType, shape: readonly number[], seed: number): Operand =>
  tensor(dtype, shape, uniform(numelOf(shape), seed));

function conv(mode: ConvSpec["mode"], sizes: Sizes): Case<"conv"> {
  const {
    batch = 2,
    cin,
    cout,
    input,
    kernel,
    stride = one,
    padding = none,
    dilation = one,
    groups = 1,
    dtype = float32,
  } = sizes;
  const bias = sizes.bias === true && mode !== "weight_grad";
  const output = input.map((n, d) => Math.floor((n + 2 * padding[d]! - dilation[d]! * (kernel[d]! - 1) - 1) / stride[d]!) + 1);
  const x = [batch, cin * groups, ...input];
  const w = [cout * groups, cin, ...kernel];
  const y = [batch, cout * groups, ...output];
  const [inputs, result] = mode === "forward" ? [[x, w], y] : mode === "input_grad" ? [[y, w], x] : [[y, x], w];
  const operands = inputs.map((shape, i) => dense(dtype, shape, i));
  if (bias) operands.push(dense(dtype, [result[1]!], 7));
  const terms = mode === "weight_grad" ? batch * numelOf(output) : Math.max(cin, cout) * numelOf(kernel);
  return {
    spec: { kind: "conv", mode, dtype, bias },
    inputs: operands,
    outputs: [empty(dtype, result)],
    params: { stride, padding, dilation, groups },
    tolerance: dtype === float32 ? { atol: 1e-6 * Math.sqrt(terms) + 1e-6 } : {},
  };
}

const small: readonly [string, Sizes][] = [
  ["1d", { cin: 3, cout: 5, input: [1, 1, 11], kernel: [1, 1, 3], bias: true }],
  [
    "1d with everything",
    {
      cin: 2,
      cout: 3,
      input: [1, 1, 17],
      kernel: [1, 1, 4],
      stride: [1, 1, 3],
      padding: [0, 0, 2],
      dilation: [1, 1, 2],
      bias: true,
    },
  ],
  ["2d", { cin: 3, cout: 4, input: [1, 6, 5], kernel: [1, 3, 3], padding: [0, 1, 1], bias: true }],
  ["2d, no padding", { cin: 2, cout: 9, input: [1, 7, 6], kernel: [1, 3, 2] }],
  ["2d, stride 2", { cin: 3, cout: 4, input: [1, 8, 7], kernel: [1, 3, 3], padding: [0, 1, 1], stride: [1, 2, 2] }],
  [
    "2d, mixed",
    {
      cin: 2,
      cout: 3,
      input: [1, 9, 8],
      kernel: [1, 2, 3],
      padding: [0, 0, 2],
      stride: [1, 1, 2],
      dilation: [1, 3, 1],
      bias: true,
    },
  ],
  ["3d", { cin: 2, cout: 3, input: [4, 5, 3], kernel: [2, 3, 2], padding: [1, 0, 1], stride: [2, 1, 1], bias: true }],
  ["pointwise", { cin: 7, cout: 5, input: [1, 4, 5], kernel: [1, 1, 1], bias: true }],
  ["pointwise, stride 2", { cin: 3, cout: 5, input: [1, 5, 5], kernel: [1, 1, 1], stride: [1, 2, 2] }],
  ["groups", { cin: 2, cout: 3, groups: 3, input: [1, 5, 5], kernel: [1, 3, 3], padding: [0, 1, 1], bias: true }],
  ["depthwise", { cin: 1, cout: 1, groups: 6, input: [1, 5, 6], kernel: [1, 3, 3], padding: [0, 1, 1], bias: true }],
  ["depthwise, two each", { cin: 1, cout: 2, groups: 4, input: [1, 6, 5], kernel: [1, 3, 3], stride: [1, 2, 1] }],
  ["a kernel as large as the image", { cin: 2, cout: 20, input: [1, 4, 4], kernel: [1, 4, 4], bias: true }],
  ["a kernel that overhangs", { cin: 2, cout: 3, input: [1, 2, 2], kernel: [1, 5, 5], padding: [0, 3, 3] }],
  ["many channels", { batch: 1, cin: 18, cout: 20, input: [1, 5, 4], kernel: [1, 3, 3], padding: [0, 1, 1], bias: true }],
];
const large: readonly [string, Sizes][] = [
  ["digits", { batch: 64, cin: 1, cout: 16, input: [1, 8, 8], kernel: [1, 3, 3], padding: [0, 1, 1], bias: true }],
  ["32 channels", { batch: 5, cin: 32, cout: 40, input: [1, 17, 19], kernel: [1, 3, 3], padding: [0, 1, 1], bias: true }],
  [
    "depthwise",
    { batch: 3, cin: 1, cout: 1, groups: 33, input: [1, 20, 21], kernel: [1, 5, 5], padding: [0, 2, 2], stride: [1, 2, 2] },
  ],
];
const modes = ["forward", "input_grad", "weight_grad"] as const;

describe.each(devices)("conv on $name", (target) => {
  describe.each(modes)("%s", (mode) => {
    // Pipelines take a second each on software adapters: there a fourth of the small ones, for the large ones come as well.
    it.each(small.filter((_, i) => target.slow || i % 4 === 1))("%s", (_, sizes) => check(target, conv(mode, sizes)));
    it.each(target.slow ? [float16, bfloat16, float64] : [float16])("%s", (dtype) =>
      check(target, conv(mode, { cin: 2, cout: 3, input: [1, 6, 5], kernel: [1, 3, 3], padding: [0, 1, 1], bias: true, dtype })),
    );
    if (!target.slow) it.each(large)("large: %s", (_, sizes) => check(target, conv(mode, sizes)));
  });
  it("no images", async () => {
    const sizes = { batch: 0, cin: 2, cout: 3, input: [1, 4, 4], kernel: [1, 3, 3] } as const;
    await check(target, conv("forward", sizes));
    await check(target, conv("input_grad", sizes));
    const [gradient] = await evaluate(target.device, conv("weight_grad", sizes));
    expect([...gradient!]).toEqual(new Array<number>(54).fill(0));
  });
  it("says what it cannot do", () => {
    const spec = { kind: "conv", mode: "forward", dtype: float64, bias: false } as const;
    if (!target.wide) expect(() => target.device.prepare(spec)).toThrow("float64");
  });
});
