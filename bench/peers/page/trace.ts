/**
 * What a run sent to the GPU, dispatch by dispatch, and how long each takes alone: recorded dispatches are sent again, each many times.
 * The results of such a replay are nonsense, so it comes last.
 */

export interface Traced {
  /** Label of the pipeline, or a number that names its code. */
  readonly kernel: string;
  readonly groups: readonly [number, number, number];
  readonly code: string;
  /** Milliseconds of one dispatch; not a number where its buffers are gone. */
  readonly ms: number;
}

interface Recorded {
  readonly device: GPUDevice;
  readonly pipeline: GPUComputePipeline;
  readonly bindings: Map<number, Parameters<GPUComputePassEncoder["setBindGroup"]>>;
  readonly groups: [number, number, number];
}

const codes = new WeakMap<GPUShaderModule, string>();
const kernels = new WeakMap<GPUComputePipeline, { label: string; code: string }>();
const encoders = new WeakMap<GPUCommandEncoder, GPUDevice>();
const states = new WeakMap<
  GPUComputePassEncoder,
  { device: GPUDevice; pipeline: GPUComputePipeline | null; bindings: Recorded["bindings"] }
>();
let recorded: Recorded[] | null = null;

/** Before any library starts; it slows every call a little, so timings count only without it. */
export function installTrace(): void {
  const { createShaderModule, createComputePipeline, createComputePipelineAsync, createCommandEncoder } = GPUDevice.prototype;
  const { beginComputePass } = GPUCommandEncoder.prototype;
  const { setPipeline, setBindGroup, dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  const remember = (pipeline: GPUComputePipeline, { label, compute }: GPUComputePipelineDescriptor): void =>
    void kernels.set(pipeline, { label: label ?? "", code: codes.get(compute.module) ?? "" });
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    const module = createShaderModule.call(this, descriptor);
    codes.set(module, descriptor.code);
    return module;
  };
  GPUDevice.prototype.createComputePipeline = function (descriptor) {
    const pipeline = createComputePipeline.call(this, descriptor);
    remember(pipeline, descriptor);
    return pipeline;
  };
  GPUDevice.prototype.createComputePipelineAsync = async function (descriptor) {
    const pipeline = await createComputePipelineAsync.call(this, descriptor);
    remember(pipeline, descriptor);
    return pipeline;
  };
  GPUDevice.prototype.createCommandEncoder = function (descriptor) {
    const encoder = createCommandEncoder.call(this, descriptor);
    encoders.set(encoder, this);
    return encoder;
  };
  GPUCommandEncoder.prototype.beginComputePass = function (descriptor) {
    const pass = beginComputePass.call(this, descriptor);
    states.set(pass, { device: encoders.get(this)!, pipeline: null, bindings: new Map() });
    return pass;
  };
  GPUComputePassEncoder.prototype.setPipeline = function (pipeline) {
    states.get(this)!.pipeline = pipeline;
    return setPipeline.call(this, pipeline);
  };
  GPUComputePassEncoder.prototype.setBindGroup = function (...args: unknown[]) {
    const call = args as Parameters<typeof setBindGroup>;
    states.get(this)!.bindings.set(call[0], call);
    return setBindGroup.apply(this, call);
  };
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (x, y = 1, z = 1) {
    const { device, pipeline, bindings } = states.get(this)!;
    recorded?.push({ device, pipeline: pipeline!, bindings: new Map(bindings), groups: [x, y, z] });
    return dispatchWorkgroups.call(this, x, y, z);
  };
}

/** Milliseconds of `repeats` dispatches in one pass. */
async function replay({ device, pipeline, bindings, groups }: Recorded, repeats: number): Promise<number> {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  for (const args of bindings.values()) pass.setBindGroup(...args);
  for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(...groups);
  pass.end();
  const commands = [encoder.finish()];
  await device.queue.onSubmittedWorkDone();
  const start = performance.now();
  device.queue.submit(commands);
  await device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}

/** The dispatches of `work`, in order, with the time of each. */
export async function trace(work: () => Promise<void>): Promise<Traced[]> {
  const list: Recorded[] = (recorded = []);
  await work();
  recorded = null;
  const traced: Traced[] = [];
  const numbers = new Map<string, number>();
  // The same kernel over as many groups takes as long.
  const known = new Map<string, number>();
  for (const r of list) {
    const { label, code } = kernels.get(r.pipeline) ?? { label: "", code: "" };
    if (!numbers.has(code)) numbers.set(code, numbers.size);
    const kernel = `${label}#${numbers.get(code)!}`;
    const key = `${kernel} ${r.groups.join(" ")}`;
    let ms = known.get(key);
    if (ms === undefined) {
      r.device.pushErrorScope("validation");
      const empty = await replay(r, 0);
      const one = await replay(r, 1);
      const repeats = one < 5 ? 8 : 2;
      const many = await replay(r, repeats);
      const failed = await r.device.popErrorScope();
      ms = failed === null ? Math.max(0, many - empty) / repeats : NaN;
      if (failed === null) known.set(key, ms);
    }
    traced.push({ kernel, groups: r.groups, code, ms });
  }
  return traced;
}
