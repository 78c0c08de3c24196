/** `torch.load`: PyTorch's files, the zip archives of today and the plain streams of before 1.6. */

import type { Device } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import { NotImplementedError, RuntimeError } from "../core/errors.ts";
import { contiguousStrides, numelOf } from "../core/shape.ts";
import { Storage } from "../core/storage.ts";
import { Tensor } from "../core/tensor.ts";
import { resolveDevice } from "../ops/devices.ts";
import { FileFormatError, parseGrowing, pieces, readExactly, setOwn, swapBytes, Truncated, UnpicklingError } from "./format.ts";
import { isCount } from "./header.ts";
import { pythonType, unpickle } from "./pickle.ts";
import { openSource, type ByteSource, type Readable } from "./source.ts";
import { StorageType, torchGlobal, type TensorMaker } from "./torch_globals.ts";
import { isStored, isZip, ZipReader } from "./zip.ts";

/** Where storages go: one device for all, or by the place that the file names ("cpu", "cuda:0"). */
export type MapLocation =
  Device | string | Readonly<Record<string, Device | string>> | ((location: string) => Device | string | null | undefined);

export interface TorchLoadOptions {
  /** Default: where they were saved. */
  map_location?: MapLocation | null;
  /** There is no other way here. */
  weights_only?: true;
}

/** Memory that tensors of the file share. It gets its bytes when all of the pickle has been read. */
class Root {
  storage: Storage | null = null;
  dtype: DType | null = null;
  constructor(
    readonly key: string,
    readonly nbytes: number,
    readonly device: Device,
  ) {}

  as(dtype: DType): Storage {
    if (this.dtype !== null && this.dtype !== dtype) {
      throw new NotImplementedError(`load: storage '${this.key}' is shared by tensors of ${this.dtype} and ${dtype}`);
    }
    if (this.nbytes % dtype.itemsize !== 0) {
      throw new UnpicklingError(`load: storage '${this.key}' has ${this.nbytes} bytes, no whole number of ${dtype}`);
    }
    this.dtype = dtype;
    // Complex elements are pairs in memory of their parts' type.
    const { real } = dtype;
    return (this.storage ??= new Storage(this.device, real, this.nbytes / real.itemsize, null));
  }
}

/** A storage as the pickle sees it: all of a root, or (in old files) a part. */
class StorageRef {
  constructor(
    readonly root: Root,
    readonly dtype: DType | null,
    /** In elements. */
    readonly offset: number,
    readonly size: number,
  ) {}
}

function counts(what: string, x: unknown): number[] {
  if (!Array.isArray(x) || x.length > 64 || !x.every(isCount)) {
    throw new UnpicklingError(`load: a tensor's ${what} is ${pythonType(x)}; expected up to 64 whole numbers`);
  }
  return x as number[];
}

/** What one pickle has asked for. */
abstract class TorchHost implements TensorMaker {
  readonly roots = new Map<string, Root>();
  private readonly devices = new Map<string, Device>();
  constructor(private readonly map: MapLocation | null) {}

  /** Throws where the file cannot hold a storage of this size. */
  protected abstract admit(key: string, nbytes: number): void;

  global(module: string, name: string): unknown {
    return torchGlobal(module, name, this);
  }

  persistent(id: unknown): StorageRef {
    if (!Array.isArray(id) || id[0] !== "storage") {
      throw new UnpicklingError(`load: a persistent id of ${pythonType(Array.isArray(id) ? id[0] : id)}; only storages are read`);
    }
    const [, type, key, location, numel, part] = id as unknown[];
    if (!(type instanceof StorageType)) throw new UnpicklingError(`load: ${pythonType(type)} as the class of a storage`);
    if (typeof key !== "string" || typeof location !== "string" || !isCount(numel)) {
      throw new UnpicklingError(`load: a storage of ${pythonType(numel)} elements called ${pythonType(key)}`);
    }
    const nbytes = numel * (type.dtype?.itemsize ?? 1);
    let root = this.roots.get(key);
    if (root === undefined) {
      this.admit(key, nbytes);
      this.roots.set(key, (root = new Root(key, nbytes, this.deviceOf(location))));
    } else if (root.nbytes !== nbytes) {
      throw new UnpicklingError(`load: storage '${key}' has ${root.nbytes} bytes and, elsewhere, ${nbytes}`);
    }
    if (part === null || part === undefined) return new StorageRef(root, type.dtype, 0, numel);
    const [name, offset, size] = Array.isArray(part) ? (part as unknown[]) : [];
    if (typeof name !== "string" || !isCount(offset) || !isCount(size) || offset + size > numel) {
      throw new UnpicklingError(`load: a part of storage '${key}' that does not lie in it`);
    }
    return new StorageRef(root, type.dtype, offset, size);
  }

  private deviceOf(location: string): Device {
    let device = this.devices.get(location);
    if (device === undefined) this.devices.set(location, (device = this.place(location)));
    return device;
  }
  private place(location: string): Device {
    const { map } = this;
    if (typeof map === "string") return resolveDevice(map);
    let wanted: Device | string | null | undefined;
    if (typeof map === "function") wanted = map(location);
    else if (map !== null && isDevice(map)) return map;
    else if (map !== null && Object.hasOwn(map, location)) wanted = map[location];
    if (wanted !== null && wanted !== undefined) return resolveDevice(wanted);
    try {
      return resolveDevice(location);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new RuntimeError(
        `load: a tensor was saved on '${location.slice(0, 40)}': ${why}. Pass map_location: "cpu" to have it elsewhere.`,
        { cause: error },
      );
    }
  }

  rebuild(storage: unknown, offset: unknown, size: unknown, stride: unknown, requires_grad: unknown, as?: DType): Tensor {
    if (!(storage instanceof StorageRef))
      throw new UnpicklingError(`load: a tensor on ${pythonType(storage)}, which is no storage`);
    const dtype = as ?? storage.dtype;
    if (dtype === null) throw new UnpicklingError("load: a tensor on plain bytes, without a dtype");
    const shape = counts("size", size);
    const strides = counts("stride", stride);
    if (!isCount(offset)) throw new UnpicklingError(`load: a tensor's offset is ${pythonType(offset)}`);
    const memory = storage.root.as(dtype);
    const room = storage.dtype === null ? Math.floor(storage.size / dtype.itemsize) : storage.size;
    const last = shape.reduce((n, d, i) => n + (d - 1) * (strides[i] ?? 0), offset);
    const numel = numelOf(shape);
    if (shape.length !== strides.length || !Number.isSafeInteger(numel) || (numel > 0 && last >= room)) {
      throw new UnpicklingError(
        `load: a tensor of size [${shape.join(", ")}], stride [${strides.join(", ")}] and offset ${offset} does not fit its storage of ${room} elements`,
      );
    }
    const made = new Tensor(dtype, shape, strides, storage.offset + offset, memory);
    return this.parameter(made, requires_grad);
  }

  parameter(data: unknown, requires_grad: unknown): Tensor {
    if (!(data instanceof Tensor)) throw new UnpicklingError(`load: a parameter of ${pythonType(data)}, which is no tensor`);
    if (requires_grad === true && data.dtype.differentiable) data._leafRequiresGrad = true;
    return data;
  }

  /** Allocates and fills a root's memory. */
  protected async fill(root: Root, source: ByteSource, from: number, little: boolean): Promise<void> {
    const { storage, nbytes, dtype } = root;
    if (storage === null || dtype === null) return;
    storage.buffer = storage.device.alloc(nbytes, storage.dtype);
    for (const [a, b] of pieces(from, from + nbytes)) {
      let bytes = await readExactly(source, a, b, `load: storage '${root.key}'`);
      if (dtype.name === "bool") bytes = bytes.map((x) => (x === 0 ? 0 : 1));
      else if (!little) bytes = swapBytes(bytes.slice(), storage.dtype.itemsize);
      storage.device.write(storage.buffer, a - from, bytes);
    }
  }
}

function isDevice(x: object): x is Device {
  return typeof (x as Partial<Device>).alloc === "function";
}

/** Maps whose keys are text become objects, storages 1-d tensors; what was shared stays shared, cycles included. */
function toPlain(root: unknown): unknown {
  const made = new Map<object, unknown>();
  const work: [from: object, to: object][] = [];
  const shell = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null) {
      return value;
    }
    const known = made.get(value);
    if (known !== undefined) return known;
    let to: unknown = value;
    if (Array.isArray(value)) to = [];
    else if (value instanceof Map) to = [...value.keys()].every((key) => typeof key === "string") ? {} : new Map();
    else if (value instanceof Set) to = new Set();
    else if (value instanceof StorageRef) to = wholeOf(value);
    made.set(value, to);
    if (to !== value && !(value instanceof StorageRef)) work.push([value, to as object]);
    return to;
  };
  const result = shell(root);
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    const [from, to] = item;
    if (Array.isArray(from)) for (const x of from) (to as unknown[]).push(shell(x));
    else if (from instanceof Set) for (const x of from) (to as Set<unknown>).add(shell(x));
    else if (to instanceof Map) for (const [k, v] of from as Map<unknown, unknown>) to.set(shell(k), shell(v));
    else for (const [k, v] of from as Map<string, unknown>) setOwn(to, k, shell(v));
  }
  return result;
}

function wholeOf({ root, dtype, offset, size }: StorageRef): Tensor {
  if (dtype === null) throw new NotImplementedError("load: the file has an untyped storage outside of tensors");
  return new Tensor(dtype, [size], contiguousStrides([size]), offset, root.as(dtype));
}

class ZipHost extends TorchHost {
  constructor(
    private readonly zip: ZipReader,
    private readonly folder: string,
    map: MapLocation | null,
  ) {
    super(map);
  }

  private entryOf(key: string) {
    return this.zip.entries.get(`${this.folder}data/${key}`);
  }

  protected override admit(key: string, nbytes: number): void {
    const entry = this.entryOf(key);
    if (entry === undefined) throw new FileFormatError(`load: the file has no data of storage '${key}'`);
    if (entry.size !== nbytes) {
      throw new FileFormatError(`load: storage '${key}' takes ${nbytes} bytes, but the file has ${entry.size}`);
    }
  }

  async fillAll(source: ByteSource): Promise<void> {
    const order = this.zip.entries.get(`${this.folder}byteorder`);
    const text = order === undefined ? "little" : new TextDecoder().decode(await this.zip.read(order, { crc: false }));
    if (text !== "little" && text !== "big") throw new FileFormatError(`load: a byte order of '${text.slice(0, 20)}'`);
    for (const root of this.roots.values()) {
      const entry = this.entryOf(root.key)!;
      if (isStored(entry)) await this.fill(root, source, (await this.zip.range(entry))[0], text === "little");
      else {
        const bytes = await this.zip.read(entry);
        await this.fill(root, { size: bytes.length, read: async (a, b) => bytes.subarray(a, b) }, 0, text === "little");
      }
    }
  }
}

/** PyTorch does not compress; who does, with a pickle, comes nowhere near. */
const MOST_PICKLE_RATIO = 100;

async function loadZip(source: ByteSource, map: MapLocation | null): Promise<unknown> {
  const zip = await ZipReader.open(source);
  const names = [...zip.entries.keys()];
  const records = names.filter((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (records.length !== 1) {
    const what = names.slice(0, 3).join(", ");
    throw new FileFormatError(`load: this zip archive (${what || "empty"}) has no data.pkl: it was not written by torch.save`);
  }
  const folder = records[0]!.slice(0, -"data.pkl".length);
  if (zip.entries.has(`${folder}constants.pkl`)) {
    throw new NotImplementedError("load: this is a TorchScript archive (torch.jit.save); save its state_dict() instead");
  }
  // PyTorch can leave checksums out, and does not look at them.
  const record = zip.entries.get(records[0]!)!;
  if (record.size > record.compressed * MOST_PICKLE_RATIO) {
    throw new FileFormatError(`load: data.pkl has ${record.compressed} bytes in the file and claims ${record.size}`);
  }
  const bytes = await zip.read(record, { crc: false });
  const host = new ZipHost(zip, folder, map);
  const { value } = unpickle(bytes, 0, host);
  const result = toPlain(value);
  await host.fillAll(source);
  return result;
}

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

class LegacyHost extends TorchHost {
  private admitted = 0;
  constructor(
    private readonly room: number,
    map: MapLocation | null,
  ) {
    super(map);
  }

  protected override admit(key: string, nbytes: number): void {
    this.admitted += nbytes;
    if (this.admitted > this.room) {
      throw new FileFormatError(`load: storage '${key}' takes ${nbytes} bytes, which the file of ${this.room} does not have`);
    }
  }

  async fillAll(source: ByteSource, keys: unknown, start: number): Promise<void> {
    let at = start;
    if (!Array.isArray(keys)) throw new FileFormatError("load: the file has no list of its storages");
    const left = new Set(this.roots.keys());
    for (const key of keys as unknown[]) {
      const root = typeof key === "string" ? this.roots.get(key) : undefined;
      if (root === undefined || !left.delete(root.key)) throw new FileFormatError(`load: there is no storage ${pythonType(key)}`);
      const head = await readExactly(source, at, at + 8, "load");
      const numel = new DataView(head.buffer, head.byteOffset, 8).getBigInt64(0, true);
      const expected = root.nbytes / (root.dtype?.itemsize ?? 1);
      if (root.dtype !== null && numel !== BigInt(expected)) {
        throw new FileFormatError(`load: storage '${root.key}' has ${expected} elements, its data ${numel}`);
      }
      await this.fill(root, source, at + 8, true);
      at += 8 + root.nbytes;
    }
    if (left.size > 0) throw new FileFormatError(`load: the data of ${left.size} storages are missing`);
  }
}

async function loadLegacy(source: ByteSource, map: MapLocation | null): Promise<unknown> {
  const nothing = {
    global: (module: string, name: string): never => {
      throw new UnpicklingError(`load: the file's head names ${module}.${name}`);
    },
    persistent: (): never => {
      throw new UnpicklingError("load: the file's head names a storage");
    },
  };
  const parsed = await parseGrowing(source, 0, "load", (bytes) => {
    const magic = unpickle(bytes, 0, nothing);
    if (magic.value !== MAGIC) throw new FileFormatError(UNKNOWN);
    const protocol = unpickle(bytes, magic.end, nothing);
    if (protocol.value !== PROTOCOL)
      throw new FileFormatError(`load: protocol ${pythonType(protocol.value)}; expected ${PROTOCOL}`);
    const system = unpickle(bytes, protocol.end, nothing);
    const host = new LegacyHost(source.size, map);
    const object = unpickle(bytes, system.end, host);
    const keys = unpickle(bytes, object.end, nothing);
    return { host, value: object.value, keys: keys.value, end: keys.end };
  });
  const result = toPlain(parsed.value);
  await parsed.host.fillAll(source, parsed.keys, parsed.end);
  return result;
}

const UNKNOWN = "load: this is no file of torch.save: neither a zip archive nor a pickle with PyTorch's magic number";

/**
 * What `torch.save` has written, from bytes, a Blob, a path or a URL (by ranges where the server has them). Only tensors and plain
 * containers are read; a file that holds anything else is refused with an error that names it, and no code of it runs. Dicts become
 * objects, or Maps where a key is not text; tuples become arrays, whole numbers beyond 2^53 bigints. Tensors that shared memory
 * share it again.
 */
export async function load(
  from: Readable,
  { map_location = null, weights_only = true }: TorchLoadOptions = {},
): Promise<unknown> {
  if ((weights_only as boolean) !== true) {
    throw new NotImplementedError("load: weights_only is false; pickles of arbitrary objects are Python's alone");
  }
  const source = await openSource("load", from);
  try {
    if (await isZip(source)) return await loadZip(source, map_location);
    const first = await readExactly(source, 0, Math.min(2, source.size), "load");
    // PROTO; PyTorch's own first byte in all of its files of before 1.6.
    if (first[0] !== 0x80) throw new FileFormatError(UNKNOWN);
    return await loadLegacy(source, map_location);
  } catch (error) {
    if (error instanceof Truncated) throw new FileFormatError(`${error.message}: the file is cut off`);
    throw error;
  } finally {
    await source.close?.();
  }
}
