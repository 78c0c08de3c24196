/** Kernels with one mistake each, and whether the stand-ins notice. */

import type { Dispatch } from "../../gpu/backend.ts";
import type { NativeDevice } from "../../gpu/cuda/addon.ts";
import { CommandBuffer } from "../../gpu/cuda/commands.ts";
import { CudaMemory } from "../../gpu/cuda/memory.ts";
import { GpuDevice } from "../../gpu/device.ts";
import { InterpreterBackend, MINIMAL_CAPS } from "../../gpu/interpreter/backend.ts";
import type { Elem, Program } from "../../gpu/ir.ts";
import { CUDA_PRELUDE, toCuda } from "../../gpu/lower/cuda.ts";
import { BF16_VALUES, F16_VALUES, type Memory, MEMORY_OF } from "../../gpu/lower/interpret_memory.ts";
import { addon, ARCH, control, useStandIns } from "./native.ts";

/** A launch as the interpreter carried it out. */
export interface Recorded {
  readonly program: Program;
  readonly aliases: readonly number[];
  readonly words: Uint32Array;
  readonly groups: number;
  readonly before: readonly ArrayBuffer[];
  readonly after: readonly ArrayBuffer[];
}

class RecordingInterpreter extends InterpreterBackend {
  readonly recorded: Recorded[] = [];
  override dispatch(dispatch: Dispatch): void {
    const { program, aliases, words, groups } = dispatch;
    const bytes = (): ArrayBuffer[] => dispatch.memories.map((m) => (m as unknown as { data: ArrayBuffer }).data.slice(0));
    const before = bytes();
    super.dispatch(dispatch);
    this.recorded.push({ program, aliases: [...aliases], words: words.slice(), groups, before, after: bytes() });
  }
}

/** An interpreter with the capabilities of a GPU of NVIDIA's, with its matrix units or without, and what it has run. */
export function recordingInterpreter(matrix: boolean): { readonly device: GpuDevice; readonly recorded: readonly Recorded[] } {
  const caps = { wide: true, f16: true, subgroups: { min: 32, max: 32 }, maxStorageBuffers: 64, maxWorkgroupStorage: 96 << 10 };
  const units = matrix ? { matrix: { f16: true, bf16: true, tf32: true }, asyncCopy: true, processors: 100 } : {};
  const backend = new RecordingInterpreter({ ...MINIMAL_CAPS, ...caps, ...units }, { subgroupSize: 32, fused: true });
  const device = new GpuDevice("cuda", backend, { macrotask: () => new Promise((resolve) => setTimeout(resolve)) });
  return { device, recorded: backend.recorded };
}

export interface Mutant {
  readonly operator: "barrier" | "uneven" | "index" | "bound" | "lane";
  /** The line that was changed (and the next, for barriers), without the numbers of values, and the line as it is now. */
  readonly was: string;
  readonly is: string;
  readonly body: string;
}

/** A barrier is left out, or one thread leaves it out; an index is one more; a limit is; two lanes change places. */
export const OPERATORS: readonly Mutant["operator"][] = ["barrier", "uneven", "index", "bound", "lane"];

/** After the bracket that closes the one at `at`. */
function closing(text: string, at: number): number {
  for (let depth = 0; at < text.length; at++) {
    if ("[(".includes(text[at]!)) depth++;
    else if (")]".includes(text[at]!) && --depth === 0) return at + 1;
  }
  throw new Error("a bracket that is not closed");
}

/** Every way in which one place of the text is changed. */
function changes(body: string): { at: number; end: number; operator: Mutant["operator"]; text: string }[] {
  const found: ReturnType<typeof changes> = [];
  const put = (operator: Mutant["operator"], at: number, end: number, text: string): void =>
    void found.push({ operator, at, end, text });
  for (const { index } of body.matchAll(/__syncthreads\(\);/g)) {
    put("barrier", index, index + 16, ";");
    put("uneven", index, index, "if (threadIdx.x != 33u) ");
  }
  for (const { index, 0: call } of body.matchAll(/kd_(commit|wait)_copies(<\d+>)?\(\);/g))
    put("barrier", index, index + call.length, ";");
  for (const { index } of body.matchAll(/kd_load_uniform\(&/g)) {
    const end = closing(body, index + 15);
    put("barrier", index, end, `(${body.slice(index + 17, end - 1)})`);
  }
  for (const { index, 0: head } of body.matchAll(/\b[sb]_\w+\[/g)) {
    const at = index + head.length;
    // Declarations have a number there.
    const end = closing(body, at - 1) - 1;
    if (/^\d+$/.test(body.slice(at, end))) continue;
    put("index", at, end, `(${body.slice(at, end)}) + 1u`);
  }
  // Limits of indices; where a formula changes from one branch to the other, both are right.
  for (const { index, 0: sign } of body.matchAll(/ (<|<=|>|>=) (?=p_)|(?<=for \([^;]*; \w+) < /g)) {
    put("bound", index, index + sign.length, sign.includes("=") ? sign.replace("=", "") : `${sign.trimEnd()}= `);
  }
  for (const { index } of body.matchAll(/(?<!Idx)\.x;/g)) put("lane", index, index + 3, ".y;");
  for (const { index, 0: head } of body.matchAll(/kd_(?:reduce<\w+>|shuffle<\w+>)\(/g)) {
    const end = closing(body, index + head.length - 1);
    const args = body.slice(index + head.length, end - 1);
    if (head.startsWith("kd_reduce")) put("lane", index, end, `kd_shuffle<KD_XOR>(${args}, 1u)`);
    else if (head.includes("KD_XOR")) put("lane", index, end, `${head}${args} * 2u)`);
    else put("lane", index, end, `${head}${args} ^ 1u)`);
  }
  return found;
}

/** Helper functions, shared by all mutants of a kernel; its name; and the text from `extern` on. */
function split(text: string): { helpers: string; body: string } {
  const at = text.indexOf('extern "C"');
  return { helpers: text.slice(0, at), body: text.slice(at) };
}

/** At most `most` of each operator, spread over the text. */
export function mutantsOf(body: string, most: number): Mutant[] {
  const all = changes(body);
  return OPERATORS.flatMap((operator) => {
    const mine = all.filter((c) => c.operator === operator);
    const count = Math.min(most, mine.length);
    return Array.from({ length: count }, (_, i) => mine[Math.floor((i * mine.length) / count)]!).map(({ at, end, text }) => {
      const changed = body.slice(0, at) + text + body.slice(end);
      const line = (whole: string, to: number): string =>
        whole
          .slice(whole.lastIndexOf("\n", at) + 1, whole.indexOf("\n", to))
          .replace(/\s+/g, " ")
          .trim()
          .replace(/\bv\d+/g, "v");
      // Barriers are told apart by what follows.
      const stop = operator === "barrier" ? body.indexOf("\n", end) + 1 : end;
      return { operator, was: line(body, stop), is: line(changed, at + text.length), body: changed };
    });
  });
}

export type Verdict = "result" | "order" | "trap" | "divergence" | null;

const ORDERS = ["forward", "reverse", "shuffle:1", "shuffle:2"];

export class MutantLab {
  #device: NativeDevice;

  constructor() {
    useStandIns();
    control("check 1");
    control("timeout 5");
    this.#device = addon.open(0, { exactAllocations: true });
  }
  close(): void {
    this.#device.close();
    for (const command of ["check 0", "timeout 60", "order forward"]) control(command);
  }

  /**
   * What is found wrong with the kernel itself (nothing, one hopes), and with each mutant, in any of several launches of the kernel and
   * any order.
   */
  judge(
    runs: readonly Recorded[],
    mutants: (body: string) => readonly Mutant[],
  ): { itself: Verdict; mutants: [Mutant, Verdict][] } {
    const kernel = toCuda(runs[0]!.program, runs[0]!.aliases);
    const { helpers, body } = split(kernel.text);
    const made = mutants(body);
    const bodies = [body, ...made.map((m) => m.body)].map((text, i) => text.replace(kernel.name, `${kernel.name}_${i}`));
    const { cubin } = this.#device.compileSync([CUDA_PRELUDE, helpers, ...bodies].join("\n"), [ARCH]);
    let module: number | null = null;
    const verdicts = bodies.map((_, i): Verdict => {
      for (const order of ORDERS) {
        module ??= this.#device.loadModule(cubin);
        control(`order ${order}`);
        try {
          const fn = this.#device.getFunction(module, `${kernel.name}_${i}`, kernel.threads, kernel.dynamicShared);
          if (!runs.every((run) => this.#agrees(run, fn))) return order === "forward" ? "result" : "order";
        } catch (error) {
          if ((error as { code?: string }).code !== "DEVICE_LOST") throw error;
          this.#device.close();
          this.#device = addon.open(0, { exactAllocations: true });
          module = null;
          return control("report").includes("diverged") ? "divergence" : "trap";
        }
      }
      return null;
    });
    return { itself: verdicts[0]!, mutants: made.map((m, i) => [m, verdicts[i + 1]!]) };
  }

  #agrees({ program, aliases, words, groups, before, after }: Recorded, fn: number): boolean {
    const device = this.#device;
    // Buffers that were one memory, and only read, are one here.
    const memories: CudaMemory[] = [];
    before.forEach((bytes, i) => {
      if (aliases[i] !== i) memories.push(memories[aliases[i]!]!);
      else memories.push(new CudaMemory(device.allocate(bytes.byteLength), bytes.byteLength));
    });
    const bound = aliases.map((_, i) => i).filter((i) => aliases[i] === i);
    for (const i of bound) device.upload(memories[i]!.address, new Uint8Array(before[i]!));
    const commands = new CommandBuffer();
    commands.launch(fn, groups, memories, bound, words);
    device.submit(commands.words, commands.count);
    const actual = memories.map((memory, i) => {
      const bytes = device.downloadSync(memory.address, memory.bytes);
      return new MEMORY_OF[program.buffers[i]!.elem](bytes.slice().buffer);
    });
    for (const i of bound) device.free(memories[i]!.address);
    return after.every((bytes, i) => {
      const { elem } = program.buffers[i]!;
      return close(elem, actual[i]!, new MEMORY_OF[elem](bytes));
    });
  }
}

/** The order of sums differs between the interpreter and the text, as a part of the greatest value; a mistake is larger. */
const TOLERANCE: { readonly [E in Elem]?: number } = { f32: 1e-5, f64: 1e-5, f16: 2e-3, bf16: 1e-2 };

function close(elem: Elem, actual: Memory, expected: Memory): boolean {
  const value = (x: number | bigint): number =>
    elem === "f16" ? F16_VALUES[Number(x)]! : elem === "bf16" ? BF16_VALUES[Number(x)]! : Number(x);
  let greatest = 0;
  for (const x of expected) if (Math.abs(value(x)) < Infinity) greatest = Math.max(greatest, Math.abs(value(x)));
  const most = (TOLERANCE[elem] ?? 0) * greatest;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    if (most === 0 || !(Math.abs(value(actual[i]!) - value(expected[i]!)) <= most)) return false;
  }
  return true;
}
