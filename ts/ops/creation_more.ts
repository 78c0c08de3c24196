/** New tensors beyond the plain ones: ranges by their number of steps, identity matrices, chosen layouts, others' dtype and device. */

import type { Device } from "../core/device.ts";
import { float64, FloatScalar, get_default_dtype, isScalar, uint8, type DType, type Scalar } from "../core/dtype.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import { formatShape, numelOf, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { deferMap, makeTemplate, type Template } from "../engine/fusion.ts";
import { alias, empty as allocate } from "../engine/run.ts";
import { describe, type Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import { cast, index, scalar } from "../kernel/expr.ts";
import { arange, checkSize, filled, finish, fromBytes, place, ramp, tensor, type TensorOptions } from "./creation.ts";
import type { NestedData, TypedArray } from "./values.ts";

type Place = Device | string | null;
const OPTIONS = "*, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False";
/** As an input's device, unless one is named. */
const beside = (input: Tensor, device: Place): Device => (device === null ? input.device : place(device));

// linspace and logspace

type End = Scalar | Tensor;

function endpoint(op: string, x: End, other: End): number {
  if (!(x instanceof Tensor)) return Number(x);
  if (x.ndim > 0 || (other instanceof Tensor && other.ndim > 0)) {
    const dims = [x, other].map((t) => (t instanceof Tensor ? t.ndim : 0)).join(" and ");
    throw new RuntimeError(`${op}: only supports 0-dimensional start and end tensors, but got ${dims} dimension(s)`);
  }
  return Number(x.item_sync());
}

function checkSteps(op: string, steps: Scalar): number {
  if (steps instanceof FloatScalar || typeof steps === "boolean" || !Number.isInteger(Number(steps))) {
    throw new TypeError(
      `${op}: argument 'steps' must be a whole number, got ${String(steps instanceof FloatScalar ? `${steps.value}.0` : steps)}`,
    );
  }
  if (Number(steps) < 0) throw new RuntimeError(`${op}: number of steps must be non-negative, got ${steps}`);
  return Number(steps);
}

const evenSteps = new Map<string, Template>();

/** From both ends towards the middle, as PyTorch computes it; `base`: powers of it. */
function spaced(start: number, end: number, steps: number, base: number | null, dtype: DType, device: Device): Tensor {
  const [a, b] = dtype.is_floating_point ? [start, end] : [Math.trunc(start), Math.trunc(end)];
  const key = `${dtype.code}${base === null ? "" : "^"}`;
  let template = evenSteps.get(key);
  if (template === undefined) {
    const slot = (k: number): ReturnType<typeof scalar> => scalar(k, float64);
    const i = index("linear", float64);
    const [from, to, step, last, half] = [slot(0), slot(1), slot(2), slot(3), slot(4)];
    const up = e.add(from, e.mul(step, i));
    const down = e.sub(to, e.mul(step, e.sub(last, i)));
    const x = e.where(e.lt(i, half), up, down);
    template = makeTemplate(cast(base === null ? x : e.pow(slot(5), x), dtype), 0, base === null ? 5 : 6);
    evenSteps.set(key, template);
  }
  const step = steps > 1 ? (b - a) / (steps - 1) : 0;
  const scalars = [a, steps > 1 ? b : a, step, steps - 1, Math.floor(steps / 2)];
  return deferMap(template, [], base === null ? scalars : [...scalars, base], [steps], device);
}

type SpaceOp<P extends readonly object[]> = Op<
  [...Args<[{ start: End }, { end: End }, { steps: number }, ...P], TensorOptions>],
  Tensor
>;

export const linspace: SpaceOp<[]> = composite(
  "linspace",
  `start, end, steps, ${OPTIONS}`,
  {
    doc: "Evenly spaced values from start to end, both included.",
    tensors: ["start", "end"],
  },
  (start: End, end: End, steps: Scalar, dtype: DType | null, device: Place, rg: boolean) => {
    const n = checkSteps("linspace", steps);
    const [a, b] = [endpoint("linspace", start, end), endpoint("linspace", end, start)];
    return finish(spaced(a, b, n, null, dtype ?? get_default_dtype(), place(device)), rg);
  },
);

export const logspace: SpaceOp<[{ base?: number }]> = composite(
  "logspace",
  `start, end, steps, base=10, ${OPTIONS}`,
  {
    doc: "Powers of base whose exponents are evenly spaced from start to end.",
    tensors: ["start", "end"],
  },
  (start: End, end: End, steps: Scalar, base: Scalar, dtype: DType | null, device: Place, rg: boolean) => {
    const n = checkSteps("logspace", steps);
    const [a, b] = [endpoint("logspace", start, end), endpoint("logspace", end, start)];
    return finish(spaced(a, b, n, Number(base), dtype ?? get_default_dtype(), place(device)), rg);
  },
);

type RangeOp = Op<[...Args<[{ start: Scalar }, { end: Scalar }, { step?: Scalar }], TensorOptions>], Tensor>;

export const range: RangeOp = composite(
  "range",
  `start, end, step=1, ${OPTIONS}`,
  {
    doc: "Values from start up to and including end; prefer arange.",
  },
  (start: Scalar, end: Scalar, step: Scalar, dtype: DType | null, device: Place, rg: boolean) => {
    const [from, to, by] = [Number(start), Number(end), Number(step)];
    if (by === 0) throw new RuntimeError("range: step must be nonzero");
    if (by > 0 ? to < from : to > from) {
      throw new RuntimeError(
        `range: upper bound and lower bound inconsistent with step sign (start ${from}, end ${to}, step ${by})`,
      );
    }
    return finish(ramp(Math.floor((to - from) / by) + 1, from, by, dtype ?? get_default_dtype(), place(device)), rg);
  },
);

type EyeOp = Op<[...Args<[{ n: number }, { m?: number | null }], TensorOptions>], Tensor>;

export const eye: EyeOp = composite(
  "eye",
  `n, m=None, ${OPTIONS}`,
  {
    doc: "Ones on the diagonal, zeros elsewhere.",
  },
  (n: number, m: number | null, dtype: DType | null, device: Place, rg: boolean) => {
    if (n < 0) throw new RuntimeError(`eye: n must be greater or equal to 0, got ${n}`);
    if (m !== null && m < 0) throw new RuntimeError(`eye: m must be greater or equal to 0, got ${m}`);
    const on = place(device);
    const rows = arange(n, { device: on }).unsqueeze(1);
    return finish(rows.eq(arange(m ?? n, { device: on })).to(dtype ?? get_default_dtype()), rg);
  },
);

type VanderOp = Op<[x: Tensor, ...Args<[{ N?: number | null }, { increasing?: boolean }]>], Tensor>;

export const vander: VanderOp = composite(
  "vander",
  "x, N=None, increasing=False",
  {
    doc: "The powers of a vector as columns, from the highest to 0 (or rising).",
  },
  (x: Tensor, N: number | null, increasing: boolean) => {
    if (x.ndim !== 1) throw new RuntimeError(`vander: x must be a one-dimensional tensor, got shape ${formatShape(x.shape)}`);
    const n = N ?? x.shape[0]!;
    if (n < 0) throw new RuntimeError(`vander: N must be non-negative, got ${n}`);
    const { device } = x;
    const powers = increasing ? arange(n, { device }) : arange(n - 1, -1, -1, { device });
    return x.unsqueeze(-1).pow(powers);
  },
);

// Chosen layouts

function strided(size: Shape, stride: Shape, dtype: DType, device: Device): Tensor {
  const far = numelOf(size) === 0 ? 0 : size.reduce((n, m, d) => n + (m - 1) * stride[d]!, 0) + 1;
  return alias(allocate([far], dtype, device), size, stride, 0);
}

function checkStrides(op: string, size: Shape, stride: Shape): void {
  checkSize(op, size);
  if (size.length !== stride.length) {
    throw new RuntimeError(
      `${op}: dimensionality of sizes (${size.length}) must match dimensionality of strides (${stride.length})`,
    );
  }
  if (stride.some((s) => s < 0)) throw new RuntimeError(`${op}: negative strides are not supported, got ${formatShape(stride)}`);
}

type StridedOp = Op<[...Args<[{ size: Shape }, { stride: Shape }], TensorOptions>], Tensor>;

export const empty_strided: StridedOp = composite(
  "empty_strided",
  `size, stride, ${OPTIONS}`,
  {
    doc: "An uninitialised tensor with the strides given.",
  },
  (size: Shape, stride: Shape, dtype: DType | null, device: Place, rg: boolean) => {
    checkStrides("empty_strided", size, stride);
    return finish(strided(size, stride, dtype ?? get_default_dtype(), place(device)), rg);
  },
);

type PermutedOp = Op<[...Args<[{ size: Shape }, { physical_layout: Shape }], TensorOptions>], Tensor>;

export const empty_permuted: PermutedOp = composite(
  "empty_permuted",
  `size, physical_layout, ${OPTIONS}`,
  {
    doc: "An uninitialised tensor whose dimensions lie in memory in the order of physical_layout, outermost first.",
  },
  (size: Shape, layout: Shape, dtype: DType | null, device: Place, rg: boolean) => {
    checkSize("empty_permuted", size);
    if (size.length !== layout.length) {
      throw new RuntimeError(
        `empty_permuted: Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = ${size.length} is not equal to len(physical_layout) = ${layout.length}`,
      );
    }
    const strides = new Array<number>(size.length).fill(-1);
    let step = 1;
    [...layout].reverse().forEach((d) => {
      if (!Number.isInteger(d) || d < 0 || d >= size.length) {
        throw new RuntimeError(
          `empty_permuted: Dimension out of range (expected to be between 0 and ${size.length - 1}, but got ${d})`,
        );
      }
      if (strides[d]! >= 0) throw new RuntimeError(`empty_permuted: Duplicate dim not allowed, got ${formatShape(layout)}`);
      strides[d] = step;
      step *= Math.max(size[d]!, 1);
    });
    return finish(strided(size, strides, dtype ?? get_default_dtype(), place(device)), rg);
  },
);

// Of another tensor's dtype and device

type NewOp = Op<[input: Tensor, size: Shape, options?: TensorOptions] | [input: Tensor, ...size: number[]], Tensor, "method">;
const NEW = "input, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False";

export const new_ones: NewOp = composite(
  "new_ones",
  NEW,
  {
    doc: "Ones with input's dtype and device.",
  },
  (input: Tensor, size: Shape, dtype: DType | null, device: Place, rg: boolean) =>
    finish(filled(checkSize("new_ones", size), 1, dtype ?? input.dtype, beside(input, device)), rg),
);

export const new_empty: NewOp = composite(
  "new_empty",
  NEW,
  {
    doc: "An uninitialised tensor with input's dtype and device.",
  },
  (input: Tensor, size: Shape, dtype: DType | null, device: Place, rg: boolean) =>
    finish(allocate(checkSize("new_empty", size), dtype ?? input.dtype, beside(input, device)), rg),
);

type NewStridedOp = Op<[input: Tensor, ...Args<[{ size: Shape }, { stride: Shape }], TensorOptions>], Tensor, "method">;

export const new_empty_strided: NewStridedOp = composite(
  "new_empty_strided",
  `input, size, stride, ${OPTIONS}`,
  {
    doc: "An uninitialised tensor with the strides given and input's dtype and device.",
  },
  (input: Tensor, size: Shape, stride: Shape, dtype: DType | null, device: Place, rg: boolean) => {
    checkStrides("new_empty_strided", size, stride);
    return finish(strided(size, stride, dtype ?? input.dtype, beside(input, device)), rg);
  },
);

type NewTensorOp = Op<[input: Tensor, ...Args<[{ data: NestedData }], TensorOptions>], Tensor, "method">;

export const new_tensor: NewTensorOp = composite(
  "new_tensor",
  "input, data, *, dtype=None, device=None, requires_grad=False",
  {
    doc: "torch.tensor(data) with input's dtype and device.",
  },
  (input: Tensor, data: NestedData, dtype: DType | null, device: Place, requires_grad: boolean) =>
    tensor(data, { dtype: dtype ?? input.dtype, device: beside(input, device), requires_grad }),
);

// From values and memory

type ScalarTensorOp = Op<[...Args<[{ s: Scalar }], TensorOptions>], Tensor>;

export const scalar_tensor: ScalarTensorOp = composite(
  "scalar_tensor",
  `s, ${OPTIONS}`,
  {
    doc: "A 0-d tensor of a number, in the default dtype unless another is given.",
  },
  (s: Scalar, dtype: DType | null, device: Place, rg: boolean) => {
    if (!isScalar(s)) throw new TypeError(`scalar_tensor: argument 's' must be a number, not ${describe(s)}`);
    return finish(filled([], s, dtype ?? get_default_dtype(), place(device)), rg);
  },
);

type AsTensorOp = Op<[data: NestedData | Tensor, ...Args<[{ dtype?: DType | null }, { device?: Place }]>], Tensor>;

export const as_tensor: AsTensorOp = composite(
  "as_tensor",
  "data, dtype=None, device=None",
  {
    doc: "A tensor of data; a tensor that fits already is returned as it is.",
  },
  (data: NestedData | Tensor, dtype: DType | null, device: Place) =>
    data instanceof Tensor ? data.to(beside(data, device), dtype ?? data.dtype) : tensor(data, { dtype, device }),
);

type AsArrayOp = Op<[obj: NestedData | Tensor, options?: TensorOptions & { copy?: boolean | null }], Tensor>;

export const asarray: AsArrayOp = composite(
  "asarray",
  "obj, *, dtype=None, device=None, copy=None, requires_grad=False",
  {
    doc: "A tensor of obj, sharing a tensor's memory where it can unless copy.",
  },
  (obj: NestedData | Tensor, dtype: DType | null, device: Place, copy: boolean | null, rg: boolean) => {
    if (!(obj instanceof Tensor)) {
      if (copy === false) throw new ValueError("asarray: unable to avoid a copy while creating a tensor from JavaScript values");
      return tensor(obj, { dtype, device, requires_grad: rg });
    }
    const out = obj.detach().to(beside(obj, device), dtype ?? obj.dtype);
    if (copy === false && out._storage !== obj._storage) throw new ValueError("asarray: this conversion needs a copy");
    return finish(copy === true && out._storage === obj._storage ? out.clone() : out, rg);
  },
);

type BufferOp = Op<
  [
    buffer: ArrayBuffer | TypedArray,
    options?: { dtype?: DType; count?: number; offset?: number; requires_grad?: boolean; device?: Place },
  ],
  Tensor
>;

/** What reads the bytes of a buffer: the device's memory is its own, so they are copied once. */
export const frombuffer: BufferOp = composite(
  "frombuffer",
  "buffer, *, dtype=None, count=-1, offset=0, requires_grad=False, device=None",
  { doc: "A vector of the numbers of dtype in a buffer, from byte `offset` on." },
  (buffer: ArrayBuffer | TypedArray, dtype: DType | null, count: number, offset: number, rg: boolean, device: Place) => {
    if (!ArrayBuffer.isView(buffer) && !Object.prototype.toString.call(buffer).endsWith("ArrayBuffer]")) {
      throw new TypeError(`frombuffer: argument 'buffer' must be an ArrayBuffer or a typed array, not ${describe(buffer)}`);
    }
    const bytes = ArrayBuffer.isView(buffer)
      ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      : new Uint8Array(buffer);
    const type = dtype ?? uint8;
    if (offset < 0 || offset >= bytes.length) {
      throw new ValueError(
        `frombuffer: offset must be non-negative and less than the buffer's length (${bytes.length} bytes), got ${offset}`,
      );
    }
    const rest = bytes.length - offset;
    if (count < 0 && rest % type.itemsize !== 0) {
      throw new ValueError(
        `frombuffer: buffer length (${rest} bytes) after offset must be a multiple of element size (${type.itemsize})`,
      );
    }
    const n = count < 0 ? rest / type.itemsize : count;
    if (n === 0) throw new ValueError("frombuffer: both buffer length and count must not be 0");
    if (n * type.itemsize > rest) {
      throw new ValueError(
        `frombuffer: requested buffer length (${n} * ${type.itemsize} bytes) after offset (${offset} bytes) must not be greater than actual buffer length (${bytes.length} bytes)`,
      );
    }
    return finish(fromBytes(bytes.subarray(offset, offset + n * type.itemsize), [n], type, place(device)), rg);
  },
);
