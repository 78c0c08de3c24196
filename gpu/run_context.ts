/** What kernels see of a GPU device while one spec runs. Temporaries last until its end. */

import type { DType } from "../ts/core/dtype.ts";
import type { Device, View } from "../ts/core/device.ts";
import { RuntimeError } from "../ts/core/errors.ts";
import { contiguousStrides, numelOf } from "../ts/core/shape.ts";
import type { KernelKind, KernelSpec } from "../ts/kernel/spec.ts";
import type { GpuBackend, GpuMemory } from "./backend.ts";
import { KernelBuilder } from "./builder.ts";
import type { Complaints } from "./complaints.ts";
import type { Bindable, DTypeLayout, GpuCaps, GpuContext, Launch, LoweredRun, Temporary } from "./context.ts";
import { ELEM_BYTES, type Elem, type Program } from "./ir.ts";
import { Packing, resolveAliases } from "./launch.ts";
import { deviceBytes } from "./layout.ts";
import { GpuBuffer } from "./memory.ts";
import { ceilDiv, gridGroups, workgroupSize } from "./plan.ts";

/** The device whose kernels run. */
export interface Host extends Device {
  layout(dtype: DType): DTypeLayout;
  lowered<K extends KernelKind>(spec: Extract<KernelSpec, { kind: K }>): LoweredRun<K>;
}

class RunMemory implements Temporary {
  readonly temporary = true;
  constructor(
    readonly elem: Elem,
    readonly size: number,
    /** Null once the run has ended. */
    public memory: GpuMemory | null,
  ) {}
}

/** Elements of device memory. */
interface Place {
  readonly memory: GpuMemory;
  readonly elem: Elem;
  readonly first: number;
  readonly size: number;
}

export class RunContext implements GpuContext {
  readonly caps: GpuCaps;
  readonly #device: Host;
  readonly #backend: GpuBackend;
  readonly #complaints: Complaints;
  readonly #programs = new Map<string, Program>();
  readonly #packings = new WeakMap<Program, Packing>();
  #temporaries: RunMemory[] = [];

  constructor(device: Host, backend: GpuBackend, complaints: Complaints) {
    this.#device = device;
    this.#backend = backend;
    this.#complaints = complaints;
    this.caps = backend.caps;
  }

  layout(dtype: DType): DTypeLayout {
    return this.#device.layout(dtype);
  }

  temporary(size: number, elem: Elem): Temporary {
    return this.#own(size, elem, this.#backend.allocate(deviceBytes(size, elem)));
  }

  #own(size: number, elem: Elem, memory: GpuMemory): RunMemory {
    const temporary = new RunMemory(elem, size, memory);
    this.#temporaries.push(temporary);
    return temporary;
  }

  program(key: string, build: () => Program): Program {
    let program = this.#programs.get(key);
    if (program === undefined) this.#programs.set(key, (program = build()));
    return program;
  }

  launch(program: Program, { buffers, params, groups, work, aliasing }: Launch): void {
    if (groups === 0) return;
    let packing = this.#packings.get(program);
    if (packing === undefined) this.#packings.set(program, (packing = new Packing(program)));
    const wanted = program.buffers;
    if (buffers.length !== wanted.length) {
      throw new RuntimeError(`${program.name}: ${wanted.length} buffers were expected, got ${buffers.length}`);
    }
    const memories: GpuMemory[] = [];
    for (let i = 0; i < buffers.length; i++) {
      const { elem, memory } = this.#resolve(buffers[i]!);
      if (ELEM_BYTES[elem] !== ELEM_BYTES[wanted[i]!.elem]) {
        throw new RuntimeError(`${program.name}: ${wanted[i]!.name} has elements of ${wanted[i]!.elem}, got memory of ${elem}`);
      }
      memories.push(memory);
    }
    const aliases = resolveAliases(packing, memories, aliasing === "elementwise", (memory) => this.#snapshot(memory));
    this.#backend.dispatch({ program, memories, aliases, words: packing.pack(params, groups), groups, work });
  }

  copy(from: Bindable, fromOffset: number, to: Bindable, toOffset: number, size: number): void {
    if (size === 0) return;
    const source = this.#resolve(from);
    const target = this.#resolve(to);
    if (source.elem !== target.elem) throw new RuntimeError(`copy: elements of ${source.elem} into ${target.elem}`);
    const width = ELEM_BYTES[source.elem];
    const [into, bytes] = [toOffset * width, size * width];
    let at = fromOffset * width;
    const unit = this.#backend.copyAlignment - 1;
    if (((at | into | bytes) & unit) !== 0) return this.#copyOdd(from, fromOffset, to, toOffset, size);
    let { memory } = source;
    if (memory === target.memory) {
      const part = this.#own(size, source.elem, this.#backend.allocate(bytes)).memory!;
      this.#backend.copy(memory, at, part, 0, bytes);
      [memory, at] = [part, 0];
    }
    this.#backend.copy(memory, at, target.memory, into, bytes);
  }

  /** Copies by a kernel, where the target has no copies of that grain. */
  #copyOdd(from: Bindable, fromOffset: number, to: Bindable, toOffset: number, size: number): void {
    const { elem } = this.#resolve(from);
    const threads = workgroupSize(this.caps);
    const program = this.program(`copy/${elem}`, () => {
      const k = new KernelBuilder("copy", threads);
      const [x, y] = [k.input("x", elem), k.output("y", elem)];
      const [at, into] = [k.param("from", "u32"), k.param("to", "u32")];
      k.gridStride(k.param("n", "u32"), (i) => y.store(into.add(i), x.load(at.add(i))));
      return k.build();
    });
    const params = { from: fromOffset, to: toOffset, n: size };
    this.launch(program, { buffers: [from, to], params, groups: gridGroups(size, threads) });
  }

  zero(to: Bindable, offset: number, size: number): void {
    if (size === 0) return;
    const { elem, memory } = this.#resolve(to);
    const width = ELEM_BYTES[elem];
    const unit = this.#backend.copyAlignment - 1;
    if ((((offset | size) * width) & unit) === 0) return this.#backend.zero(memory, offset * width, size * width);
    const threads = workgroupSize(this.caps);
    const program = this.program(`zero/${elem}`, () => {
      const k = new KernelBuilder("zero", threads);
      const y = k.output("y", elem);
      const into = k.param("to", "u32");
      k.gridStride(k.param("n", "u32"), (i) => y.store(into.add(i), 0));
      return k.build();
    });
    this.launch(program, { buffers: [to], params: { to: offset, n: size }, groups: gridGroups(size, threads) });
  }

  complaint(error: (value: number) => Error): { readonly buffer: Bindable; readonly code: number } {
    const buffer: Bindable = new RunMemory("u32", 2, this.#complaints.memory);
    return { buffer, code: this.#complaints.add(error) };
  }

  memoryOf(bindable: Bindable): object {
    return this.#resolve(bindable).memory;
  }

  lower<K extends KernelKind>(spec: Extract<KernelSpec, { kind: K }>): LoweredRun<K> {
    return this.#device.lowered(spec);
  }

  view(temporary: Temporary, dtype: DType, shape: readonly number[]): View {
    const { elem, memory } = this.#resolve(temporary);
    const size = numelOf(shape);
    const own = this.layout(dtype).elem;
    if (own !== elem || size > temporary.size) {
      throw new RuntimeError(`view: ${temporary.size} elements of ${elem} cannot be ${size} of ${dtype}, which live as ${own}`);
    }
    // Never registered as live: the memory is the temporary's.
    const buffer = new GpuBuffer(this.#device, size * dtype.itemsize, dtype, elem, memory);
    return { buffer, dtype, shape, strides: contiguousStrides(shape), offset: 0 };
  }

  /** `padded` begins with `size` elements that go to a place at which bytes cannot be copied. */
  writeOdd(padded: Uint8Array, { memory, elem, first, size }: Place): void {
    const from = this.temporary(ceilDiv(padded.length, ELEM_BYTES[elem]), elem) as RunMemory;
    this.#backend.upload(from.memory!, 0, padded);
    this.copy(from, 0, new RunMemory(elem, first + size, memory), first, size);
    this.endRun();
  }

  endRun(): void {
    if (this.#temporaries.length === 0) return;
    const ended = this.#temporaries;
    this.#temporaries = [];
    for (const temporary of ended) {
      this.#backend.release(temporary.memory!);
      temporary.memory = null;
    }
  }

  #snapshot(memory: GpuMemory): GpuMemory {
    const copy = this.#own(memory.bytes / 4, "u32", this.#backend.allocate(memory.bytes)).memory!;
    this.#backend.copy(memory, 0, copy, 0, memory.bytes);
    return copy;
  }

  #resolve(bindable: Bindable): { readonly elem: Elem; readonly memory: GpuMemory } {
    if (!("temporary" in bindable)) return bindable.buffer as GpuBuffer;
    const { elem, memory } = bindable as RunMemory;
    if (memory === null) throw new RuntimeError("temporary memory was used after the run that it was made in");
    return { elem, memory };
  }
}
