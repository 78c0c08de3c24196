/**
 * The queue: commands are packed as they are called and handed to the addon in batches. A batch waits until its kernels are compiled (on the
 * addon's thread), and later ones wait behind it; whoever must have a value at once has them compiled at once.
 */

import { RuntimeError } from "../../ts/core/errors.ts";
import type { Dispatch } from "../backend.ts";
import type { NativeDevice } from "./addon.ts";
import { CommandBuffer } from "./commands.ts";
import { guardedAsync, isAddonError, translate } from "./errors.ts";
import type { CudaMemory } from "./memory.ts";
import type { CudaFunction, Programs } from "./programs.ts";

/** Launches of one batch, at most: few enough that the GPU starts early, enough that handing them over costs little. */
const MOST_LAUNCHES = 64;
const MOST_WORDS = 64 << 10;
/** Uploads up to this size travel with the commands. */
const MOST_INLINE_BYTES = 16 << 10;
/** Batches that may wait for kernels; then these are compiled at once, whatever it takes. */
const MOST_WAITING = 256;

/** Sees every dispatch; for timing them. */
export interface Observer {
  before(commands: CommandBuffer): void;
  after(commands: CommandBuffer, name: string): void;
}

export class Batch {
  readonly commands: CommandBuffer;
  launches = 0;
  /** Functions whose number was not known yet, and where it goes. */
  readonly patches: { readonly at: number; readonly fn: CudaFunction }[] = [];
  /** What follows the commands and is no command itself. */
  readonly actions: (() => void)[] = [];

  constructor(commands: CommandBuffer) {
    this.commands = commands;
  }
  get empty(): boolean {
    return this.commands.count === 0 && this.actions.length === 0;
  }
  get ready(): boolean {
    return this.patches.every(({ fn }) => fn.settled);
  }
}

/** Commands that are kept instead of handed over, and the memory that they touch. */
export interface Recording {
  readonly batches: readonly Batch[];
  readonly touched: ReadonlySet<CudaMemory>;
}

export class Queue {
  observer: Observer | null = null;
  #recording: { readonly batches: Batch[]; readonly touched: Set<CudaMemory> } | null = null;
  readonly #native: NativeDevice;
  readonly #programs: Programs;
  readonly #turn: () => Promise<void>;
  #open = new Batch(new CommandBuffer());
  /** Arrays of batches that were handed over. */
  readonly #spare: CommandBuffer[] = [];
  readonly #waiting: Batch[] = [];
  #turnScheduled = false;
  #failure: Error | null = null;

  /** @param turn Resolves when the event loop has turned. */
  constructor(native: NativeDevice, programs: Programs, turn: () => Promise<void>) {
    this.#native = native;
    this.#programs = programs;
    this.#turn = turn;
  }

  /** Why nothing goes on any more: a lost device, a kernel that cannot be compiled. */
  get failure(): Error | null {
    return this.#failure;
  }

  fail(error: unknown): Error {
    this.#failure ??= translate(error);
    return this.#failure;
  }

  dispatch({ program, memories, aliases, words, groups }: Dispatch): void {
    const fn = this.#programs.get(program, aliases);
    const batch = this.#open;
    const { commands } = batch;
    this.observer?.before(commands);
    const at = commands.launch(fn.id, groups, memories as readonly CudaMemory[], fn.bound, words);
    if (fn.id < 0) batch.patches.push({ at, fn });
    this.observer?.after(commands, program.name);
    if (this.#recording !== null) for (const i of fn.bound) this.#recording.touched.add(memories[i] as CudaMemory);
    if (++batch.launches >= MOST_LAUNCHES || commands.count >= MOST_WORDS) this.flush();
    else this.#scheduleTurn();
  }

  /** Appends commands that need no function. `memories`: what they touch. */
  command(write: (commands: CommandBuffer) => void, ...memories: readonly CudaMemory[]): void {
    write(this.#open.commands);
    if (this.#recording !== null) for (const memory of memories) this.#recording.touched.add(memory);
    if (this.#open.commands.count >= MOST_WORDS) this.flush();
    else this.#scheduleTurn();
  }

  /** Appends a call of one of NVIDIA's libraries, which counts as a launch. */
  call(name: string, write: (commands: CommandBuffer) => void, memories: readonly CudaMemory[]): void {
    const batch = this.#open;
    this.observer?.before(batch.commands);
    this.command(
      (commands) => {
        write(commands);
        this.observer?.after(commands, name);
        batch.launches++;
      },
      ...memories,
    );
    if (batch === this.#open && batch.launches >= MOST_LAUNCHES) this.flush();
  }

  upload(memory: CudaMemory, byte: number, bytes: Uint8Array): void {
    // A replay would bring the same bytes again: they are brought now, and once.
    if (this.#recording !== null) return this.outside(() => this.upload(memory, byte, bytes));
    const address = memory.address + byte;
    if (bytes.length <= MOST_INLINE_BYTES) return this.command((c) => c.upload(address, bytes), memory);
    this.flush();
    if (this.#waiting.length === 0) return this.#guard(() => this.#native.upload(address, bytes));
    const copy = bytes.slice();
    this.#open.actions.push(() => this.#native.upload(address, copy));
    this.flush();
  }

  download(memory: CudaMemory, byte: number, bytes: number): Promise<Uint8Array> {
    this.#checkNotRecording();
    return this.#after(() => this.#native.download(memory.address + byte, bytes));
  }

  downloadSync(memory: CudaMemory, byte: number, bytes: number): Uint8Array {
    this.#checkNotRecording();
    this.submitNow();
    return this.#guard(() => this.#native.downloadSync(memory.address + byte, bytes));
  }

  /** When all commands so far have been carried out. */
  synchronize(): Promise<void> {
    this.#checkNotRecording();
    return this.#after(() => this.#native.synchronize());
  }

  synchronizeSync(): void {
    this.#checkNotRecording();
    this.submitNow();
    this.#guard(() => this.#native.synchronizeSync());
  }

  #checkNotRecording(): void {
    if (this.#recording === null) return;
    throw new RuntimeError(
      "cuda: while a graph is captured nothing is computed, so there are no values to read or to wait for; read them after a replay",
    );
  }

  /** What `ask` promises, asked when all commands so far have been handed over. */
  #after<T>(ask: () => Promise<T>): Promise<T> {
    return guardedAsync(
      new Promise<T>((resolve, reject) => {
        if (this.#failure !== null) return reject(this.#failure);
        this.#open.actions.push(() => {
          if (this.#failure !== null) return reject(this.#failure);
          ask().then(resolve, (error: unknown) => reject(this.#note(error)));
        });
        this.flush();
      }),
    );
  }

  /** From now on commands are kept. */
  record(): void {
    this.flush();
    this.#recording = { batches: [], touched: new Set() };
  }

  /** What was kept; commands are handed over again. */
  stopRecording(): Recording {
    this.flush();
    const recording = this.#recording!;
    this.#recording = null;
    return recording;
  }

  /** While commands are kept: what `work` asks for is handed over all the same. */
  outside(work: () => void): void {
    const recording = this.#recording;
    this.flush();
    this.#recording = null;
    try {
      work();
      this.flush();
    } finally {
      this.#recording = recording;
    }
  }

  /** Hands over what was recorded; throws where the addon refuses. */
  replay({ batches }: Recording): void {
    this.#programs.compileNow(batches.flatMap(({ patches }) => patches.map(({ fn }) => fn)));
    for (const batch of batches) this.#submit(batch);
    if (this.#failure !== null) throw this.#failure;
  }

  /** Closes the open batch and hands it over, now if nothing stands before it. */
  flush(): void {
    const batch = this.#open;
    if (batch.empty) return;
    this.#open = new Batch(this.#spare.pop() ?? new CommandBuffer());
    if (this.#recording !== null) return void this.#recording.batches.push(batch);
    if (this.#waiting.length === 0 && batch.ready) return this.#submit(batch);
    this.#waiting.push(batch);
    if (this.#waiting.length > MOST_WAITING) this.submitNow();
    else if (this.#waiting.length === 1) void this.#submitWhenReady();
  }

  /** Hands everything over now, even if kernels have to be compiled while everything waits. */
  submitNow(): void {
    this.flush();
    if (this.#waiting.length > 0) this.#programs.compileNow(this.#pending());
    this.#submitReady();
    if (this.#failure !== null) throw this.#failure;
  }

  /** When everything so far has been handed over. */
  async submitted(): Promise<void> {
    this.flush();
    while (this.#waiting.length > 0) {
      await this.#programs.compile(this.#pending());
      this.#submitReady();
    }
    if (this.#failure !== null) throw this.#failure;
  }

  *#pending(): Iterable<CudaFunction> {
    for (const { patches } of this.#waiting) for (const { fn } of patches) yield fn;
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    void this.#turn().then(() => {
      this.#turnScheduled = false;
      this.flush();
    });
  }

  async #submitWhenReady(): Promise<void> {
    // What is asked for in this job goes into one unit.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      await this.#programs.compile(this.#pending());
      this.#submitReady();
    }
  }

  #submitReady(): void {
    while (this.#waiting.length > 0 && (this.#failure !== null || this.#waiting[0]!.ready)) this.#submit(this.#waiting.shift()!);
  }

  #submit(batch: Batch): void {
    const { commands, patches, actions } = batch;
    for (const { at, fn } of patches) {
      if (fn.error !== null) this.fail(fn.error);
      else commands.words[at] = fn.id;
    }
    if (this.#failure === null && commands.count > 0) {
      try {
        this.#native.submit(commands.words, commands.count);
      } catch (error) {
        this.fail(error);
      }
    }
    for (const action of actions) {
      try {
        action();
      } catch (error) {
        this.fail(error);
      }
    }
    commands.clear();
    this.#spare.push(commands);
  }

  /** Remembers that the device is gone. */
  #note(error: unknown): unknown {
    if (isAddonError(error) && error.code === "DEVICE_LOST") return this.fail(error);
    return error;
  }

  #guard<T>(fn: () => T): T {
    try {
      return fn();
    } catch (error) {
      throw translate(this.#note(error));
    }
  }

  /** Nobody uses this queue any more. */
  close(): void {
    this.fail(new RuntimeError("cuda: the device was closed"));
    for (const batch of this.#waiting.splice(0)) this.#submit(batch);
  }
}
