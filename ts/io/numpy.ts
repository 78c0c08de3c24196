/** NumPy's files: arrays in .npy, named arrays in .npz. */

import type { Device } from "../core/device.ts";
import { dtypeByName } from "../core/dtype.ts";
import { NotImplementedError, ValueError } from "../core/errors.ts";
import { numelOf } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { empty } from "../engine/run.ts";
import { describe } from "../engine/signature.ts";
import { get_default_device, resolveDevice } from "../ops/devices.ts";
import { denseBytes } from "./dense.ts";
import { FileFormatError, joined, parseGrowing, readExactly, setOwn, swapBytes, Truncated } from "./format.ts";
import { NUMPY_TYPES, parseNpy, writeNpy, type NpyHeader, type NumpyType } from "./numpy_header.ts";
import { memory, openSource, type ByteSource, type Readable } from "./source.ts";
import { writeTo, type Writable } from "./torch_save.ts";
import { isStored, writeZip, ZipReader, type ZipContent, type ZipEntry } from "./zip.ts";

export type { NumpyType } from "./numpy_header.ts";

/** Elements as they lie in memory; float16 and bool as their bits, complex numbers as re, im, re, im. */
export type NumpyData =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** An array as NumPy has it, also of types that tensors do not have. */
export interface NumpyArray {
  readonly dtype: NumpyType;
  readonly shape: readonly number[];
  /** In row-major order, whatever the file's. */
  readonly data: NumpyData;
}

export interface NumpyLoadOptions {
  device?: Device | string | null;
}

const DATA = {
  bool: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  complex64: Float32Array,
  complex128: Float64Array,
} as const;

const isComplex = (dtype: NumpyType): boolean => dtype.startsWith("complex");

/** Row-major bytes of what lies in column-major order. */
function fromFortran(bytes: Uint8Array, shape: readonly number[], itemsize: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const index = new Array<number>(shape.length).fill(0);
  const strides = shape.map((_, d) => itemsize * numelOf(shape.slice(0, d)));
  for (let to = 0, from = 0; to < out.length; to += itemsize) {
    for (let i = 0; i < itemsize; i++) out[to + i] = bytes[from + i]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d]!;
      if (++index[d]! < shape[d]!) break;
      index[d] = 0;
      from -= strides[d]! * shape[d]!;
    }
  }
  return out;
}

async function readArray(source: ByteSource): Promise<NumpyArray> {
  const header = await parseGrowing(source, 0, "npy", (bytes) => parseNpy(bytes, source.size));
  const { dtype, shape, start, nbytes, little, fortran_order } = header;
  const { itemsize } = NUMPY_TYPES[dtype];
  let bytes = (await readExactly(source, start, start + nbytes, "npy")).slice();
  if (!little) swapBytes(bytes, isComplex(dtype) ? itemsize / 2 : itemsize);
  if (fortran_order && shape.length > 1) bytes = fromFortran(bytes, shape, itemsize).slice(0);
  if (dtype === "bool") bytes = bytes.map((b) => (b === 0 ? 0 : 1));
  return { dtype, shape, data: new DATA[dtype](bytes.buffer) };
}

/** uint16 and uint32 as the next wider type, uint64 as int64 where that holds it. */
function widened({ dtype, data }: NumpyArray): [name: string, data: NumpyData] {
  if (dtype === "uint16") return ["int32", Int32Array.from(data as Uint16Array)];
  if (dtype === "uint32") return ["int64", BigInt64Array.from(data as Uint32Array, BigInt)];
  if (dtype !== "uint64") return [dtype, data];
  const large = (data as BigUint64Array).find((x) => x > 0x7fffffffffffffffn);
  if (large !== undefined) {
    throw new ValueError(
      `npy: ${large} of an array of uint64 does not fit int64; use read_npy or read_npz for the plain numbers`,
    );
  }
  return ["int64", new BigInt64Array(data.buffer as ArrayBuffer)];
}

function toTensor(array: NumpyArray, { device = null }: NumpyLoadOptions): Tensor {
  const [name, data] = widened(array);
  const dtype = dtypeByName(name);
  if (dtype === undefined) {
    throw new NotImplementedError(`npy: there is no dtype for ${name}; use read_npy or read_npz for the plain numbers`);
  }
  const place = device === null ? get_default_device() : resolveDevice(device);
  const out = empty([...array.shape], dtype, place);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length > 0) place.write(out._storage.buffer!, 0, bytes);
  return out;
}

async function withSource<T>(what: string, from: Readable, use: (source: ByteSource) => Promise<T>): Promise<T> {
  const source = await openSource(what, from);
  try {
    return await use(source);
  } finally {
    await source.close?.();
  }
}

/** An array of a .npy file as plain numbers, of any of NumPy's number types. */
export function read_npy(from: Readable): Promise<NumpyArray> {
  return withSource("read_npy", from, readArray);
}

/** The tensor in a .npy file. uint16 and uint32 become int32 and int64, uint64 becomes int64 where it fits. */
export async function load_npy(from: Readable, options: NumpyLoadOptions = {}): Promise<Tensor> {
  return toTensor(await read_npy(from), options);
}

/** An entry that is much longer than its array is not inflated. */
function checkBegin({ name, size }: ZipEntry, first: Uint8Array): void {
  let header: NpyHeader;
  try {
    header = parseNpy(first, size);
  } catch (error) {
    if (error instanceof Truncated) return; // a long header; it is checked with the rest
    throw error;
  }
  if (header.start + header.nbytes !== size) {
    throw new FileFormatError(`npz: '${name}' has ${size} bytes, its array takes ${header.start + header.nbytes}`);
  }
}

/** A stored entry is read where it lies; a compressed one must be read whole. */
async function entrySource(zip: ZipReader, source: ByteSource, entry: ZipEntry): Promise<ByteSource> {
  if (!isStored(entry)) return memory(await zip.read(entry, { begin: (first) => checkBegin(entry, first) }));
  const [from, to] = await zip.range(entry);
  return { size: to - from, read: (a, b) => source.read(from + a, from + b) };
}

async function readAll<T>(what: string, from: Readable, make: (array: NumpyArray) => T): Promise<Record<string, T>> {
  return withSource(what, from, async (source) => {
    const zip = await ZipReader.open(source);
    const out: Record<string, T> = {};
    for (const entry of zip.entries.values()) {
      if (!entry.name.endsWith(".npy")) throw new FileFormatError(`${what}: '${entry.name.slice(0, 80)}' is no array (.npy)`);
      const name = entry.name.slice(0, -".npy".length);
      setOwn(out, name, make(await readArray(await entrySource(zip, source, entry))));
    }
    return out;
  });
}

/** All arrays of a .npz file, by name, as plain numbers. */
export function read_npz(from: Readable): Promise<Record<string, NumpyArray>> {
  return readAll("read_npz", from, (array) => array);
}

/** All tensors of a .npz file (np.savez, np.savez_compressed), by name. */
export function load_npz(from: Readable, options: NumpyLoadOptions = {}): Promise<Record<string, Tensor>> {
  return readAll("load_npz", from, (array) => toTensor(array, options));
}

function isArray(x: unknown): x is NumpyArray {
  return typeof x === "object" && x !== null && Object.hasOwn(NUMPY_TYPES, String((x as NumpyArray).dtype)) && "data" in x;
}

/** Header and data of one array. */
function contentOf(what: string, value: Tensor | NumpyArray): { size: number; parts(): AsyncGenerator<Uint8Array> } {
  if (isArray(value)) {
    const { dtype, shape, data } = value;
    const expected = numelOf(shape) * NUMPY_TYPES[dtype].itemsize;
    if (!(data instanceof DATA[dtype]) || data.byteLength !== expected) {
      throw new ValueError(`${what}: ${dtype} of shape [${shape.join(", ")}] takes ${expected} bytes in a ${DATA[dtype].name}`);
    }
    const header = writeNpy(dtype, shape);
    return {
      size: header.length + expected,
      async *parts() {
        yield header;
        yield new Uint8Array(data.buffer, data.byteOffset, expected);
      },
    };
  }
  if (!(value instanceof Tensor)) throw new ValueError(`${what}: expected a Tensor or a NumpyArray, got ${describe(value)}`);
  const { dtype, shape } = value;
  const name = dtype.name as string;
  if (!Object.hasOwn(NUMPY_TYPES, name)) throw new ValueError(`${what}: NumPy has no ${dtype}; convert it to float32 first`);
  const header = writeNpy(name as NumpyType, shape);
  const nbytes = value.numel() * dtype.itemsize;
  return {
    size: header.length + nbytes,
    async *parts() {
      yield header;
      yield* denseBytes(value);
    },
  };
}

/** Writes a tensor (or plain numbers) as .npy. Without a target: the bytes of the file. */
export async function save_npy(value: Tensor | NumpyArray, target: Writable): Promise<void>;
export async function save_npy(value: Tensor | NumpyArray): Promise<Uint8Array<ArrayBuffer>>;
export async function save_npy(value: Tensor | NumpyArray, target?: Writable): Promise<Uint8Array<ArrayBuffer> | void> {
  const { parts } = contentOf("save_npy", value);
  return target === undefined ? joined(parts()) : writeTo("save_npy", target, parts());
}

export interface NpzOptions {
  /** As np.savez_compressed does. */
  compressed?: boolean;
}
type Arrays = Readonly<Record<string, Tensor | NumpyArray>>;

/** Writes named tensors (or plain numbers) as .npz. Without a target: the bytes of the file. */
export async function save_npz(arrays: Arrays, target: Writable, options?: NpzOptions): Promise<void>;
export async function save_npz(arrays: Arrays, target?: null, options?: NpzOptions): Promise<Uint8Array<ArrayBuffer>>;
export async function save_npz(
  arrays: Arrays,
  target: Writable | null = null,
  { compressed = false }: NpzOptions = {},
): Promise<Uint8Array<ArrayBuffer> | void> {
  const contents = Object.entries(arrays).map(([name, value]): ZipContent => ({
    name: `${name}.npy`,
    bytes: contentOf(`save_npz: '${name}'`, value),
  }));
  const parts = writeZip(contents, { deflate: compressed, align: compressed ? 1 : 64 });
  return target === null ? joined(parts) : writeTo("save_npz", target, parts);
}
