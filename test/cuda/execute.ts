/** Runs IR programs as CUDA C++ on the stand-ins, and in the interpreter, and compares what is in their buffers. */

import { expect } from "vitest";
import { CommandBuffer } from "../../gpu/cuda/commands.ts";
import type { NativeDevice } from "../../gpu/cuda/addon.ts";
import { CudaMemory } from "../../gpu/cuda/memory.ts";
import type { Elem, Program } from "../../gpu/ir.ts";
import { Packing } from "../../gpu/launch.ts";
import { CUDA_PRELUDE, type CudaKernel, toCuda } from "../../gpu/lower/cuda.ts";
import { interpret, type InterpretOptions, type Memory } from "../../gpu/lower/interpret.ts";
import { BF16_VALUES, F16_VALUES, MEMORY_OF } from "../../gpu/lower/interpret_memory.ts";
import { addon, ARCH, control, useStandIns } from "./native.ts";

export interface Run {
  readonly program: Program;
  /** What buffers hold before, in the program's order. A buffer that is an alias holds what the other one does. */
  readonly buffers: readonly Memory[];
  readonly params: Readonly<Record<string, number | bigint>>;
  readonly groups: number;
  readonly aliases?: readonly number[];
}

/** Of blocks and threads. */
export const ORDERS = ["forward", "reverse", "shuffle:7"] as const;

export class Executor {
  readonly device: NativeDevice;
  readonly #functions = new Map<string, number>();

  /** @param change What becomes of kernels before they are compiled. */
  constructor(readonly change: (kernel: CudaKernel) => CudaKernel = (kernel) => kernel) {
    useStandIns();
    this.device = addon.open(0);
  }

  /** One unit of them all. */
  compile(kernels: readonly CudaKernel[]): void {
    const fresh = [...new Map(kernels.map((k) => [k.name, k])).values()].filter((k) => !this.#functions.has(k.name));
    if (fresh.length === 0) return;
    const { cubin } = this.device.compileSync([CUDA_PRELUDE, ...fresh.map((k) => this.change(k).text)].join("\n"), [ARCH]);
    const module = this.device.loadModule(cubin);
    for (const { name, threads, dynamicShared } of fresh) {
      this.#functions.set(name, this.device.getFunction(module, name, threads, dynamicShared));
    }
  }

  /** What the buffers hold afterwards. */
  run({ program, buffers, params, groups, aliases = buffers.map((_, i) => i) }: Run): Memory[] {
    const kernel = toCuda(program, aliases);
    this.compile([kernel]);
    const memories = buffers.map((b, i) =>
      aliases[i] === i ? new CudaMemory(this.device.allocate(b.byteLength), b.byteLength) : null,
    );
    const commands = new CommandBuffer();
    const bound = aliases.map((_, i) => i).filter((i) => aliases[i] === i);
    for (const i of bound) this.device.upload(memories[i]!.address, bytesOf(buffers[i]!));
    const words = new Packing(program).pack(params, groups);
    commands.launch(this.#functions.get(kernel.name)!, groups, memories as CudaMemory[], bound, words);
    this.device.submit(commands.words, commands.count);
    const after = buffers.map((b, i) => {
      const bytes = this.device.downloadSync(memories[aliases[i]!]!.address, b.byteLength);
      return new MEMORY_OF[program.buffers[i]!.elem](bytes.slice().buffer);
    });
    for (const memory of memories) if (memory !== null) this.device.free(memory.address);
    return after;
  }

  /** Where results differ from the interpreter's, in any order; null: nowhere. */
  difference(run: Run, rtol = 0): string | null {
    const expected = interpreted(run);
    for (const order of ORDERS) {
      control(`order ${order}`);
      const found = difference(run.program, this.run(run), expected, rtol);
      if (found !== null) return `${run.program.name}, ${order}: ${found}`;
    }
    return null;
  }
  /** Returns what the interpreter makes, which must be the same. */
  compare(run: Run, rtol = 0): Memory[] {
    expect(this.difference(run, rtol)).toBe(null);
    return interpreted(run);
  }

  close(): void {
    control("order forward");
    this.device.close();
  }
}

const bytesOf = (memory: Memory): Uint8Array =>
  new Uint8Array(memory.buffer as ArrayBuffer, memory.byteOffset, memory.byteLength);

/** What the interpreter leaves in the buffers. */
export function interpreted({ program, buffers, params, groups, aliases }: Run, options: InterpretOptions = {}): Memory[] {
  const after: Memory[] = buffers.map((b) => b.slice());
  const bound = after.map((b, i) => after[aliases?.[i] ?? i] ?? b);
  interpret(program, { buffers: bound, params, groups }, { fused: true, ...options });
  return bound;
}

function valueOf(elem: Elem, memory: Memory, i: number): number | bigint {
  if (elem === "f16") return F16_VALUES[Number(memory[i])]!;
  return elem === "bf16" ? BF16_VALUES[Number(memory[i])]! : memory[i]!;
}

/** Where the buffers differ, bit by bit but for NaN, or more than `rtol` allows floats to; null: nowhere. */
function difference(program: Program, actual: readonly Memory[], expected: readonly Memory[], rtol = 0): string | null {
  for (const [b, { name, elem }] of program.buffers.entries()) {
    for (let i = 0; i < expected[b]!.length; i++) {
      const [x, y] = [valueOf(elem, actual[b]!, i), valueOf(elem, expected[b]!, i)];
      if (Object.is(x, y)) continue;
      if (rtol > 0 && elem[0] !== "i" && elem[0] !== "u" && Math.abs(Number(x) - Number(y)) <= rtol * Math.abs(Number(y)))
        continue;
      return `${name}[${i}] is ${x}, expected ${y}`;
    }
  }
  return null;
}
