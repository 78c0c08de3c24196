/** A worker's file, for test/browser/worker.test.ts: in browsers and in Node. */

import * as torch from "kindling";
import { nn, optim } from "kindling";

export interface Progress {
  readonly step: number;
  readonly loss: number;
}

export type Wish = "weights" | { readonly scale: torch.Tensor };

export interface Settings {
  readonly steps: number;
  readonly fail?: "ValueError" | "TypeError" | "clone" | "hang";
  /** Goes on until it is stopped, and answers wishes. */
  readonly serve?: boolean;
  /** Only doubles x there, and returns before anything is read. */
  readonly double_on?: "webgpu";
  readonly x: torch.Tensor;
}

export const train = torch.worker_main(
  async (task: torch.WorkerTask<Progress | { readonly sum: torch.Tensor }, Wish>, settings: Settings) => {
    if (settings.double_on) {
      await torch[settings.double_on].init();
      const doubled = settings.x.to(settings.double_on).mul(2);
      // Not awaited: what follows leaves after it all the same.
      void task.report({ sum: doubled });
      return { step: 0, dtype: settings.x.dtype.name, weights: { doubled }, both: [settings.x, settings.x] as const };
    }
    torch.manual_seed(0);
    const model = new nn.Linear(8, 1);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const x = settings.x;
    const y = x.sum(1, { keepdim: true });
    if (settings.fail === "hang") for (;;);
    let step = 0;
    for (; step < settings.steps && !task.stopped; step++) {
      optimizer.zero_grad();
      const loss = nn.functional.mse_loss(model(x), y);
      loss.backward();
      optimizer.step();
      await task.report({ step, loss: Number(await loss.item()) });
    }
    if (settings.fail === "ValueError") throw new torch.ValueError("no such thing");
    if (settings.fail === "TypeError") throw new TypeError("wrong thing");
    if (settings.fail === "clone") return { f: () => 1 } as never;
    if (settings.serve) {
      for await (const wish of task.messages) {
        if (wish !== "weights") await task.report({ sum: model.weight.detach().mul(wish.scale).sum() });
      }
    }
    return { step, dtype: x.dtype.name, weights: model.state_dict(), both: [x, x] as const };
  },
);
