/**
 * What it costs JavaScript to hand a kernel to the GPU: by the backend alone, by what kernels call, and as a user sees it. The driver's own part
 * is in the figures, too; with one that does nothing (the stand-in with KINDLING_STAND_IN_NOOP=1) they are this library's.
 */

import * as torch from "kindling";
import type { Tensor } from "kindling";
import { KernelBuilder } from "../../gpu/builder.ts";
import type { Bindable } from "../../gpu/context.ts";
import type { CudaDevice } from "../../gpu/cuda/device.ts";
import type { Program } from "../../gpu/ir.ts";
import { Packing } from "../../gpu/launch.ts";
import { summarize } from "../measure.ts";
import { force } from "./values.ts";

export interface Cost {
  readonly name: string;
  /** Microseconds per kernel: median, and the least and most over the bursts. */
  readonly us: number;
  readonly spread: readonly [least: number, most: number];
  /** Kernels launched per counted one: 1 where what is measured is what it says. */
  readonly launches: number;
}

export interface DispatchCost {
  /** Whether the driver carries nothing out. */
  readonly noop: boolean;
  readonly costs: readonly Cost[];
}

/** Kernels between two waits: few enough that no driver makes us wait for room in its queue. */
const BURST = 512;

function probe(inputs: number, scalars: number): Program {
  const k = new KernelBuilder("probe", 32);
  const y = k.output("y", "f32");
  const xs = Array.from({ length: inputs }, (_, i) => k.input(`x${i}`, "f32"));
  const extra = Array.from({ length: scalars }, (_, i) => k.param(`s${i}`, "f32"));
  k.gridStride(k.param("n", "u32"), (i) => {
    const sum = [...xs.map((x) => x.load(i)), ...extra].reduce((a, b) => a.add(b));
    y.store(i, sum);
  });
  return k.build();
}

interface Plan {
  readonly name: string;
  /** Asks for `BURST` kernels. */
  readonly burst: () => void;
}

function lowLevel(device: CudaDevice, inputs: number, scalars: number): Plan[] {
  const what = `${inputs + 1} buffers, ${scalars + 2} params`;
  const program = probe(inputs, scalars);
  const { backend, context } = device;
  const memories = Array.from({ length: inputs + 1 }, () => backend.allocate(4096));
  const packing = new Packing(program);
  const params: Record<string, number> = { n: 32 };
  for (let i = 0; i < scalars; i++) params[`s${i}`] = i;
  const words = packing.pack(params, 1).slice();
  const views = memories.map((_, i): Bindable => torch.zeros([1024 + i], { device: device.type })._toView());
  const dispatch = { program, memories, aliases: packing.identity, words, groups: 1 };
  return [
    {
      name: `packed path: backend.dispatch and submit (${what})`,
      burst: () => {
        for (let i = 0; i < BURST; i++) backend.dispatch(dispatch);
        backend.queue.flush();
      },
    },
    {
      name: `from a kernel: context.launch, packing and aliases, too (${what})`,
      burst: () => {
        for (let i = 0; i < BURST; i++) context.launch(program, { buffers: views, params, groups: 1 });
        backend.queue.flush();
      },
    },
  ];
}

function userLevel(device: CudaDevice): Plan[] {
  const { queue } = device.backend;
  const chain = (name: string, start: Tensor, next: (x: Tensor) => Tensor): Plan => ({
    name,
    burst: () => {
      let x = start;
      for (let i = 0; i < BURST; i++) x = next(x);
      queue.flush();
    },
  });
  const { type } = device;
  const F = torch.nn.functional;
  const forced = (x: Tensor): Tensor => {
    force(x);
    return x;
  };
  const square = torch.zeros([16, 16], { device: type });
  const weight = torch.ones([16, 16], { device: type, requires_grad: true });
  force(square, weight);
  return [
    chain("a chain of softmax, without gradients", square, (x) => torch.no_grad(() => F.softmax(x, -1))),
    chain("a chain of matmul, without gradients", square, (x) => torch.no_grad(() => x.matmul(square))),
    chain("a chain of additions that nothing fuses, without gradients", square, (x) => torch.no_grad(() => forced(x.add(1)))),
    chain("a chain of softmax, recorded for gradients", weight, (x) => F.softmax(x, -1)),
  ];
}

export async function measureDispatch(name: string, smoke: boolean): Promise<DispatchCost> {
  if (!name.startsWith("cuda")) throw new Error(`the suite "dispatch" is about cuda, not about ${name}`);
  const device = torch.zeros([1], { device: name }).device as unknown as CudaDevice;
  const plans = [...lowLevel(device, 1, 1), ...lowLevel(device, 3, 10), ...userLevel(device)];
  const bursts = smoke ? 2 : 40;
  const costs: Cost[] = [];
  for (const { name: plan, burst } of plans) {
    const times: number[] = [];
    let launches = 0;
    // Until the compiler has seen enough of it.
    for (let i = smoke ? -1 : -15; i < bursts; i++) {
      await device.synchronize();
      const before = device.stats().launches;
      const start = performance.now();
      burst();
      const spent = performance.now() - start;
      await device.synchronize();
      if (i < 0) continue;
      times.push((spent * 1000) / BURST);
      launches = (device.stats().launches - before) / BURST;
    }
    const { median, min, max } = summarize(times);
    costs.push({ name: plan, us: median, spread: [min, max], launches });
  }
  return { noop: process.env.KINDLING_STAND_IN_NOOP === "1", costs };
}
