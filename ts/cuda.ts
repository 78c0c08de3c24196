/** `torch.cuda`: NVIDIA GPUs in Node, with PyTorch's names. Devices start when they are first named: `x.to("cuda:1")`. */

import type {
  CudaDeviceLike,
  CudaDeviceProperties,
  CudaFactory,
  CudaGraphLike,
  CudaProbe,
  CudaStats,
  KernelTime,
} from "./core/accelerators.ts";
import type { Device } from "./core/device.ts";
import { RuntimeError, ValueError } from "./core/errors.ts";
import { registerLibraryVersions } from "./core/settings.ts";
import { Storage } from "./core/storage.ts";
import type { Tensor } from "./core/tensor.ts";
import { type Capture, setCapture } from "./engine/fusion.ts";
import { registerDevice, registerOpener } from "./ops/devices.ts";
import { default_generator } from "./ops/generator.ts";

export { OutOfMemoryError } from "./core/errors.ts";
export type { CudaDeviceProperties, CudaProbe, CudaStats };

/** A device: "cuda:1", its number, or itself; null and undefined are the current one. */
export type CudaDeviceName = Device | string | number | null;

let factory: CudaFactory | null = null;
const devices = new Map<number, CudaDeviceLike>();
let current = 0;

/** @internal */
export function _registerCuda(own: CudaFactory): void {
  factory = own;
  registerLibraryVersions(() => {
    const probe = own.probe();
    const usable = (library: CudaProbe["cudnn"] | undefined): string | null => (library?.error === null ? library.version : null);
    return { cublasLt: usable(probe?.cublasLt), cudnn: usable(probe?.cudnn) };
  });
  registerOpener("cuda", (index) => open(index ?? current));
}

const ONLY_NODE = "cuda: CUDA works in Node only; in browsers the GPU is reached through webgpu";

function open(index: number): CudaDeviceLike {
  if (factory === null) throw new RuntimeError(ONLY_NODE);
  let device = devices.get(index);
  if (device === undefined) {
    device = factory.open(index);
    devices.set(index, device);
    registerDevice(device);
  }
  return device;
}

function indexOf(device: CudaDeviceName | undefined, what: string): number {
  if (device === null || device === undefined) return current;
  if (typeof device === "number") return device;
  const name = typeof device === "string" ? device : `${device.type}:${device.index}`;
  const found = /^cuda(?::(\d+))?$/.exec(name);
  if (found === null) throw new ValueError(`${what}: expected a cuda device, got '${name}'`);
  return found[1] === undefined ? current : Number(found[1]);
}

const get = (device: CudaDeviceName | undefined, what: string): CudaDeviceLike => open(indexOf(device, what));

/** Whether there are a driver, a GPU and NVRTC. Looks at once and starts nothing. */
export function is_available(): boolean {
  return factory !== null && factory.why() === null;
}

/** Why `is_available` is false: what is missing, where it was looked for, what to do. Null where it is true. */
export function unavailable_reason(): string | null {
  return factory === null ? ONLY_NODE : factory.why();
}

/** The NVIDIA libraries that were found: paths, versions, and what was searched. Null where the addon itself is missing. */
export function libraries(): CudaProbe | null {
  return factory?.probe() ?? null;
}

/** GPUs of this machine; 0 where CUDA is not available. */
export function device_count(): number {
  return factory?.deviceCount() ?? 0;
}

/** Starts the current device, or one anew that was lost. Not needed: a device starts when it is first named. */
export function init(): void {
  const lost = devices.get(current);
  if (lost?.lost === true) {
    devices.delete(current);
    lost.close();
  }
  open(current);
}

export function is_initialized(): boolean {
  return devices.size > 0;
}

/** The device that "cuda" without a number means. */
export function current_device(): number {
  return current;
}
export function set_device(device: CudaDeviceName): void {
  const index = indexOf(device, "cuda.set_device");
  open(index);
  current = index;
}

export function get_device_properties(device?: CudaDeviceName): CudaDeviceProperties {
  return get(device, "cuda.get_device_properties").properties;
}
export function get_device_name(device?: CudaDeviceName): string {
  return get_device_properties(device).name;
}
/** Compute capability: [9, 0]. */
export function get_device_capability(device?: CudaDeviceName): [major: number, minor: number] {
  const { major, minor } = get_device_properties(device);
  return [major, minor];
}

/** Whether the device is there and computes in bfloat16, which takes compute capability 8.0. */
export function is_bf16_supported(): boolean {
  return is_available() && get_device_capability()[0] >= 8;
}

/** Resolves when everything that was asked for so far has been carried out; rejects with what went wrong meanwhile. */
export async function synchronize(device?: CudaDeviceName): Promise<void> {
  await get(device, "cuda.synchronize").synchronize();
}
/** The same, while the program waits. */
export function synchronize_sync(device?: CudaDeviceName): void {
  get(device, "cuda.synchronize_sync").synchronizeSync();
}

/** Bytes that tensors take. Memory of dead tensors is looked for first. */
export function memory_allocated(device?: CudaDeviceName): number {
  const own = get(device, "cuda.memory_allocated");
  own.memoryStats();
  return own.allocatorStats().allocatedBytes;
}
export function max_memory_allocated(device?: CudaDeviceName): number {
  return get(device, "cuda.max_memory_allocated").allocatorStats().peakAllocatedBytes;
}
/** Bytes that the caching allocator has taken from the driver. */
export function memory_reserved(device?: CudaDeviceName): number {
  return get(device, "cuda.memory_reserved").allocatorStats().reservedBytes;
}
export function max_memory_reserved(device?: CudaDeviceName): number {
  return get(device, "cuda.max_memory_reserved").allocatorStats().peakReservedBytes;
}
export function reset_peak_memory_stats(device?: CudaDeviceName): void {
  get(device, "cuda.reset_peak_memory_stats").resetPeakStats();
}
/** The allocator's statistics under the keys that PyTorch gives them. */
export function memory_stats(device?: CudaDeviceName): Record<string, number> {
  const s = get(device, "cuda.memory_stats").allocatorStats();
  return {
    "allocated_bytes.all.current": s.allocatedBytes,
    "allocated_bytes.all.peak": s.peakAllocatedBytes,
    "reserved_bytes.all.current": s.reservedBytes,
    "reserved_bytes.all.peak": s.peakReservedBytes,
    "allocation.all.current": s.blocks,
    "allocation.all.allocated": s.allocations,
    "segment.all.allocated": s.slabs,
    num_alloc_retries: s.retries,
    num_ooms: s.failures,
  };
}
/** Bytes of the device as the driver sees it, all programs together. */
export function mem_get_info(device?: CudaDeviceName): readonly [free: number, total: number] {
  return get(device, "cuda.mem_get_info").memGetInfo();
}
/** Gives memory that the caching allocator keeps back to the driver. */
export function empty_cache(device?: CudaDeviceName): void {
  get(device, "cuda.empty_cache").emptyCache();
}

/** Sets the seed of one device's stream; `torch.manual_seed` sets those of all devices. */
export function manual_seed(seed: number | bigint, device?: CudaDeviceName): void {
  default_generator(get(device, "cuda.manual_seed")).manual_seed(seed);
}
export function manual_seed_all(seed: number | bigint): void {
  for (let index = 0; index < device_count(); index++) manual_seed(seed, index);
}
/** Seeds from entropy. */
export function seed(device?: CudaDeviceName): void {
  default_generator(get(device, "cuda.seed")).seed();
}
/** Seeds all devices from entropy, with one seed. */
export function seed_all(): void {
  if (device_count() === 0) return;
  const one = default_generator(get(0, "cuda.seed_all")).seed();
  manual_seed_all(one);
}
export function initial_seed(device?: CudaDeviceName): bigint {
  return default_generator(get(device, "cuda.initial_seed")).initial_seed();
}
export function get_rng_state_all(): Tensor[] {
  return Array.from({ length: device_count() }, (_, index) => get_rng_state(index));
}
export function set_rng_state_all(states: readonly Tensor[]): void {
  states.forEach((state, index) => set_rng_state(state, index));
}
export function get_rng_state(device?: CudaDeviceName): Tensor {
  return default_generator(get(device, "cuda.get_rng_state")).get_state();
}
export function set_rng_state(state: Tensor, device?: CudaDeviceName): void {
  default_generator(get(device, "cuda.set_rng_state")).set_state(state);
}

/** What has been handed to the driver so far. */
export function stats(device?: CudaDeviceName): CudaStats {
  return get(device, "cuda.stats").stats();
}
/** Runs `fn` and returns the GPU time of every kernel that it launched, in order. */
export async function profile(fn: () => unknown, device?: CudaDeviceName): Promise<KernelTime[]> {
  return get(device, "cuda.profile").profile(fn);
}

const events = new FinalizationRegistry<{ readonly device: CudaDeviceLike; readonly event: number }>(({ device, event }) =>
  device.destroyEvent(event),
);

/** A mark in the stream of a device. */
export class Event {
  readonly #timing: boolean;
  #device: CudaDeviceLike | null = null;
  #event = -1;
  #recorded = false;

  constructor({ enable_timing = false }: { enable_timing?: boolean } = {}) {
    this.#timing = enable_timing;
  }

  /** Marks what has been asked for so far on the device (default: the current one). */
  record(device?: CudaDeviceName): void {
    const own = get(device, "Event.record");
    if (this.#device !== null && this.#device !== own) {
      throw new RuntimeError(
        `Event.record: the event belongs to cuda:${this.#device.index}; cuda:${own.index} needs one of its own`,
      );
    }
    if (this.#device === null) {
      this.#device = own;
      this.#event = own.createEvent(this.#timing);
      events.register(this, { device: own, event: this.#event });
    }
    own.recordEvent(this.#event);
    this.#recorded = true;
  }

  /** Whether what was before the last `record` has been carried out; true where there was none. */
  query(): boolean {
    return !this.#recorded || this.#device!.queryEvent(this.#event);
  }

  /** Resolves when what was before the last `record` has been carried out. */
  async synchronize(): Promise<void> {
    if (this.#recorded) await this.#device!.synchronizeEvent(this.#event);
  }
  /** The same, while the program waits. */
  synchronize_sync(): void {
    if (this.#recorded) this.#device!.synchronizeEventSync(this.#event);
  }

  /** What is asked for on the device from now on waits for this event, of whichever device it is. */
  wait(device?: CudaDeviceName): void {
    if (this.#recorded) get(device, "Event.wait").waitEvent(this.#device!, this.#event);
  }

  /** Milliseconds from this event to `end`. Both must have been recorded with `enable_timing`, and have been reached. */
  elapsed_time(end: Event): number {
    for (const event of [this, end]) {
      if (!event.#timing) throw new ValueError("elapsed_time: both events need { enable_timing: true }");
      if (!event.#recorded) throw new ValueError("elapsed_time: both events must be recorded before");
      if (!event.query()) {
        throw new RuntimeError("elapsed_time: device not ready; `await event.synchronize()` before, for both events");
      }
    }
    return this.#device!.elapsed(this.#event, end.#event);
  }
}

/**
 * The kernels of a piece of code, to be launched again as a whole: `torch.cuda.graph(g, fn)` captures them, `g.replay()` runs them on the same
 * memory. New inputs are copied into the tensors that the captured code read (`x.copy_(batch)`), results appear in those that it made.
 */
export class CUDAGraph {
  #graph: CudaGraphLike | null = null;
  #device: CudaDeviceLike | null = null;
  #capture: Capture | null = null;

  /** What follows is captured, not carried out, until `capture_end`. Run the code a few times before, so that its kernels exist. */
  capture_begin(device?: CudaDeviceName): void {
    if (this.#graph !== null || this.#device !== null) {
      throw new RuntimeError(
        "CUDAGraph.capture_begin: this graph holds a capture already; reset() it first, or make another one",
      );
    }
    const own = get(device, "CUDAGraph.capture_begin");
    own.beginCapture();
    this.#device = own;
    const outside = (work: () => void): void => own.outsideCapture(work);
    this.#capture = { device: own, since: Storage.nextSerial(), outside, deferred: [] };
    setCapture(this.#capture);
  }

  capture_end(): void {
    const [device, capture] = [this.#device, this.#capture];
    if (device === null || capture === null) throw new RuntimeError("CUDAGraph.capture_end: nothing is being captured");
    try {
      // Values that were not wanted yet belong into the graph, where somebody still holds them.
      device.memoryStats();
      for (const storage of capture.deferred) storage.deref()?.materialize();
      this.#graph = device.endCapture();
    } catch (error) {
      this.capture_abort();
      throw error;
    }
    this.#leave();
  }

  /** Ends a capture that failed. */
  capture_abort(): void {
    if (this.#device?.capturing === true) this.#device.abortCapture();
    this.#leave();
    this.#device = null;
  }

  #leave(): void {
    if (this.#capture !== null) setCapture(null);
    this.#capture = null;
  }

  /** Launches the captured kernels once more. */
  replay(): void {
    if (this.#graph === null) throw new RuntimeError("CUDAGraph.replay: nothing was captured; use torch.cuda.graph(g, fn) first");
    this.#graph.replay();
  }

  /** Lets go of what was captured and of the memory that it used. */
  reset(): void {
    this.#graph?.reset();
    this.#graph = null;
    this.#device = null;
  }
}

/** Captures what `fn` asks for on the device into `g`; returns what `fn` returns. Reading values within it is an error. */
export function graph<T>(g: CUDAGraph, fn: () => T, device?: CudaDeviceName): T {
  g.capture_begin(device);
  let result: T;
  try {
    result = fn();
  } catch (error) {
    g.capture_abort();
    throw error;
  }
  g.capture_end();
  return result;
}

/** Whether what is asked for now is captured. */
export function is_current_stream_capturing(): boolean {
  return devices.get(current)?.capturing === true;
}
