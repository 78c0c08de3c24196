/** A GPU device that interprets: the kernels and the planning of the real ones, on any machine, with all mistakes caught. */

import type { GpuCaps } from "../context.ts";
import { GpuDevice } from "../device.ts";
import type { InterpretOptions } from "../lower/interpret.ts";
import type { Collector } from "../memory.ts";
import { InterpreterBackend, MINIMAL_CAPS } from "./backend.ts";

export { MINIMAL_CAPS } from "./backend.ts";

export interface InterpreterOptions extends InterpretOptions {
  /** What differs from `MINIMAL_CAPS`. With `wide` the device calls itself cuda, else webgpu. */
  readonly caps?: Partial<GpuCaps>;
  /** Finds dead buffers; without one, buffers come back when they are freed, or at natural collections. */
  readonly collector?: Collector;
}

export class InterpreterDevice extends GpuDevice {
  readonly #backend: InterpreterBackend;

  constructor({ caps, collector, ...options }: InterpreterOptions = {}) {
    const all: GpuCaps = { ...MINIMAL_CAPS, ...caps };
    const subgroupSize = options.subgroupSize ?? all.subgroups?.min;
    const backend = new InterpreterBackend(all, subgroupSize === undefined ? options : { ...options, subgroupSize });
    super(all.wide ? "cuda" : "webgpu", backend, collector ?? { macrotask: () => new Promise((resolve) => setTimeout(resolve)) });
    this.#backend = backend;
  }

  /** Programs run so far. */
  get dispatches(): number {
    return this.#backend.dispatches;
  }
}
