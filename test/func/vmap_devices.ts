/** vmap on an accelerator: batches of every operation, as on the cpu, which vmap.test.ts compares with loops. */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import * as torch from "kindling";
import type { Tensor } from "kindling";
import { openCorpus } from "../conformance/corpus_files.ts";
import { isFull } from "../tiers.ts";
import { vmapFindingsOn } from "./vmap_cases.ts";

/** One operation in so many is run by `npm test`. */
const SHARE = 12;
/** What float64 is asked of by name is not for webgpu. */
const FLOAT64 = new Set(["double", "cdouble", "float_power"]);

const { func, nn } = torch;
const F = nn.functional;

const energy = (v: Tensor): Tensor => v.sin().mul(v.sum()).softmax(0).pow(2).sum();

/** What transforms make of tensors on a device; drawn on the cpu beforehand. */
const PROGRAMS: Record<string, (x: Tensor, w: Tensor) => Tensor | Tensor[]> = {
  "jacrev, jacfwd, hessian and chunks": (x, w) => {
    const f = (v: Tensor): Tensor => v.matmul(w).tanh();
    const row = x.select(0, 0);
    return [func.jacrev(f)(row), func.jacfwd(f)(row), func.hessian(energy)(row), func.jacrev(f, { chunk_size: 2 })(row)];
  },
  "vmap of grad, of hessian and of itself": (x, w) => [
    torch.vmap(func.grad(energy))(x),
    torch.vmap(func.hessian(energy), { chunk_size: 2 })(x),
    torch.vmap((a: Tensor) => torch.vmap((b: Tensor) => a.dot(b).mul(b), 1, 1)(w))(x),
  ],
  "gradients of each sample of a convolutional net": (x, w) => {
    const image = x.reshape([-1]).narrow(0, 0, 18).reshape([2, 1, 3, 3]);
    const kernel = w.reshape([-1]).narrow(0, 0, 16).reshape([4, 1, 2, 2]);
    const loss = (k: Tensor, scale: Tensor, one: Tensor, label: Tensor): Tensor => {
      const h = F.group_norm(F.conv2d(one.unsqueeze(0), k, null, { padding: 1 }), 2, scale);
      return F.cross_entropy(F.max_pool2d(F.gelu(h), 2).flatten(1), label.unsqueeze(0));
    };
    const labels = torch.tensor([3, 9], { device: x.device });
    const gradient = func.grad<Tensor[]>(loss, [0, 1]);
    return torch.vmap<Tensor[]>(gradient, [null, null, 0, 0])(kernel, w.reshape([-1]).narrow(0, 0, 4), image, labels);
  },
  "writes in place and by indices": (x) =>
    torch.vmap((t: Tensor) => {
      const out = torch.zeros_like(t);
      out.select(0, 1).add_(t.sum());
      out.index_put_([t.narrow(0, 0, 2).gt(0).to(torch.int64)], t.narrow(0, 2, 2), true);
      return out.masked_fill_(t.lt(-1), 7);
    })(x),
  "tangents of dual tensors": (x, w) =>
    torch.autograd.forward_ad.dual_level(() => {
      const dual = torch.autograd.forward_ad.make_dual(x, w.t().contiguous());
      const { primal, tangent } = torch.autograd.forward_ad.unpack_dual(dual.matmul(w).softmax(1).mul(dual.sum()));
      return [primal, tangent!];
    }),
  "gradients of what is shared": (x, w) => {
    const shared = w.detach().requires_grad_();
    torch
      .vmap((t: Tensor) => t.matmul(shared).logsumexp(0))(x)
      .sum()
      .backward();
    return shared.grad!;
  },
};

export function testVmap(device: "webgpu" | "cuda"): void {
  const fallback = torch.backends.fallback.enabled;
  beforeAll(() => torch[device].init());
  afterAll(() => void (torch.backends.fallback.enabled = fallback));

  it("a batch of each operation, and its gradients", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const corpus = openCorpus(fileURLToPath(new URL("../golden/ops.pack", import.meta.url)));
    let n = 0;
    const only = (op: string): boolean => (isFull || n++ % SHARE === 0) && !(device === "webgpu" && FLOAT64.has(op));
    const ran = new Set<string>();
    expect(await vmapFindingsOn(device, corpus, 1, only, (op) => ran.add(op))).toEqual([]);
    expect(ran.size).toBeGreaterThan(isFull ? 500 : 35);
    vi.restoreAllMocks();
  });

  it.each(Object.entries(PROGRAMS))("%s", async (_, program) => {
    torch.manual_seed(0);
    const [x, w] = [torch.randn([4, 5]), torch.randn([5, 4])];
    const want = [program(x, w)].flat();
    const got = [program(x.to(device), w.to(device))].flat();
    expect(got).toHaveLength(want.length);
    for (const [i, t] of got.entries()) {
      expect([i, t.device.type, t.shape]).toEqual([i, device, want[i]!.shape]);
      const there = await t.detach().to_async("cpu");
      expect([i, torch.allclose(there, want[i]!.detach(), 1e-4, 1e-5)]).toEqual([i, true]);
    }
  });

  it("draws: an error, the same or different for each example", async () => {
    const x = torch.zeros([4, 50], { device });
    const noisy = (t: Tensor): Tensor => t.add(torch.rand([50], { device }));
    expect(() => torch.vmap(noisy)(x)).toThrow(/randomness error mode/);
    const spread = async (t: Tensor): Promise<number> => (await t.sub(t.select(0, 0)).abs().max().item()) as number;
    expect(await spread(torch.vmap(noisy, { randomness: "same" })(x))).toBe(0);
    expect(await spread(torch.vmap(noisy, { randomness: "different" })(x))).toBeGreaterThan(0.1);
    const dropped = (t: Tensor): Tensor => F.dropout(t.add(1), 0.5);
    expect(await spread(torch.vmap(dropped, { randomness: "same" })(x))).toBe(0);
    expect(await spread(torch.vmap(dropped, { randomness: "different" })(x))).toBe(2);
  });
}
