/** torch.nn.functional.pad and torch.constant_pad_nd. */

import { int64, type Scalar } from "../../core/dtype.ts";
import { NotImplementedError, RuntimeError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { writeInto } from "../../engine/inplace.ts";
import { alias, copyOf } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { filled, tensor } from "../creation.ts";

type Pads = readonly number[];
type ConstantPadOp = Op<[input: Tensor, ...Args<[{ pad: Pads }, { value?: Scalar }]>], Tensor>;

export const constant_pad_nd: ConstantPadOp = defineOp("constant_pad_nd", "input, pad, value=0", {
  doc: "Puts `value` around input: pad holds (before, after) pairs, the last dimension's first; negative numbers cut off.",
  method: false,
  forward(ctx, input: Tensor, pad: Pads, value: Scalar) {
    checkTensor("constant_pad_nd", "input", input);
    if (pad.length % 2 !== 0) {
      throw new RuntimeError(`constant_pad_nd: the length of pad must be even, got ${pad.length}`);
    }
    if (pad.length > 2 * input.ndim) {
      throw new RuntimeError(
        `constant_pad_nd: the length of pad should be no more than twice the number of dimensions of the input, got ${pad.length} for ${formatShape(input.shape)}`,
      );
    }
    ctx.state = pad.map((p) => -p);
    const shape = [...input.shape];
    let from = input._offset;
    let at = 0;
    const window = [...input.shape];
    const starts: number[] = [];
    for (let d = 0; d < input.ndim; d++) {
      const i = 2 * (input.ndim - 1 - d);
      const before = pad[i] ?? 0;
      const after = pad[i + 1] ?? 0;
      shape[d] = input.shape[d]! + before + after;
      if (shape[d]! < 0) {
        throw new RuntimeError(
          `constant_pad_nd: the input size ${input.shape[d]}, plus negative padding ${before} and ${after}, resulted in a negative output size, which is invalid. Check dimension ${d}`,
        );
      }
      window[d] = Math.max(input.shape[d]! + Math.min(before, 0) + Math.min(after, 0), 0);
      from += Math.max(-before, 0) * input._strides[d]!;
      starts.push(Math.max(before, 0));
    }
    if (pad.every((p) => p <= 0)) return copyOf(alias(input, window, input._strides, from), input.dtype);
    const out = filled(shape, value, input.dtype, input.device);
    out._storage.materialize();
    if (window.some((w) => w === 0)) return out;
    starts.forEach((s, d) => (at += s * out._strides[d]!));
    writeInto(alias(out, window, out._strides, at), copyOf(alias(input, window, input._strides, from), input.dtype));
    out._storage.version = 0;
    return out;
  },
  backward(ctx, g: Tensor) {
    return [constant_pad_nd(g, ctx.state as Pads, 0)];
  },
});

type PadOp = Op<[input: Tensor, ...Args<[{ pad: Pads }, { mode?: string }, { value?: Scalar | null }]>], Tensor>;

/** Where each element of a padded dimension comes from. */
const SOURCES: Readonly<Record<string, (i: number, n: number) => number>> = {
  reflect: (i, n) => (i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i),
  replicate: (i, n) => Math.min(Math.max(i, 0), n - 1),
  circular: (i, n) => ((i % n) + n) % n,
};

export const pad: PadOp = composite(
  "pad",
  "input, pad, mode='constant', value=None",
  {
    doc: "Pads the last dimensions: pad holds (before, after) pairs, the last dimension's first; mode constant, reflect, replicate or circular.",
    method: false,
  },
  (input: Tensor, pad: Pads, mode: string, value: Scalar | null) => {
    checkTensor("pad", "input", input);
    if (pad.length % 2 !== 0) throw new RuntimeError(`pad: the length of pad must be divisible by 2, got ${pad.length}`);
    if (pad.length > 2 * input.ndim) {
      throw new RuntimeError(`pad: pad has ${pad.length} numbers, but the input only ${input.ndim} dimensions`);
    }
    if (mode === "constant") return constant_pad_nd(input, pad, value ?? 0);
    const source = SOURCES[mode];
    if (source === undefined) throw new NotImplementedError(`pad: unrecognised padding mode ${mode}`);
    if (value !== null && Number(value) !== 0) {
      throw new RuntimeError(`pad: padding mode '${mode}' doesn't take in value argument`);
    }
    const dims = pad.length / 2;
    if (input.ndim !== dims + 1 && input.ndim !== dims + 2) {
      throw new NotImplementedError(
        `pad: mode '${mode}' pads the last ${dims} dimensions of ${dims + 1}D or ${dims + 2}D input, got shape ${formatShape(input.shape)}`,
      );
    }
    // What is cut off does not come back around the corner.
    const crop = mode === "circular" && pad.some((p) => p < 0);
    let out = crop
      ? constant_pad_nd(
          input,
          pad.map((p) => Math.min(p, 0)),
        )
      : input;
    for (let i = 0; i < dims; i++) {
      const d = input.ndim - 1 - i;
      const n = out.shape[d]!;
      const before = crop ? Math.max(pad[2 * i]!, 0) : pad[2 * i]!;
      const after = crop ? Math.max(pad[2 * i + 1]!, 0) : pad[2 * i + 1]!;
      if (before === 0 && after === 0) continue;
      const most = mode === "reflect" ? n - 1 : mode === "circular" ? n : Infinity;
      if (before > most || after > most) {
        throw new RuntimeError(
          `pad: padding size should be ${mode === "reflect" ? "less than" : "at most"} the corresponding input dimension, but got padding (${before}, ${after}) at dimension ${d} of input ${formatShape(input.shape)}`,
        );
      }
      const size = n + before + after;
      if (size < 1) {
        throw new RuntimeError(
          `pad: padding (${before}, ${after}) leaves nothing of dimension ${d} of input ${formatShape(input.shape)}`,
        );
      }
      const index = Array.from({ length: size }, (_, k) => source(k - before, n));
      out = out.index_select(d, tensor(index, { dtype: int64, device: input.device }));
    }
    return out === input ? input.clone() : out;
  },
);
