/** Safetensors: named tensors in a file, without code in it. */

import type { Device } from "../core/device.ts";
import { complex128, complex64, DTYPES, type DType, type DTypeName } from "../core/dtype.ts";
import { NotImplementedError, ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { empty } from "../engine/run.ts";
import { describe } from "../engine/signature.ts";
import { get_default_device, resolveDevice } from "../ops/devices.ts";
import { denseBytes } from "./dense.ts";
import { joined, pieces } from "./format.ts";
import { headerLength, parseHeader, SafetensorError, writeHeader, type Header, type TensorInfo } from "./header.ts";
import { fileSystem, memory, openSource, type ByteSource, type Readable } from "./source.ts";

export { SafetensorError } from "./header.ts";
export type { ByteSource, Readable } from "./source.ts";

const NAMES: Readonly<Record<DTypeName | "complex64", string>> = {
  bool: "BOOL",
  uint8: "U8",
  int8: "I8",
  int16: "I16",
  int32: "I32",
  int64: "I64",
  float16: "F16",
  bfloat16: "BF16",
  float32: "F32",
  float64: "F64",
  complex64: "C64",
};
const BY_NAME: ReadonlyMap<string, DType> = new Map([...DTYPES, complex64].map((d) => [NAMES[d.name], d]));

/** A state_dict, or any named tensors. */
export type NamedTensors = Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>;

export interface SaveOptions {
  /** Text that goes into the file's header. */
  metadata?: Readonly<Record<string, string>> | null;
}
export interface LoadOptions {
  device?: Device | string | null;
}

function prepare(tensors: NamedTensors, { metadata = null }: SaveOptions) {
  const named = tensors instanceof Map ? [...(tensors as ReadonlyMap<string, Tensor>)] : Object.entries(tensors);
  const list = named.map(([name, tensor]) => {
    if (!(tensor instanceof Tensor))
      throw new ValueError(`save: key '${name}' is invalid, expected Tensor but got ${describe(tensor)}`);
    if (tensor.dtype === complex128)
      throw new ValueError(`save: key '${name}' is of complex128, which safetensors does not have`);
    return { name, tensor, dtype: NAMES[tensor.dtype.name], shape: tensor.shape };
  });
  return writeHeader(list, metadata);
}

async function* partsOf(tensors: NamedTensors, options: SaveOptions): AsyncGenerator<Uint8Array> {
  const { bytes, order } = prepare(tensors, options);
  yield bytes;
  for (const { tensor } of order) yield* denseBytes(tensor);
}

/** The bytes of a safetensors file. */
export async function save(tensors: NamedTensors, options: SaveOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  return joined(partsOf(tensors, options));
}

/** Writes a safetensors file: whole, or not at all. */
export async function save_file(tensors: NamedTensors, filename: string, options: SaveOptions = {}): Promise<void> {
  prepare(tensors, options); // what cannot be saved is refused before anything is written
  await fileSystem("save_file").writeAtomic(filename, partsOf(tensors, options));
}

/** An opened safetensors file: its header has been read and checked, tensors are read when they are asked for. */
export class SafeOpen {
  private readonly infos: ReadonlyMap<string, TensorInfo>;
  /** @internal Use `safe_open`. */
  constructor(
    private readonly source: ByteSource,
    private readonly header: Header,
    private readonly device: Device,
  ) {
    this.infos = new Map(header.tensors.map((info) => [info.name, info]));
  }

  /** Names in the order of the data. */
  keys(): string[] {
    return [...this.infos.keys()];
  }
  metadata(): Readonly<Record<string, string>> | null {
    return this.header.metadata;
  }
  /** Shape and dtype (as the file spells it) without reading the tensor. */
  get_info(name: string): { readonly dtype: string; readonly shape: readonly number[] } {
    const { dtype, shape } = this.info(name);
    return { dtype, shape };
  }

  /** Reads one tensor. */
  async get_tensor(name: string): Promise<Tensor> {
    const { begin, end, shape, dtype: spelt } = this.info(name);
    const dtype = BY_NAME.get(spelt);
    if (dtype === undefined) throw new NotImplementedError(`tensor '${name}': there is no dtype for ${spelt}`);
    const out = empty(shape, dtype, this.device);
    for (const [from, to] of pieces(begin, end)) {
      let bytes = await this.source.read(from, to);
      if (bytes.length !== to - from) {
        throw new SafetensorError(`tensor '${name}': ${to - from} bytes were expected at ${from}, got ${bytes.length}`);
      }
      if (dtype.name === "bool") bytes = bytes.map((b) => (b === 0 ? 0 : 1));
      this.device.write(out._storage.buffer!, from - begin, bytes);
    }
    return out;
  }

  private info(name: string): TensorInfo {
    const info = this.infos.get(name);
    if (info === undefined) throw new SafetensorError(`the file does not contain tensor '${name}'`);
    return info;
  }

  async close(): Promise<void> {
    await this.source.close?.();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function openWith(source: ByteSource, device: LoadOptions["device"]): Promise<SafeOpen> {
  const { size } = source;
  const length = headerLength(await source.read(0, Math.min(8, size)), size);
  const bytes = await source.read(8, 8 + length);
  if (bytes.length !== length)
    throw new SafetensorError(`invalid header length: ${length} bytes were expected, got ${bytes.length}`);
  const place = device === null || device === undefined ? get_default_device() : resolveDevice(device);
  return new SafeOpen(source, parseHeader(bytes, size), place);
}

/** Opens a safetensors file, Blob or URL (by ranges where the server has them); only what is asked for is read. Close it after use. */
export async function safe_open(filename: Readable, { device = null }: LoadOptions = {}): Promise<SafeOpen> {
  const source = await openSource("safe_open", filename);
  try {
    return await openWith(source, device);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

async function loadAll(file: SafeOpen): Promise<Record<string, Tensor>> {
  try {
    const entries: [string, Tensor][] = [];
    for (const name of file.keys()) entries.push([name, await file.get_tensor(name)]);
    return Object.fromEntries(entries);
  } finally {
    await file.close();
  }
}

/** All tensors of a safetensors file, by name. */
export async function load_file(filename: Readable, options: LoadOptions = {}): Promise<Record<string, Tensor>> {
  return loadAll(await safe_open(filename, options));
}

/** All tensors of the bytes of a safetensors file, by name. */
export async function load(data: Uint8Array | ArrayBuffer, { device = null }: LoadOptions = {}): Promise<Record<string, Tensor>> {
  return loadAll(await openWith(memory(data instanceof Uint8Array ? data : new Uint8Array(data)), device));
}
