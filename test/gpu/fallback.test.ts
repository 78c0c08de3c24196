/** torch.backends.fallback: what the cpu computes for a device that has no kernels for it. */

import { afterEach, describe, expect, it, vi } from "vitest";
import * as torch from "kindling";

await torch.webgpu.init();
const { fallback } = torch.backends;
const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
const matrix = (device: string): torch.Tensor => torch.tensor([[4, 1], [1, 3]], { device, dtype: torch.float32 }); // prettier-ignore
const there = (): torch.Tensor => matrix("webgpu");

afterEach(() => {
  fallback.enabled = false;
  warn.mockClear();
});

it("is off: ops without kernels say so, where they could be read, too", async () => {
  expect(fallback.enabled).toBe(false);
  const says = /linalg.cholesky: there are no kernels for it on webgpu.*torch.backends.fallback.enabled = true.*torch.blocking/;
  expect(() => torch.linalg.cholesky(there())).toThrow(torch.NotImplementedError);
  expect(() => torch.linalg.cholesky(there())).toThrow(says);
  await expect(torch.blocking(() => torch.linalg.cholesky(there()))).rejects.toThrow(says);
  expect(fallback.counts()).toEqual({});
});

describe("when it is on", () => {
  it("results are on the device, gradients pass, and each op warns once", async () => {
    fallback.enabled = true;
    const loss = (a: torch.Tensor): torch.Tensor => torch.linalg.cholesky(a).mul(torch.linalg.inv(a)).sum();
    const a = there().requires_grad_();
    const own = matrix("cpu").requires_grad_();
    for (let i = 0; i < 2; i++) {
      const value = await torch.blocking(() => loss(a));
      expect(value.device.type).toBe("webgpu");
      await torch.blocking(() => value.backward());
      expect(await value.item()).toBeCloseTo(loss(own).item_sync() as number, 5);
    }
    loss(own).backward();
    const want = own.grad!.mul(2).tolist_sync() as number[][];
    ((await a.grad!.tolist()) as number[][]).forEach((row, i) => row.forEach((x, j) => expect(x).toBeCloseTo(want[i]![j]!, 5)));
    const ops = warn.mock.calls.map(([text]) => /^\S+(?=: there are no kernels for it on webgpu)/.exec(String(text))?.[0]);
    expect(ops).toContain("linalg.cholesky");
    expect(new Set(ops).size).toBe(ops.length);
    expect(new Set(Object.keys(fallback.counts()))).toEqual(new Set(ops));
  });

  it("values are still read asynchronously", () => {
    fallback.enabled = true;
    expect(() => torch.linalg.cholesky(there())).toThrow(/torch.blocking/);
  });

  it("ctc_loss", async () => {
    fallback.enabled = true;
    const x = torch.randn(4, 1, 3).log_softmax(-1);
    const loss = (x: torch.Tensor): torch.Tensor => torch.nn.functional.ctc_loss(x, torch.tensor([[1, 2]]), [4], [2]);
    const value = await torch.blocking(() => loss(x.to("webgpu")));
    expect(await value.item()).toBeCloseTo(loss(x).item_sync() as number, 5);
    expect(warn.mock.calls.flat().join()).toContain("ctc_loss");
  });

  it("only where it is set: flags ends with its function", async () => {
    await fallback.flags({ enabled: true }, () => torch.blocking(() => torch.linalg.eigvalsh(there())));
    expect(fallback.enabled).toBe(false);
    expect(() => fallback.flags({ enable: true } as never, () => 0)).toThrow(/unexpected keyword argument 'enable'/);
    expect(() => (fallback.enabled = 1 as never)).toThrow(/enabled must be a boolean/);
  });
});

it("the cpu needs none", () => {
  expect(torch.linalg.cholesky(matrix("cpu")).shape).toEqual([2, 2]);
  expect(warn).not.toHaveBeenCalled();
});
