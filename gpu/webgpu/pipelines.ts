/** Compute pipelines, made asynchronously and once per program and aliasing. */

import { RuntimeError } from "../../ts/core/errors.ts";
import type { Program } from "../ir.ts";
import { toWgsl, UNIFORM_HEADER } from "../lower/wgsl.ts";

/** Which buffers a pipeline binds and how; pipelines of the same layout share bind groups. */
export interface BindingLayout {
  readonly layout: GPUBindGroupLayout;
  readonly pipelineLayout: GPUPipelineLayout;
  /** Buffers of the program that have bindings of their own. */
  readonly bound: readonly number[];
  /** By uniform window and blocks. */
  readonly groups: Map<string, GPUBindGroup>;
}

export class Pipeline {
  /** Set when it is ready. */
  pipeline: GPUComputePipeline | null = null;
  /** Set when it cannot be made. */
  error: RuntimeError | null = null;
  /** Resolves, and never rejects, when one of the two is set. */
  ready: Promise<void> = Promise.resolve();
  /** Per bound buffer whether it is written. */
  readonly writes: readonly boolean[];
  /** Bytes of the uniform block. */
  readonly uniformBytes: number;

  constructor(
    readonly program: Program,
    readonly binding: BindingLayout,
    /** Words of all params. */
    words: number,
    readonly wgsl: string,
  ) {
    this.writes = binding.bound.map((i) => program.buffers[i]!.access === "read_write");
    this.uniformBytes = (UNIFORM_HEADER.length + words) * 4;
  }

  get settled(): boolean {
    return this.pipeline !== null || this.error !== null;
  }
}

const COMPUTE = 4; // GPUShaderStage.COMPUTE

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #byProgram = new WeakMap<Program, Map<string, Pipeline>>();
  readonly #byText = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, BindingLayout>();
  readonly #limits: { readonly storageBuffers: number; readonly shared: number; readonly threads: number };
  /** Pipelines made so far, and those of them while everything waited. */
  made = 0;
  madeSynchronously = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    const { limits } = device;
    this.#limits = {
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
      shared: limits.maxComputeWorkgroupStorageSize,
      threads: limits.maxComputeInvocationsPerWorkgroup,
    };
  }

  get(program: Program, aliases: readonly number[], words: number): Pipeline {
    let known = this.#byProgram.get(program);
    if (known === undefined) this.#byProgram.set(program, (known = new Map<string, Pipeline>()));
    const key = aliases.every((a, i) => a === i) ? "" : aliases.join();
    let pipeline = known.get(key);
    if (pipeline === undefined) known.set(key, (pipeline = this.#make(program, aliases, words)));
    return pipeline;
  }

  /** Waits for nothing: for when so much has been recorded that it cannot go on like this. */
  finishNow(entry: Pipeline): void {
    if (entry.settled) return;
    this.madeSynchronously++;
    this.#device.pushErrorScope("validation");
    entry.pipeline = this.#device.createComputePipeline(this.#descriptor(entry));
    this.#device.popErrorScope().then(
      (error) => {
        if (error !== null) entry.error = new RuntimeError(couldNot(entry.program, error.message));
      },
      () => undefined,
    );
  }

  forgetBindGroups(): void {
    for (const { groups } of this.#layouts.values()) groups.clear();
  }

  #make(program: Program, aliases: readonly number[], words: number): Pipeline {
    const { storageBuffers, shared, threads } = this.#limits;
    const exceeded = (what: string, need: number, limit: number): RuntimeError =>
      new RuntimeError(`webgpu: the kernel ${program.name} needs ${need} ${what}; this device's limit is ${limit}`);
    const bound = aliases.filter((a, i) => a === i).length;
    if (bound > storageBuffers) throw exceeded("storage buffers", bound, storageBuffers);
    if (program.workgroup > threads) throw exceeded("threads in a workgroup", program.workgroup, threads);
    const sharedBytes = program.shared.reduce((n, { type, length }) => n + Math.ceil((4 * type.lanes * length) / 16) * 16, 0);
    if (sharedBytes > shared) throw exceeded("bytes of workgroup memory", sharedBytes, shared);

    const wgsl = toWgsl(program, aliases);
    const same = this.#byText.get(wgsl);
    if (same !== undefined) return same;
    this.#device.pushErrorScope("validation");
    const entry = new Pipeline(program, this.#layout(program, aliases), words, wgsl);
    this.#byText.set(wgsl, entry);
    this.made++;
    const made = this.#device.createComputePipelineAsync(this.#descriptor(entry));
    // What the compiler says of the text; the pipeline itself only says that the text was wrong.
    const complaint = this.#device.popErrorScope().then(
      (error) => error?.message,
      () => undefined,
    );
    entry.ready = made.then(
      (pipeline) => {
        entry.pipeline ??= pipeline;
      },
      async (error: unknown) => {
        const why = (await complaint) ?? (error instanceof Error ? error.message : String(error));
        if (entry.pipeline !== null) return;
        entry.error = new RuntimeError(couldNot(program, why));
      },
    );
    return entry;
  }

  #descriptor({ program, wgsl, binding }: Pipeline): GPUComputePipelineDescriptor {
    return {
      label: program.name,
      layout: binding.pipelineLayout,
      compute: { module: this.#device.createShaderModule({ label: program.name, code: wgsl }), entryPoint: "main" },
    };
  }

  #layout({ buffers }: Program, aliases: readonly number[]): BindingLayout {
    const key = buffers.map((b, i) => (aliases[i] !== i ? "-" : b.access === "read" ? "r" : "w")).join("");
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const bound = buffers.map((_, i) => i).filter((i) => aliases[i] === i);
      const entries: GPUBindGroupLayoutEntry[] = bound.map((i) => ({
        binding: i + 1,
        visibility: COMPUTE,
        buffer: { type: buffers[i]!.access === "read" ? "read-only-storage" : "storage" },
      }));
      entries.push({ binding: 0, visibility: COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } });
      const group = this.#device.createBindGroupLayout({ entries });
      const pipelineLayout = this.#device.createPipelineLayout({ bindGroupLayouts: [group] });
      this.#layouts.set(key, (layout = { layout: group, pipelineLayout, bound, groups: new Map<string, GPUBindGroup>() }));
    }
    return layout;
  }
}

const couldNot = (program: Program, why: string): string => `webgpu: the kernel ${program.name} could not be compiled: ${why}`;
