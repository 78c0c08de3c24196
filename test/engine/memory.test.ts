/** A plain training loop, fully synchronous and without any annotation, must not grow. */

import * as torch from "kindling";
import { expect, it } from "vitest";

it("memory stays flat over training steps", () => {
  torch.manual_seed(0);
  const x = torch.randn([256, 256]);
  const w1 = torch.randn([256, 512]).mul(0.05).requires_grad_();
  const w2 = torch.randn([512, 64]).mul(0.05).requires_grad_();
  const step = (): void => {
    const loss = x.matmul(w1).tanh().matmul(w2).square().mean();
    loss.backward();
    torch.no_grad(() => {
      for (const w of [w1, w2]) {
        w.sub_(w.grad!.mul(0.01));
        w.grad = null;
      }
    });
  };
  for (let i = 0; i < 100; i++) step();
  const early = torch.memory_stats();
  for (let i = 0; i < 500; i++) step();
  const late = torch.memory_stats();
  // What the garbage collector may leave uncollected has a bound; a collection is slower in a test runner's large heap, so the
  // process's memory itself is compared in bench/memory.ts.
  expect(late.reserved_bytes).toBeLessThanOrEqual(early.allocated_bytes + (384 << 20));
  expect(late.allocated_bytes).toBeLessThanOrEqual(early.allocated_bytes * 1.05);
});
