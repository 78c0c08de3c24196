import * as torch from "kindling";
import { type Tensor } from "kindling";
import { describe, expect, it } from "vitest";
import { ELEMENTWISE, type Make } from "./makers.ts";

/** More steps than RAdam takes to trust its squares. */
const STEPS = 8;

interface Result {
  readonly values: unknown[];
  readonly kernels: number;
}

/** What steps leave of parameters and state, and how many kernels the last one ran. */
function steps(make: Make, way: object, params: readonly Tensor[]): Result {
  const optimizer = make([...params], way);
  const device = params[0]!.device;
  let kernels = 0;
  for (let i = 0; i < STEPS; i++) {
    for (const p of params) {
      p.grad = torch.randn(p.shape, { dtype: p.dtype });
      p.grad._storage.materialize();
    }
    const { run } = device;
    kernels = 0;
    device.run = (...args) => (kernels++, run.apply(device, args));
    optimizer.step();
    device.run = run;
  }
  const state = params.map((p) =>
    Object.entries(optimizer.state.get(p)!).map(([name, x]) => [name, x instanceof torch.Tensor ? x.tolist_sync() : x]),
  );
  return { values: [...params.map((p) => p.tolist_sync()), state], kernels };
}

const leaf = (t: Tensor): Tensor => t.detach().requires_grad_();
const start = (dtype: torch.DType): Tensor[] =>
  [[37], [3, 0], [9, 130], [1], [2, 1300]].map((shape) => leaf(torch.randn(shape, { dtype })));

describe("one kernel for all parameters", () => {
  it.each(Object.entries(ELEMENTWISE))("%s: the numbers of ops one by one, bit for bit", (_name, make) => {
    for (const dtype of [torch.float32, torch.float64, torch.bfloat16, torch.float16]) {
      const [together, apart] = [{}, { foreach: false }].map((way) => {
        torch.manual_seed(1);
        return steps(make, way, start(dtype));
      });
      expect(together!.values).toEqual(apart!.values);
      expect(together!.kernels).toBe(1);
      expect(apart!.kernels).toBeGreaterThan(4);
    }
  });
  it.each(Object.entries(ELEMENTWISE))("%s: what it cannot take goes one by one", (_name, make) => {
    const mixed = (): Tensor[] => {
      torch.manual_seed(2);
      const strided = leaf(torch.randn([4, 6]).t());
      const wide = leaf(torch.randn([5], { dtype: torch.float64 }));
      return [leaf(torch.randn([7])), strided, wide, leaf(torch.randn([2, 3]))];
    };
    const [together, apart] = [{}, { foreach: false }].map((way) => steps(make, way, mixed()));
    expect(together!.values).toEqual(apart!.values);
    // Two groups by dtype, and the strided one by ops.
    expect(together!.kernels).toBeLessThan(apart!.kernels);
    expect(together!.kernels).toBeGreaterThan(2);
  });
});
