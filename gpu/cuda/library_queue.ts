/** Calls of NVIDIA's libraries in the queue of a CUDA device, and what they take. */

import type { NativeDevice, NativeLibraries } from "./addon.ts";
import type { CudaBackend } from "./backend.ts";
import { CommandBuffer } from "./commands.ts";
import { guarded, isAddonError, translate } from "./errors.ts";
import type { LibraryQueue, MatmulPlaces, Place } from "./libraries.ts";
import type { CudaMemory } from "./memory.ts";

const addressOf = (place: Place | null): number => (place === null ? 0 : (place.memory as CudaMemory).address + place.byte);

export class CudaLibraryQueue implements LibraryQueue {
  readonly #native: NativeDevice;
  readonly #backend: CudaBackend;
  /** Where calls go while they are timed: handed over by themselves, so that one that fails harms nobody. */
  #apart: CommandBuffer | null = null;
  #cublasLt: { readonly found: NativeLibraries | null } | null = null;
  #cudnn: { readonly found: NativeLibraries | null } | null = null;
  #events: readonly [start: number, end: number] | null = null;

  constructor(native: NativeDevice, backend: CudaBackend) {
    this.#native = native;
    this.#backend = backend;
  }

  get cublasLt(): NativeLibraries | null {
    return (this.#cublasLt ??= { found: this.#find("hasMatmul") }).found;
  }
  get cudnn(): NativeLibraries | null {
    return (this.#cudnn ??= { found: this.#find("hasConv") }).found;
  }
  #find(which: "hasMatmul" | "hasConv"): NativeLibraries | null {
    const libraries = guarded(() => this.#native.libraries);
    return libraries !== null && guarded(() => libraries[which]) ? libraries : null;
  }
  get capturing(): boolean {
    return this.#backend.capturing;
  }

  matmul(plan: number, { a, b, d, bias, workspace }: MatmulPlaces, alpha: number, beta: number): void {
    const addresses = [a, b, d, d, bias, workspace].map(addressOf) as [number, number, number, number, number, number];
    this.#call("cublasLt", (c) => c.matmul(plan, addresses, alpha, beta), [a, b, d, bias, workspace]);
  }

  conv(plan: number, first: Place, second: Place, result: Place, workspace: Place | null): void {
    const addresses = [first, second, result, workspace].map(addressOf) as [number, number, number, number];
    this.#call("cudnn", (c) => c.conv(plan, addresses), [first, second, result, workspace]);
  }

  #call(name: string, write: (commands: CommandBuffer) => void, places: readonly (Place | null)[]): void {
    if (this.#apart !== null) return write(this.#apart);
    const memories = places.filter((p) => p !== null).map((p) => p.memory as CudaMemory);
    this.#backend.queue.call(name, write, memories);
  }

  time(run: () => void): number {
    const { queue } = this.#backend;
    const [start, end] = this.#timingEvents();
    queue.submitNow();
    queue.command((c) => c.record(start));
    run();
    queue.command((c) => c.record(end));
    queue.submitNow();
    return this.#elapsed();
  }

  timeCalls(run: () => void): number | null {
    const { queue } = this.#backend;
    const [start, end] = this.#timingEvents();
    queue.submitNow();
    const commands = new CommandBuffer();
    commands.record(start);
    this.#apart = commands;
    try {
      run();
    } finally {
      this.#apart = null;
    }
    commands.record(end);
    try {
      this.#native.submit(commands.words, commands.count);
    } catch (error) {
      if (isAddonError(error) && error.code !== "DEVICE_LOST") return null;
      throw queue.fail(error);
    }
    return this.#elapsed();
  }

  forgetPlans(): void {
    this.#backend.queue.submitNow();
    guarded(() => this.#native.libraries?.forgetPlans());
  }

  #timingEvents(): readonly [start: number, end: number] {
    return (this.#events ??= guarded(() => [this.#native.createEvent(true), this.#native.createEvent(true)]));
  }

  #elapsed(): number {
    const [start, end] = this.#timingEvents();
    try {
      this.#native.synchronizeEventSync(end);
      return this.#native.elapsed(start, end);
    } catch (error) {
      if (isAddonError(error) && error.code === "DEVICE_LOST") throw this.#backend.queue.fail(error);
      throw translate(error);
    }
  }
}
