/** A GPU backend without a GPU: programs run in the interpreter as they are dispatched, and every limit is enforced. */

import { NotImplementedError, OutOfMemoryError, RuntimeError } from "../../ts/core/errors.ts";
import type { Dispatch, GpuBackend, GpuMemory } from "../backend.ts";
import type { GpuCaps } from "../context.ts";
import { ELEM_BYTES, type Instr, type Program, type Stmt, type Type } from "../ir.ts";
import { interpret, type InterpretOptions, memoryOf, poisonBytes } from "../lower/interpret.ts";

class HostMemory implements GpuMemory {
  readonly data: ArrayBuffer;
  released = false;
  constructor(readonly bytes: number) {
    this.data = new ArrayBuffer(bytes);
    poisonBytes(new Uint8Array(this.data));
  }
}

/** Limits that every WebGPU device has, and nothing else. */
export const MINIMAL_CAPS: GpuCaps = {
  f16: false,
  subgroups: null,
  maxStorageBuffers: 8,
  maxWorkgroupStorage: 16 << 10,
  maxWorkgroupSize: 256,
  maxBufferSize: 128 << 20,
  wide: false,
  matrix: null,
  asyncCopy: false,
  processors: null,
};

export class InterpreterBackend implements GpuBackend {
  readonly copyAlignment = 4;
  reservedBytes = 0;
  /** Programs run so far. */
  dispatches = 0;
  readonly #checked = new WeakSet<Program>();

  constructor(
    readonly caps: GpuCaps,
    readonly options: InterpretOptions,
  ) {}

  checkUsable(): void {}

  allocate(bytes: number): GpuMemory {
    if (bytes > this.caps.maxBufferSize) {
      throw new OutOfMemoryError(`interpreter: a buffer of ${bytes} bytes; at most ${this.caps.maxBufferSize} are possible`);
    }
    this.reservedBytes += bytes;
    return new HostMemory(bytes);
  }
  release(memory: GpuMemory): void {
    const { bytes } = this.#bytes(memory);
    this.reservedBytes -= bytes;
    (memory as HostMemory).released = true;
  }

  dispatch({ program, memories, aliases, words, groups }: Dispatch): void {
    if (!this.#checked.has(program)) {
      checkLimits(program, this.caps);
      this.#checked.add(program);
    }
    const bindings = new Map<GpuMemory, number>();
    aliases.forEach((a, i) => {
      if (a !== i) return;
      const earlier = bindings.get(memories[i]!);
      const writes = (n: number): boolean => program.buffers[n]!.access === "read_write";
      if (earlier !== undefined && (writes(earlier) || writes(i))) {
        throw new RuntimeError(
          `${program.name}: ${program.buffers[i]!.name} and ${program.buffers[earlier]!.name} are one memory`,
        );
      }
      bindings.set(memories[i]!, i);
    });
    const buffers = program.buffers.map(({ elem }, i) => memoryOf(elem, this.#bytes(memories[i]!).buffer));
    this.dispatches++;
    interpret(program, { buffers, params: unpack(program, words), groups }, this.options);
  }

  copy(from: GpuMemory, fromByte: number, to: GpuMemory, toByte: number, bytes: number): void {
    this.#range(to, toByte, bytes).set(this.#range(from, fromByte, bytes));
  }
  zero(memory: GpuMemory, byte: number, bytes: number): void {
    this.#range(memory, byte, bytes).fill(0);
  }
  upload(memory: GpuMemory, byte: number, bytes: Uint8Array): void {
    this.#range(memory, byte, bytes.length).set(bytes);
  }
  async download(memory: GpuMemory, byte: number, bytes: number): Promise<Uint8Array> {
    return this.#range(memory, byte, bytes).slice();
  }
  async synchronize(): Promise<void> {}

  #bytes(memory: GpuMemory): { buffer: ArrayBuffer; bytes: number } {
    const { data, bytes, released } = memory as HostMemory;
    if (released) throw new RuntimeError("interpreter: memory was used after it was released");
    return { buffer: data, bytes };
  }
  #range(memory: GpuMemory, byte: number, bytes: number): Uint8Array {
    const { buffer } = this.#bytes(memory);
    if (byte % this.copyAlignment !== 0 || bytes % this.copyAlignment !== 0 || byte < 0 || byte + bytes > buffer.byteLength) {
      throw new RuntimeError(`interpreter: ${bytes} bytes at ${byte} of a memory of ${buffer.byteLength} bytes`);
    }
    return new Uint8Array(buffer, byte, bytes);
  }
}

function unpack(program: Program, words: Uint32Array): Record<string, number | bigint> {
  const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
  const params: Record<string, number | bigint> = {};
  let at = 0;
  for (const { name, type } of program.params) {
    const wide = type === "i64" || type === "f64";
    if (wide) at += at % 2;
    const byte = at * 4;
    if (type === "f32") params[name] = view.getFloat32(byte, true);
    else if (type === "i32") params[name] = view.getInt32(byte, true);
    else if (type === "i64") params[name] = view.getBigInt64(byte, true);
    else if (type === "f64") params[name] = view.getFloat64(byte, true);
    else params[name] = view.getUint32(byte, true);
    at += wide ? 2 : 1;
  }
  return params;
}

/** Throws where a program needs what the device does not have. */
function checkLimits(program: Program, caps: GpuCaps): void {
  const refuse = (what: string): never => {
    throw new NotImplementedError(`${program.name} needs ${what}, which this device does not have`);
  };
  if (program.workgroup > caps.maxWorkgroupSize)
    refuse(`${program.workgroup} threads in a workgroup (of ${caps.maxWorkgroupSize})`);
  if (program.buffers.length > caps.maxStorageBuffers) {
    refuse(`${program.buffers.length} storage buffers (of ${caps.maxStorageBuffers})`);
  }
  const bytes = program.shared.reduce((n, { type, length }) => {
    const size = type.scalar === "i64" || type.scalar === "f64" ? 8 : 4;
    return n + Math.ceil((size * type.lanes * length) / 16) * 16;
  }, 0);
  if (bytes > caps.maxWorkgroupStorage) refuse(`${bytes} bytes of workgroup memory (of ${caps.maxWorkgroupStorage})`);
  if (program.subgroups && caps.subgroups === null) refuse("subgroups");
  for (const { name, elem } of program.buffers) {
    if (elem === "f16" ? !caps.f16 : !caps.wide && ELEM_BYTES[elem] !== 4) refuse(`${elem} elements (buffer ${name})`);
  }
  const check = ({ scalar }: Type): void => {
    if (!caps.wide && (scalar === "i64" || scalar === "f64")) refuse(`values of type ${scalar}`);
  };
  const instr = (i: Instr): void => {
    if (i.kind === "op") i.args.forEach((x) => check(x.type));
    else if (i.kind === "convert" || i.kind === "bitcast") check(i.arg.type);
    else if (i.kind === "load_matrices" && caps.matrix === null) refuse("matrix units");
    else if (i.kind === "mma" && caps.matrix?.[i.format] !== true) refuse(`matrix units for ${i.format}`);
  };
  const walk = (stmts: readonly Stmt[]): void => {
    for (const s of stmts) {
      if (s.kind === "let") {
        check(s.type);
        instr(s.instr);
      } else if (s.kind === "if") [s.then, s.else].forEach(walk);
      else if (s.kind === "while") [s.head, s.body].forEach(walk);
      else if (s.kind === "for") walk(s.body);
      else if (s.kind === "copy_async" && !caps.asyncCopy) refuse("asynchronous copies");
    }
  };
  walk(program.body);
  for (const f of program.funcs) walk(f.body);
  if (caps.wide) return;
  for (const { name, type } of program.params) if (type === "i64" || type === "f64") refuse(`${type} params (${name})`);
}
