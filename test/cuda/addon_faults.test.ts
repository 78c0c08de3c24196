/** The addon when the device, the driver or the system fails. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { NativeDevice } from "../../gpu/cuda/addon.ts";
import {
  Commands,
  addon,
  bytesOf,
  control,
  failure,
  floatsOf,
  loadKernels,
  objects,
  rejection,
  unavailable,
  useStandIns,
} from "./native.ts";

process.env.KINDLING_STAND_IN_DEVICES = "2";

describe.skipIf(unavailable !== null)("the addon meets", () => {
  let device: NativeDevice;
  beforeEach(() => {
    useStandIns();
    device = addon.open(0);
  });
  afterEach(() => {
    control("clear");
    device.close();
    // Pinned memory of a lost context goes with the context; the stand-in does not count that.
    expect(objects()).toMatchObject({ allocations: 0, contexts: 0, streams: 0, events: 0, modules: 0 });
  });

  /** Everything that JavaScript can ask of a device that is lost. */
  async function expectLost(lost: NativeDevice, text: RegExp): Promise<void> {
    const calls: (() => unknown)[] = [
      () => lost.allocate(4),
      () => lost.free(4096),
      () => lost.emptyCache(),
      () => lost.memoryStats(),
      () => lost.memGetInfo(),
      () => lost.compileSync("", []),
      () => lost.loadModule(new Uint8Array(4)),
      () => lost.getFunction(0, "add", 64, 0),
      () => lost.submit(new Uint32Array(0), 0),
      () => lost.upload(0, new Uint8Array(0)),
      () => lost.downloadSync(0, 0),
      () => lost.synchronizeSync(),
      () => lost.idle(),
      () => lost.createEvent(false),
      () => lost.queryEvent(0),
      () => lost.beginCapture(),
      () => lost.launchGraph(0),
      () => lost.libraries,
      () => lost.stats(),
    ];
    for (const call of calls) {
      const error = failure(call);
      expect(error, String(call)).toMatchObject({ code: "DEVICE_LOST" });
      expect(error.message).toMatch(text);
    }
    for (const promise of [lost.download(0, 4), lost.synchronize(), lost.synchronizeEvent(0), lost.compile("", [])]) {
      expect((await rejection(promise)).code).toBe("DEVICE_LOST");
    }
    expect(lost.info.index).toBeTypeOf("number");
  }

  it("a kernel that writes where it must not", async () => {
    const { stray } = loadKernels(device);
    const y = device.allocate(256);
    new Commands().launch(stray, 1, { address: y }).submit(device);
    const error = await rejection(device.download(y, 4));
    expect(error).toMatchObject({ code: "DEVICE_LOST", cuResult: 700 });
    expect(error.message).toMatch(/CUDA_ERROR_ILLEGAL_ADDRESS \(700\).*what was enqueued earlier may be the cause/);
    await expectLost(device, /CUDA_ERROR_ILLEGAL_ADDRESS/);
  });

  it("the same at any call that comes after it", async () => {
    const calls: [string, (y: number) => unknown][] = [
      ["upload", (y) => device.upload(y, new Uint8Array(4))],
      ["download", (y) => device.download(y, 4)],
      ["downloadSync", (y) => device.downloadSync(y, 4)],
      ["synchronize", () => device.synchronize()],
      ["allocate", () => device.allocate(4 << 20)],
      ["createEvent", () => device.createEvent(true)],
      ["memGetInfo", () => device.memGetInfo()],
      ["beginCapture", () => device.beginCapture()],
      ["loadModule", () => device.loadModule(new Uint8Array(64))],
    ];
    control("report");
    for (const [name, call] of calls) {
      const { stray } = loadKernels(device);
      const y = device.allocate(256);
      new Commands().launch(stray, 1, { address: y }).submit(device);
      // Not asked by way of the addon: it shall find out by the call.
      while (control("report") === "") await new Promise((resolve) => setTimeout(resolve, 1));
      const error = await rejection((async () => call(y))());
      expect(error, name).toMatchObject({ code: "DEVICE_LOST", cuResult: 700 });
      expect(
        failure(() => device.stats()),
        name,
      ).toMatchObject({ code: "DEVICE_LOST" });
      device.close();
      device = addon.open(0);
      control("clear");
    }
  });

  it("every error after which nothing works", async () => {
    for (const code of [4, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719]) {
      const y = device.allocate(256);
      control(`fail cuMemsetD32Async 1 ${code}`);
      const error = failure(() => new Commands().zero(y, 4).submit(device));
      expect(error).toMatchObject({ code: "DEVICE_LOST", cuResult: code, op: "ZERO" });
      await expectLost(device, new RegExp(`\\(${code}\\)`));
      device.close();
      device = addon.open(0);
    }
  });

  it("errors after which the device goes on", () => {
    const y = device.allocate(256);
    for (const code of [1, 201, 701, 801, 999]) {
      control(`fail cuMemsetD32Async 1 ${code}`);
      expect(failure(() => new Commands().zero(y, 4).submit(device))).toMatchObject({ code: "CUDA_ERROR", cuResult: code });
    }
    new Commands().zero(y, 4).submit(device);
    expect(floatsOf(device.downloadSync(y, 4))).toEqual([0]);
  });

  it("the loss of a device while everybody waits", async () => {
    const y = device.allocate(256);
    const event = device.createEvent(false);
    control("hold");
    new Commands()
      .upload(y, bytesOf([1]))
      .record(event)
      .submit(device);
    const waiting = [device.download(y, 4), device.synchronize(), device.synchronizeEvent(event)].map(rejection);
    control("lose 0 719");
    control("release");
    for (const error of await Promise.all(waiting)) {
      expect(error).toMatchObject({ code: "DEVICE_LOST", cuResult: 719 });
    }
    await expectLost(device, /CUDA_ERROR_LAUNCH_FAILED/);
    // A new one can be opened when this one is gone.
    device.close();
    device = addon.open(0);
    const x = device.allocate(4);
    device.upload(x, bytesOf([8]));
    expect(floatsOf(await device.download(x, 4))).toEqual([8]);
  });

  it("the loss of one device of two", async () => {
    const other = addon.open(1);
    const x = other.allocate(4);
    control("lose 0");
    expect(failure(() => device.synchronizeSync()).code).toBe("DEVICE_LOST");
    other.upload(x, bytesOf([3]));
    expect(floatsOf(await other.download(x, 4))).toEqual([3]);
    expect(failure(() => other.waitEvent(device, 0)).code).toBe("DEVICE_LOST");
    expect(other.idle()).toBe(true);
    other.close();
  });

  it("a driver that fails while a device is opened", () => {
    for (const [op, shown] of [
      ["cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRetain"],
      ["cuCtxSetCurrent", "cuCtxSetCurrent"],
      ["cuStreamCreate", "cuStreamCreate"],
      ["cuDeviceGetName", "cuDeviceGetName"],
    ] as const) {
      control(`fail ${op} 1 999`);
      expect(
        failure(() => addon.open(1)),
        op,
      ).toMatchObject({ code: "CUDA_ERROR", cuResult: 999, op: shown });
    }
    control("fail cuDevicePrimaryCtxRetain 1 2");
    expect(failure(() => addon.open(1))).toMatchObject({ code: "OUT_OF_MEMORY", op: "cuDevicePrimaryCtxRetain" });
    addon.open(1).close();
  });

  it("a device that cannot be listed", () => {
    control("fail cuDeviceTotalMem 2 999");
    const probe = addon.probe({ directories: [process.env.KINDLING_CUDA_LIB_DIRS!], only: true });
    expect(probe.driver.error).toMatch(/cuDeviceTotalMem: CUDA_ERROR_UNKNOWN/);
    expect(probe.devices).toHaveLength(1);
  });

  it("no memory to pin", async () => {
    const y = device.allocate(1 << 16);
    control("fail cuMemHostAlloc 1 2 3");
    const error = failure(() => device.upload(y, new Uint8Array(4)));
    expect(error).toMatchObject({ code: "OUT_OF_MEMORY", op: "cuMemHostAlloc" });
    expect(error.message).toMatch(/cannot pin 2\.00 MiB/);
    expect(failure(() => device.downloadSync(y, 4)).code).toBe("OUT_OF_MEMORY");
    expect((await rejection(device.download(y, 4))).code).toBe("OUT_OF_MEMORY");
    device.upload(y, bytesOf([6]));
    expect(floatsOf(await device.download(y, 4))).toEqual([6]);
  });

  it("transfers that cannot be enqueued", async () => {
    const y = device.allocate(8 << 20);
    control("fail cuMemcpyHtoDAsync 1 1");
    expect(failure(() => device.upload(y, new Uint8Array(4)))).toMatchObject({ code: "CUDA_ERROR", op: "cuMemcpyHtoDAsync" });
    for (const nth of [1, 3]) {
      control(`fail cuMemcpyDtoHAsync ${nth} 1`);
      expect(failure(() => device.downloadSync(y, 8 << 20))).toMatchObject({ code: "CUDA_ERROR", op: "cuMemcpyDtoHAsync" });
    }
    control("fail cuMemcpyDtoHAsync 1 1");
    expect((await rejection(device.download(y, 4))).code).toBe("CUDA_ERROR");
    control("fail cuEventRecord 1 999");
    expect(await rejection(device.download(y, 4))).toMatchObject({ code: "CUDA_ERROR", op: "cuEventRecord" });
    expect((await device.download(y, 4)).length).toBe(4);
  });

  it("waiting that fails for a while", async () => {
    const y = device.allocate(4);
    control("fail cuEventSynchronize 1 999");
    expect(await rejection(device.download(y, 4))).toMatchObject({ code: "CUDA_ERROR", op: "cuEventSynchronize" });
    expect((await device.download(y, 4)).length).toBe(4);
  });
});
