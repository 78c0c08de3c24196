/** ONNX's tensors and element types, and ours. */

import * as torch from "../torch.ts";
import type { DType, Tensor } from "../torch.ts";
import type { TensorProto } from "./schema.ts";
import { bad } from "./wire.ts";

/** ONNX's element types by number; those that we have not (unsigned ones beyond a byte) become the next wider type. */
const TYPES: Readonly<Record<number, { dtype: DType; bytes: number }>> = {
  1: { dtype: torch.float32, bytes: 4 },
  2: { dtype: torch.uint8, bytes: 1 },
  3: { dtype: torch.int8, bytes: 1 },
  4: { dtype: torch.int32, bytes: 2 },
  5: { dtype: torch.int16, bytes: 2 },
  6: { dtype: torch.int32, bytes: 4 },
  7: { dtype: torch.int64, bytes: 8 },
  9: { dtype: torch.bool, bytes: 1 },
  10: { dtype: torch.float16, bytes: 2 },
  11: { dtype: torch.float64, bytes: 8 },
  12: { dtype: torch.int64, bytes: 4 },
  13: { dtype: torch.int64, bytes: 8 },
  16: { dtype: torch.bfloat16, bytes: 2 },
};

/** ONNX's number of one of our types. */
export const ELEMENT = new Map<DType, number>([
  [torch.float32, 1],
  [torch.uint8, 2],
  [torch.int8, 3],
  [torch.int16, 5],
  [torch.int32, 6],
  [torch.int64, 7],
  [torch.bool, 9],
  [torch.float16, 10],
  [torch.float64, 11],
  [torch.bfloat16, 16],
]);

/** Our type for one of ONNX's numbers. */
export function dtypeOf(element: number, what: string): DType {
  const type = TYPES[element];
  if (type === undefined) throw bad(`${what} has element type ${element}, which is not supported`);
  return type.dtype;
}

/** The sizes of a tensor, checked. */
function shapeOf(proto: TensorProto, what: string): number[] {
  const shape = [...(proto.dims ?? [])].map(Number);
  let numel = 1;
  for (const n of shape) {
    if (!(n >= 0)) throw bad(`${what} has a negative size: [${shape.join(", ")}]`);
    numel *= n;
  }
  if (!Number.isSafeInteger(numel)) throw bad(`${what} has sizes [${shape.join(", ")}]`);
  return shape;
}

/** A tensor on the cpu. Throws before it allocates where the data is not what the sizes say. */
export function tensorOf(proto: TensorProto, what: string): Tensor {
  const element = Number(proto.data_type ?? 0n);
  const type = TYPES[element];
  if (type === undefined) throw bad(`${what} has element type ${element}, which is not supported`);
  if (proto.data_location === 1n || proto.external_data !== undefined) {
    throw bad(`${what} lies in another file (external data), which is not supported: save the model as one file`);
  }
  const shape = shapeOf(proto, what);
  const numel = shape.reduce((a, b) => a * b, 1);
  if (proto.raw_data !== undefined) {
    const raw = proto.raw_data;
    if (raw.length !== numel * type.bytes) {
      throw bad(`${what} of shape [${shape.join(", ")}] has ${raw.length} bytes instead of ${numel * type.bytes}`);
    }
    return fromRaw(raw, shape, element);
  }
  const typed = typedData(proto, element);
  if (typed.length !== numel) {
    throw bad(`${what} of shape [${shape.join(", ")}] has ${typed.length} values instead of ${numel}`);
  }
  if (element === 10 || element === 16) {
    // Bits of 16, each in a number of its own.
    return fromRaw(new Uint8Array(Uint16Array.from(typed as Int32Array).buffer), shape, element);
  }
  return torch.tensor(typed, { dtype: type.dtype, device: "cpu" }).reshape(shape);
}

function typedData(proto: TensorProto, element: number): Float32Array | Int32Array | BigInt64Array | Float64Array {
  switch (element) {
    case 1:
      return proto.float_data ?? new Float32Array(0);
    case 11:
      return proto.double_data ?? new Float64Array(0);
    case 7:
      return proto.int64_data ?? new BigInt64Array(0);
    case 12:
    case 13:
      return proto.uint64_data ?? new BigInt64Array(0);
    default:
      return proto.int32_data ?? new Int32Array(0);
  }
}

function fromRaw(raw: Uint8Array, shape: readonly number[], element: number): Tensor {
  const { dtype } = TYPES[element]!;
  if (raw.length === 0) return torch.empty(shape, { dtype, device: "cpu" });
  // A copy: at a multiple of the element's size, and no longer part of the file.
  const { buffer } = raw.slice();
  if (element === 4) return torch.tensor(Int32Array.from(new Uint16Array(buffer)), { device: "cpu" }).reshape(shape);
  if (element === 12) {
    const wide = BigInt64Array.from(new Uint32Array(buffer), BigInt);
    return torch.tensor(wide, { device: "cpu" }).reshape(shape);
  }
  return torch.frombuffer(buffer, { dtype, device: "cpu" }).reshape(shape);
}

/** A tensor's bytes in row-major order, from any device. */
export async function rawBytes(t: Tensor): Promise<Uint8Array> {
  // A file of safetensors is the length of its header, the header, and the bytes.
  const file = await torch.io.save({ t: t.detach().contiguous() });
  const header = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  return file.subarray(8 + header);
}
