/** Memory by hand: scopes, dispose, the report by call site. */

import * as torch from "kindling";
import { expect, it } from "vitest";

const live = (): number => torch.memory_stats().allocated_bytes;
const BIG = 1 << 18; // elements: 1 MiB

it("a scope frees what it does not return", () => {
  const x = torch.ones([BIG]);
  x.sum().item_sync();
  const before = live();
  let inner: torch.Tensor | null = null;
  const out = torch.scope(() => {
    inner = x.mul(2);
    inner.sum().item_sync();
    return { total: inner.sum(), list: [x.add(1)] };
  });
  expect(live() - before).toBeLessThan(1.2 * (1 << 20)); // only list[0]
  expect(out.total.item_sync()).toBe(2 * BIG);
  expect(out.list[0]!.sum().item_sync()).toBe(2 * BIG);
  expect(() => inner!.sum().item_sync()).toThrow("used after it was disposed");
});

it("a scope keeps what the graph of its result has saved, and gradients", async () => {
  const w = torch.tensor([2, 3], { dtype: torch.float32, requires_grad: true });
  const loss = await torch.scope(async () => {
    await Promise.resolve();
    return w.exp().mul(w).sum();
  });
  torch.scope(() => loss.backward());
  const want = [2, 3].map((v) => Math.exp(v) * (1 + v));
  (w.grad!.tolist_sync() as number[]).forEach((g, i) => expect(g).toBeCloseTo(want[i]!, 4));
});

it("dispose frees at once and later use is a clear error", () => {
  const x = torch.ones([BIG]);
  x.sum().item_sync();
  const before = live();
  const view = x.view(2, -1);
  x.dispose();
  expect(before - live()).toBeGreaterThanOrEqual(1 << 20);
  expect(() => view.add(1).tolist_sync()).toThrow("used after it was disposed");
});

it("reports live memory by call site", () => {
  torch.record_memory_history();
  const hold = [1, 2].map((v) => torch.full([BIG], v, { dtype: torch.float32 }).add(1));
  for (const t of hold) t.sum().item_sync();
  const report = torch.memory_report();
  torch.record_memory_history(false);
  expect(report[0]!.site).toContain("scope.test.ts");
  expect(report[0]!.bytes).toBeGreaterThanOrEqual(2 << 20);
});

it("modules and optimizers made or stepped in a scope live on", () => {
  const { nn, optim } = torch;
  torch.manual_seed(0);
  const model = torch.scope(() => new nn.Linear(4, 2));
  const adam = new optim.Adam(model.parameters(), { lr: 0.1 });
  const x = torch.ones([3, 4]);
  const losses: number[] = [];
  for (let i = 0; i < 3; i++) {
    torch.scope(() => {
      adam.zero_grad();
      const loss = model(x).square().sum();
      loss.backward();
      adam.step();
      losses.push(Number(loss.item_sync()));
    });
  }
  expect(losses[2]!).toBeLessThan(losses[0]!);
});
