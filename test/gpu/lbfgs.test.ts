/** L-BFGS where reading a value takes an await. */

import { expect, it } from "vitest";
import * as torch from "kindling";

await torch.webgpu.init();

it("step_async goes the cpu's way; step says so", async () => {
  const start = torch.tensor([0.5, -1.5, 2]);
  const minimum = torch.tensor([1, 2, 3]);
  const solve = async (device: string): Promise<number[]> => {
    const x = (await start.to_async(device)).detach().requires_grad_();
    const target = await minimum.to_async(device);
    const optimizer = new torch.optim.LBFGS([x], { line_search_fn: "strong_wolfe" });
    const closure = (): torch.Tensor => {
      optimizer.zero_grad();
      const loss = x.sub(target).square().mul(target).sum();
      loss.backward();
      return loss;
    };
    if (device === "webgpu") expect(() => optimizer.step(closure)).toThrow(/await optimizer.step_async\(closure\)/);
    const loss = await optimizer.step_async(closure);
    expect(await loss.item()).toBeCloseTo(27.75, 4);
    return (await x.tolist()) as number[];
  };
  const [there, here] = [await solve("webgpu"), await solve("cpu")];
  there.forEach((x, i) => {
    expect(x).toBeCloseTo(i + 1, 4);
    expect(x).toBeCloseTo(here[i]!, 4);
  });
});
