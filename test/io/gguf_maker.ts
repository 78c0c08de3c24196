/** Writes GGUF files, good ones and others. */

export interface GgufEntry {
  readonly name: string;
  readonly type: number;
  /** As PyTorch counts dimensions. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  /** In place of the right one. */
  readonly offset?: number;
}

/** A type's number and a value of it; a list's value is again its items' type, and the items. */
export type GgufMeta = readonly [type: number, value: unknown];

function bytesOf(size: number, write: (data: DataView) => void): Uint8Array {
  const data = new DataView(new ArrayBuffer(size));
  write(data);
  return new Uint8Array(data.buffer);
}
const u32 = (n: number): Uint8Array => bytesOf(4, (d) => d.setUint32(0, n, true));
const u64 = (n: number): Uint8Array => bytesOf(8, (d) => d.setBigUint64(0, BigInt(n), true));
function text(s: string): Uint8Array[] {
  const bytes = new TextEncoder().encode(s);
  return [u64(bytes.length), bytes];
}

function value([type, x]: GgufMeta): Uint8Array[] {
  const n = x as number;
  switch (type) {
    case 0:
    case 1:
      return [Uint8Array.of(n)];
    case 2:
    case 3:
      return [bytesOf(2, (d) => d.setInt16(0, n, true))];
    case 4:
    case 5:
      return [bytesOf(4, (d) => d.setInt32(0, n, true))];
    case 6:
      return [bytesOf(4, (d) => d.setFloat32(0, n, true))];
    case 7:
      return [Uint8Array.of(x === true ? 1 : 0)];
    case 8:
      return text(x as string);
    case 9: {
      const [of, items] = x as [number, unknown[]];
      return [u32(of), u64(items.length), ...items.flatMap((item) => value([of, item]))];
    }
    case 10:
    case 11:
      return [bytesOf(8, (d) => d.setBigInt64(0, x as bigint, true))];
    default:
      return [bytesOf(8, (d) => d.setFloat64(0, n, true))];
  }
}

export function gguf(metadata: Readonly<Record<string, GgufMeta>>, tensors: readonly GgufEntry[] = []): Uint8Array {
  const alignment = Number(metadata["general.alignment"]?.[1] ?? 32) || 32;
  const up = (n: number): number => Math.ceil(n / alignment) * alignment;
  const entries = Object.entries(metadata);
  const parts = [new TextEncoder().encode("GGUF"), u32(3), u64(tensors.length), u64(entries.length)];
  for (const [key, meta] of entries) parts.push(...text(key), u32(meta[0]), ...value(meta));
  const offsets: number[] = [];
  let at = 0;
  for (const { name, type, shape, data, offset } of tensors) {
    offsets.push(at);
    parts.push(...text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(type), u64(offset ?? at));
    at = up(at + data.length);
  }
  const start = up(parts.reduce((n, p) => n + p.length, 0));
  const out = new Uint8Array(start + at);
  let to = 0;
  for (const part of parts) {
    out.set(part, to);
    to += part.length;
  }
  tensors.forEach(({ data }, i) => out.set(data, start + offsets[i]!));
  return out;
}
