/** The addon: what it finds, devices, code, commands, transfers, events. */

import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ADDON_ABI, type NativeDevice } from "../../gpu/cuda/addon.ts";
import {
  ARCH,
  Commands,
  KERNELS,
  addon,
  bytesOf,
  calls,
  control,
  failure,
  floatsOf,
  loadKernels,
  long,
  objects,
  rejection,
  standIns,
  unavailable,
  useStandIns,
} from "./native.ts";

process.env.KINDLING_STAND_IN_DEVICES = "2";

const folders: string[] = [];
/** A folder with links to some of the stand-ins, which the addon takes for other libraries. */
function folderWith(...names: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "kindling-test-"));
  folders.push(folder);
  for (const name of names) symlinkSync(join(standIns, name), join(folder, name));
  return folder;
}

describe.skipIf(unavailable !== null)("the addon", () => {
  afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

  describe("probe", () => {
    it("finds the libraries and lists the devices without a context", () => {
      expect(addon.abi).toBe(ADDON_ABI);
      const probe = addon.probe({ directories: [standIns], only: true });
      expect(probe.driver).toEqual({
        path: `${standIns}/libcuda.so.1`,
        version: "12.8",
        searched: [`${standIns}/libcuda.so.1`],
        error: null,
      });
      expect(probe.nvrtc).toMatchObject({ path: `${standIns}/libnvrtc.so.12`, error: null });
      expect(probe.nvrtc.version).toMatch(/^12\.\d$/);
      expect(probe.nvrtcArchitectures).toContain(90);
      expect(probe.devices.map(({ index, capability }) => [index, capability])).toEqual([
        [0, [9, 0]],
        [1, [9, 0]],
      ]);
      const { name, totalMemory, uuid, ...limits } = probe.devices[0]!;
      expect(name).toContain("stand-in");
      expect(totalMemory).toBeGreaterThan(2 ** 32);
      expect(uuid).toMatch(/^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      expect(limits).toMatchObject({ maxThreadsPerBlock: 1024, sharedPerBlock: 49152, sharedPerBlockOptin: 232448 });
      expect(objects().contexts).toBe(0);
    });

    it("goes through the folders in order", () => {
      const empty = folderWith();
      const { driver } = addon.probe({ directories: [`${empty}/none`, empty, standIns], only: true });
      expect(driver.path).toBe(`${standIns}/libcuda.so.1`);
      expect(driver.searched).toEqual([
        `${empty}/none: no such folder`,
        `${empty}/libcuda.so.1: not found`,
        `${standIns}/libcuda.so.1`,
      ]);
    });

    it("without a driver says where it was looked for and what to install", () => {
      const empty = folderWith();
      const probe = addon.probe({ directories: [empty], only: true });
      expect(probe.driver).toMatchObject({ path: null, version: null, searched: [`${empty}/libcuda.so.1: not found`] });
      expect(probe.driver.error).toMatch(/libcuda was not found; install an NVIDIA driver/);
      expect(probe.devices).toEqual([]);
      const error = failure(() => addon.open(0));
      expect(error.code).toBe("NO_DRIVER");
      expect(error.message).toContain(`${empty}/libcuda.so.1: not found`);
      expect(error.searched).toEqual(probe.driver.searched);
    });

    it("looks in the system's places unless it may not", () => {
      const empty = folderWith();
      const { driver, nvrtc } = addon.probe({ directories: [empty] });
      expect(driver.searched[0]).toBe(`${empty}/libcuda.so.1: not found`);
      expect(driver.searched[1]).toMatch(/^libcuda\.so\.1/);
      // This machine may have the toolkit.
      if (nvrtc.path === null) {
        expect(nvrtc.searched.join("\n")).toMatch(/\/usr\/local\/cuda\/lib64.*nvidia\/\*\/lib/s);
        expect(nvrtc.error).toMatch(/pip install nvidia-cuda-nvrtc/);
      }
    });

    it("finds pip's packages of the active environment, and NVRTC's builtins beside it", () => {
      const folder = folderWith();
      const lib = join(folder, "lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib");
      mkdirSync(lib, { recursive: true });
      symlinkSync(join(standIns, "libnvrtc.so.12"), join(lib, "libnvrtc.so.12"));
      // Any library will do.
      copyFileSync(join(standIns, "control.node"), join(lib, "libnvrtc-builtins.so.12.8"));
      process.env.VIRTUAL_ENV = folder;
      const { path, searched } = addon.probe({ directories: [`${folder}/here`] }).nvrtc;
      delete process.env.VIRTUAL_ENV;
      // This machine may have the toolkit, which comes first.
      if (path !== null && !path.startsWith(folder)) return;
      expect(path).toBe(join(lib, "libnvrtc.so.12"));
      expect(searched.at(-1)).toBe(path);
      expect(readFileSync("/proc/self/maps", "utf8")).toContain(join(lib, "libnvrtc-builtins.so.12.8"));
    });

    it("tells a broken library from a missing one", () => {
      const folder = folderWith("libnvrtc.so.12");
      writeFileSync(join(folder, "libcuda.so.1"), "no library");
      const { driver } = addon.probe({ directories: [folder], only: true });
      expect(driver.searched).toHaveLength(1);
      expect(driver.searched[0]).toMatch(/libcuda\.so\.1: (?!not found)/);
    });

    it("tells a driver that does not start, or sees nothing", () => {
      // The reasons in the order in which probes of new folders meet them.
      for (const [code, kind, text] of [
        [999, "NO_DRIVER", /CUDA_ERROR_UNKNOWN \(999\)/],
        [100, "NO_DEVICE", /CUDA_ERROR_NO_DEVICE.*CUDA_VISIBLE_DEVICES is "7"/],
      ] as const) {
        const folder = folderWith("libcuda.so.1", "libnvrtc.so.12");
        control(`fail cuInit 1 ${code}`);
        process.env.CUDA_VISIBLE_DEVICES = "7";
        const { driver, devices } = addon.probe({ directories: [folder], only: true });
        delete process.env.CUDA_VISIBLE_DEVICES;
        expect(driver.path).toBe(`${folder}/libcuda.so.1`);
        expect(driver.error).toMatch(text);
        expect(devices).toEqual([]);
        expect(failure(() => addon.open(0))).toMatchObject({ code: kind, cuResult: code, op: "cuInit" });
      }
      control("clear");
    });

    it("tells what a library lacks", () => {
      // It can be opened, but is something else.
      const folder = folderWith();
      symlinkSync(join(standIns, "libnvrtc.so.12"), join(folder, "libcuda.so.1"));
      const { driver } = addon.probe({ directories: [folder], only: true });
      expect(driver.error).toMatch(/has no cuInit, .*; install a driver for CUDA 11\.4 or newer/);
      expect(failure(() => addon.open(0)).code).toBe("NO_DRIVER");
    });

    it("without NVRTC lists devices and does not open them", () => {
      const folder = folderWith("libcuda.so.1");
      const probe = addon.probe({ directories: [folder], only: true });
      expect(probe.devices).toHaveLength(2);
      // A driver for CUDA 12 could not load what NVRTC 13 makes.
      expect(probe.nvrtc.searched).toEqual([`${folder}/libnvrtc.so.12: not found`, `${folder}/libnvrtc.so.11.2: not found`]);
      const error = failure(() => addon.open(0));
      expect(error.code).toBe("NO_LIBRARY");
      expect(error.message).toMatch(/libnvrtc was not found.*pip install nvidia-cuda-nvrtc-cu12/s);
    });

    it("refuses what is no folder", () => {
      for (const directories of ["x", [1]]) {
        expect(failure(() => addon.probe({ directories } as never))).toMatchObject({ code: "INVALID" });
      }
    });
  });

  describe("a device", () => {
    let device: NativeDevice;
    let kernels: ReturnType<typeof loadKernels>;
    beforeAll(() => {
      useStandIns();
      device = addon.open(0);
      kernels = loadKernels(device);
    });
    afterAll(() => device.close());
    afterEach(() => void control("clear"));

    it("is one of those that are there", () => {
      expect(device.info.index).toBe(0);
      expect(failure(() => addon.open(2))).toMatchObject({ code: "NO_DEVICE" });
      expect(failure(() => addon.open(2)).message).toMatch(/no CUDA device 2; the driver has 2/);
      for (const index of [-1, 0.5, "0"]) expect(failure(() => addon.open(index as number)).code).toBe("INVALID");
      const Class = device.constructor as new () => NativeDevice;
      expect(failure(() => new Class()).code).toBe("INVALID");
      // Its functions know it without `this`.
      const { idle } = device;
      expect(idle()).toBe(true);
    });

    it("has the driver's memory", () => {
      const [free, total] = device.memGetInfo();
      expect(total).toBe(device.info.totalMemory);
      expect(free).toBeLessThanOrEqual(total);
    });

    it("compiles on its thread, in order", async () => {
      const order: string[] = [];
      const compiled = await Promise.all(
        ["a", "b", "c"].map(async (name) => {
          const result = await device.compile(`extern "C" __global__ void ${name}(float* x) { x[0] = 1.0f; }`, [ARCH]);
          order.push(name);
          return result;
        }),
      );
      expect(order).toEqual(["a", "b", "c"]);
      for (const { cubin } of compiled) expect(cubin).toBeInstanceOf(Uint8Array);
      expect(compiled[0]!.cubin.length).toBeGreaterThan(100);
      device.getFunction(device.loadModule(compiled[1]!.cubin), "b", 32, 0);
    });

    it("tells what the compiler says", async () => {
      const text = 'extern "C" __global__ void bad(float* x) { x[0] = nothing; }';
      for (const error of [failure(() => device.compileSync(text, [ARCH])), await rejection(device.compile(text, [ARCH]))]) {
        expect(error).toMatchObject({ code: "COMPILE_ERROR", op: "nvrtcCompileProgram", cuResult: 6 });
        expect(error.message).toMatch(/nothing/);
      }
      expect(await rejection(device.compile(1 as never, []))).toMatchObject({ code: "INVALID" });
      expect(failure(() => device.compileSync("", "-x" as never)).code).toBe("INVALID");
    });

    it("loads modules and finds functions", () => {
      const module = device.loadModule(device.compileSync(KERNELS, [ARCH]).cubin);
      expect(failure(() => device.getFunction(module, "none", 64, 0))).toMatchObject({ code: "CUDA_ERROR", cuResult: 500 });
      expect(failure(() => device.getFunction(module, "none", 64, 0)).message).toContain("none");
      expect(failure(() => device.getFunction(99, "add", 64, 0)).message).toMatch(/no module 99/);
      expect(failure(() => device.getFunction(module, "add", 2048, 0)).message).toMatch(/cannot run with 2048 threads; 1 to/);
      expect(failure(() => device.getFunction(module, "add", 64, 300_000)).message).toMatch(/300000 bytes.*232448/);
      expect(failure(() => device.loadModule(new Uint8Array(0))).code).toBe("INVALID");
      const wrong = failure(() => device.loadModule(new Uint8Array(256)));
      expect(wrong).toMatchObject({ code: "CUDA_ERROR", op: "cuModuleLoadData" });
    });

    it("asks for more than 48 KiB of shared memory only where it is needed", () => {
      const module = device.loadModule(device.compileSync(KERNELS, [ARCH]).cubin);
      control("reset counts");
      const little = device.getFunction(module, "shared", 64, 4096);
      expect(calls("cuFuncSetAttribute")).toBe(0);
      const much = device.getFunction(module, "shared", 64, 80_000);
      expect(calls("cuFuncSetAttribute")).toBe(1);
      const y = device.allocate(256);
      for (const [fn, n] of [
        [little, 1024],
        [much, 20_000],
      ] as const) {
        // prettier-ignore
        new Commands().launch(fn, 1, { address: y }, { u32: n }).submit(device);
        const sums = floatsOf(device.downloadSync(y, 256));
        expect(sums.reduce((a, b) => a + b)).toBeCloseTo((n * (n - 1)) / 2, -3);
      }
      device.free(y);
    });

    it("carries out commands in order", async () => {
      const n = 1000;
      const [x, y, z] = [device.allocate(n * 4), device.allocate(n * 4), device.allocate(n * 4)];
      const values = Float32Array.from({ length: n }, (_, i) => i);
      const before = device.stats();
      new Commands()
        .upload(x, bytesOf(values))
        .launch(kernels.add, 16, { address: x }, { address: y }, { u32: n }, { f32: 0.5 })
        .copy(z, y, n * 4)
        .launch(kernels.scale, 16, { address: z }, { u32: n }, { f64: 2 })
        .zero(x, 400)
        .zero(x + 401, 3)
        .submit(device);
      const [gotX, gotY, gotZ] = await Promise.all([x, y, z].map((address) => device.download(address, n * 4)));
      expect(floatsOf(gotY!)).toEqual([...values].map((v) => v + 0.5));
      expect(floatsOf(gotZ!)).toEqual([...values].map((v) => 2 * v + 1));
      const expected = bytesOf(values).fill(0, 0, 400).fill(0, 401, 404);
      expect([...gotX!]).toEqual([...expected]);
      const after = device.stats();
      expect(after.launches - before.launches).toBe(2);
      expect(after.submits - before.submits).toBe(1);
      expect(after.copies - before.copies).toBe(5);
      for (const address of [x, y, z]) device.free(address);
    });

    it("takes only the words that count", () => {
      const y = device.allocate(8);
      device.upload(y, bytesOf([1, 2]));
      const { words } = new Commands().zero(y, 4).zero(y + 4, 4);
      device.submit(Uint32Array.from(words), 5);
      expect(floatsOf(device.downloadSync(y, 8))).toEqual([0, 2]);
      device.submit(new Uint32Array(4), 0);
      device.free(y);
    });

    it("refuses malformed commands and keeps those before them", () => {
      const y = device.allocate(4);
      const { add } = kernels;
      const cases: [words: number[], op: string, text: RegExp][] = [
        [[0], "submit", /0 words, but 1 are left/],
        [[3 | (5 << 8), 1], "ZERO", /5 words, but 2 are left/],
        [new Commands().raw(9, 0).words, "submit", /9 is not a command/],
        [new Commands().raw(0, 0).words, "submit", /0 is not a command/],
        [new Commands().raw(1, add).words, "LAUNCH", /at least 4/],
        [new Commands().raw(1, add, 1, 8, 0).words, "LAUNCH", /5 words; expected 6/],
        [new Commands().raw(1, 12345, 1, 0).words, "LAUNCH", /no function 12345/],
        [new Commands().raw(1, add, 0, 0).words, "LAUNCH", /0 groups/],
        [new Commands().raw(1, add, 0x80000000, 0).words, "LAUNCH", /2147483648 groups/],
        [new Commands().raw(2, 1, 2, 3).words, "COPY", /4 words; expected 7/],
        [new Commands().raw(3, ...long(y), 4).words, "ZERO", /4 words; expected 5/],
        [new Commands().raw(4, ...long(y), 5, 0).words, "UPLOAD", /5 words; expected 6/],
        [new Commands().raw(4, 1).words, "UPLOAD", /at least 4/],
        [new Commands().raw(5, 77).words, "RECORD", /no event 77/],
        [new Commands().raw(6, 1).words, "MATMUL", /2 words; expected 18/],
        [new Commands().raw(7, 1).words, "CONV", /2 words; expected 10/],
      ];
      for (const [bad, op, text] of cases) {
        device.upload(y, bytesOf([1]));
        const good = new Commands().zero(y, 4).words;
        const words = Uint32Array.from([...good, ...bad]);
        const error = failure(() => device.submit(words, words.length));
        expect(error, op).toMatchObject({ code: "INVALID", op });
        expect(error.message).toMatch(text);
        expect(error.message).toContain(`at word ${good.length} of ${words.length}`);
        expect(floatsOf(device.downloadSync(y, 4))).toEqual([0]);
      }
      expect(failure(() => device.submit(new Uint32Array(4), 5)).message).toMatch(/`count` is 5, but there are 4/);
      expect(failure(() => device.submit(new Uint8Array(4) as never, 1)).message).toMatch(/expected a Uint32Array/);
      device.free(y);
    });

    it("names the command that failed and goes on", () => {
      const y = device.allocate(4);
      control("fail cuMemsetD32Async 1 801");
      const error = failure(() => new Commands().zero(y, 4).submit(device));
      expect(error).toMatchObject({ code: "CUDA_ERROR", cuResult: 801, op: "ZERO" });
      expect(error.message).toMatch(/ZERO, at word 0 of 5: cuMemsetD32Async: CUDA_ERROR_NOT_SUPPORTED \(801\)/);
      new Commands().zero(y, 4).submit(device);
      expect(floatsOf(device.downloadSync(y, 4))).toEqual([0]);
      device.free(y);
    });

    it("moves any number of bytes, from any kind of memory", async () => {
      for (const bytes of [1, 4095, 70_000, 5 << 20]) {
        const address = device.allocate(bytes);
        const source = new Uint8Array(new SharedArrayBuffer(bytes + 8), 8);
        for (let i = 0; i < bytes; i++) source[i] = (i * 31 + (i >> 11)) & 255;
        device.upload(address, source);
        const copy = Uint8Array.from(source);
        // It was copied when `upload` returned.
        source.fill(0);
        const later = await device.download(address, bytes);
        expect(Buffer.compare(later, copy)).toBe(0);
        expect(later.buffer).toBeInstanceOf(ArrayBuffer);
        expect(Buffer.compare(device.downloadSync(address, bytes), copy)).toBe(0);
        device.free(address);
      }
      expect((await device.download(0, 0)).length).toBe(0);
      expect(device.downloadSync(0, 0).length).toBe(0);
      device.upload(0, new Uint8Array(0));
    });

    it("uploads more than is pinned, in order, while the stream stands still", () => {
      const bytes = 24 << 20;
      const address = device.allocate(bytes);
      control("hold");
      for (let round = 1; round <= 4; round++) device.upload(address, new Uint8Array(bytes).fill(round));
      expect(device.idle()).toBe(false);
      control("release");
      const got = device.downloadSync(address, bytes);
      expect(got.every((byte) => byte === 4)).toBe(true);
      // Chunks that fell free are used again.
      control("reset counts");
      device.upload(address, new Uint8Array(bytes));
      device.synchronizeSync();
      expect(calls("cuMemHostAlloc")).toBe(0);
      device.free(address);
    });

    it("does not wait for downloads, and resolves them in order", async () => {
      const address = device.allocate(1 << 20);
      device.upload(address, new Uint8Array(1 << 20).fill(9));
      device.synchronizeSync();
      control("hold");
      const seen: string[] = [];
      const all = ["first", "second", "third"].map((name) => device.download(address, 100).then(() => seen.push(name)));
      const synchronized = device.synchronize().then(() => seen.push("synchronized"));
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(seen).toEqual([]);
      expect(device.idle()).toBe(false);
      control("release");
      await Promise.all([...all, synchronized]);
      expect(seen).toEqual(["first", "second", "third", "synchronized"]);
      expect(device.idle()).toBe(true);
      device.free(address);
    });

    it("uses pinned buffers of downloads again", async () => {
      const address = device.allocate(1 << 16);
      await device.download(address, 50_000);
      control("reset counts");
      for (let i = 0; i < 5; i++) await device.download(address, 50_000);
      for (let i = 0; i < 5; i++) device.downloadSync(address, 50_000);
      expect(calls("cuMemHostAlloc")).toBe(0);
      expect(calls("cuEventCreate")).toBe(0);
      device.free(address);
    });

    it("checks arguments", async () => {
      for (const value of [-1, 1.5, Number.NaN, 2 ** 60, "1", undefined, 1n]) {
        expect(failure(() => device.allocate(value as number))).toMatchObject({ code: "INVALID" });
        expect((await rejection(device.download(0, value as number))).code).toBe("INVALID");
      }
      expect(failure(() => device.allocate("12" as never)).message).toBe(
        "allocate: `bytes` is a string; expected an integer from 0 to 2^53 - 1",
      );
      expect(failure(() => device.upload(0, [1] as never)).message).toMatch(/`bytes` is an object; expected a Uint8Array/);
      expect(failure(() => device.createEvent(1 as never)).message).toMatch(/`timing` is 1; expected true or false/);
      expect(failure(() => addon.open(0, { memoryLimit: -5 })).message).toMatch(
        /`memoryLimit` is -5; expected a positive number/,
      );
      expect(failure(() => addon.open(0, { reclaim: 5 as never })).message).toMatch(/`reclaim` is 5; expected a function/);
      expect(failure(() => addon.open(0, 5 as never)).message).toMatch(/`options` is 5; expected an object/);
    });

    it("knows when an event has happened", async () => {
      const event = device.createEvent(false);
      expect(device.queryEvent(event)).toBe(true);
      control("hold");
      new Commands().record(event).submit(device);
      expect(device.queryEvent(event)).toBe(false);
      let done = false;
      const waiting = device.synchronizeEvent(event).then(() => (done = true));
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(done).toBe(false);
      control("release");
      await waiting;
      expect(device.queryEvent(event)).toBe(true);
      device.synchronizeEventSync(event);
      device.destroyEvent(event);
      for (const use of [() => device.queryEvent(event), () => device.destroyEvent(event)]) {
        expect(failure(use).message).toBe(`there is no event ${event}`);
      }
    });

    it("keeps an event that is waited for, and finds past ones past", async () => {
      const [past, gone] = [device.createEvent(false), device.createEvent(false)];
      new Commands().record(past).submit(device);
      device.synchronizeSync();
      control("hold");
      const later = device.synchronize();
      // Behind `later` in the waiter's queue it would hang now.
      await device.synchronizeEvent(past);
      new Commands().record(gone).submit(device);
      const waiting = device.synchronizeEvent(gone);
      device.destroyEvent(gone);
      control("release");
      await Promise.all([later, waiting]);
      device.destroyEvent(past);
    });

    it("measures time between events", () => {
      const [start, end, plain] = [device.createEvent(true), device.createEvent(true), device.createEvent(false)];
      expect(failure(() => device.elapsed(start, end)).message).toMatch(/was never recorded/);
      expect(failure(() => device.elapsed(plain, end)).message).toMatch(/keeps no time/);
      const y = device.allocate(256);
      control("delay launch 20000");
      new Commands().record(start).launch(kernels.scale, 1, { address: y }, { u32: 64 }, { f64: 1 }).record(end).submit(device);
      device.synchronizeEventSync(end);
      expect(device.elapsed(start, end)).toBeGreaterThan(15);
      for (const event of [start, end, plain]) device.destroyEvent(event);
      device.free(y);
    });

    it("waits for another device's event", async () => {
      const other = addon.open(1);
      const event = device.createEvent(false);
      const y = device.allocate(256);
      control("delay copy 30000");
      new Commands()
        .upload(y, bytesOf([1]))
        .record(event)
        .submit(device);
      other.waitEvent(device, event);
      await other.synchronize();
      expect(device.queryEvent(event)).toBe(true);
      expect(failure(() => other.waitEvent({} as NativeDevice, event)).message).toMatch(
        /`other` is an object; expected a NativeDevice/,
      );
      other.close();
      expect(failure(() => device.waitEvent(other, 0)).code).toBe("INVALID");
      device.free(y);
      device.destroyEvent(event);
    });
  });

  describe("the end of a device", () => {
    it("gives everything back and tells whoever waits", async () => {
      useStandIns();
      const before = objects();
      const device = addon.open(0);
      const { add } = loadKernels(device);
      const [x, y] = [device.allocate(400), device.allocate(30 << 20)];
      device.createEvent(true);
      device.beginCapture();
      new Commands().launch(add, 2, { address: x }, { address: y }, { u32: 100 }, { f32: 1 }).submit(device);
      device.launchGraph.bind(device, device.endCapture())();
      device.upload(x, bytesOf([1, 2, 3]));
      const got = device.download(x, 12);
      device.beginCapture();
      device.close();
      expect(floatsOf(await got)).toEqual([1, 2, 3]);
      expect(objects()).toEqual(before);
      expect(failure(() => device.allocate(4))).toMatchObject({ code: "INVALID" });
      expect(failure(() => device.allocate(4)).message).toMatch(/cuda:0 was closed/);
      expect((await rejection(device.download(x, 12))).code).toBe("INVALID");
      device.close();
    });
  });
});
