/** Runs hand-written CUDA texts on the stand-ins through the addon. */

import { expect } from "vitest";
import type { AddonError, NativeDevice, OpenOptions } from "../../gpu/cuda/addon.ts";
import { addon, ARCH, type Argument, Commands, control, failure, useStandIns } from "./native.ts";

export const ORDERS = ["forward", "reverse", "shuffle:1", "shuffle:2"] as const;

type Numbers = Float32Array | Float64Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array | Uint16Array | Uint8Array;

export interface Launch {
  readonly groups?: number;
  readonly threads?: number;
  /** Bytes of dynamic shared memory. */
  readonly shared?: number;
}

export class Bench {
  device: NativeDevice;
  readonly #options: OpenOptions;
  readonly #modules = new Map<string, number>();

  constructor(options: OpenOptions = {}) {
    useStandIns();
    this.#options = options;
    this.device = addon.open(0, options);
  }

  /** After an error that the device does not survive. */
  reopen(): void {
    this.device.close();
    this.device = addon.open(0, this.#options);
    this.#modules.clear();
  }
  close(): void {
    this.device.close();
  }

  compile(text: string): number {
    let module = this.#modules.get(text);
    if (module === undefined)
      this.#modules.set(text, (module = this.device.loadModule(this.device.compileSync(text, [ARCH]).cubin)));
    return module;
  }

  put(values: Numbers): number {
    const address = this.device.allocate(values.byteLength);
    this.device.upload(address, new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength));
    return address;
  }
  bytes(address: number, bytes: number): ArrayBuffer {
    return this.device.downloadSync(address, bytes).slice().buffer;
  }
  floats(address: number, count: number): number[] {
    return [...new Float32Array(this.bytes(address, count * 4))];
  }
  doubles(address: number, count: number): number[] {
    return [...new Float64Array(this.bytes(address, count * 8))];
  }
  ints(address: number, count: number): number[] {
    return [...new Int32Array(this.bytes(address, count * 4))];
  }
  longs(address: number, count: number): bigint[] {
    return [...new BigInt64Array(this.bytes(address, count * 8))];
  }

  launch(text: string, name: string, args: readonly Argument[], { groups = 1, threads = 1, shared = 0 }: Launch = {}): void {
    const fn = this.device.getFunction(this.compile(text), name, threads, shared);
    new Commands().launch(fn, groups, ...args).submit(this.device);
  }

  /** Runs a kernel that fills `count` ints from its first argument. */
  intsOf(text: string, name: string, count: number, launch: Launch, ...rest: readonly Argument[]): number[] {
    const to = this.device.allocate(count * 4);
    this.launch(text, name, [{ address: to }, ...rest], launch);
    const values = this.ints(to, count);
    this.device.free(to);
    return values;
  }

  /** What the device says after a launch that it does not survive, and what the stand-in reports of it. The device is opened anew. */
  loss(text: string, name: string, args: readonly Argument[], launch: Launch = {}): { error: AddonError; report: string } {
    control("report");
    this.launch(text, name, args, launch);
    const error = failure(() => this.device.synchronizeSync());
    const report = control("report");
    expect(error).toMatchObject({ code: "DEVICE_LOST" });
    this.reopen();
    return { error, report };
  }
}
