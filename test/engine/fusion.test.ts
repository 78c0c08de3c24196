/** Deferred maps must be invisible: same values, same errors, whatever is pending. */

import * as torch from "kindling";
import { describe, expect, it } from "vitest";

const pending = (t: torch.Tensor): boolean => t._storage.pending !== null;

describe("deferred maps", () => {
  it("stay pending until somebody needs bytes", () => {
    const x = torch.tensor([1.5, -2.5]);
    const y = x.mul(2).add(1).relu();
    expect(pending(y)).toBe(true);
    expect(y.tolist_sync()).toEqual([4, 0]);
    expect(pending(y)).toBe(false);
  });

  it("throw shape errors at the call", () => {
    const [a, b] = [torch.zeros([2, 3]).add(1), torch.zeros([4])];
    expect(() => a.add(b)).toThrow("add: shapes [2, 3] and [4] do not broadcast (dim 1: 3 vs 4)");
  });

  it("see what their inputs were, not what they became", () => {
    const x = torch.zeros([4]);
    x.tolist_sync();
    const y = x.add(1);
    x.add_(5);
    expect(y.tolist_sync()).toEqual([1, 1, 1, 1]);
    expect(x.tolist_sync()).toEqual([5, 5, 5, 5]);
  });

  it("protect the old value of a view that is written to", () => {
    const x = torch.arange(6).view(2, 3);
    const doubled = x.mul(2);
    x.select(0, 1).fill_(0);
    expect(doubled.tolist_sync()).toEqual([
      [0, 2, 4],
      [6, 8, 10],
    ]);
    expect(x.tolist_sync()).toEqual([
      [0, 1, 2],
      [0, 0, 0],
    ]);
  });

  it("keep an inlined value that is asked for later", () => {
    const a = torch.tensor([0.5, 1.5]);
    const b = a.mul(3);
    const c = b.add(1);
    expect(c.tolist_sync()).toEqual([2.5, 5.5]);
    expect(b.tolist_sync()).toEqual([1.5, 4.5]);
  });

  it("agree with eager evaluation over a long chain with shared parts", () => {
    let x = torch.linspace(-1, 1, 17);
    let eager = x;
    for (let i = 0; i < 200; i++) {
      const f = (t: torch.Tensor): torch.Tensor => t.mul(1.01).add(t.mul(t).mul(0.001)).sub(0.0005);
      x = f(x);
      eager = f(eager);
      eager.tolist_sync();
    }
    expect(x.tolist_sync()).toEqual(eager.tolist_sync());
  });

  it("round every step of narrow types as eager ops would", () => {
    const x = torch.tensor([1.0009765625, 3.14, 100.1]).to(torch.float16);
    const fused = x.mul(1.1).add(0.3).mul(x);
    const a = x.mul(1.1);
    a.tolist_sync();
    const b = a.add(0.3);
    b.tolist_sync();
    expect(fused.tolist_sync()).toEqual(b.mul(x).tolist_sync());
  });

  it("write overlapping windows of one memory correctly", () => {
    const x = torch.arange(6).to(torch.float32);
    x.narrow(0, 1, 5).add_(x.narrow(0, 0, 5));
    expect(x.tolist_sync()).toEqual([0, 1, 3, 5, 7, 9]);
  });

  it("feed reductions without being stored", () => {
    const x = torch.arange(12).to(torch.float32).view(3, 4);
    x.tolist_sync();
    const y = x.mul(x);
    expect(y.sum(0).tolist_sync()).toEqual([80, 107, 140, 179]);
    expect(pending(y)).toBe(true);
    expect(y.sum().item_sync()).toBe(506);
  });
});
