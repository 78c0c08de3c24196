/** Values between threads: tensors as their bytes, errors as the classes that they are here, everything else as structured clones. */

import { dtypeByName } from "../core/dtype.ts";
import * as errors from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { tensor as makeTensor } from "../ops/creation.ts";
import type { TypedArray } from "../ops/values.ts";

/** Marks a tensor's stand-in. */
const TENSOR = "kindling.tensor";

interface PackedTensor {
  readonly [TENSOR]: string;
  readonly shape: readonly number[];
  data: TypedArray | null;
}

export interface Packed {
  readonly value: unknown;
  /** Buffers that move instead of being copied. */
  readonly transfer: ArrayBuffer[];
  /** When all values have been read; null when they have been already. */
  readonly ready: Promise<void> | null;
}

/** Stand-ins for the tensors in a value: in arrays, Maps and plain objects too. Devices that cannot be read at once make it wait. */
export function pack(value: unknown): Packed {
  const transfer: ArrayBuffer[] = [];
  const reads: Promise<void>[] = [];
  const seen = new Map<object, unknown>();
  const store = (packed: PackedTensor, data: TypedArray): void => {
    packed.data = data;
    transfer.push(data.buffer as ArrayBuffer);
  };
  const packTensor = (t: Tensor): PackedTensor => {
    const packed: PackedTensor = { [TENSOR]: t.dtype.name, shape: [...t.shape], data: null };
    if (t.device.readSync !== undefined) store(packed, t.data_sync());
    else reads.push(t.data().then((data) => store(packed, data)));
    return packed;
  };
  const walk = (x: unknown): unknown => {
    if (typeof x !== "object" || x === null) return x;
    const before = seen.get(x);
    if (before !== undefined) return before;
    const made = <T extends object>(copy: T): T => (seen.set(x, copy), copy);
    if (x instanceof Tensor) return made(packTensor(x));
    if (Array.isArray(x)) {
      const list = made<unknown[]>([]);
      for (const item of x) list.push(walk(item));
      return list;
    }
    if (x instanceof Map) {
      const map = made(new Map<unknown, unknown>());
      for (const [key, item] of x) map.set(walk(key), walk(item));
      return map;
    }
    const prototype: unknown = Object.getPrototypeOf(x);
    if (prototype !== Object.prototype && prototype !== null) return x;
    const record = made<Record<string, unknown>>({});
    for (const [key, item] of Object.entries(x)) record[key] = walk(item);
    return record;
  };
  const packed = walk(value);
  return { value: packed, transfer, ready: reads.length === 0 ? null : Promise.all(reads).then(() => undefined) };
}

/** The value again, its tensors on the cpu. */
export function unpack(value: unknown): unknown {
  const seen = new Map<object, unknown>();
  const walk = (x: unknown): unknown => {
    if (typeof x !== "object" || x === null) return x;
    const before = seen.get(x);
    if (before !== undefined) return before;
    const isTensor = TENSOR in x;
    const out = isTensor ? unpackTensor(x as PackedTensor) : x;
    seen.set(x, out);
    if (isTensor) return out;
    if (Array.isArray(x)) x.forEach((item, i) => (x[i] = walk(item)));
    else if (x instanceof Map) for (const [key, item] of x) x.set(key, walk(item));
    else if (Object.getPrototypeOf(x) === Object.prototype) {
      for (const [key, item] of Object.entries(x)) (x as Record<string, unknown>)[key] = walk(item);
    }
    return x;
  };
  return walk(value);
}

function unpackTensor({ [TENSOR]: name, shape, data }: PackedTensor): Tensor {
  return makeTensor(data!, { dtype: dtypeByName(name)!, device: "cpu" }).reshape([...shape]);
}

export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), stack: "" };
  return { name: error.name, message: error.message, stack: error.stack ?? "" };
}

const BUILT_IN: Readonly<Record<string, new (message: string) => Error>> = { TypeError, RangeError, SyntaxError, ReferenceError };

/** An error of the same class, with the other thread's stack. */
export function unpackError({ name, message, stack }: PackedError): Error {
  const own = (errors as unknown as Record<string, new (message: string) => Error>)[name];
  const error = new (own ?? BUILT_IN[name] ?? Error)(message);
  if (error.name !== name) error.name = name;
  if (stack !== "") error.stack = `${stack}\n    in a worker`;
  return error;
}
