/** PyTorch's lists for cuda, which webgpu follows: tried out on the cpu device, with its list replaced. Types of results are those of PyTorch 2's Autocast. */

import * as torch from "kindling";
import { expect, it, vi } from "vitest";
import type * as Lists from "../../ts/engine/autocast_lists.ts";

vi.mock("../../ts/engine/autocast_lists.ts", async (original) => {
  const lists = await original<typeof Lists>();
  return { ...lists, CPU_LIST: lists.CUDA_LIST };
});

const F = torch.nn.functional;
const { bfloat16, float16, float32, float64 } = torch;
const a = torch.rand([3, 3]).mul(0.5).add(0.25);
const image = torch.randn([1, 2, 4, 4]);
const row = torch.rand([3]);
const target = torch.tensor([0, 2, 1]);

type Case = [name: string, call: (x: torch.Tensor) => torch.Tensor, x: torch.Tensor];

const lower: Case[] = [
  ["mm", (x) => x.mm(a), a],
  ["mv", (x) => x.mv(row), a],
  ["addmv", (x) => row.addmv(x, row), a],
  ["addr", (x) => x.addr(row, row), a],
  ["einsum", (x) => torch.einsum("ij,jk->ik", x, a), a],
  ["multi_dot", (x) => torch.linalg.multi_dot([x, a, a]), a],
  ["linear", (x) => F.linear(x, a, row), a],
  ["conv1d", (x) => F.conv1d(x, torch.ones([1, 3, 2])), a],
  ["conv2d", (x) => F.conv2d(x, torch.ones([1, 2, 2, 2])), image],
  ["attention", (x) => F.scaled_dot_product_attention(x, image, image), image],
  ["cov, by matmul", (x) => x.cov(), a],
];
const single: Case[] = [
  ["exp", (x) => x.exp(), a],
  ["log", (x) => x.log(), a],
  ["pow", (x) => x.pow(2), a],
  ["2 ** x", (x) => torch.pow(2, x), a],
  ["reciprocal", (x) => x.reciprocal(), a],
  ["rsqrt", (x) => x.rsqrt(), a],
  ["tan", (x) => x.tan(), a],
  ["softplus", (x) => F.softplus(x), a],
  ["softmax", (x) => x.softmax(-1), a],
  ["F.softmax", (x) => F.softmax(x, { dim: -1 }), a],
  ["log_softmax", (x) => F.log_softmax(x, -1), a],
  ["sum", (x) => x.sum(), a],
  ["sum over dims", (x) => x.sum([0, 1], { keepdim: true }), a],
  ["prod", (x) => x.prod(1), a],
  ["cumsum", (x) => x.cumsum(0), a],
  ["cumprod", (x) => x.cumprod({ dim: 0 }), a],
  ["norm", (x) => x.norm(), a],
  ["vector_norm", (x) => torch.linalg.vector_norm(x, 3), a],
  ["logsumexp", (x) => x.logsumexp(0), a],
  ["layer_norm", (x) => F.layer_norm(x, [3], row, row), a],
  ["group_norm", (x) => F.group_norm(x, 1), image],
  ["cross_entropy", (x) => F.cross_entropy(x, target), a],
  ["mse_loss", (x) => F.mse_loss(x, a), a],
  ["normalize, by norm", (x) => F.normalize(x), a],
  ["cosine_similarity", (x) => F.cosine_similarity(x, a), a],
  ["interpolate", (x) => F.interpolate(x, { scale_factor: 2, mode: "bilinear" }), image],
];
const other: Case[] = [
  ["add", (x) => x.add(1), a],
  ["mean", (x) => x.mean(), a],
  ["var", (x) => x.var(), a],
  ["relu", (x) => x.relu(), a],
  ["gelu", (x) => F.gelu(x), a],
  ["sigmoid", (x) => x.sigmoid(), a],
  ["sqrt", (x) => x.sqrt(), a],
  ["nansum", (x) => x.nansum(), a],
  ["resizing by averages", (x) => F.interpolate(x, { size: 2, mode: "area" }), image],
  ["batch_norm", (x) => F.batch_norm(x, torch.zeros(2), torch.ones(2), torch.ones(2), torch.zeros(2), true), image],
  ["rms_norm", (x) => F.rms_norm(x, [3], row), a],
  ["max_pool3d", (x) => F.max_pool3d(x.unsqueeze(2), [1, 2, 2]) as torch.Tensor, image],
];
const promoting: Case[] = [
  ["addcmul", (x) => torch.addcmul(x, x, a), a],
  ["atan2", (x) => torch.atan2(x, a), a],
  ["dot", (x) => x.dot(row), row],
  ["tensordot", (x) => torch.tensordot(x, a, 1), a],
  ["cross", (x) => torch.cross(x, a, { dim: 1 }), a],
  ["bilinear", (x) => F.bilinear(x, a, torch.rand([2, 3, 3])), a],
  ["index_put", (x) => torch.index_put(x, [target], a), a],
];

it.each(lower)("%s runs in the lower precision", (_, call, x) => {
  torch.autocast("cpu", { dtype: float16 }, () => {
    expect(call(x).dtype).toBe(float16);
    expect(call(x.to(float16)).dtype).toBe(float16);
  });
});
it.each(single)("%s runs in float32", (_, call, x) => {
  torch.autocast("cpu", () => {
    expect(call(x).dtype).toBe(float32);
    const narrow = x.to(bfloat16);
    expect(call(narrow).dtype).toBe(float32);
    // The result is that of the narrow values, not rounded again.
    const want = torch.autocast("cpu", { enabled: false }, () => call(narrow.to(float32)));
    expect(call(narrow).tolist_sync()).toEqual(want.tolist_sync());
    expect(call(x.to(float64)).dtype).toBe(float64);
  });
});
it.each(other)("%s runs as it comes", (_, call, x) => {
  torch.autocast("cpu", () => {
    expect(call(x).dtype).toBe(float32);
    expect(call(x.to(bfloat16)).dtype).toBe(bfloat16);
  });
});
it.each(promoting)("%s takes the widest type", (_, call, x) => {
  torch.autocast("cpu", () => {
    expect(call(x).dtype).toBe(float32);
    expect(call(x.to(bfloat16)).dtype).toBe(float32); // the other argument is float32
  });
});

it("a dtype that was asked for stays", () => {
  torch.autocast("cpu", () => {
    expect(a.sum({ dtype: bfloat16 }).dtype).toBe(bfloat16);
    expect(torch.softmax(a, -1, bfloat16).dtype).toBe(bfloat16);
    expect(torch.softmax(a.to(bfloat16), -1, null).dtype).toBe(float32);
    expect(target.sum().dtype).toBe(torch.int64);
  });
});
it("what is unsafe in lower precision is refused", () => {
  torch.autocast("cpu", () => {
    expect(() => F.binary_cross_entropy(a, a)).toThrow("unsafe to autocast");
    expect(torch.autocast("cpu", { enabled: false }, () => F.binary_cross_entropy(a, a)).dtype).toBe(float32);
    expect(F.binary_cross_entropy_with_logits(a, a).dtype).toBe(float32);
  });
});
it("a transformer layer trains: what is saved is in lower precision, gradients in float32", () => {
  const layer = new torch.nn.TransformerEncoderLayer(8, 2, { dim_feedforward: 16, dropout: 0 });
  const x = torch.randn([3, 2, 8]);
  const loss = torch.autocast("cpu", () => layer.forward(x).pow(2).mean());
  expect(loss.dtype).toBe(float32);
  loss.backward();
  const narrow = layer.parameters().map((p) => p.grad!);
  expect(narrow.every((g) => g.dtype === float32)).toBe(true);
  layer.zero_grad();
  layer.forward(x).pow(2).mean().backward();
  layer.parameters().forEach((p, i) => {
    const error = p.grad!.sub(narrow[i]!).norm().item_sync() as number;
    const size = p.grad!.norm().item_sync() as number;
    expect(error).toBeLessThan(0.05 * size + 0.01);
    expect(error).toBeGreaterThan(0);
  });
});
