/** Programs that the tests run in processes of their own. */

import * as torch from "kindling";

const say = (...what: unknown[]): void => console.log(...what);
const told = (e: unknown): string => `${(e as Error).name}: ${(e as Error).message}`;

const programs: Readonly<Record<string, () => Promise<void>>> = {
  /** On a machine without a driver. */
  async missing() {
    const model = new torch.nn.Linear(2, 1);
    const move = (): void => {
      try {
        model.to("webgpu");
      } catch (e) {
        say(told(e));
      }
    };
    move();
    say(await torch.webgpu.is_available(), await torch.accelerator());
    await torch.webgpu.init().catch((e: unknown) => say(told(e)));
    move();
    say((await model.forward(torch.ones(1, 2)).data()).length);
  },
  /** Ends with tensors alive and work recorded. */
  async plain() {
    await torch.webgpu.init();
    const x = torch.ones(4, { device: "webgpu" }).mul(3).add(1);
    say(await x.tolist());
    x.mul(2)._toView();
    (globalThis as { kept?: unknown }).kept = x;
  },
};

await programs[process.argv[2]!]!();
