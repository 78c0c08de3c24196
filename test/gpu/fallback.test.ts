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

describe("without it", () => {
  const numbers = (...shape: number[]): torch.Tensor => torch.randn(shape, { generator: new torch.Generator().manual_seed(5) });
  const complex = (...shape: number[]): torch.Tensor => torch.complex(numbers(...shape), numbers(...shape).flip(-1));
  const factor = (x: torch.Tensor): torch.Tensor => x.mul(0.3).add(torch.eye(x.shape.at(-1)!).mul(2));
  const { solve_triangular, matrix_exp, lu_solve } = torch.linalg;

  it.each<[string, (...x: torch.Tensor[]) => torch.Tensor, torch.Tensor[]]>([
    ["lower", (a, b) => solve_triangular(a!, b!, { upper: false }), [factor(numbers(3, 5, 5)), numbers(3, 5, 2)]],
    ["upper, from the right", (a, b) => solve_triangular(a!, b!, { upper: true, left: false }), [factor(numbers(7, 7)), numbers(2, 7)]], // prettier-ignore
    ["ones on the diagonal", (a, b) => solve_triangular(a!, b!, { upper: true, unitriangular: true }), [numbers(9, 9).mul(0.3), numbers(9, 1)]], // prettier-ignore
    ["one number", (a, b) => solve_triangular(a!, b!, { upper: true }), [factor(numbers(1, 1)), numbers(1, 1)]],
    ["no numbers", (a, b) => solve_triangular(a!, b!, { upper: true }), [numbers(2, 0, 0), numbers(2, 0, 3)]],
    ["complex", (a, b) => solve_triangular(a!, b!, { upper: false }), [factor(complex(6, 6)), complex(6, 2)]],
    ["cholesky_solve", (l, b) => torch.cholesky_solve(b!, l!, true), [factor(complex(2, 4, 4)), complex(2, 4, 3)]],
    ["cholesky_inverse", (l) => torch.cholesky_inverse(l!), [factor(numbers(4, 4))]],
    ["matrix_exp", (a) => matrix_exp(a!), [numbers(4, 6, 6).mul(torch.tensor([0, 0.1, 1, 4]).view(4, 1, 1))]],
    ["matrix_exp of complex numbers", (a) => matrix_exp(a!), [complex(2, 3, 3)]],
  ])("%s", async (_, fn, inputs) => {
    const on = async (device: string): Promise<torch.Tensor[]> => {
      const leaves = await Promise.all(inputs.map(async (x) => (await x.to_async(device)).detach().requires_grad_()));
      const [out, grads] = await torch.blocking(() => {
        const out = fn(...leaves);
        return [
          out,
          torch.autograd.grad(
            torch
              .view_as_real(out.mul(new torch.Complex(1, 0)))
              .square()
              .sum(),
            leaves,
          ),
        ] as const;
      });
      return Promise.all([out, ...grads].map((t) => t!.detach().to_async("cpu")));
    };
    const [own, want] = [await on("webgpu"), await on("cpu")];
    own.forEach((t, i) => {
      expect(t.shape).toEqual(want[i]!.shape);
      if (t.numel() === 0) return;
      const scale = want[i]!.abs().max().item_sync() as number;
      expect(t.sub(want[i]!).abs().max().item_sync()).toBeLessThan(2e-5 * scale);
    });
  });

  it("lu_solve", async () => {
    const [a, b] = [factor(numbers(3, 5, 5)), numbers(3, 5, 2)];
    const { LU, pivots } = torch.linalg.lu_factor(a);
    const there = await Promise.all([LU, pivots, b].map((t) => t.to_async("webgpu")));
    for (const adjoint of [false, true]) {
      const X = await torch.blocking(() => lu_solve(there[0]!, there[1]!, there[2]!, { adjoint }));
      const own = await X.to_async("cpu");
      expect(own.allclose(lu_solve(LU, pivots, b, { adjoint }), 1e-4, 1e-5)).toBe(true);
    }
  });

  it("infinite matrices have exponentials of NaN, small ones beside them their own", async () => {
    const a = await torch.tensor([[[Infinity, 0], [0, 1]], [[0, 0], [0, 0]]]).to_async("webgpu"); // prettier-ignore
    const [bad, good] = (await (await torch.blocking(() => matrix_exp(a))).tolist()) as number[][][];
    expect(bad!.flat()).toEqual([NaN, NaN, NaN, NaN]);
    expect(good).toEqual([[1, 0], [0, 1]]); // prettier-ignore
  });
});

it("the cpu needs none", () => {
  expect(torch.linalg.cholesky(matrix("cpu")).shape).toEqual([2, 2]);
  expect(warn).not.toHaveBeenCalled();
});
