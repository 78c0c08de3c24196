/** Pickles and archives written by hand, for tests of what nobody should write. */

const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const join = (...parts: readonly ArrayLike<number>[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => Array.from(p)));

function string(s: string): Uint8Array {
  const bytes = text(s);
  return join([0x58, bytes.length & 255, bytes.length >> 8, 0, 0], bytes);
}
function integer(n: number): Uint8Array {
  const out = new Uint8Array(10);
  out[0] = 0x8a;
  out[1] = 8;
  new DataView(out.buffer).setBigInt64(2, BigInt(n), true);
  return out;
}
const global = (module: string, name: string): Uint8Array => join([0x63], text(`${module}\n${name}\n`));
const tuple = (...items: Uint8Array[]): Uint8Array => join([0x28], ...items, [0x74]);
const reduce = (fn: Uint8Array, args: Uint8Array): Uint8Array => join(fn, args, [0x52]);
/** A whole pickle with this value. */
const stop = (body: Uint8Array): Uint8Array => join([0x80, 2], body, [0x2e]);

interface TensorParts {
  numel?: number;
  location?: string;
  offset?: number;
  size?: number[];
  stride?: number[];
  /** Of the storage, as very old files have it. */
  part?: [name: string, offset: number, size: number];
}

/** A float32 tensor on storage "0". */
function tensor({ numel = 2, location = "cpu", offset = 0, size = [2], stride = [1], part }: TensorParts = {}): Uint8Array {
  const parts = part === undefined ? [] : [tuple(string(part[0]), integer(part[1]), integer(part[2]))];
  const id = tuple(string("storage"), global("torch", "FloatStorage"), string("0"), string(location), integer(numel), ...parts);
  const args = tuple(
    join(id, [0x51]),
    integer(offset),
    tuple(...size.map(integer)),
    tuple(...stride.map(integer)),
    Uint8Array.of(0x89),
    reduce(global("collections", "OrderedDict"), tuple()),
  );
  return stop(reduce(global("torch._utils", "_rebuild_tensor_v2"), args));
}

/** A file of before PyTorch 1.6 around a pickle. */
function legacy(pickle: Uint8Array, keys: string[] = [], data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const magic = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  const list = join([0x5d, 0x28], ...keys.map(string), [0x65]);
  return join(
    stop(Uint8Array.from(magic)),
    stop(Uint8Array.of(0x4d, 0xe9, 0x03)),
    stop(Uint8Array.of(0x7d)),
    pickle,
    stop(list),
    data,
  );
}

export const pickled = { string, integer, global, tuple, reduce, stop, tensor, legacy };

/** A zip archive of stored entries, with checksums left at 0 as PyTorch can. */
export function zipOf(entries: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const locals: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [name, bytes] of Object.entries(entries)) {
    const head = new DataView(new ArrayBuffer(46));
    head.setUint32(0, 0x02014b50, true);
    head.setUint32(20, bytes.length, true);
    head.setUint32(24, bytes.length, true);
    head.setUint16(28, text(name).length, true);
    head.setUint32(42, at, true);
    const central = new Uint8Array(head.buffer);
    const local = join([0x50, 0x4b, 3, 4], central.subarray(6, 32), text(name), bytes);
    directory.push(join(central, text(name)));
    locals.push(local);
    at += local.length;
  }
  const all = join(...directory);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(10, directory.length, true);
  end.setUint32(12, all.length, true);
  end.setUint32(16, at, true);
  return join(...locals, all, new Uint8Array(end.buffer));
}

/** What torch.save writes, around a pickle. */
export function torchZip(pickle: Uint8Array, more: Readonly<Record<string, Uint8Array>> = {}): Uint8Array {
  const entries = Object.entries({ "data.pkl": pickle, ...more }).map(([name, bytes]): [string, Uint8Array] => [
    `a/${name}`,
    bytes,
  ]);
  return zipOf(Object.fromEntries(entries));
}
