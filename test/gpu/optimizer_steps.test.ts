/** Steps of whole optimizers on webgpu: the cpu's numbers, in few launches. */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";
import { ELEMENTWISE, type Make } from "../optim/makers.ts";

const web = process.env.KINDLING_VULKAN === "none" ? null : await torch.webgpu.init().then(() => "webgpu" as const);

/** Parameters after some steps, and the launches of the last one. */
async function steps(
  place: "cpu" | "webgpu",
  make: Make,
  given: number | number[][],
): Promise<{ values: number[]; launches: number }> {
  torch.manual_seed(4);
  const sizes = typeof given === "number" ? Array.from({ length: given }, (_, i) => (i === 1 ? [20, 130] : [i + 1])) : given;
  const drawn = (size: number[]): Tensor => torch.randn(size, { device: "cpu" }).to(place);
  const params = sizes.map((size) => new nn.Parameter(drawn(size)));
  const optimizer = make(params, {});
  const stats = (): number => (place === "webgpu" ? torch.webgpu.stats().dispatches : 0);
  let launches = 0;
  for (let i = 0; i < 7; i++) {
    for (const p of params) p.grad = drawn(p.shape as number[]);
    if (place === "webgpu") await torch.webgpu.synchronize();
    const before = stats();
    optimizer.step();
    if (place === "webgpu") await torch.webgpu.synchronize();
    launches = stats() - before;
  }
  const values = await Promise.all(params.map((p) => p.detach().flatten().data()));
  return { values: values.flatMap((v) => Array.from(v as Float32Array)), launches };
}

describe.runIf(web !== null)("steps on webgpu", () => {
  it.each(Object.entries(ELEMENTWISE))("%s", async (_name, make) => {
    const bindings = torch.webgpu.device().limits.maxStorageBuffersPerShaderStage;
    const [ours, theirs] = [await steps("webgpu", make, 20), await steps("cpu", make, 20)];
    ours.values.forEach((v, i) => expect(Math.abs(v - theirs.values[i]!)).toBeLessThan(1e-5 * (1 + Math.abs(theirs.values[i]!))));
    expect(ours.launches).toBeLessThanOrEqual(Math.ceil(20 / (Math.min(bindings, 16) - 1)));
  });
  it("Muon", async () => {
    const sizes = Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? [8, 5] : [5, 12]));
    const make: Make = (p) => new optim.Muon(p, { lr: 0.1 });
    const [ours, theirs] = [await steps("webgpu", make, sizes), await steps("cpu", make, sizes)];
    // The iteration rounds to bfloat16 at every turn. One by one it takes 30 launches for each.
    ours.values.forEach((v, i) => expect(Math.abs(v - theirs.values[i]!)).toBeLessThan(0.1));
    expect(ours.launches).toBeLessThan(30 * 6);
  });
});
