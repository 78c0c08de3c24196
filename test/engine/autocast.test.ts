/** torch.autocast on the cpu: PyTorch's op lists, caches, nesting, gradients. Types of results are those of PyTorch 2's AutocastCPU. */

import * as torch from "kindling";
import { afterEach, describe, expect, it, vi } from "vitest";
import { CPU_LIST, CUDA_LIST } from "../../ts/engine/autocast_lists.ts";
import { resolveDevice } from "../../ts/ops/devices.ts";

const F = torch.nn.functional;
const { bfloat16, float16, float32, float64 } = torch;
afterEach(() => vi.restoreAllMocks());

/** sin(1.7 i + ndim) * a. */
function ramp(shape: number[], a = 1): torch.Tensor {
  const n = shape.reduce((p, q) => p * q, 1);
  const values = Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + shape.length) * a);
  return torch.tensor(values, { dtype: float32 }).reshape(shape);
}

/** How many maps that only cast the device runs in `fn`. */
function castsIn(fn: () => void): number {
  const device = resolveDevice("cpu");
  const run = vi.spyOn(device, "run");
  fn();
  const casts = run.mock.calls.filter(([kernel, inputs, outputs]) => {
    void kernel;
    return inputs.length === 1 && outputs.length === 1 && inputs[0]!.dtype === float32 && outputs[0]!.dtype === bfloat16;
  });
  run.mockRestore();
  return casts.length;
}

const a = ramp([3, 3]);
const image = ramp([1, 2, 4, 4]);
const volume = ramp([1, 2, 4, 4, 4]);
const row = ramp([3]);
const target = torch.tensor([0, 2, 1]);

type Case = [name: string, call: (x: torch.Tensor) => torch.Tensor, x: torch.Tensor];
const lower: Case[] = [
  ["mm", (x) => x.mm(a), a],
  ["matmul", (x) => x.matmul(row), a],
  ["bmm", (x) => x.unsqueeze(0).bmm(a.unsqueeze(0)), a],
  ["addmm", (x) => a.addmm(x, a), a],
  ["baddbmm", (x) => torch.baddbmm(a, x.unsqueeze(0), a.unsqueeze(0)), a],
  ["linear", (x) => F.linear(x, a, row), a],
  ["conv2d", (x) => F.conv2d(x, ramp([2, 2, 3, 3])), image],
  ["conv_transpose2d", (x) => F.conv_transpose2d(x, ramp([2, 2, 3, 3])), image],
  ["conv3d", (x) => F.conv3d(x, ramp([2, 2, 3, 3, 3])), volume],
  ["prelu", (x) => F.prelu(x, torch.tensor([0.25])), a],
  ["attention", (x) => F.scaled_dot_product_attention(x, image, image, { attn_mask: ramp([4, 4]) }), image],
  ["vecdot", (x) => torch.linalg.vecdot(x, a), a],
  ["tensordot", (x) => torch.tensordot(x, a, 1), a],
];
const single: Case[] = [
  ["mse_loss", (x) => F.mse_loss(x, a), a],
  ["l1_loss", (x) => F.l1_loss(x, a.to(bfloat16)), a],
  ["cross_entropy", (x) => F.cross_entropy(x, target), a],
  ["nll_loss", (x) => F.nll_loss(x, target), a],
  ["binary_cross_entropy", (x) => F.binary_cross_entropy(x.sigmoid(), a.sigmoid()), a],
  ["kl_div", (x) => F.kl_div(x, a), a],
  ["prod", (x) => x.prod(), a],
  ["trace", (x) => x.trace(), a],
  ["cdist", (x) => torch.cdist(x, a), a],
  ["quantile", (x) => torch.quantile(x, 0.5), a],
  ["avg_pool3d", (x) => F.avg_pool3d(x, 2), volume],
  ["reflection_pad2d", (x) => F.pad(x, [1, 1, 1, 1], "reflect"), image],
  ["grid_sample", (x) => F.grid_sample(x, ramp([1, 2, 2, 2]), { align_corners: false }), image],
];
/** What is in no list of the cpu's: results in the types that come. */
const other: Case[] = [
  ["add", (x) => x.add(1), a],
  ["exp", (x) => x.exp(), a],
  ["pow", (x) => x.pow(2), a],
  ["softmax", (x) => x.softmax(-1), a],
  ["sum", (x) => x.sum(), a],
  ["mean", (x) => x.mean(), a],
  ["gelu", (x) => F.gelu(x), a],
  ["max_pool2d", (x) => F.max_pool2d(x, 2) as torch.Tensor, image],
  ["mv", (x) => x.mv(row.to(x.dtype)), a],
  ["dot", (x) => x.dot(row.to(x.dtype)), row],
  ["pad by zeros", (x) => F.pad(x, [1, 1]), image],
  ["layer_norm", (x) => F.layer_norm(x, [3], row, row), a],
  ["batch_norm", (x) => F.batch_norm(x, torch.zeros(2), torch.ones(2), torch.ones(2), torch.zeros(2)), image],
  ["group_norm", (x) => F.group_norm(x, 2, torch.ones(2), torch.zeros(2)), image],
  ["rms_norm", (x) => F.rms_norm(x, [3], row), a],
];

describe("PyTorch's lists for the cpu", () => {
  it.each(lower)("%s runs in the lower precision", (_, call, x) => {
    torch.autocast("cpu", () => {
      expect(call(x).dtype).toBe(bfloat16);
      expect(call(x.to(bfloat16)).dtype).toBe(bfloat16);
    });
    torch.autocast("cpu", { dtype: float16 }, () => expect(call(x).dtype).toBe(float16));
    expect(call(x).dtype).toBe(float32);
  });
  it.each(single)("%s runs in float32", (_, call, x) => {
    torch.autocast("cpu", () => {
      expect(call(x).dtype).toBe(float32);
      expect(call(x.to(bfloat16)).dtype).toBe(float32);
    });
  });
  it.each(other)("%s runs as it comes", (_, call, x) => {
    torch.autocast("cpu", () => {
      expect(call(x).dtype).toBe(float32);
      expect(call(x.to(bfloat16)).dtype).toBe(bfloat16);
    });
  });
  it("cat and stack take the widest type", () => {
    torch.autocast("cpu", () => {
      expect(torch.cat([a, a.to(bfloat16)]).dtype).toBe(float32);
      expect(torch.stack([a.to(bfloat16), a.to(bfloat16)]).dtype).toBe(bfloat16);
      expect(torch.stack([a, a.to(bfloat16)]).dtype).toBe(float32);
    });
  });
  it("float64 and integers stay as they are", () => {
    torch.autocast("cpu", () => {
      expect(a.to(float64).mm(a.to(float64)).dtype).toBe(float64);
      expect(target.unsqueeze(0).matmul(target).dtype).toBe(torch.int64);
      expect(F.mse_loss(a.to(float64), a.to(float64)).dtype).toBe(float64);
    });
  });
  it("arguments by name are cast as well", () => {
    torch.autocast("cpu", () => {
      expect(torch.mm(a, { mat2: a }).dtype).toBe(bfloat16);
      expect(F.linear(a, { weight: a, bias: row }).dtype).toBe(bfloat16);
    });
  });
});

it("the lists name ops that there are", () => {
  const names = new Set([...torch.registry.values()].map(({ info }) => info.name));
  for (const list of [CPU_LIST, CUDA_LIST]) expect([...list.keys()].filter((name) => !names.has(name))).toEqual([]);
});

it("values are those of products of rounded operands", () => {
  const rounded = a.to(bfloat16).mm(a.to(bfloat16)).tolist_sync();
  torch.autocast("cpu", () => expect(a.mm(a).tolist_sync()).toEqual(rounded));
  expect(a.mm(a).tolist_sync()).not.toEqual(rounded);
});

describe("regions", () => {
  it("nest, and can be switched off within", () => {
    expect(torch.is_autocast_enabled("cpu")).toBe(false);
    torch.autocast("cpu", { dtype: float16 }, () => {
      expect(torch.is_autocast_enabled("cpu")).toBe(true);
      expect(torch.is_autocast_enabled()).toBe(false); // cuda's
      expect(torch.get_autocast_dtype("cpu")).toBe(float16);
      torch.autocast("cpu", { enabled: false }, () => {
        expect(torch.is_autocast_enabled("cpu")).toBe(false);
        expect(a.mm(a).dtype).toBe(float32);
        torch.autocast("cpu", { dtype: bfloat16 }, () => expect(a.mm(a).dtype).toBe(bfloat16));
      });
      torch.autocast("cuda", { dtype: bfloat16 }, () => {
        expect(torch.is_autocast_enabled()).toBe(true);
        expect(a.mm(a).dtype).toBe(float16);
      });
      expect(a.mm(a).dtype).toBe(float16);
    });
    expect(torch.get_autocast_dtype("cpu")).toBe(bfloat16);
    expect(torch.get_autocast_dtype("cuda")).toBe(float16);
    expect(a.mm(a).dtype).toBe(float32);
  });
  it("end after an error", () => {
    const fail = (): never => {
      throw new Error("within");
    };
    expect(() => torch.autocast("cpu", fail)).toThrow("within");
    expect(torch.is_autocast_enabled("cpu")).toBe(false);
    // Also in the middle of an op.
    torch.autocast("cpu", () => {
      expect(() => a.mm(row)).toThrow("mm: expected 2-D and 2-D tensors");
      expect(a.mm(a).dtype).toBe(bfloat16);
    });
  });
  it("last until an async function is done", async () => {
    const result = await torch.autocast("cpu", async () => {
      await Promise.resolve();
      expect(torch.is_autocast_enabled("cpu")).toBe(true);
      return a.mm(a);
    });
    expect(result.dtype).toBe(bfloat16);
    expect(torch.is_autocast_enabled("cpu")).toBe(false);
    await expect(torch.autocast("cpu", () => Promise.reject(new Error("later")))).rejects.toThrow("later");
    expect(torch.is_autocast_enabled("cpu")).toBe(false);
  });
  it("are off for a type that is no lower precision, with a warning", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    torch.autocast("cpu", { dtype: float32 }, () => expect(torch.is_autocast_enabled("cpu")).toBe(false));
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining("expected dtype torch.float16 or torch.bfloat16, got torch.float32"),
    );
  });
  it("say what they were called with instead", () => {
    expect(() => torch.autocast("tpu" as "cpu", () => 1)).toThrow("expected a device type, one of cpu, webgpu, cuda, got 'tpu'");
    expect(() => torch.autocast("cpu", { dtype: bfloat16 } as unknown as () => void)).toThrow("expected a function to run");
  });
  it("amp has them, too", () => {
    expect(torch.amp.autocast("cpu", () => a.mm(a).dtype)).toBe(bfloat16);
  });
});

it("in-place ops keep to the types that they have", () => {
  torch.autocast("cpu", () => {
    const x = a.clone();
    expect(x.addmm_(a, a).dtype).toBe(float32);
    expect(x.tolist_sync()).toEqual(a.add(torch.autocast("cpu", { enabled: false }, () => a.mm(a))).tolist_sync());
    expect(() => a.clone().addmm_(a.to(bfloat16), a)).toThrow("same dtype");
  });
});

describe("weights", () => {
  it("are cast once in a region, until it ends", () => {
    const w = a.clone().requires_grad_();
    const x = a.to(bfloat16);
    const frozen = a.clone();
    for (const t of [w, x, frozen]) t.tolist_sync(); // computed before anything is counted
    const twice = (): void => {
      x.mm(w).tolist_sync();
      x.mm(w).tolist_sync();
    };
    expect(castsIn(() => torch.autocast("cpu", twice))).toBe(1);
    expect(
      castsIn(() =>
        torch.autocast("cpu", () => {
          torch.autocast("cpu", twice);
          twice();
        }),
      ),
    ).toBe(1);
    expect(castsIn(() => torch.autocast("cpu", { cache_enabled: false }, twice))).toBe(2);
    expect(castsIn(() => torch.autocast("cpu", () => (x.mm(frozen).tolist_sync(), x.mm(frozen).tolist_sync())))).toBe(2);
  });
  it("that change within a region are cast anew", () => {
    const w = a.clone().requires_grad_();
    torch.autocast("cpu", () => {
      const before = a.mm(w).tolist_sync();
      torch.no_grad(() => void w.mul_(2));
      expect(a.mm(w).tolist_sync()).toEqual(a.mm(w.detach()).tolist_sync());
      expect(a.mm(w).tolist_sync()).not.toEqual(before);
    });
  });
  it("that were cast without a graph get gradients afterwards", () => {
    const w = a.clone().requires_grad_();
    torch.autocast("cpu", () => {
      torch.no_grad(() => a.mm(w));
      a.mm(w).sum().backward();
    });
    expect(w.grad!.dtype).toBe(float32);
  });
  it("that were cast in a memory scope are cast anew after it", () => {
    const w = a.clone().requires_grad_();
    torch.autocast("cpu", () => {
      torch.scope(() => void a.mm(w).tolist_sync());
      expect(a.mm(w).dtype).toBe(bfloat16);
      expect(a.mm(w).tolist_sync()).toEqual(a.mm(a).tolist_sync());
    });
  });
});

describe("gradients", () => {
  // python3-torch 1.13.1: the same network under torch.cpu.amp.autocast(dtype=torch.bfloat16); sums of magnitudes per parameter.
  it("of a small network are PyTorch's, in the parameters' own type", () => {
    const x = ramp([4, 2, 6, 6]);
    const p = {
      conv: ramp([3, 2, 3, 3], 0.5),
      convBias: ramp([3], 0.1),
      norm: ramp([3]).add(2),
      normBias: ramp([3]),
      weight: ramp([3, 12], 0.3),
      bias: ramp([3], 0.2),
    };
    for (const t of Object.values(p)) t.requires_grad_();
    const [mean, variance] = [torch.zeros(3), torch.ones(3)];
    const types: string[] = [];
    const [logits, loss] = torch.autocast("cpu", () => {
      const h = F.conv2d(x, p.conv, p.convBias, { padding: 1 });
      const n = F.batch_norm(h, mean, variance, p.norm, p.normBias, true);
      const pooled = F.max_pool2d(F.relu(n), 3) as torch.Tensor;
      const logits = F.linear(pooled.flatten(1), p.weight, p.bias);
      const loss = F.cross_entropy(logits, torch.tensor([0, 2, 1, 2]));
      for (const t of [h, n, pooled, logits, loss]) types.push(t.dtype.name);
      return [logits, loss];
    });
    expect(types).toEqual(["bfloat16", "bfloat16", "bfloat16", "bfloat16", "float32"]);
    expect(logits.tolist_sync()).toEqual([
      [1.0703125, 0.310546875, -1.078125],
      [0.97265625, -0.07470703125, -1],
      [1.015625, 0.255859375, -1.03125],
      [1.296875, 0.056640625, -1.3203125],
    ]);
    expect(loss.item_sync()).toBeCloseTo(1.746462345123291, 6);
    loss.backward();
    const want = { conv: 17.46364, norm: 0.33582, normBias: 0.21852, weight: 32.75049, bias: 0.84863 };
    for (const [name, sum] of Object.entries(want)) {
      const { grad } = p[name as keyof typeof p];
      expect(grad!.dtype, name).toBe(float32);
      const got = grad!.abs().sum().item_sync() as number;
      expect(Math.abs(got - sum) / sum, name).toBeLessThan(0.01);
    }
    (mean.tolist_sync() as number[]).forEach((v, i) => expect(v).toBeCloseTo([0.0085, 0.0043, -0.0096][i]!, 4));
    expect(variance.dtype).toBe(float32);
  });

  it("flow through a float32 input that meets lower precision", () => {
    const x = a.clone().requires_grad_();
    const y = torch.autocast("cpu", () => x.mm(a).add(x));
    expect(y.dtype).toBe(float32);
    y.sum().backward();
    expect(x.grad!.dtype).toBe(float32);
    const want = a.to(bfloat16).sum(1, { dtype: float32 }).to(bfloat16).to(float32).add(1);
    const got = x.grad!.tolist_sync() as number[][];
    for (const line of got) line.forEach((v, i) => expect(v).toBeCloseTo((want.tolist_sync() as number[])[i]!, 1));
  });

  it("are computed in the types of the forward, also by a backward in a region", () => {
    const w = a.clone().requires_grad_();
    const y = a.mm(w);
    y.sum().backward();
    const want = w.grad!.tolist_sync();
    const again = a.clone().requires_grad_();
    const z = a.mm(again);
    torch.autocast("cpu", () => z.sum().backward());
    expect(again.grad!.tolist_sync()).toEqual(want);
  });

  it("of checkpointed functions run in the forward's precision again", () => {
    const run = (checkpointed: boolean): unknown => {
      const w = a.clone().requires_grad_();
      const seen: string[] = [];
      const f = (x: torch.Tensor): torch.Tensor => {
        const y = x.mm(w);
        seen.push(y.dtype.name);
        return y.sigmoid().mm(w);
      };
      const y = torch.autocast("cpu", () => (checkpointed ? torch.utils.checkpoint.checkpoint(f, a) : f(a)));
      y.sum().backward();
      expect(seen).toEqual(checkpointed ? ["bfloat16", "bfloat16"] : ["bfloat16"]);
      return w.grad!.tolist_sync();
    };
    expect(run(true)).toEqual(run(false));
  });
});

it("norms of narrow rows with float32 parameters give these float32 gradients, computed in float32", () => {
  const x = ramp([4, 8]).to(bfloat16);
  const grads = (input: torch.Tensor, round: boolean): unknown => {
    const [w, b] = [ramp([8]).add(1).requires_grad_(), ramp([8]).requires_grad_()];
    const y = F.layer_norm(input, [8], w, b);
    (round ? y.to(bfloat16) : y).sum().backward();
    return [w.grad!.dtype.name, w.grad!.tolist_sync(), b.grad!.tolist_sync()];
  };
  expect(grads(x, false)).toEqual(grads(x.to(float32), true));
});

it("attention weights of a multi-head attention come in lower precision, and it trains", () => {
  const attention = new torch.nn.MultiheadAttention(8, 2);
  const x = ramp([3, 1, 8]);
  const [y, weights] = torch.autocast("cpu", () => attention.forward(x, x, x, { attn_mask: ramp([3, 3]) }));
  expect([y.dtype, weights!.dtype]).toEqual([bfloat16, bfloat16]);
  y.sum().backward();
  expect(attention.parameters().every((p) => p.grad!.dtype === float32)).toBe(true);
});

it("attention in lower precision has gradients that are only rounded: the logarithms of its sums stay float32", () => {
  torch.manual_seed(0);
  const [q, k, v] = [3, 1, 1].map((a) => torch.randn([2, 64, 16]).mul(a).to(bfloat16));
  const factor = torch.arange(16).to(float32);
  const grads = (dtype: torch.DType): torch.Tensor[] => {
    const own = [q!, k!, v!].map((t) => t.to(dtype).detach().requires_grad_());
    const y = F.scaled_dot_product_attention(own[0]!, own[1]!, own[2]!, { is_causal: true });
    y.to(float32).mul(factor).sum().backward();
    return own.map((t) => t.grad!.to(float32));
  };
  const want = grads(float32);
  grads(bfloat16).forEach((g, i) => {
    const error = g.sub(want[i]!).norm().item_sync() as number;
    expect(error / (want[i]!.norm().item_sync() as number)).toBeLessThan(0.004);
  });
});
