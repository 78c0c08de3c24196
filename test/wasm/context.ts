/** The AssemblyScript kernels on a linear memory of their own: runs lowerings with no device or engine around them. */

import { readFileSync } from "node:fs";
import type { Buffer as DeviceBuffer, Device, View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import { DTYPES, type DType } from "../../ts/core/dtype.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import { SCRATCH_BYTES, type ComposedLowering, type ComposingContext } from "../../wasm/device/context.ts";
import type { KernelKind, KernelSpec, ParamsOf } from "../../ts/kernel/spec.ts";
import { ParamWriter } from "../../wasm/device/params.ts";

type Kernel = (params: number, task: number, scratch: number) => void;
export type Value = number | bigint;

const SCRATCH = 4 << 20;
const HEAP = SCRATCH + SCRATCH_BYTES;
const PAGES = 8192;

function kernelFile(): URL {
  const folder = process.env.KINDLING_WASM
    ? new URL(process.env.KINDLING_WASM, "file:///")
    : new URL("../../build/wasm/", import.meta.url);
  return new URL("kernels_as.simd.wasm", folder);
}
const module = new WebAssembly.Module(readFileSync(kernelFile()));

interface FakeBuffer extends DeviceBuffer {
  readonly ptr: number;
}

export class TestContext implements ComposingContext {
  readonly memory = new WebAssembly.Memory({ initial: PAGES, maximum: 65536, shared: true });
  readonly heap: ComposingContext["heap"];
  /** Tasks run in this order; results must not depend on it. */
  reversed = false;
  readonly #kernels: Record<string, Kernel>;
  /** The module's constants, and what they were at first: a stray write would change them. */
  readonly #constants: Buffer;
  readonly #expected: Buffer;
  #top = HEAP;

  constructor() {
    this.#kernels = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports as Record<string, Kernel>;
    const b = this.memory.buffer;
    this.heap = {
      u8: new Uint8Array(b),
      i32: new Int32Array(b),
      u32: new Uint32Array(b),
      i64: new BigInt64Array(b),
      f32: new Float32Array(b),
      f64: new Float64Array(b),
    };
    this.#constants = Buffer.from(b as unknown as ArrayBuffer, 0, 1 << 20);
    this.#expected = Buffer.from(this.#constants);
  }

  address(view: View): number {
    return (view.buffer as FakeBuffer).ptr + view.offset * view.dtype.itemsize;
  }
  params(words: number): ParamWriter {
    return new ParamWriter(this.heap).reset(this.workspace(words * 4), words);
  }
  /** Filled with rubbish, so that a kernel cannot count on zeros. */
  workspace(nbytes: number): number {
    const ptr = this.#top;
    this.#top = (ptr + nbytes + 63) & ~63;
    if (this.#top > this.memory.buffer.byteLength) throw new RangeError("test memory is full");
    this.heap.u8.fill(0xa5, ptr, Math.min(this.#top, ptr + 65536));
    return ptr;
  }
  permanent(nbytes: number): number {
    return this.workspace(nbytes);
  }
  launch(name: string, params: number, tasks: number): void {
    const kernel = this.#kernels[name];
    if (!kernel) throw new Error(`no kernel ${name}`);
    for (let i = 0; i < tasks; i++) kernel(params, this.reversed ? tasks - 1 - i : i, SCRATCH);
  }
  lower(): never {
    throw new Error("the test context knows no other lowerings");
  }

  /** Frees everything. */
  clear(): void {
    this.#top = HEAP;
  }
  /** The end of what is in use; `rewind` gives back what came later. */
  get mark(): number {
    return this.#top;
  }
  rewind(mark: number): void {
    this.#top = mark;
  }

  /** A tensor holding `values` in row-major order; `strides` may leave gaps or permute, with `offset` elements before it. */
  tensor(dtype: DType, shape: readonly number[], values: ArrayLike<Value> | null, strides?: readonly number[], offset = 0): View {
    const own = strides ?? contiguousStrides(shape);
    const extent = numelOf(shape) === 0 ? 0 : shape.reduce((end, n, d) => end + (n - 1) * own[d]!, 1);
    const nbytes = (extent + offset) * dtype.itemsize;
    const ptr = this.workspace(Math.max(nbytes, 1));
    const buffer: FakeBuffer = { device: null as unknown as Device, nbytes, readers: 0, ptr };
    const view: View = { buffer, dtype, shape, strides: own, offset };
    if (values !== null) {
      forEachOffset(view, (at, i) => writeElement(this.heap.u8, dtype, ptr + at * dtype.itemsize, values[i]!));
    }
    return view;
  }

  /** One element seen everywhere: all strides are 0. */
  full(dtype: DType, shape: readonly number[], value: Value): View {
    return { ...this.tensor(dtype, [1], [value]), shape, strides: shape.map(() => 0) };
  }

  /** Row-major values: bigint for int64, number for all else. */
  values(view: View): Value[] {
    const out: Value[] = [];
    const { ptr } = view.buffer as FakeBuffer;
    forEachOffset(view, (at) => out.push(readElement(this.heap.u8, view.dtype, ptr + at * view.dtype.itemsize)));
    return out;
  }

  /** Runs one spec and gives its workspace back. */
  run<K extends KernelKind>(
    lowering: ComposedLowering<K>,
    spec: Extract<KernelSpec, { kind: K }>,
    inputs: readonly View[],
    outputs: readonly View[],
    params: ParamsOf[K],
  ): void {
    const mark = this.#top;
    try {
      lowering(spec, this)(inputs, outputs, params);
    } finally {
      this.#top = mark;
    }
    if (!this.#constants.equals(this.#expected)) throw new Error(`the ${spec.kind} kernel wrote over the module's constants`);
  }
}

function forEachOffset(view: View, visit: (offset: number, i: number) => void): void {
  const { shape, strides } = view;
  const coordinates = shape.map(() => 0);
  const n = numelOf(shape);
  let at = view.offset;
  for (let i = 0; i < n; i++) {
    visit(at, i);
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d]!;
      if (++coordinates[d]! < shape[d]!) break;
      at -= strides[d]! * shape[d]!;
      coordinates[d] = 0;
    }
  }
}

// A shared buffer has no typed array at odd addresses, so single elements pass through here.
const word = new DataView(new ArrayBuffer(8));

function writeElement(u8: Uint8Array, dtype: DType, ptr: number, value: Value): void {
  switch (dtype) {
    case dtypes.float64:
      word.setFloat64(0, Number(value), true);
      break;
    case dtypes.float32:
      word.setFloat32(0, Number(value), true);
      break;
    case dtypes.float16:
      word.setUint16(0, toHalf(Number(value)), true);
      break;
    case dtypes.bfloat16:
      word.setUint16(0, toBrain(Number(value)), true);
      break;
    case dtypes.bool:
      word.setUint8(0, Number(value) ? 1 : 0);
      break;
    default:
      word.setBigInt64(0, BigInt(value), true);
  }
  for (let i = 0; i < dtype.itemsize; i++) u8[ptr + i] = word.getUint8(i);
}

function readElement(u8: Uint8Array, dtype: DType, ptr: number): Value {
  for (let i = 0; i < dtype.itemsize; i++) word.setUint8(i, u8[ptr + i]!);
  switch (dtype) {
    case dtypes.float64:
      return word.getFloat64(0, true);
    case dtypes.float32:
      return word.getFloat32(0, true);
    case dtypes.float16:
      return fromHalf(word.getUint16(0, true));
    case dtypes.bfloat16:
      return fromBrain(word.getUint16(0, true));
    case dtypes.int64:
      return word.getBigInt64(0, true);
    case dtypes.int32:
      return word.getInt32(0, true);
    case dtypes.int16:
      return word.getInt16(0, true);
    case dtypes.int8:
      return word.getInt8(0);
    default:
      return word.getUint8(0);
  }
}

function fromHalf(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const e = (h >> 10) & 31;
  const m = h & 1023;
  if (e === 31) return m ? NaN : sign * Infinity;
  return sign * (e === 0 ? m * 2 ** -24 : (1 + m / 1024) * 2 ** (e - 15));
}
/** Rounds to nearest even by looking for the neighbours: slow and plain. */
function toHalf(x: number): number {
  const f = Math.fround(x);
  if (Number.isNaN(f)) return 0x7e00;
  const sign = f < 0 || Object.is(f, -0) ? 0x8000 : 0;
  const a = Math.abs(f);
  if (a >= 65520) return sign | 0x7c00;
  let low = 0;
  let high = 0x7bff;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (fromHalf(middle) <= a) low = middle;
    else high = middle - 1;
  }
  const below = a - fromHalf(low);
  const above = (low === 0x7bff ? 65536 : fromHalf(low + 1)) - a;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : low + 1);
}
function fromBrain(b: number): number {
  word.setUint32(0, b << 16, true);
  return word.getFloat32(0, true);
}
function toBrain(x: number): number {
  word.setFloat32(0, x, true);
  const bits = word.getUint32(0, true);
  return Number.isNaN(x) ? 0x7fc0 : ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

const scratchpad = new Uint8Array(8);

/** What storing a value in a dtype and loading it again gives. */
export function rounded(dtype: DType, value: Value): Value {
  if (typeof value === "number" && !dtype.is_floating_point && dtype !== dtypes.bool) value = BigInt(Math.trunc(value));
  if (typeof value === "bigint" && dtype.itemsize < 8) value = BigInt.asIntN(64, value);
  writeElement(scratchpad, dtype, 0, value);
  return readElement(scratchpad, dtype, 0);
}

export const int64s = (values: readonly number[]): bigint[] => values.map(BigInt);

/** A small deterministic generator (mulberry32): values in [0, 1). */
export function randoms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Random values of a dtype; small whole numbers where `few`, so that ties come up. */
export function sample(dtype: DType, n: number, random: () => number, few = false): Value[] {
  return Array.from({ length: n }, () => {
    if (dtype === dtypes.bool) return random() < 0.5 ? 0 : 1;
    const x = few
      ? Math.floor(random() * 5) - (dtype === dtypes.uint8 ? 0 : 2)
      : (random() - (dtype === dtypes.uint8 ? 0 : 0.5)) * 100;
    return rounded(dtype, x);
  });
}

export { DTYPES };
