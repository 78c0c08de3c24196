/** Reads safetensors: 8 bytes of header length, a JSON header, the raw data. Independent of the library's own reader, which it tests. */

export type DTypeName = "bool" | "uint8" | "int8" | "int16" | "int32" | "int64" | "float16" | "bfloat16" | "float32" | "float64";

export type Numbers =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

/** A tensor outside of any library: values in row-major order; the 2-byte floats widened to float32, which holds them exactly. */
export interface Stored {
  readonly dtype: DTypeName;
  readonly shape: readonly number[];
  readonly data: Numbers;
}

const NAMES: Readonly<Record<string, DTypeName>> = {
  F64: "float64",
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  I64: "int64",
  I32: "int32",
  I16: "int16",
  I8: "int8",
  U8: "uint8",
  BOOL: "bool",
};

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

export class SafeTensors {
  private readonly entries: ReadonlyMap<string, Entry>;
  private readonly start: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    // Node's Buffer, which files come in, has a `slice` that does not copy.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
    this.start = 8 + length;
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, this.start))) as Record<string, Entry>;
    this.entries = new Map(Object.entries(header).filter(([key]) => key !== "__metadata__"));
  }

  keys(): string[] {
    return [...this.entries.keys()];
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  /** What a tensor is, without its values. */
  meta(key: string): { dtype: DTypeName; shape: readonly number[] } {
    const { dtype, shape } = this.entry(key);
    return { dtype: NAMES[dtype], shape };
  }

  get(key: string): Stored {
    const { data_offsets } = this.entry(key);
    const [from, to] = data_offsets;
    const buffer = this.bytes.slice(this.start + from, this.start + to).buffer as ArrayBuffer;
    const { dtype, shape } = this.meta(key);
    return { dtype, shape, data: numbers(dtype, buffer) };
  }

  private entry(key: string): Entry {
    const entry = this.entries.get(key);
    if (entry === undefined) throw new Error(`the corpus has no tensor "${key}"`);
    if (NAMES[entry.dtype] === undefined) throw new Error(`the corpus has a tensor of the unknown type ${entry.dtype}`);
    return entry;
  }
}

/** Raw little-endian bytes as numbers. */
export function numbers(dtype: DTypeName, buffer: ArrayBuffer): Numbers {
  switch (dtype) {
    case "float64":
      return new Float64Array(buffer);
    case "float32":
      return new Float32Array(buffer);
    case "float16":
      return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    case "bfloat16":
      return bfloatsToFloats(new Uint16Array(buffer));
    case "int64":
      return new BigInt64Array(buffer);
    case "int32":
      return new Int32Array(buffer);
    case "int16":
      return new Int16Array(buffer);
    case "int8":
      return new Int8Array(buffer);
    case "uint8":
    case "bool":
      return new Uint8Array(buffer);
  }
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bfloatsToFloats(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i] << 16;
  return new Float32Array(wide.buffer);
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}

/** Part `index` of a tensor along its first dimension. */
export function row(t: Stored, index: number): Stored {
  const shape = t.shape.slice(1);
  const n = elements(shape);
  return { dtype: t.dtype, shape, data: t.data.slice(index * n, (index + 1) * n) as Numbers };
}
