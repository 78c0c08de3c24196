/** Counts what reaches the GPU, whoever sends it: every library goes through the same browser objects. */

export interface Counts {
  dispatches: number;
  submits: number;
  /** Bytes in buffers that exist, and the most there ever were. */
  bytes: number;
  peakBytes: number;
}

const byDevice = new WeakMap<GPUDevice, Counts>();
let current: Counts | null = null;

/** While `work` runs, GPU work counts for `counts`, and so do the buffers of devices that it asks for, for good. */
export async function countFor<T>(counts: Counts, work: () => T | Promise<T>): Promise<T> {
  current = counts;
  try {
    return await work();
  } finally {
    current = null;
  }
}

export const noCounts = (): Counts => ({ dispatches: 0, submits: 0, bytes: 0, peakBytes: 0 });

/** Replaces a method of a browser object by one that calls it. */
function wrap<O extends object, K extends keyof O>(prototype: O, name: K, make: (original: O[K]) => O[K]): void {
  prototype[name] = make(prototype[name]);
}

export function installCounters(): void {
  const count = (what: "dispatches" | "submits"): void => {
    if (current !== null) current[what]++;
  };
  wrap(
    GPUAdapter.prototype,
    "requestDevice",
    (original) =>
      async function (this: GPUAdapter, ...args) {
        const counts = current;
        const device = await original.apply(this, args);
        if (counts !== null) byDevice.set(device, counts);
        return device;
      },
  );
  wrap(
    GPUComputePassEncoder.prototype,
    "dispatchWorkgroups",
    (original) =>
      function (this: GPUComputePassEncoder, ...args) {
        count("dispatches");
        return original.apply(this, args);
      },
  );
  wrap(
    GPUComputePassEncoder.prototype,
    "dispatchWorkgroupsIndirect",
    (original) =>
      function (this: GPUComputePassEncoder, ...args) {
        count("dispatches");
        return original.apply(this, args);
      },
  );
  wrap(
    GPUQueue.prototype,
    "submit",
    (original) =>
      function (this: GPUQueue, ...args) {
        count("submits");
        return original.apply(this, args);
      },
  );
  const alive = new WeakMap<GPUBuffer, Counts>();
  wrap(
    GPUDevice.prototype,
    "createBuffer",
    (original) =>
      function (this: GPUDevice, ...args) {
        const buffer = original.apply(this, args);
        const counts = byDevice.get(this);
        if (counts !== undefined) {
          alive.set(buffer, counts);
          counts.bytes += buffer.size;
          counts.peakBytes = Math.max(counts.peakBytes, counts.bytes);
        }
        return buffer;
      },
  );
  wrap(
    GPUBuffer.prototype,
    "destroy",
    (original) =>
      function (this: GPUBuffer) {
        const counts = alive.get(this);
        if (counts !== undefined) {
          counts.bytes -= this.size;
          alive.delete(this);
        }
        return original.apply(this);
      },
  );
}
