/**
 * A GPU device on any backend: kernels from gpu/kernels, buffers that come back when nobody refers to them, complaints of kernels that become
 * errors at the next await.
 */

import type { Buffer, Device, DeviceCaps, DeviceType, Kernel, MemoryStats, View } from "../ts/core/device.ts";
import type { DType } from "../ts/core/dtype.ts";
import { NotImplementedError, OutOfMemoryError, RuntimeError } from "../ts/core/errors.ts";
import type { KernelKind, KernelSpec, ParamsOf } from "../ts/kernel/spec.ts";
import { specKey } from "../ts/kernel/spec_key.ts";
import type { GpuBackend } from "./backend.ts";
import { Complaints } from "./complaints.ts";
import type { DTypeLayout, GpuCaps, GpuLowering } from "./context.ts";
import { ELEM_BYTES } from "./ir.ts";
import { lowerings } from "./kernels/index.ts";
import { deviceBytes, layoutsOf, toDevice, toHost } from "./layout.ts";
import { type Collector, GpuBuffer, GpuRange, LiveBuffers, type SharedMemory } from "./memory.ts";
import { RunContext } from "./run_context.ts";

/** A lowered spec of whatever kind. */
export type Run = (inputs: readonly View[], outputs: readonly View[], params: never) => void;

export class GpuKernel implements Kernel {
  constructor(
    readonly device: GpuDevice,
    readonly kind: KernelKind,
    readonly run: Run,
  ) {}
}

/** Where buffers begin in shared memory: vectors of elements, and whole cache lines, stay whole. */
const ALIGNMENT = 256;

/** Offsets count from the start of the memory that is bound. */
function inMemory(view: View): View {
  const { range } = view.buffer as GpuBuffer;
  return range === null ? view : { ...view, offset: view.offset + range.first };
}

/** Positions in a buffer are 32 bits wide. */
const MOST_ELEMENTS = 2 ** 32 - 1;
/** Leaf inputs and scalar ops of one fused map. */
const MOST_MAP_INPUTS = 16;
const MOST_MAP_OPS = 64;

export class GpuDevice implements Device {
  readonly caps: DeviceCaps;
  readonly gpuCaps: GpuCaps;
  /** How a dtype lives here. Throws NotImplementedError for what does not exist. */
  readonly layout: (dtype: DType) => DTypeLayout;
  readonly #backend: GpuBackend;
  readonly #live: LiveBuffers;
  readonly #collector: Collector;
  readonly readSync?: NonNullable<Device["readSync"]>;
  /** @internal What kernels get. */
  readonly context: RunContext;
  readonly #complaints: Complaints;
  readonly #bySpec = new WeakMap<KernelSpec, GpuKernel>();
  readonly #byKey = new Map<string, GpuKernel>();

  constructor(
    readonly type: DeviceType,
    backend: GpuBackend,
    collector: Collector,
    readonly index = 0,
  ) {
    this.#backend = backend;
    this.#collector = collector;
    this.gpuCaps = backend.caps;
    this.layout = layoutsOf(type, backend.caps);
    const { wide, maxStorageBuffers } = backend.caps;
    this.caps = {
      float64: wide,
      int64: wide,
      subnormals: wide,
      readSync: backend.downloadSync !== undefined,
      maxMapInputs: Math.min(MOST_MAP_INPUTS, maxStorageBuffers - 2),
      maxMapBuffers: maxStorageBuffers,
      maxMapOps: MOST_MAP_OPS,
    };
    this.#live = new LiveBuffers(collector, (memory) => {
      if (!(memory instanceof GpuRange)) backend.release(memory);
      else if (--memory.shared.live === 0) backend.release(memory.shared.memory);
    });
    this.#complaints = new Complaints(backend);
    if (backend.downloadSync !== undefined) this.readSync = (buffer, at, nbytes) => this.#readSync(buffer, at, nbytes);
    this.context = new RunContext(this, backend, this.#complaints);
  }

  /** Garbage collections that memory pressure has caused so far. */
  get collections(): number {
    return this.#live.collections;
  }

  alloc(nbytes: number, dtype: DType): GpuBuffer {
    this.#backend.checkUsable();
    const { elem } = this.layout(dtype);
    if (nbytes / dtype.itemsize > MOST_ELEMENTS) {
      throw new OutOfMemoryError(
        `${this.type}: tried to allocate ${nbytes / dtype.itemsize} elements in one buffer; kernels count up to ${MOST_ELEMENTS}. Split the tensor`,
      );
    }
    this.#live.makeRoom();
    const memory = this.#backend.allocate(deviceBytes(nbytes / dtype.itemsize, elem));
    return this.adopt(new GpuBuffer(this, nbytes, dtype, elem, memory));
  }

  pack(groups: readonly (readonly Buffer[])[]): Buffer[][] | null {
    this.#backend.checkUsable();
    const sources = groups.map((group) => group.map((b) => this.checkLive(b)));
    if (sources.flat().some((b) => b.foreign)) return null;
    const most = this.gpuCaps.maxBufferSize;
    const sizeOf = (b: GpuBuffer): number => Math.ceil(deviceBytes(b.nbytes / b.dtype.itemsize, b.elem) / ALIGNMENT) * ALIGNMENT;
    const packed: Buffer[][] = [];
    for (let next = 0; next < sources.length;) {
      let bytes = 0;
      let end = next;
      for (; end < sources.length; end++) {
        const more = sources[end]!.reduce((n, b) => n + sizeOf(b), 0);
        if (bytes + more > most) break;
        bytes += more;
      }
      if (end === next) return null;
      const shared: SharedMemory = { memory: this.#backend.allocate(bytes), live: 0 };
      let at = 0;
      for (const group of sources.slice(next, end)) {
        packed.push(
          group.map((b) => {
            const size = deviceBytes(b.nbytes / b.dtype.itemsize, b.elem);
            const from = (b.range?.first ?? 0) * ELEM_BYTES[b.elem];
            this.#backend.copy(b.memory, from, shared.memory, at, size);
            const range = new GpuRange(shared, sizeOf(b), at / ELEM_BYTES[b.elem]);
            at += sizeOf(b);
            return this.adopt(new GpuBuffer(this, b.nbytes, b.dtype, b.elem, shared.memory, range));
          }),
        );
      }
      next = end;
    }
    return packed;
  }

  free(buffer: Buffer): void {
    if (!this.#live.free(buffer as GpuBuffer)) throw new RuntimeError(`${this.type}: a buffer was freed twice`);
  }

  write(buffer: Buffer, byteOffset: number, bytes: Uint8Array): void {
    this.#backend.checkUsable();
    const target = this.checkLive(buffer);
    const [at, size] = this.#range("write", target, byteOffset, bytes.length);
    if (size === 0) return;
    const { dtype, elem, memory, range } = target;
    const first = at + (range?.first ?? 0);
    const data = toDevice(this.type, dtype, elem, bytes);
    const start = first * ELEM_BYTES[elem];
    const rest = start + data.length;
    const unit = this.#backend.copyAlignment - 1;
    if (size === target.nbytes / dtype.itemsize && range === null) this.#backend.cleanse?.(memory);
    if (((start | rest) & unit) === 0) return this.#backend.upload(memory, start, data);
    const padded = new Uint8Array((data.length + unit) & ~unit);
    padded.set(data);
    // Behind the last element lies nothing that could be harmed.
    if ((start & unit) === 0 && at + size === target.nbytes / dtype.itemsize) {
      return this.#backend.upload(memory, start, padded);
    }
    this.context.writeOdd(padded, { memory, elem, first, size });
  }

  async read(buffer: Buffer, byteOffset: number, nbytes: number): Promise<Uint8Array> {
    const part = this.#partOf(buffer, byteOffset, nbytes);
    if (part === null) return new Uint8Array(0);
    const data = this.#backend.download(part.memory, part.from, part.bytes);
    const [bytes, error] = await Promise.all([data, this.#complaints.check()]);
    if (error !== null) throw error;
    return part.host(bytes);
  }

  #readSync(buffer: Buffer, byteOffset: number, nbytes: number): Uint8Array {
    const part = this.#partOf(buffer, byteOffset, nbytes);
    if (part === null) return new Uint8Array(0);
    const bytes = this.#backend.downloadSync!(part.memory, part.from, part.bytes);
    this.throwComplaints();
    return part.host(bytes);
  }

  /** What to download for a read, and what it is to the host; null: nothing. */
  #partOf(buffer: Buffer, byteOffset: number, nbytes: number) {
    this.#backend.checkUsable();
    const source = this.checkLive(buffer);
    const [at, size] = this.#range("read", source, byteOffset, nbytes);
    if (size === 0) return null;
    const { dtype, elem, memory, range } = source;
    const unit = this.#backend.copyAlignment;
    const start = (at + (range?.first ?? 0)) * ELEM_BYTES[elem];
    const end = start + size * ELEM_BYTES[elem];
    const from = Math.floor(start / unit) * unit;
    const host = (bytes: Uint8Array): Uint8Array => toHost(dtype, elem, bytes.subarray(start - from, end - from));
    return { memory, from, bytes: Math.ceil(end / unit) * unit - from, host };
  }

  prepare(spec: KernelSpec): GpuKernel {
    let kernel = this.#bySpec.get(spec);
    if (kernel === undefined) {
      const key = specKey(spec);
      kernel = this.#byKey.get(key);
      if (kernel === undefined) {
        kernel = new GpuKernel(this, spec.kind, this.lower(spec));
        this.#byKey.set(key, kernel);
      }
      this.#bySpec.set(spec, kernel);
    }
    return kernel;
  }

  /** How a spec runs here: targets with libraries of their own may choose otherwise. */
  protected lower(spec: KernelSpec): Run {
    return (lowerings[spec.kind] as GpuLowering<KernelKind>)(spec, this.context) as Run;
  }

  run(kernel: Kernel, inputs: readonly View[], outputs: readonly View[], params: unknown): void {
    this.#backend.checkUsable();
    for (const view of inputs) this.#checkView(view);
    for (const view of outputs) this.#checkView(view);
    const { kind, run } = kernel as GpuKernel;
    if (kind === "map" && this.#backend.cleanse) for (const view of outputs) this.#cleanse(view, inputs);
    try {
      run(inputs.map(inMemory), outputs.map(inMemory), params as never);
    } finally {
      this.context.endRun();
    }
  }

  async synchronize(): Promise<void> {
    this.#backend.checkUsable();
    const [error] = await Promise.all([this.#complaints.check(), this.#backend.synchronize()]);
    if (error !== null) throw error;
  }

  /** What kernels complained of, where the device can wait for it. */
  protected throwComplaints(): void {
    const error = this.#complaints.checkSync();
    if (error !== null) throw error;
  }

  memoryStats(): MemoryStats {
    this.#live.collect(); // what is dead does not count
    return this.#live.stats(this.#backend.reservedBytes);
  }

  /**
   * Awaited between steps where garbage of the current job cannot be collected (browsers): lets the job end, so that what it held can
   * die, then frees what died. Does nothing while memory is plentiful.
   */
  async relieve(): Promise<void> {
    if (!this.#live.mustWait || !this.#live.pressed) return;
    await this.#collector.macrotask();
    this.#live.collect();
  }

  /** Runs a spec inside of another's run: for kernels made of others. */
  lowered<K extends KernelKind>(
    spec: Extract<KernelSpec, { kind: K }>,
  ): (inputs: readonly View[], outputs: readonly View[], params: ParamsOf[K]) => void {
    return this.prepare(spec).run as (inputs: readonly View[], outputs: readonly View[], params: ParamsOf[K]) => void;
  }

  /** Swaps the memories of two live buffers. */
  protected swap(a: Buffer, b: Buffer): void {
    this.#live.exchange(this.checkLive(a), this.checkLive(b));
  }

  /** Takes charge of a buffer: its memory goes back to the backend when nothing refers to the buffer any more. */
  protected adopt(buffer: GpuBuffer): GpuBuffer {
    this.#live.add(buffer);
    return buffer;
  }

  /** The buffer as this device's own, or an error when it was freed or belongs to another. */
  protected checkLive(buffer: Buffer): GpuBuffer {
    if (!(buffer instanceof GpuBuffer) || buffer.device !== this) {
      const { type, index } = buffer.device;
      throw new RuntimeError(
        `${this.type}: a buffer of ${type === this.type ? `an earlier ${type} device` : `${type}:${index}`} was used on this device`,
      );
    }
    if (buffer.entry === null) throw new RuntimeError(`${this.type}: a buffer was used after it was freed`);
    return buffer;
  }

  #checkView({ buffer, dtype }: View): void {
    const { elem, dtype: own } = this.checkLive(buffer);
    if (dtype === own) return;
    const wanted = this.layout(dtype).elem;
    // Other elements of the same size are the same bytes, if each is what the host would keep.
    if (dtype.itemsize !== own.itemsize || ELEM_BYTES[wanted] !== ELEM_BYTES[elem] || ELEM_BYTES[elem] !== own.itemsize) {
      throw new NotImplementedError(
        `${this.type}: ${own} memory cannot be seen as ${dtype} on this device, which keeps them as ${elem} and ${wanted}; convert with .to(${dtype}), or do it on the cpu`,
      );
    }
  }

  #cleanse({ buffer, shape, strides, offset, dtype }: View, inputs: readonly View[]): void {
    if (offset !== 0 || (buffer as GpuBuffer).range !== null || inputs.some((v) => v.buffer === buffer)) return;
    let size = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      if (shape[d] !== 1 && strides[d] !== size) return;
      size *= shape[d]!;
    }
    if (size * dtype.itemsize === buffer.nbytes) this.#backend.cleanse!((buffer as GpuBuffer).memory);
  }

  /** First element and number of elements of a byte range. */
  #range(what: string, buffer: GpuBuffer, byteOffset: number, nbytes: number): [first: number, size: number] {
    const { itemsize } = buffer.dtype;
    const first = byteOffset / itemsize;
    const size = nbytes / itemsize;
    if (byteOffset < 0 || nbytes < 0 || byteOffset + nbytes > buffer.nbytes) {
      throw new RuntimeError(`${this.type}: ${what} of ${nbytes} bytes at ${byteOffset} of a buffer of ${buffer.nbytes} bytes`);
    }
    if (!Number.isInteger(first) || !Number.isInteger(size)) {
      throw new RuntimeError(`${this.type}: ${what} of ${nbytes} bytes at ${byteOffset} cuts elements of ${buffer.dtype} in two`);
    }
    return [first, size];
  }
}
