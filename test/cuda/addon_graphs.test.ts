/** Graphs of the addon: recorded once, replayed often; whose memory is whose. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
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

const N = 100;
const BYTES = N * 4;

describe.skipIf(unavailable !== null)("the addon's graphs", () => {
  let device: NativeDevice;
  let kernels: ReturnType<typeof loadKernels>;
  beforeAll(() => {
    useStandIns();
    device = addon.open(0);
    kernels = loadKernels(device);
  });
  afterEach(() => void control("clear"));
  afterAll(() => device.close());

  const add = (commands: Commands, from: number, to: number, value: number): Commands =>
    commands.launch(kernels.add, 2, { address: from }, { address: to }, { u32: N }, { f32: value });
  const first = (address: number): number => floatsOf(device.downloadSync(address, BYTES))[0]!;
  const set = (address: number, value: number): void => device.upload(address, bytesOf(Array(N).fill(value)));

  it("replay what was recorded, with what is in memory then", () => {
    const [x, y] = [device.allocate(BYTES), device.allocate(BYTES)];
    set(x, 1);
    set(y, 0);
    device.beginCapture();
    const middle = device.allocate(BYTES);
    add(add(new Commands(), x, middle, 10), middle, y, 100).submit(device);
    device.free(middle);
    const graph = device.endCapture();
    expect(first(y)).toBe(0);
    const before = device.stats();
    for (const value of [1, 2, 3]) {
      set(x, value);
      device.launchGraph(graph);
      expect(first(y)).toBe(value + 110);
    }
    expect(device.stats().graphLaunches - before.graphLaunches).toBe(3);
    expect(device.stats().launches).toBe(before.launches);
    device.destroyGraph(graph);
    expect(failure(() => device.launchGraph(graph)).message).toBe(`there is no graph ${graph}`);
    expect(failure(() => device.destroyGraph(graph)).code).toBe("INVALID");
    device.free(x);
    device.free(y);
  });

  it("keep their memory until they are destroyed", () => {
    const x = device.allocate(BYTES);
    device.beginCapture();
    const [mine, alive] = [device.allocate(BYTES), device.allocate(BYTES)];
    new Commands().zero(mine, BYTES).submit(device);
    device.free(mine);
    // Within the capture it may be used again.
    expect(device.allocate(BYTES)).toBe(mine);
    device.free(mine);
    const graph = device.endCapture();
    device.free(alive);
    // Outside it is nobody's, also if everything idle is given back.
    device.emptyCache();
    const others = Array.from({ length: 50 }, () => device.allocate(BYTES));
    expect(others).not.toContain(mine);
    expect(others).not.toContain(alive);
    device.launchGraph(graph);
    device.synchronizeSync();
    const reserved = device.memoryStats().reservedBytes;
    device.destroyGraph(graph);
    expect(device.memoryStats().reservedBytes).toBe(reserved);
    device.emptyCache();
    expect(device.memoryStats().reservedBytes).toBeLessThan(reserved);
    for (const address of [x, ...others]) device.free(address);
  });

  it("have a pool each", () => {
    const capture = (): { address: number; graph: number } => {
      device.beginCapture();
      const address = device.allocate(BYTES);
      new Commands().zero(address, BYTES).submit(device);
      device.free(address);
      return { address, graph: device.endCapture() };
    };
    const [a, b] = [capture(), capture()];
    expect(a.address).not.toBe(b.address);
    device.destroyGraph(a.graph);
    // What falls free while it is destroyed is everybody's.
    const again = device.allocate(BYTES);
    device.launchGraph(b.graph);
    device.synchronizeSync();
    device.free(again);
    device.destroyGraph(b.graph);
  });

  it("leave blocks that outlive them usable", () => {
    device.beginCapture();
    const result = device.allocate(BYTES);
    new Commands().zero(result, BYTES).submit(device);
    const graph = device.endCapture();
    device.launchGraph(graph);
    device.destroyGraph(graph);
    expect(first(result)).toBe(0);
    device.free(result);
    device.emptyCache();
  });

  it("refuse what cannot be recorded, and go on", async () => {
    const x = device.allocate(BYTES);
    const event = device.createEvent(false);
    set(x, 5);
    device.beginCapture();
    for (const use of [
      () => device.upload(x, bytesOf([1])),
      () => device.downloadSync(x, 4),
      () => device.synchronizeSync(),
      () => device.synchronizeEventSync(event),
      () => device.beginCapture(),
      () => device.launchGraph(0),
      () => new Commands().upload(x, bytesOf([1])).submit(device),
    ]) {
      const error = failure(use);
      expect(error.code).toBe("INVALID");
      expect(error.message).toMatch(/a graph is being captured/);
    }
    for (const promise of [device.download(x, 4), device.synchronize(), device.synchronizeEvent(event)]) {
      expect((await rejection(promise)).code).toBe("INVALID");
    }
    expect(device.idle()).toBe(false);
    expect(device.queryEvent(event)).toBe(true);
    add(new Commands(), x, x, 1).submit(device);
    const graph = device.endCapture();
    device.launchGraph(graph);
    device.launchGraph(graph);
    expect(first(x)).toBe(7);
    device.destroyGraph(graph);
    device.destroyEvent(event);
    device.free(x);
    for (const use of [() => device.endCapture(), () => device.abortCapture()]) {
      expect(failure(use).message).toMatch(/nothing is being captured/);
    }
  });

  it("record events whenever they run", () => {
    const [start, end] = [device.createEvent(true), device.createEvent(true)];
    const x = device.allocate(BYTES);
    device.beginCapture();
    add(new Commands().record(start), x, x, 1).record(end).submit(device);
    const graph = device.endCapture();
    control("delay launch 20000");
    device.launchGraph(graph);
    device.synchronizeSync();
    expect(device.elapsed(start, end)).toBeGreaterThan(15);
    device.destroyGraph(graph);
    for (const event of [start, end]) device.destroyEvent(event);
    device.free(x);
  });

  it("that are abandoned leave nothing behind", () => {
    const before = device.memoryStats();
    const { graphs } = objects();
    device.beginCapture();
    const x = device.allocate(5 << 20);
    new Commands().zero(x, 4).submit(device);
    device.abortCapture();
    // The block lives on.
    set(x, 3);
    expect(first(x)).toBe(3);
    device.free(x);
    device.emptyCache();
    expect(device.memoryStats()).toMatchObject({ allocatedBytes: before.allocatedBytes, blocks: before.blocks });
    expect(objects().graphs).toBe(graphs);
  });

  it("that the driver refuses leave the device as it was", () => {
    const graphs = objects().graphs;
    for (const op of ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate"]) {
      control(`fail ${op === "cuGraphInstantiate" ? "cuGraphInstantiateWithFlags" : op} 1 901`);
      const error = failure(() => {
        device.beginCapture();
        const x = device.allocate(BYTES);
        new Commands().zero(x, BYTES).submit(device);
        device.free(x);
        device.endCapture();
      });
      expect(error).toMatchObject({ code: "CUDA_ERROR", cuResult: 901, op });
      control("clear");
      if (op === "cuStreamEndCapture") {
        // The stand-in's stream goes on capturing; a driver's does not.
        device.close();
        device = addon.open(0);
        kernels = loadKernels(device);
      }
      const x = device.allocate(BYTES);
      set(x, 4);
      expect(first(x)).toBe(4);
      device.free(x);
    }
    expect(objects().graphs).toBe(graphs);
  });

  it("get memory when there is little: what was idle before is given back", () => {
    const small = addon.open(0, { memoryLimit: 64 << 20 });
    const zero = (address: number): void => new Commands().zero(address, 4).submit(small);
    small.free(small.allocate(40 << 20));
    small.beginCapture();
    const x = small.allocate(50 << 20);
    zero(x);
    expect(small.memoryStats()).toMatchObject({ retries: 1, failures: 0, reservedBytes: 50 << 20 });
    expect(failure(() => small.allocate(50 << 20)).code).toBe("OUT_OF_MEMORY");
    const graph = small.endCapture();
    small.launchGraph(graph);
    small.synchronizeSync();
    small.close();
  });
});
