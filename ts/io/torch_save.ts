/** `torch.save`: zip archives that PyTorch's torch.load opens, with weights_only=True. */

import { DType } from "../core/dtype.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import type { Storage } from "../core/storage.ts";
import { Tensor } from "../core/tensor.ts";
import { joined, pieces } from "./format.ts";
import { PickleWriter } from "./pickle_writer.ts";
import { fileSystem, pathOf } from "./source.ts";
import { storageClass } from "./torch_globals.ts";
import { writeZip, type ZipContent } from "./zip.ts";

/** Where a file goes: a path (Node), a file URL, or a stream of bytes. */
export type Writable = string | URL | WritableStream<Uint8Array>;

/** Writes parts to a target; a file appears whole, or not at all. @internal */
export async function writeTo(what: string, target: Writable, parts: AsyncIterable<Uint8Array>): Promise<void> {
  if (typeof target === "string") return fileSystem(what).writeAtomic(target, parts);
  if (target instanceof URL) {
    if (target.protocol !== "file:")
      throw new ValueError(`${what}: cannot write to ${target.href}; expected a path or a file: URL`);
    return fileSystem(what).writeAtomic(pathOf(target), parts);
  }
  if (typeof target !== "object" || target === null || typeof target.getWriter !== "function") {
    throw new TypeError(`${what}: expected a path, a file URL or a WritableStream to write to, got ${typeof target}`);
  }
  const writer = target.getWriter();
  try {
    for await (const part of parts) await writer.write(part);
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
}

interface Saved {
  readonly key: string;
  readonly dtype: DType;
  readonly storage: Storage;
  readonly nbytes: number;
}

class TensorPickler {
  readonly storages = new Map<Storage, Saved>();

  /** What a value of ours is in PyTorch. */
  readonly object = (value: object, pickle: PickleWriter): boolean => {
    if (value instanceof DType) pickle.global("torch", value.name);
    else if (value instanceof Tensor) this.tensor(value, pickle);
    else return false;
    return true;
  };

  private tensor(value: Tensor, pickle: PickleWriter): void {
    const { dtype, shape, _strides, _offset } = value;
    value._storage.materialize();
    const { key, storage, nbytes } = this.saved(value._storage, dtype);
    const { type, index } = storage.device;
    pickle.call("torch._utils", "_rebuild_tensor_v2", () => {
      pickle.tuple(() => {
        pickle.string("storage");
        pickle.global("torch", storageClass(dtype));
        pickle.string(key);
        pickle.string(type === "cuda" ? `cuda:${index}` : "cpu");
        pickle.integer(nbytes / dtype.itemsize);
      });
      pickle.bytes(0x51); // BINPERSID
      pickle.integer(_offset);
      pickle.tuple(() => shape.forEach((n) => pickle.integer(n)));
      pickle.tuple(() => _strides.forEach((n) => pickle.integer(n)));
      pickle.write(value.requires_grad, "");
      pickle.call("collections", "OrderedDict", () => {});
    });
  }

  private saved(storage: Storage, dtype: DType): Saved {
    const known = this.storages.get(storage);
    if (known === undefined) {
      const made = { key: String(this.storages.size), dtype, storage, nbytes: storage.size * storage.dtype.itemsize };
      this.storages.set(storage, made);
      return made;
    }
    if (known.dtype !== dtype) {
      throw new RuntimeError(
        `save: cannot save tensors that view the same memory as different types (${known.dtype} and ${dtype}); save a clone() of one of them`,
      );
    }
    return known;
  }
}

async function* bytesOf({ storage, nbytes }: Saved): AsyncGenerator<Uint8Array> {
  for (const [from, to] of pieces(0, nbytes)) yield await storage.device.read(storage.materialize(), from, to - from);
}

function contents(value: unknown): ZipContent[] {
  const tensors = new TensorPickler();
  const pickle = new PickleWriter(tensors.object);
  pickle.write(value, "the value");
  const text = (s: string): Uint8Array => new TextEncoder().encode(s);
  return [
    { name: "archive/data.pkl", bytes: pickle.finish() },
    { name: "archive/byteorder", bytes: text("little") },
    ...[...tensors.storages.values()].map((saved) => ({
      name: `archive/data/${saved.key}`,
      bytes: { size: saved.nbytes, parts: () => bytesOf(saved) },
    })),
    { name: "archive/version", bytes: text("3\n") },
  ];
}

/**
 * Writes tensors and plain containers (state_dicts, checkpoints) to a `.pt` file that PyTorch opens with
 * `torch.load(path, weights_only=True)`. Tensors that share memory share it in the file. Without a target: the bytes of the file.
 * Whole numbers become ints: write `new torch.FloatScalar(1)` where Python needs 1.0.
 */
export async function save(value: unknown, target: Writable): Promise<void>;
export async function save(value: unknown): Promise<Uint8Array<ArrayBuffer>>;
export async function save(value: unknown, target?: Writable): Promise<Uint8Array<ArrayBuffer> | void> {
  const parts = writeZip(contents(value), { align: 64 });
  return target === undefined ? joined(parts) : writeTo("save", target, parts);
}
