/**
 * The queue: commands are recorded as they are called and submitted in batches, in their order. A batch goes to the GPU when it is large
 * enough, when somebody waits for a value, or at the latest when the event loop turns. It waits until all of its pipelines are compiled, and
 * later batches wait behind it.
 */

import { RuntimeError, OutOfMemoryError } from "../../ts/core/errors.ts";
import type { Dispatch } from "../backend.ts";
import { UNIFORM_HEADER } from "../lower/wgsl.ts";
import { Batch, type Command, type DispatchCommand } from "./batch.ts";
import { type Block, USAGE, type WebGpuMemory } from "./memory.ts";
import type { Pipelines, Pipeline } from "./pipelines.ts";
import type { Profile } from "./profile.ts";
import { Readback } from "./readback.ts";

/** How long a failed read waits to hear whether the device was lost. */
const NEWS_MS = 500;

/** Dispatches of one batch, at most; and while the GPU has nothing to do, so that it starts early. */
const MOST_DISPATCHES = 192;
const FEW_DISPATCHES = 24;
/**
 * Multiply-adds of a dispatch, and threads of a batch, at most. Windows resets a GPU that is busy with one thing for two seconds; slow ones
 * need one for this. Launches beyond it are cut, and batches end early.
 */
const MOST_WORK = 2 ** 36;
const MOST_THREADS = 2 ** 28;
const MOST_UNIFORM_BYTES = 128 << 10;
const UNIFORM_RING_BYTES = 512 << 10;
/** Recorded commands that may wait for pipelines; then the pipelines are made at once, whatever it takes. */
const MOST_WAITING = 8192;
/** Batches on their way to or on the GPU before somebody who waits anyway is asked to wait longer. */
const MOST_IN_FLIGHT = 32;
const MOST_BIND_GROUPS = 8192;
/** Milliseconds of waiting before the first rest, and of a rest. */
const LEAST_WAIT = 1;
const MOST_REST = 1;
const NONE = new Uint32Array(0);

export interface QueueStats {
  dispatches: number;
  submits: number;
  /** Compute passes. */
  passes: number;
}

export class Queue {
  readonly stats: QueueStats = { dispatches: 0, submits: 0, passes: 0 };
  /** While set, dispatches are timed. */
  profile: Profile | null = null;
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #turn: () => Promise<void>;
  readonly #rest: ((ms: number) => void) | null;
  #resting = false;
  readonly #readback: Readback;
  readonly #uniformAlign: number;
  readonly #uniformRing: GPUBuffer;
  readonly #mostGroups: number;
  #uniformAt = 0;
  #open = new Batch(1);
  /** Memory for uniform blocks that a batch is done with. */
  #spare: Uint32Array<ArrayBuffer> | null = null;
  /** Closed batches whose pipelines, or whose predecessors' pipelines, are not ready. */
  #waiting: Batch[] = [];
  #waitingCommands = 0;
  #turnScheduled = false;
  #soonScheduled = false;
  #bindGroups = 0;
  #inFlight = 0;
  #idle: (() => void)[] = [];
  /** Settles when the outcome of everything submitted so far is known. */
  #outcomes: Promise<void> = Promise.resolve();
  /** Whether any memory may be poisoned; until then outcomes need no look at the commands. */
  #poisoned = false;
  #lost: Error | null = null;
  /** Those who wait for something that a lost device would never do. */
  readonly #hopes = new Set<(error: Error) => void>();

  /** @param turn Resolves when the event loop has turned. @param rest See WebGpuPlatform. */
  constructor(device: GPUDevice, pipelines: Pipelines, turn: () => Promise<void>, rest: ((ms: number) => void) | null) {
    this.#device = device;
    this.#pipelines = pipelines;
    this.#turn = turn;
    this.#rest = rest;
    this.#readback = new Readback(device);
    const { limits } = device;
    this.#mostGroups = limits.maxComputeWorkgroupsPerDimension;
    this.#uniformAlign = limits.minUniformBufferOffsetAlignment;
    this.#uniformRing = device.createBuffer({
      size: Math.min(UNIFORM_RING_BYTES, limits.maxBufferSize),
      usage: USAGE.uniform | USAGE.copyDst,
    });
  }

  /** Bytes of buffers that are the queue's own. */
  get bytes(): number {
    return this.#readback.bytes + this.#uniformRing.size;
  }

  dispatch(dispatch: Dispatch): void {
    const { groups, work = 0 } = dispatch;
    const each = Math.ceil(groups / Math.max(1, Math.ceil(work / MOST_WORK)));
    for (let first = 0; first < groups; first += each) this.#dispatch(dispatch, first, Math.min(groups, first + each));
  }

  /** Some of a launch's workgroups. */
  #dispatch({ program, memories, aliases, words, ...launch }: Dispatch, first: number, end: number): void {
    const pipeline = this.#pipelines.get(program, aliases, words.length);
    if (pipeline.error !== null) throw pipeline.error;
    const window = this.#window(pipeline);
    if (this.#open.uniformBytes + window > MOST_UNIFORM_BYTES) this.flush();
    const batch = this.#open;
    const uniform = batch.uniform(window);
    batch.uniforms.set(UNIFORM_HEADER, uniform / 4);
    batch.uniforms[uniform / 4] = first;
    batch.uniforms[uniform / 4 + 1] = end;
    batch.uniforms.set(words, uniform / 4 + UNIFORM_HEADER.length);
    const bound = pipeline.binding.bound.map((i) => memories[i] as WebGpuMemory);
    for (const { block } of bound) block.batch = batch.serial;
    if (!pipeline.settled) batch.pending.add(pipeline);
    batch.dispatches++;
    const groups = end - first;
    batch.threads += groups * program.workgroup;
    batch.work += ((launch.work ?? 0) * groups) / launch.groups;
    this.#push({ kind: "dispatch", pipeline, memories: bound, uniform, groups });
    const most = this.#inFlight === 0 && this.#waiting.length === 0 ? FEW_DISPATCHES : MOST_DISPATCHES;
    if (batch.dispatches >= most || batch.threads > MOST_THREADS || batch.work > MOST_WORK / 2) this.flush();
  }

  copy(from: WebGpuMemory, fromByte: number, to: WebGpuMemory, toByte: number, bytes: number): void {
    from.block.batch = to.block.batch = this.#open.serial;
    this.#push({ kind: "copy", from, fromByte, to, toByte, bytes });
  }

  zero(memory: WebGpuMemory, byte: number, bytes: number): void {
    memory.block.batch = this.#open.serial;
    this.#push({ kind: "zero", memory, byte, bytes });
  }

  cleanse(memory: WebGpuMemory): void {
    if (this.#poisoned) this.#push({ kind: "cleanse", memory });
  }

  upload(memory: WebGpuMemory, byte: number, data: Uint8Array): void {
    // Uploads go before the batch's commands. Where these touch the memory, they must be over first.
    if (memory.block.batch === this.#open.serial) this.flush();
    if (this.#waiting.length === 0) {
      this.#writeBuffer(memory.block.buffer, byte, data);
      return;
    }
    this.#open.uploads.push({ memory, byte, data: data.slice() });
    this.#scheduleTurn();
  }

  download(memory: WebGpuMemory, byte: number, bytes: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      memory.block.batch = this.#open.serial;
      const staged = this.#open.staged;
      this.#open.staged = staged + Math.ceil(bytes / 8) * 8;
      this.#push({ kind: "download", memory, byte, bytes, resolve, reject, staged, poison: null });
      this.#scheduleSoon();
    });
  }

  /** Destroys a block when the commands so far have been submitted. */
  destroy(block: Block): void {
    for (const [groups, keys] of block.groups) {
      for (const key of keys) if (groups.delete(key)) this.#bindGroups--;
    }
    block.groups.clear();
    if (block.batch < this.#open.serial && this.#waiting.length === 0) block.buffer.destroy();
    else this.#open.doomed.push(block);
  }

  /** Closes the open batch and submits it, now if nothing stands before it. */
  flush(): void {
    const batch = this.#open;
    if (batch.empty) return;
    this.#open = new Batch(batch.serial + 1, this.#spare ?? undefined);
    this.#spare = null;
    if (this.#lost !== null) return this.#abandon(batch);
    if (this.#waiting.length === 0 && batch.ready) return this.#submit(batch);
    this.#waiting.push(batch);
    this.#waitingCommands += batch.commands.length;
    if (this.#waitingCommands > MOST_WAITING) this.submitNow();
    else if (this.#waiting.length === 1) void this.#submitWhenReady();
  }

  /** Submits everything now, even if pipelines have to be made while everything waits. */
  submitNow(): void {
    this.flush();
    for (const batch of this.#waiting) for (const pipeline of batch.pending) this.#pipelines.finishNow(pipeline);
    this.#submitReady();
  }

  /** Resolves when everything recorded so far has been submitted. */
  async submitted(): Promise<void> {
    this.flush();
    while (this.#waiting.length > 0) {
      await this.#orLost(Promise.all([...this.#waiting[0]!.pending].map((p) => p.ready)));
      this.#submitReady();
    }
    if (this.#lost !== null) throw this.#lost;
  }

  /** Resolves when everything recorded so far has been carried out. Rejects when it could not be. */
  async finished(): Promise<void> {
    await this.submitted();
    await this.#orLost(Promise.all([this.#device.queue.onSubmittedWorkDone(), this.#outcomes]));
  }

  /** Whether so much is on its way that it is better to wait, and the promise to wait for. */
  backlog(): Promise<void> | null {
    if (this.#inFlight + this.#waiting.length < MOST_IN_FLIGHT) return null;
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #push(command: Command): void {
    this.#open.commands.push(command);
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    void this.#turn().then(() => {
      this.#turnScheduled = false;
      this.flush();
    });
  }

  /** Soon, so that reads that are asked for together go together. */
  #scheduleSoon(): void {
    if (this.#soonScheduled) return;
    this.#soonScheduled = true;
    queueMicrotask(() => {
      this.#soonScheduled = false;
      this.flush();
    });
  }

  async #submitWhenReady(): Promise<void> {
    while (this.#waiting.length > 0) {
      const pending = [...this.#waiting[0]!.pending].filter((p) => !p.settled);
      if (pending.length > 0) await Promise.all(pending.map((p) => p.ready));
      this.#submitReady();
    }
  }

  #submitReady(): void {
    while (this.#waiting.length > 0 && (this.#lost !== null || this.#waiting[0]!.ready)) {
      const batch = this.#waiting.shift()!;
      this.#waitingCommands -= batch.commands.length;
      if (this.#lost !== null) this.#abandon(batch);
      else this.#submit(batch);
    }
  }

  #submit(batch: Batch): void {
    const { queue } = this.#device;
    const device = this.#device;
    device.pushErrorScope("validation");
    device.pushErrorScope("internal");
    device.pushErrorScope("out-of-memory");
    for (const { memory, byte, data } of batch.uploads) this.#writeBuffer(memory.block.buffer, byte, data);
    const base = this.#writeUniforms(batch);
    this.#spare = batch.uniforms;
    batch.uniforms = NONE;
    const staging = batch.staged > 0 ? this.#readback.take(batch.staged) : null;
    const encoder = device.createCommandEncoder();
    this.#encode(encoder, batch, base, staging);
    this.profile?.endBatch(encoder);
    queue.submit([encoder.finish()]);
    this.profile?.submitted();
    const scopes = Promise.all([device.popErrorScope(), device.popErrorScope(), device.popErrorScope()]);
    for (const block of batch.doomed) block.buffer.destroy();
    this.stats.submits++;
    this.stats.dispatches += batch.dispatches;
    this.#inFlight++;
    const landed = (): void => {
      this.#inFlight--;
      for (const resolve of this.#idle.splice(0)) resolve();
    };
    queue.onSubmittedWorkDone().then(landed, landed);

    const before = this.#outcomes;
    const outcome = scopes.then(
      async (errors) => {
        await before;
        this.#settle(batch, errors.find((e) => e !== null) ?? null);
      },
      async () => {
        await before; // the scopes of a lost device
      },
    );
    this.#outcomes = outcome;
    if (staging !== null) void this.#deliver(batch, staging, outcome);
  }

  /** Gives the downloads of a batch their bytes, or their error. */
  async #deliver(batch: Batch, staging: GPUBuffer, outcome: Promise<void>): Promise<void> {
    const downloads = batch.commands.filter((c) => c.kind === "download");
    try {
      const mapped = this.#readback.map(staging, batch.staged);
      const [bytes] = await this.#orLost(Promise.all([mapped, outcome]));
      for (const { resolve, reject, poison, staged, bytes: n } of downloads) {
        if (poison !== null) reject(poison);
        else resolve(bytes.subarray(staged, staged + n));
      }
    } catch (error) {
      // A device that is lost tells its buffers first, sometimes; in browsers the news comes from another process.
      const news = new Promise((resolve) => setTimeout(resolve, NEWS_MS));
      await this.#orLost(outcome.then(() => news)).catch(() => undefined);
      const why = error instanceof Error ? error.message : String(error);
      for (const { reject, poison } of downloads) {
        reject(this.#lost ?? poison ?? new RuntimeError(`webgpu: reading from the device failed: ${why}`));
      }
    }
  }

  #settle(batch: Batch, error: GPUError | null): void {
    const failed = batch.commands.some((c) => c.kind === "dispatch" && c.pipeline.error !== null);
    if (error === null && !failed && !this.#poisoned) return;
    this.#poisoned = true;
    let failure: Error | null = null;
    if (error !== null) {
      failure = asError(error);
      // The buffer that was never made is the cause, the command that uses it only where it shows.
      for (const c of batch.commands) {
        const memories = c.kind === "dispatch" ? c.memories : c.kind === "copy" ? [c.from, c.to] : [c.memory];
        for (const { block } of memories) if (block.failure !== null) failure = block.failure;
      }
    }
    batch.settle(failure);
  }

  /** A batch that no GPU will see. */
  #abandon(batch: Batch): void {
    for (const c of batch.commands) if (c.kind === "download") c.reject(this.#lost!);
  }

  /** `promise`, or the device's loss. */
  #orLost<T>(promise: Promise<T>): Promise<T> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      this.#hopes.add(reject);
      if (this.#rest !== null && !this.#resting) void this.#restAWhile(this.#rest);
      void promise.then(resolve, reject).finally(() => this.#hopes.delete(reject));
    });
  }

  /** Leaves the processor to others while somebody waits for the GPU: a little longer the longer it takes, and never so long that it matters. */
  async #restAWhile(rest: (ms: number) => void): Promise<void> {
    this.#resting = true;
    let start = performance.now();
    while (this.#hopes.size > 0) {
      const { submits } = this.stats;
      await this.#turn();
      const waited = performance.now() - start;
      if (this.stats.submits !== submits) start += waited;
      else if (waited > LEAST_WAIT) rest(Math.min(waited / 16, MOST_REST));
    }
    this.#resting = false;
  }

  /** The device is gone: nobody who waits gets anything any more. */
  lose(error: Error): void {
    this.#lost = error;
    for (const reject of [...this.#hopes]) reject(error);
    for (const batch of this.#waiting.splice(0)) this.#abandon(batch);
    this.#waitingCommands = 0;
    this.flush();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #window(pipeline: Pipeline): number {
    const unit = this.#uniformAlign;
    return Math.ceil(pipeline.uniformBytes / unit) * unit;
  }

  #writeBuffer(buffer: GPUBuffer, at: number, { buffer: data, byteOffset, byteLength }: Uint8Array): void {
    this.#device.queue.writeBuffer(buffer, at, data as ArrayBuffer, byteOffset, byteLength);
  }

  /** Returns where the batch's uniform blocks begin in the ring. The queue's own order makes reusing a place safe. */
  #writeUniforms(batch: Batch): number {
    const bytes = batch.uniformBytes;
    if (bytes === 0) return 0;
    if (this.#uniformAt + bytes > this.#uniformRing.size) this.#uniformAt = 0;
    const base = this.#uniformAt;
    this.#uniformAt += bytes;
    this.#device.queue.writeBuffer(this.#uniformRing, base, batch.uniforms.buffer, 0, bytes);
    return base;
  }

  #encode(encoder: GPUCommandEncoder, batch: Batch, base: number, staging: GPUBuffer | null): void {
    let pass: GPUComputePassEncoder | null = null;
    let current: GPUComputePipeline | null = null;
    const end = (): void => {
      pass?.end();
      pass = current = null;
    };
    for (const c of batch.commands) {
      if (c.kind === "cleanse") continue;
      if (c.kind !== "dispatch") {
        end();
        if (c.kind === "copy") {
          encoder.copyBufferToBuffer(c.from.block.buffer, c.fromByte, c.to.block.buffer, c.toByte, c.bytes);
        } else if (c.kind === "zero") encoder.clearBuffer(c.memory.block.buffer, c.byte, c.bytes);
        else encoder.copyBufferToBuffer(c.memory.block.buffer, c.byte, staging!, c.staged, c.bytes);
        continue;
      }
      const { pipeline } = c.pipeline;
      if (pipeline === null) continue; // it could not be made: the outcome tells
      if (pass === null) {
        pass = encoder.beginComputePass(this.profile?.pass(c.pipeline.program.name));
        this.stats.passes++;
      }
      if (pipeline !== current) pass.setPipeline((current = pipeline));
      pass.setBindGroup(0, this.#bindGroup(c), [base + c.uniform]);
      const y = Math.ceil(c.groups / this.#mostGroups);
      pass.dispatchWorkgroups(Math.ceil(c.groups / y), y);
      if (this.profile !== null) end();
    }
    end();
  }

  #bindGroup({ pipeline, memories }: DispatchCommand): GPUBindGroup {
    const { binding } = pipeline;
    const window = this.#window(pipeline);
    let key = String(window);
    for (const { block } of memories) key += `,${block.id}`;
    let group = binding.groups.get(key);
    if (group !== undefined) return group;
    if (this.#bindGroups >= MOST_BIND_GROUPS) this.#forgetBindGroups();
    const entries: GPUBindGroupEntry[] = memories.map(({ block }, i) => ({
      binding: binding.bound[i]! + 1,
      resource: { buffer: block.buffer },
    }));
    entries.push({ binding: 0, resource: { buffer: this.#uniformRing, size: window } });
    group = this.#device.createBindGroup({ layout: binding.layout, entries });
    binding.groups.set(key, group);
    this.#bindGroups++;
    for (const { block } of memories) {
      let keys = block.groups.get(binding.groups);
      if (keys === undefined) block.groups.set(binding.groups, (keys = new Set<string>()));
      keys.add(key);
    }
    return group;
  }

  /** Rare: the blocks' own lists of keys may go stale, which does no harm. */
  #forgetBindGroups(): void {
    this.#pipelines.forgetBindGroups();
    this.#bindGroups = 0;
  }
}

function asError(error: GPUError): Error {
  const { message } = error;
  if (error.constructor.name === "GPUOutOfMemoryError") {
    return new OutOfMemoryError(`webgpu: out of memory while commands were submitted: ${message}`);
  }
  return new RuntimeError(`webgpu: commands were refused: ${message}`);
}
