/** What the GPU can do, measured with kernels of its own on a device of its own: multiply-adds in registers, and copying memory. */

import type { Ceilings } from "./ceilings.ts";

/** GPUBufferUsage.STORAGE, which is no global before Dawn is loaded. */
const STORAGE = 0x80;
const WORKGROUP = 256;
const COPIED = 32 << 20;
/** One vector of four per invocation, for both. */
const GROUPS = COPIED / 16 / WORKGROUP;

const chains = [0, 1, 2, 3, 4, 5, 6, 7];
const ITERATIONS = 8;
/** Steps in one turn of the loop: on software adapters its overhead is that of several multiply-adds. */
const UNROLLED = 8;
const FLOPS = GROUPS * WORKGROUP * ITERATIONS * UNROLLED * chains.length * 2;
const madd = `
@group(0) @binding(0) var<storage, read> before: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> after: array<vec4f>;
@compute @workgroup_size(${WORKGROUP}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = before[id.x].x;
  let b = before[id.x].y;
  ${chains.map((c) => `var x${c} = b + ${c}.0;`).join(" ")}
  for (var i = 0; i < ${ITERATIONS}; i++) {
    ${chains
      .map((c) => `x${c} = fma(x${c}, a, b);`)
      .join(" ")
      .repeat(UNROLLED)}
  }
  after[id.x] = vec4f(${chains.map((c) => `x${c}`).join(" + ")});
}`;

const copy = `
@group(0) @binding(0) var<storage, read> before: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> after: array<vec4f>;
@compute @workgroup_size(${WORKGROUP}) fn main(@builtin(global_invocation_id) id: vec3u) { after[id.x] = before[id.x]; }`;

/** What is used of Dawn's package. */
interface Dawn {
  create(options: readonly string[]): GPU;
  readonly globals: object;
}

/** Ceilings of the adapter that Dawn gives. */
export async function webgpuCeilings(): Promise<Ceilings & { readonly adapter: string }> {
  // Not bundled: it brings a native library.
  const name = "webgpu";
  const { create, globals } = (await import(name)) as Dawn;
  Object.assign(globalThis, globals);
  // Kept for as long as its device is used: collected earlier, it takes the process with it.
  let gpu: GPU | null = create([]);
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error("there is no WebGPU adapter on this machine");
  const device = await adapter.requestDevice();
  const buffer = (): GPUBuffer => device.createBuffer({ size: COPIED, usage: STORAGE });
  const buffers = [buffer(), buffer()];

  const kernel = (code: string): ((times: number) => Promise<number>) => {
    const module = device.createShaderModule({ code });
    const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
    const entries = buffers.map((b, binding) => ({ binding, resource: { buffer: b } }));
    const bindings = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    return async (times) => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindings);
      for (let i = 0; i < times; i++) pass.dispatchWorkgroups(GROUPS);
      pass.end();
      const start = performance.now();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      return (performance.now() - start) / times;
    };
  };
  /** Milliseconds of one dispatch, of as many as take about 20. */
  const steady = (run: (times: number) => Promise<number>): (() => Promise<number>) => {
    let times = 1;
    return async () => {
      const ms = await run(times);
      times = Math.min(1000, Math.max(1, Math.ceil(20 / ms)));
      return ms;
    };
  };
  device.pushErrorScope("validation");
  const [timeMadd, timeCopy] = [steady(kernel(madd)), steady(kernel(copy))];
  const error = await device.popErrorScope();
  if (error !== null) throw new Error(`the ceilings' kernels: ${error.message}`);
  const { vendor, architecture, device: model } = adapter.info;
  return {
    adapter: [vendor, architecture, model].filter((s) => s !== "").join(" "),
    madd: async () => FLOPS / (await timeMadd()) / 1e6,
    copy: async () => (2 * COPIED) / (await timeCopy()) / 1e6,
    close() {
      device.destroy();
      gpu = null;
    },
  };
}
