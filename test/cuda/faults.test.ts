/** A device that fails while a program trains: typed errors, the cpu's tensors intact, and CUDA can be started anew. */

import { unavailable } from "./environment.ts";
import { control } from "./native.ts";
import { describe, expect, it } from "vitest";
import * as torch from "kindling";

const { nn, optim } = torch;
const opts = { device: "cuda" } as const;

describe.skipIf(unavailable !== null)("faults", () => {
  it("a device lost in mid-training", async () => {
    torch.manual_seed(0);
    const kept = torch.arange(4);
    const model = new nn.Linear(4, 4).to("cuda");
    const saved = new nn.Linear(4, 4);
    saved.load_state_dict(model.to("cpu").state_dict());
    model.to("cuda");
    const opt = new optim.SGD(model.parameters(), { lr: 0.1 });
    const step = (): torch.Tensor => {
      opt.zero_grad();
      const loss = model(torch.ones(2, 4, opts))
        .pow(2)
        .sum();
      loss.backward();
      opt.step();
      return loss;
    };
    const first = step();
    expect(Number.isFinite(Number(first.item_sync()))).toBe(true);
    control("fail cuLaunchKernel 3 700");
    expect(() => {
      for (let i = 0; i < 3; i++) step().item_sync();
    }).toThrow(torch.DeviceLostError);
    await expect((async () => first.add(1).data())()).rejects.toThrow(/torch.cuda.init/);
    expect(() => torch.ones(1, opts).item_sync()).toThrow(torch.DeviceLostError);
    expect(kept.sum().item_sync()).toBe(6);

    torch.cuda.init();
    const again = saved.to("cuda");
    expect(
      Number.isFinite(
        Number(
          again(torch.ones(2, 4, opts))
            .sum()
            .item_sync(),
        ),
      ),
    ).toBe(true);
    expect(() => first.to("cuda").add(torch.ones(1, opts))).toThrow(torch.RuntimeError);
  });

  it("memory that runs out inside of an op leaves what there is", () => {
    const x = torch.ones(1 << 16, opts).contiguous();
    x.sum().item_sync();
    control("fail cuMemAlloc 1 2 1000"); // the first call, CUDA_ERROR_OUT_OF_MEMORY, 1000 times
    expect(() => torch.empty(64 << 20, opts)).toThrow(torch.OutOfMemoryError);
    control("clear");
    expect(x.sum().item_sync()).toBe(65536);
    expect(
      torch
        .empty(1 << 20, opts)
        .fill_(1)
        .sum()
        .item_sync(),
    ).toBe(1 << 20);
  });
});
