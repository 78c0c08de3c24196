/** torch.nn.functional: pooling. */

import { int64 } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { contiguousStrides, formatShape, numelOf, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { alias, copyOf, empty, run } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import type { PoolParams, PoolSpec, Triple } from "../../kernel/spec.ts";
import { zeros } from "../creation.ts";
import { asVolume, sizesOf, triple, widest, type Sizes } from "./shared.ts";

interface Window {
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padding: Triple;
  readonly dilation: Triple;
  readonly count_include_pad?: boolean;
  readonly divisor_override?: number;
}

const WHOLE: Triple = [1, 1, 1];
const NO_PADDING: Triple = [0, 0, 0];
/** For kernels that take their windows from sizes or indices. */
const NO_WINDOW: Window = { kernel: WHOLE, stride: WHOLE, padding: NO_PADDING, dilation: WHOLE };

const paramsOf = (w: Window): PoolParams => ({ count_include_pad: true, divisor_override: 0, ...w });

/** [N, C, D, H, W] memory under the shape without the dims that 1d and 2d lack. */
function narrowed(t: Tensor, shape: Shape): Tensor {
  return shape.length === 5 ? t : alias(t, shape, contiguousStrides(shape), t._offset);
}
const volumeShape = (shape: Shape): number[] => [shape[0]!, shape[1]!, ...triple(shape.slice(2), 1)];

function pool(mode: PoolSpec["mode"], inputs: readonly Tensor[], shape: Shape, window: Window, indices: boolean): Tensor[] {
  const x = inputs[0]!;
  if (!x.dtype.is_floating_point) {
    const [y, at] = pool(mode, [copyOf(x, widest(x)), ...inputs.slice(1)], shape, window, indices);
    return indices ? [copyOf(y!, x.dtype), at!] : [copyOf(y!, x.dtype)];
  }
  const outputs = [empty(volumeShape(shape), x.dtype, x.device)];
  if (indices) outputs.push(empty(volumeShape(shape), int64, x.device));
  if (outputs[0]!.numel() > 0) {
    if (x.numel() === 0) return [zeros(shape, { dtype: x.dtype, device: x.device })];
    run({ kind: "pool", mode, dtype: x.dtype }, inputs.map(asVolume), outputs, paramsOf(window));
  }
  return outputs.map((t) => narrowed(t, shape));
}

type MaxPrimitive = Op<[input: Tensor, window: Window | null, shape: Shape], Tensor[]>;

/** Max pooling, adaptive without a window: the values and where they were. */
const max_pool: MaxPrimitive = defineOp("max_pool", "input, window, shape", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, window: Window | null, shape: Shape) {
    const [y, at] = pool(window === null ? "adaptive_max" : "max", [input], shape, window ?? NO_WINDOW, true);
    ctx.save(at!);
    ctx.state = { window, shape: input.shape };
    return [y!, at!];
  },
  backward(ctx, g: Tensor) {
    const { window, shape } = ctx.state as { window: Window | null; shape: Shape };
    return [max_pool_backward(g, ctx.saved()[0]!, window, shape)];
  },
});

type MaxBackward = Op<[grad: Tensor, indices: Tensor, window: Window | null, shape: Shape], Tensor>;
const max_pool_backward: MaxBackward = defineOp("max_pool_backward", "grad, indices, window, shape", {
  doc: "",
  method: false,
  forward(ctx, grad: Tensor, indices: Tensor, window: Window | null, shape: Shape) {
    ctx.save(indices);
    const mode = window === null ? "adaptive_max_backward" : "max_backward";
    return pool(mode, [grad, indices], shape, window ?? NO_WINDOW, false)[0]!;
  },
  backward(ctx, g: Tensor) {
    const [at] = ctx.saved();
    return [g.flatten(2).gather(2, at!.flatten(2)).reshape(at!.shape)];
  },
});

type AvgPrimitive = Op<[input: Tensor, window: Window | null, shape: Shape], Tensor>;

/** Average pooling, adaptive without a window. */
const average: AvgPrimitive = defineOp("avg_pool", "input, window, shape", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, window: Window | null, shape: Shape) {
    ctx.state = { window, shape: input.shape };
    return pool(window === null ? "adaptive_avg" : "avg", [input], shape, window ?? NO_WINDOW, false)[0]!;
  },
  backward(ctx, g: Tensor) {
    const { window, shape } = ctx.state as { window: Window | null; shape: Shape };
    return [average_backward(g, window, shape)];
  },
});
const average_backward: AvgPrimitive = defineOp("avg_pool_backward", "grad, window, shape", {
  doc: "",
  method: false,
  forward(ctx, grad: Tensor, window: Window | null, shape: Shape) {
    ctx.state = { window, shape: grad.shape };
    const mode = window === null ? "adaptive_avg_backward" : "avg_backward";
    return pool(mode, [grad], shape, window ?? NO_WINDOW, false)[0]!;
  },
  backward(ctx, g: Tensor) {
    const { window, shape } = ctx.state as { window: Window | null; shape: Shape };
    return [average(g, window, shape)];
  },
});

/** Input with its batch dimension; other dims must not be empty (adaptive pooling looks at all but the first, batch or not). */
function batched(op: string, input: Tensor, n: number, adaptive = false): Tensor {
  checkTensor(op, "input", input);
  if (input.ndim !== n + 1 && input.ndim !== n + 2) {
    throw new RuntimeError(`${op}: expected ${n + 1}D or ${n + 2}D input, got shape ${formatShape(input.shape)}`);
  }
  if (input.shape.slice(adaptive ? 1 : input.ndim - n - 1).some((s) => s === 0)) {
    throw new RuntimeError(
      `${op}: expected input with non-zero size for non-batch dimensions, but got shape ${formatShape(input.shape)}`,
    );
  }
  return input.ndim === n + 1 ? input.unsqueeze(0) : input;
}

/** Windows of a pooling and the size that they give. */
function layout(
  op: string,
  x: Tensor,
  n: number,
  kernel_size: Sizes,
  stride: Sizes | null,
  padding: Sizes,
  dilation: Sizes,
  ceil_mode: boolean,
): { window: Window; shape: number[] } {
  const k = sizesOf(op, "kernel_size", kernel_size, n);
  const s = stride === null || (typeof stride !== "number" && stride.length === 0) ? k : sizesOf(op, "stride", stride, n);
  const p = sizesOf(op, "padding", padding, n);
  const d = sizesOf(op, "dilation", dilation, n);
  if (k.some((v) => v <= 0)) throw new RuntimeError(`${op}: kernel size should be greater than zero, but got ${formatShape(k)}`);
  if (s.some((v) => v <= 0)) throw new RuntimeError(`${op}: stride should be greater than zero, but got ${formatShape(s)}`);
  if (d.some((v) => v <= 0)) throw new RuntimeError(`${op}: dilation should be greater than zero, but got ${formatShape(d)}`);
  if (p.some((v) => v < 0)) throw new RuntimeError(`${op}: padding must be non-negative, but got ${formatShape(p)}`);
  p.forEach((v, i) => {
    const reach = d[i]! * (k[i]! - 1) + 1;
    if (v > reach / 2) {
      throw new RuntimeError(
        `${op}: padding should be at most half of effective kernel size, but got padding=${v}, kernel_size=${k[i]} and dilation=${d[i]}`,
      );
    }
  });
  const shape = [x.shape[0]!, x.shape[1]!];
  for (let i = 0; i < n; i++) {
    const size = x.shape[i + 2]!;
    const room = size + 2 * p[i]! - d[i]! * (k[i]! - 1) - 1;
    let out = (ceil_mode ? Math.ceil(room / s[i]!) : Math.floor(room / s[i]!)) + 1;
    // The last window must start inside the input or its left padding.
    if (ceil_mode && (out - 1) * s[i]! >= size + p[i]!) out--;
    if (out < 1) {
      throw new RuntimeError(
        `${op}: input of shape ${formatShape(x.shape)} is too small for kernel size ${formatShape(k)}: the output would be empty`,
      );
    }
    shape.push(out);
  }
  return { window: { kernel: triple(k, 1), stride: triple(s, 1), padding: triple(p, 0), dilation: triple(d, 1) }, shape };
}

const unbatch = (t: Tensor, input: Tensor, n: number): Tensor => (input.ndim === n + 1 ? t.squeeze(0) : t);

type MaxResult = Tensor | [Tensor, Tensor];
type MaxArgs = Args<
  [
    { kernel_size: Sizes },
    { stride?: Sizes | null },
    { padding?: Sizes },
    { dilation?: Sizes },
    { ceil_mode?: boolean },
    { return_indices?: boolean },
  ]
>;
/** With return_indices a pair, which the type does not tell. */
type MaxPoolOp<R> = Op<[input: Tensor, ...MaxArgs], R>;

function maxPool<O>(op: string, n: number, always: boolean): O {
  return composite(
    op,
    "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False",
    {
      doc: `The maximum of each window of [N, C, ${n} sizes] (or without N); return_indices: and its flat position.`,
      method: false,
    },
    (
      input: Tensor,
      kernel_size: Sizes,
      stride: Sizes | null,
      padding: Sizes,
      dilation: Sizes,
      ceil_mode: boolean,
      return_indices: boolean,
    ): MaxResult => {
      const x = batched(op, input, n);
      const { window, shape } = layout(op, x, n, kernel_size, stride, padding, dilation, ceil_mode);
      const [y, at] = max_pool(x, window, shape) as [Tensor, Tensor];
      return always || return_indices ? [unbatch(y, input, n), unbatch(at, input, n)] : unbatch(y, input, n);
    },
  );
}

export const max_pool1d: MaxPoolOp<Tensor> = maxPool("max_pool1d", 1, false);
export const max_pool2d: MaxPoolOp<Tensor> = maxPool("max_pool2d", 2, false);
export const max_pool3d: MaxPoolOp<Tensor> = maxPool("max_pool3d", 3, false);
export const max_pool1d_with_indices: MaxPoolOp<[Tensor, Tensor]> = maxPool("max_pool1d_with_indices", 1, true);
export const max_pool2d_with_indices: MaxPoolOp<[Tensor, Tensor]> = maxPool("max_pool2d_with_indices", 2, true);
export const max_pool3d_with_indices: MaxPoolOp<[Tensor, Tensor]> = maxPool("max_pool3d_with_indices", 3, true);

type AvgArgs = Args<
  [
    { kernel_size: Sizes },
    { stride?: Sizes | null },
    { padding?: Sizes },
    { ceil_mode?: boolean },
    { count_include_pad?: boolean },
    { divisor_override?: number | null },
  ]
>;
type AvgPoolOp = Op<[input: Tensor, ...AvgArgs], Tensor>;

function avgPool(op: string, n: number): AvgPoolOp {
  const tail = n === 1 ? "" : ", divisor_override=None";
  return composite(
    op,
    `input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True${tail}`,
    { doc: `The average of each window of [N, C, ${n} sizes] (or without N).`, method: false },
    (
      input: Tensor,
      kernel_size: Sizes,
      stride: Sizes | null,
      padding: Sizes,
      ceil_mode: boolean,
      count_include_pad: boolean,
      divisor_override: number | null | undefined,
    ) => {
      if (divisor_override === 0) throw new RuntimeError(`${op}: divisor must be not zero`);
      const x = batched(op, input, n);
      const { window, shape } = layout(op, x, n, kernel_size, stride, padding, 1, ceil_mode);
      const divisor = divisor_override ?? 0;
      // The kernel takes positive divisors.
      const full = { ...window, count_include_pad, divisor_override: divisor < 0 ? 1 : divisor };
      const out = average(x, full, shape);
      return unbatch(divisor < 0 ? out.div(divisor) : out, input, n);
    },
  );
}

export const avg_pool1d: AvgPoolOp = avgPool("avg_pool1d", 1);
export const avg_pool2d: AvgPoolOp = avgPool("avg_pool2d", 2);
export const avg_pool3d: AvgPoolOp = avgPool("avg_pool3d", 3);

// adaptive

type TargetSizes = number | readonly (number | null)[];

function targetShape(op: string, x: Tensor, n: number, output_size: TargetSizes): number[] {
  const list = typeof output_size === "number" ? Array.from({ length: n }, () => output_size) : output_size;
  const sizes = list.length === 1 && n > 1 ? Array.from({ length: n }, () => list[0]!) : list;
  if (sizes.length !== n)
    throw new RuntimeError(`${op}: output_size must be a number or ${n} numbers, got [${sizes.join(", ")}]`);
  const shape = sizes.map((s, i) => s ?? x.shape[i + 2]!);
  if (shape.some((s) => s < 0)) {
    throw new RuntimeError(`${op}: elements of output_size must be greater than or equal to 0, got ${formatShape(shape)}`);
  }
  return [x.shape[0]!, x.shape[1]!, ...shape];
}

function adaptiveInput(op: string, input: Tensor, n: number, output_size: TargetSizes): Tensor {
  if (n > 1 && typeof output_size !== "number" && input.ndim <= n) {
    throw new ValueError(`${op}: input dimension should be at least ${n + 1}, got shape ${formatShape(input.shape)}`);
  }
  return batched(op, input, n, true);
}

type AdaptiveAvgOp = Op<[input: Tensor, ...Args<[{ output_size: TargetSizes }]>], Tensor>;
function adaptiveAvg(op: string, n: number): AdaptiveAvgOp {
  return composite(
    op,
    "input, output_size",
    { doc: "Averages over windows that cut the input into output_size parts.", method: false },
    (input: Tensor, output_size: TargetSizes) => {
      const x = adaptiveInput(op, input, n, output_size);
      return unbatch(average(x, null, targetShape(op, x, n, output_size)), input, n);
    },
  );
}
export const adaptive_avg_pool1d: AdaptiveAvgOp = adaptiveAvg("adaptive_avg_pool1d", 1);
export const adaptive_avg_pool2d: AdaptiveAvgOp = adaptiveAvg("adaptive_avg_pool2d", 2);
export const adaptive_avg_pool3d: AdaptiveAvgOp = adaptiveAvg("adaptive_avg_pool3d", 3);

type AdaptiveMaxOp<R> = Op<[input: Tensor, ...Args<[{ output_size: TargetSizes }, { return_indices?: boolean }]>], R>;
function adaptiveMax<O>(op: string, n: number, always: boolean): O {
  return composite(
    op,
    "input, output_size, return_indices=False",
    { doc: "Maxima over windows that cut the input into output_size parts.", method: false },
    (input: Tensor, output_size: TargetSizes, return_indices: boolean): MaxResult => {
      const x = adaptiveInput(op, input, n, output_size);
      const [y, at] = max_pool(x, null, targetShape(op, x, n, output_size)) as [Tensor, Tensor];
      return always || return_indices ? [unbatch(y, input, n), unbatch(at, input, n)] : unbatch(y, input, n);
    },
  );
}
export const adaptive_max_pool1d: AdaptiveMaxOp<Tensor> = adaptiveMax("adaptive_max_pool1d", 1, false);
export const adaptive_max_pool2d: AdaptiveMaxOp<Tensor> = adaptiveMax("adaptive_max_pool2d", 2, false);
export const adaptive_max_pool3d: AdaptiveMaxOp<Tensor> = adaptiveMax("adaptive_max_pool3d", 3, false);
export const adaptive_max_pool1d_with_indices: AdaptiveMaxOp<[Tensor, Tensor]> = adaptiveMax(
  "adaptive_max_pool1d_with_indices",
  1,
  true,
);
export const adaptive_max_pool2d_with_indices: AdaptiveMaxOp<[Tensor, Tensor]> = adaptiveMax(
  "adaptive_max_pool2d_with_indices",
  2,
  true,
);
export const adaptive_max_pool3d_with_indices: AdaptiveMaxOp<[Tensor, Tensor]> = adaptiveMax(
  "adaptive_max_pool3d_with_indices",
  3,
  true,
);

// lp_pool: sums of powers, by way of averages

type LpPoolOp = Op<
  [input: Tensor, ...Args<[{ norm_type: number }, { kernel_size: Sizes }, { stride?: Sizes | null }, { ceil_mode?: boolean }]>],
  Tensor
>;
function lpPool(op: string, n: number, avg: AvgPoolOp): LpPoolOp {
  return composite(
    op,
    "input, norm_type, kernel_size, stride=None, ceil_mode=False",
    { doc: "(sum over the window of x^p)^(1/p) with p = norm_type.", method: false },
    (input: Tensor, norm_type: number, kernel_size: Sizes, stride: Sizes | null, ceil_mode: boolean) => {
      const out = avg(input.pow(norm_type), kernel_size, stride, 0, ceil_mode);
      const count = numelOf(sizesOf(op, "kernel_size", kernel_size, n));
      return out
        .sign()
        .mul(out.abs().relu())
        .mul(count)
        .pow(1 / norm_type);
    },
  );
}
export const lp_pool1d: LpPoolOp = lpPool("lp_pool1d", 1, avg_pool1d);
export const lp_pool2d: LpPoolOp = lpPool("lp_pool2d", 2, avg_pool2d);
export const lp_pool3d: LpPoolOp = lpPool("lp_pool3d", 3, avg_pool3d);

// max_unpool

type UnpoolArgs = Args<
  [
    { indices: Tensor },
    { kernel_size: Sizes },
    { stride?: Sizes | null },
    { padding?: Sizes },
    { output_size?: readonly number[] | null },
  ]
>;
type UnpoolOp = Op<[input: Tensor, ...UnpoolArgs], Tensor>;

function maxUnpool(op: string, n: number): UnpoolOp {
  return composite(
    op,
    "input, indices, kernel_size, stride=None, padding=0, output_size=None",
    { doc: "Puts values back at the positions that max_pool gave; zero elsewhere.", method: false },
    (
      input: Tensor,
      indices: Tensor,
      kernel_size: Sizes,
      stride: Sizes | null,
      padding: Sizes,
      output_size: readonly number[] | null,
    ) => {
      const k = sizesOf(op, "kernel_size", kernel_size, n);
      const s = stride === null ? k : sizesOf(op, "stride", stride, n);
      const p = sizesOf(op, "padding", padding, n);
      if (indices.dtype !== int64)
        throw new RuntimeError(`${op}: elements in indices should be type int64, got ${indices.dtype}`);
      if (formatShape(indices.shape) !== formatShape(input.shape)) {
        throw new RuntimeError(
          `${op}: expected shape of indices to be same as that of the input tensor (${formatShape(input.shape)}), but got ${formatShape(indices.shape)}`,
        );
      }
      const lead = input.shape.slice(0, input.ndim - n);
      const usual = k.map((v, i) => (input.shape[input.ndim - n + i]! - 1) * s[i]! + v - 2 * p[i]!);
      const sizes = output_size === null ? usual : output_size.slice(-n);
      sizes.forEach((v, i) => {
        if (output_size !== null && (v <= usual[i]! - s[i]! || v >= usual[i]! + s[i]!)) {
          throw new ValueError(
            `${op}: invalid output_size ${formatShape(sizes)}: dimension ${i} must be between ${usual[i]! - s[i]!} and ${usual[i]! + s[i]!}`,
          );
        }
      });
      const rows = numelOf(lead);
      const flat = zeros([rows, numelOf(sizes)], { dtype: input.dtype, device: input.device });
      const out = flat.scatter(1, indices.reshape([rows, -1]), input.reshape([rows, -1]));
      return out.reshape([...lead, ...sizes]);
    },
  );
}
export const max_unpool1d: UnpoolOp = maxUnpool("max_unpool1d", 1);
export const max_unpool2d: UnpoolOp = maxUnpool("max_unpool2d", 2);
export const max_unpool3d: UnpoolOp = maxUnpool("max_unpool3d", 3);
