/** Models in several files, with an index that says which tensor lies where: `model.safetensors.index.json`, `pytorch_model.bin.index.json`. */

import { ValueError } from "../core/errors.ts";
import { numelOf } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { FileFormatError, readExactly, setOwn, shown } from "./format.ts";
import { safe_open, save_file, type LoadOptions, type NamedTensors, type SaveOptions } from "./safetensors.ts";
import { fileSystem, openSource, type Readable } from "./source.ts";
import { load } from "./torch_load.ts";

const MOST_INDEX = 100_000_000;

export interface ShardIndex {
  readonly metadata: Readonly<Record<string, unknown>>;
  /** The file of each tensor, beside the index. */
  readonly weight_map: Readonly<Record<string, string>>;
}

export interface ShardedLoadOptions extends LoadOptions {
  /** Where a file that the index names is; by default beside the index, which must be a path or a URL then. */
  shard?: (filename: string) => Readable | Promise<Readable>;
}

export interface ShardedSaveOptions extends SaveOptions {
  /** Most bytes of tensors in a file (a larger tensor has one of its own): a number, or "5GB", "500MB". */
  max_shard_size?: number | string;
}

/** Files lie beside their index: a name that leads elsewhere is refused. */
const isFileName = (x: unknown): x is string => typeof x === "string" && /^[^/\\:\0]{1,255}$/.test(x) && x !== "." && x !== "..";

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);

/** Parses and checks an index. */
export function parseIndex(bytes: Uint8Array): ShardIndex {
  let index: unknown;
  try {
    index = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new FileFormatError(`index: it is not JSON (${(error as Error).message.slice(0, 200)})`);
  }
  if (!isRecord(index) || !isRecord(index.weight_map)) throw new FileFormatError("index: it has no weight_map");
  for (const [name, file] of Object.entries(index.weight_map)) {
    if (!isFileName(file)) {
      throw new FileFormatError(`index: tensor '${name.slice(0, 80)}' lies in ${shown(file)}; expected a file beside the index`);
    }
  }
  return {
    metadata: isRecord(index.metadata) ? index.metadata : {},
    weight_map: index.weight_map as Record<string, string>,
  };
}

/** `filename` beside the index. */
function beside(index: Readable, filename: string): Readable {
  if (index instanceof URL) return new URL(encodeURIComponent(filename), index);
  if (typeof index === "string") {
    if (/^https?:/.test(index)) return new URL(encodeURIComponent(filename), index);
    if (!/^(blob|data):/.test(index)) return index.replace(/[^/\\]*$/, () => filename);
  }
  throw new ValueError(
    "load_sharded: the index is no path and no URL that files could lie beside; pass `shard: (filename) => ...`",
  );
}

/** All tensors of the files that an index names, safetensors or PyTorch's, by name. */
export async function load_sharded(
  index: Readable,
  { device = null, shard = (filename) => beside(index, filename) }: ShardedLoadOptions = {},
): Promise<Record<string, Tensor>> {
  const source = await openSource("load_sharded", index);
  let parsed: ShardIndex;
  try {
    if (source.size > MOST_INDEX) throw new FileFormatError(`index: ${source.size} bytes; at most ${MOST_INDEX} are read`);
    parsed = parseIndex(await readExactly(source, 0, source.size, "index"));
  } finally {
    await source.close?.();
  }
  const byFile = new Map<string, string[]>();
  for (const [name, file] of Object.entries(parsed.weight_map)) {
    const names = byFile.get(file);
    if (names === undefined) byFile.set(file, [name]);
    else names.push(name);
  }
  const found = new Map<string, Tensor>();
  for (const [file, names] of byFile) {
    const tensors = await readShard(await shard(file), file, names, device);
    names.forEach((name, i) => found.set(name, tensors[i]!));
  }
  const out: Record<string, Tensor> = {};
  for (const name of Object.keys(parsed.weight_map)) setOwn(out, name, found.get(name));
  return out;
}

async function readShard(from: Readable, file: string, names: string[], device: LoadOptions["device"]): Promise<Tensor[]> {
  if (/\.(bin|pt|pth)$/.test(file)) {
    const all = await load(from, { map_location: device ?? "cpu" });
    return names.map((name) => {
      const value = isRecord(all) && Object.hasOwn(all, name) ? all[name] : null;
      if (!(value instanceof Tensor)) throw new FileFormatError(`index: ${file} does not contain tensor '${name}'`);
      return value;
    });
  }
  const opened = await safe_open(from, { device });
  try {
    const tensors: Tensor[] = [];
    for (const name of names) tensors.push(await opened.get_tensor(name));
    return tensors;
  } finally {
    await opened.close();
  }
}

function bytesIn(size: number | string): number {
  const found = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?$/i.exec(String(size));
  const bytes =
    found === null ? NaN : Number(found[1]) * (found[3] ? 1024 : 1000) ** " KMGT".indexOf(found[2]!.toUpperCase() || " ");
  if (!(bytes >= 1))
    throw new ValueError(`save_sharded: max_shard_size is ${String(size)}; expected bytes, or text such as "5GB"`);
  return bytes;
}

/**
 * Writes tensors into a folder as `model.safetensors`, or, where they are more than max_shard_size, as `model-00001-of-0000N.safetensors`
 * and the index `model.safetensors.index.json`, which comes last. Returns the names of the files.
 */
export async function save_sharded(
  tensors: NamedTensors,
  folder: string,
  { max_shard_size = "5GB", ...options }: ShardedSaveOptions = {},
): Promise<string[]> {
  const most = bytesIn(max_shard_size);
  const entries = tensors instanceof Map ? [...(tensors as ReadonlyMap<string, Tensor>)] : Object.entries(tensors);
  const shards: [string, Tensor][][] = [[]];
  let [used, total] = [0, 0];
  for (const [name, tensor] of entries) {
    if (!(tensor instanceof Tensor)) throw new ValueError(`save_sharded: key '${name}' is no Tensor`);
    const bytes = numelOf(tensor.shape) * tensor.dtype.itemsize;
    if (used + bytes > most && shards.at(-1)!.length > 0) {
      shards.push([]);
      used = 0;
    }
    shards.at(-1)!.push([name, tensor]);
    used += bytes;
    total += bytes;
  }
  const base = /[/\\]$/.test(folder) || folder === "" ? folder : `${folder}/`;
  const number = (n: number): string => String(n).padStart(5, "0");
  const nameOf = (i: number): string =>
    shards.length === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
  const files: string[] = [];
  const places: [string, string][] = [];
  for (const [i, shard] of shards.entries()) {
    await save_file(new Map(shard), base + nameOf(i), options);
    files.push(nameOf(i));
    for (const [name] of shard) places.push([name, nameOf(i)]);
  }
  if (shards.length === 1) return files;
  places.sort(([a], [b]) => (a < b ? -1 : 1));
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(places) };
  const text = new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`);
  await fileSystem("save_sharded").writeAtomic(`${base}model.safetensors.index.json`, [text]);
  return [...files, "model.safetensors.index.json"];
}
