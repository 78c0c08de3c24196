/** torch.vmap: one call of each op for a whole batch, with the values, gradients and errors of one for each example. */

import { afterEach, describe, expect, it, vi } from "vitest";
import * as torch from "kindling";
import type { Tensor } from "kindling";
import { fileURLToPath } from "node:url";
import { openCorpus } from "../conformance/corpus_files.ts";
import { forgetWarnings } from "../../ts/engine/batching.ts";
import { vmapFindings } from "./vmap_cases.ts";

const { func, nn } = torch;
const F = nn.functional;
const f64 = (x: unknown): Tensor => torch.tensor(x as number[], { dtype: torch.float64 });
const far = (a: Tensor, b: Tensor): number => a.sub(b).abs().max().item_sync() as number;

afterEach(() => void vi.restoreAllMocks());

/** How many kernels the cpu runs for `fn`, its results included. */
function launches(fn: () => unknown): number {
  const { device } = torch.zeros([1]);
  const spy = vi.spyOn(device, "run");
  const results = fn();
  for (const t of [results].flat(3)) if (t instanceof torch.Tensor) t.data_sync();
  const n = spy.mock.calls.length;
  spy.mockRestore();
  return n;
}

describe("every operation of the corpus", () => {
  it("gives for a batch what it gives for each example, and so do its gradients", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const corpus = openCorpus(fileURLToPath(new URL("../golden/ops.pack", import.meta.url)));
    const ran = new Set<string>();
    const findings = await vmapFindings(
      corpus,
      2,
      () => true,
      (op) => ran.add(op),
    );
    expect(findings).toEqual([]);
    expect(ran.size).toBeGreaterThan(400);
  });
});

class Net extends nn.Module {
  conv = new nn.Conv2d(1, 4, 3, { padding: 1 });
  norm = new nn.GroupNorm(2, 4);
  out = new nn.Linear(4 * 4 * 4, 5);
  forward(x: Tensor): Tensor {
    const h = F.max_pool2d(F.relu(this.norm(this.conv(x))), 2);
    return this.out(h.flatten(1));
  }
}

class Gpt extends nn.Module {
  wte = new nn.Embedding(11, 8);
  wpe = new nn.Embedding(6, 8);
  ln = new nn.LayerNorm(8);
  qkv = new nn.Linear(8, 24);
  head = new nn.Linear(8, 11, { bias: false });
  forward(ids: Tensor): Tensor {
    const t = ids.shape[1]!;
    const x = this.wte(ids).add(this.wpe(torch.arange(t)));
    const [q, k, v] = this.qkv(this.ln(x)).chunk(3, -1) as [Tensor, Tensor, Tensor];
    const heads = (y: Tensor): Tensor => y.unflatten(-1, [2, 4]).transpose(1, 2);
    const a = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), { is_causal: true });
    return this.head(x.add(a.transpose(1, 2).flatten(2)));
  }
}

type Params = Record<string, Tensor>;

/** Gradients of each sample by its own, batched and one after another. */
function perSample(model: InstanceType<typeof nn.Module>, x: Tensor, y: Tensor): [batched: () => Params, loop: () => Params] {
  const params = Object.fromEntries([...model.named_parameters()].map(([n, p]) => [n, p.detach()]));
  const loss = (p: Params, one: Tensor, target: Tensor): Tensor => {
    const logits = func.functional_call(model, p, [one.unsqueeze(0)]) as Tensor;
    return F.cross_entropy(logits.reshape([-1, logits.shape.at(-1)!]), target.reshape([-1]));
  };
  const gradient = func.grad<Params>(loss);
  const batched = torch.vmap<Params>(gradient, [null, 0, 0]);
  const loop = (): Params => {
    const each = Array.from({ length: x.shape[0]! }, (_, i) => gradient(params, x.select(0, i), y.select(0, i)));
    return Object.fromEntries(Object.keys(params).map((n) => [n, torch.stack(each.map((g) => g[n]!))]));
  };
  return [() => batched(params, x, y), loop];
}

describe("per-sample gradients", () => {
  it.each([
    ["a CNN", () => new Net(), (n: number) => torch.randn([n, 1, 8, 8]), (n: number) => torch.randint(0, 5, [n])],
    ["a GPT", () => new Gpt(), (n: number) => torch.randint(0, 11, [n, 6]), (n: number) => torch.randint(0, 11, [n, 6])],
  ] as const)("of %s take as many kernels for many samples as for few", (_, make, input, target) => {
    const warn = vi.spyOn(console, "warn");
    torch.manual_seed(3);
    const model = make();
    const counts = [3, 12].map((n) => {
      const [batched, loop] = perSample(model, input(n), target(n));
      const [got, want] = [batched(), loop()];
      for (const name of Object.keys(want)) expect([name, far(got[name]!, want[name]!) < 1e-5]).toEqual([name, true]);
      return launches(() => Object.values(batched()));
    });
    expect(counts[1]).toBe(counts[0]);
    expect(warn).not.toHaveBeenCalled();
  });
});

describe("derivatives", () => {
  const f = (x: Tensor): Tensor => x.sin().mul(x.sum()).softmax(0);
  it("of many rows and columns take as many kernels as of few", () => {
    for (const transform of [func.jacrev, func.jacfwd, func.hessian]) {
      const [few, many] = [3, 9].map((n) => launches(() => transform((x: Tensor) => f(x).pow(2).sum())(torch.rand([n]))));
      expect(many).toBe(few);
    }
    const x = torch.rand([5], { dtype: torch.float64 });
    const whole = func.jacrev(f)(x);
    expect(far(func.jacrev(f, { chunk_size: 2 })(x), whole)).toBeLessThan(1e-15);
    expect(far(func.jacfwd(f, { chunk_size: 3 })(x), whole)).toBeLessThan(1e-14);
    expect(() => func.jacrev(f, { chunk_size: 0 })(x)).toThrow(torch.ValueError);
  });

  it("nest with vmap in any order", () => {
    const w = f64([[1, 2], [3, 4]]).requires_grad_(); // prettier-ignore
    const x = torch.rand([3, 2], { dtype: torch.float64 });
    const energy = (v: Tensor): Tensor => v.matmul(w).tanh().sum();
    const grads = torch.vmap(func.grad(energy))(x);
    const hessians = torch.vmap(func.hessian(energy))(x);
    for (let i = 0; i < 3; i++) {
      expect(far(grads.select(0, i), func.grad(energy)(x.select(0, i)))).toBeLessThan(1e-14);
      expect(far(hessians.select(0, i), func.hessian(energy)(x.select(0, i)))).toBeLessThan(1e-14);
    }
    // What the function closes over gets the sum over the batch, through inner gradients, too.
    grads.pow(2).sum().backward();
    const got = w.grad!;
    w.grad = null;
    const each = [0, 1, 2].map((i) => func.grad(energy)(x.select(0, i)).pow(2).sum());
    torch.stack(each).sum().backward();
    expect(far(got, w.grad!)).toBeLessThan(1e-13);
    const outer = torch.vmap((a: Tensor) => torch.vmap((b: Tensor) => a.dot(b).mul(b))(x))(x);
    expect(far(outer, x.matmul(x.t()).unsqueeze(-1).mul(x))).toBeLessThan(1e-15);
    const [, moved] = func.jvp((y: Tensor) => torch.vmap(energy)(y), [x], [torch.ones_like(x)]) as [Tensor, Tensor];
    expect(far(moved, torch.vmap(func.grad(energy))(x).sum(1))).toBeLessThan(1e-13);
  });
});

describe("what a function does within", () => {
  it("in place: on copies, and on what the caller gave", () => {
    const x = torch.arange(6, { dtype: torch.float64 }).reshape([2, 3]);
    const y = torch.vmap((t: Tensor) => {
      const out = torch.zeros_like(t);
      out.select(0, 1).add_(t.sum());
      return out.index_put_([torch.tensor(0)], t.select(0, 2));
    })(x);
    expect(y.tolist_sync()).toEqual([[2, 3, 0], [5, 12, 0]]); // prettier-ignore
    torch.vmap((t: Tensor) => t.mul_(2), 1)(x);
    expect(x.tolist_sync()).toEqual([[0, 2, 4], [6, 8, 10]]); // prettier-ignore
    const shared = torch.zeros([3], { dtype: torch.float64 });
    expect(() => torch.vmap((t: Tensor) => shared.add_(t))(x)).toThrow(/add_\(self, \*extra_args\) is not possible/);
    // Through the graph of what was given.
    const leaf = torch.ones([2, 3], { dtype: torch.float64 }).requires_grad_();
    const base = leaf.mul(3);
    torch.vmap((t: Tensor) => t.mul_(f64([2, 3, 4])))(base);
    base.sum().backward();
    expect(leaf.grad!.tolist_sync()).toEqual([[6, 9, 12], [6, 9, 12]]); // prettier-ignore
    expect(() => torch.vmap((t: Tensor) => t.mul_(2))(leaf)).toThrow(/leaf Variable that requires grad/);
  });

  it("random: an error, the same or different for each example", () => {
    const x = torch.zeros([4, 3]);
    const noisy = (t: Tensor): Tensor => t.add(torch.randn([3]));
    expect(() => torch.vmap(noisy)(x)).toThrow(/randomness error mode/);
    const same = torch.vmap(noisy, { randomness: "same" })(x);
    expect(far(same, same.select(0, 0).expand([4, 3]))).toBe(0);
    const different = torch.vmap(noisy, { randomness: "different" })(x);
    expect(far(different.select(0, 0), different.select(0, 1))).toBeGreaterThan(0);
    torch.manual_seed(1);
    const dropped = torch.vmap((t: Tensor) => F.dropout(t.add(1), 0.5), { randomness: "different" })(torch.zeros([50, 8]));
    torch.manual_seed(1);
    expect(far(dropped, F.dropout(torch.ones([50, 8]), 0.5))).toBe(0);
    const draws = (t: Tensor): Tensor => torch.bernoulli(t.sigmoid());
    expect(() => torch.vmap(draws)(x)).toThrow(/randomness error mode/);
    expect(() => torch.vmap(draws, { randomness: "same" })(x)).toThrow(/same randomness/);
    expect(torch.vmap(draws, { randomness: "different" })(x).shape).toEqual([4, 3]);
    const picks = (t: Tensor): Tensor => torch.multinomial(t.sigmoid(), 2, true);
    expect(() => torch.vmap(picks)(x)).toThrow(/randomness error mode/);
    expect(torch.vmap(picks, { randomness: "different" })(x).shape).toEqual([4, 2]);
  });

  it("depending on values: refused; without a rule: one by one, with one warning", () => {
    forgetWarnings();
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const x = f64([[4, 1], [2, 3]]); // prettier-ignore
    expect(() => torch.vmap((t: Tensor) => t.mul(t.sum().item_sync() as number))(x)).toThrow(/calling \.item\(\)/);
    expect(() => torch.vmap((t: Tensor) => t.nonzero())(f64([[1, 0], [1, 1]]))).toThrow(/different shapes/); // prettier-ignore
    warn.mockClear();
    for (let i = 0; i < 2; i++) {
      expect(torch.vmap((t: Tensor) => torch.histc(t, 2, 0, 4))(x).shape).toEqual([2, 2]);
      const filled = torch.vmap((t: Tensor) => torch.zeros_like(t).masked_scatter(t.gt(2), t))(x);
      expect(filled.tolist_sync()).toEqual([[4, 0], [0, 2]]); // prettier-ignore
    }
    const names = warn.mock.calls.map(([text]) => /rule for (\S+):/.exec(String(text))?.[1]);
    expect(new Set(names).size).toBe(names.length);
  });

  it("decompositions, sequences and segments: one call, without a warning", () => {
    forgetWarnings();
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const each = (f: (...args: Tensor[]) => Tensor | Tensor[], ...args: Tensor[]): void => {
      const got = [torch.vmap(f)(...args)].flat();
      const want = [0, 1, 2].map((i) => [f(...args.map((t) => t.select(0, i)))].flat());
      expect(got).toHaveLength(want[0]!.length);
      got.forEach((t, k) => {
        const all = torch.stack(want.map((list) => list[k]!));
        expect([String(f), t.shape]).toEqual([String(f), all.shape]);
        expect(torch.allclose(t.to(torch.float64), all.to(torch.float64), 1e-10, 1e-12)).toBe(true);
      });
    };
    const A = torch.randn([3, 4, 4], { dtype: torch.float64 });
    const tall = torch.randn([3, 5, 2], { dtype: torch.float64 });
    const b = torch.randn([3, 5], { dtype: torch.float64 });
    each((t) => torch.linalg.lu(t), A);
    each((t) => torch.linalg.lu(t, { pivot: false }), A);
    each((t) => torch.lu_unpack(...(torch.linalg.lu_factor(t) as unknown as [Tensor, Tensor]), true, false), A);
    each((t) => torch.lu_unpack(...(torch.linalg.lu_factor(t) as unknown as [Tensor, Tensor])), tall);
    each((t) => [...[1, 2, -2, "fro"].map((p) => torch.linalg.cond(t, p as 1)), torch.linalg.cond(t)], A);
    for (const driver of ["gels", "gelsy", "gelsd"] as const) {
      each((t, y) => torch.linalg.lstsq(t, y, { driver }), tall, b);
      each((t, y) => torch.linalg.lstsq(t, y.unsqueeze(-1), { driver }), tall, b);
    }
    each((t, tol) => torch.linalg.pinv(t, { rtol: tol }), A, f64([0.1, 0.5, 0.9]));
    each((t, n) => torch.special.hermite_polynomial_h(t, n), A, torch.tensor([1, 4, 2]));
    each((t, n) => torch.special.laguerre_polynomial_l(t.select(0, 0), n), A, torch.arange(12).reshape([3, 4]));
    each((t, n) => torch.segment_reduce(t, "max", { lengths: n }), A, torch.tensor([[1, 3], [4, 0], [2, 2]])); // prettier-ignore
    each((t, n) => torch.segment_reduce(t, "mean", { offsets: n, axis: -2 }), A, torch.tensor([[0, 4], [0, 4], [0, 4]])); // prettier-ignore
    const speech = torch.randn([3, 6, 2, 4], { dtype: torch.float64 }).log_softmax(-1);
    const words = torch.randint(1, 4, [3, 2, 3]);
    for (const reduction of ["none", "sum", "mean"] as const) {
      each((t, w, n) => F.ctc_loss(t, w, [6, 5], n, { reduction }), speech, words, torch.tensor([[3, 2], [1, 2], [0, 3]])); // prettier-ignore
      each((t, w) => F.ctc_loss(t.select(1, 0), w.select(0, 0), torch.tensor(6), torch.tensor(2), { reduction }), speech, words);
    }
    each((t, edges) => torch.bucketize(t, edges.sort().values), A, b);
    expect(warn).not.toHaveBeenCalled();
  });

  it("statistics of batch norms: those of each example; running ones cannot be", () => {
    const layer = new nn.BatchNorm1d(3);
    const x = torch.randn([4, 5, 3]);
    expect(() => torch.vmap((t: Tensor) => layer(t))(x)).toThrow(/replace_all_batch_norm_modules_/);
    func.replace_all_batch_norm_modules_(layer);
    const got = torch.vmap((t: Tensor) => layer(t))(x);
    const want = torch.stack([0, 1, 2, 3].map((i) => layer(x.select(0, i))));
    expect(far(got, want)).toBeLessThan(1e-6);
  });
});

describe("arguments", () => {
  it("runs in chunks, for no examples, and puts dimensions where it is told", () => {
    const x = torch.rand([7, 3], { dtype: torch.float64 });
    const f = (t: Tensor): Tensor[] => [t.sin(), t.sum()];
    const [a, b] = torch.vmap<Tensor[]>(f, { chunk_size: 3, out_dims: [1, 0] })(x);
    expect([a!.shape, b!.shape]).toEqual([[3, 7], [7]]);
    expect(far(a!.t(), x.sin())).toBe(0);
    expect(torch.vmap((t: Tensor) => t.mul(2).sum())(torch.zeros([0, 4])).shape).toEqual([0]);
    const fixed = torch.vmap<Tensor[]>((t: Tensor) => [t, f64([1, 2])], { out_dims: [0, null] })(x);
    expect(fixed[1]!.shape).toEqual([2]);
    expect(() => torch.vmap((t: Tensor) => t, { out_dims: null })(x)).toThrow(torch.ValueError);
    expect(() => torch.vmap((t: Tensor) => t, { chunk_size: 0 })).toThrow(torch.ValueError);
    const nested = torch.vmap<Record<string, Tensor>>(
      (p: { w: Tensor; b: [Tensor, number] }, t: Tensor) => ({ y: p.w.matmul(t).add(p.b[0]).mul(p.b[1]), w: p.w }),
      [{ w: 1, b: [null, null] }, -1],
      { out_dims: { y: 1, w: null } },
    );
    const [w, bias] = [torch.rand([2, 7, 3], { dtype: torch.float64 }), torch.rand([2], { dtype: torch.float64 })];
    expect(() => nested({ w, b: [bias, 2] }, x.t())).toThrow(/`out_dims` of null/);
    const spread = torch.vmap<Record<string, Tensor>>(
      (p: { w: Tensor; b: [Tensor, number] }, t: Tensor) => ({ y: p.w.matmul(t).add(p.b[0]).mul(p.b[1]), w: p.w }),
      [{ w: 1, b: [null, null] }, -1],
      { out_dims: { y: 1, w: -1 }, chunk_size: 2 },
    )({ w, b: [bias, 2] }, x.t());
    const direct = torch.einsum("onk,nk->on", w, x).add(bias.unsqueeze(1)).mul(2);
    expect([far(spread.y!, direct) < 1e-14, far(spread.w!, w.movedim(1, -1))]).toEqual([true, 0]);
    // Draws are the same in all chunks, and what is drawn afterwards is what one chunk leaves.
    const noise = (chunk_size: number): Tensor[] => {
      torch.manual_seed(4);
      const all = torch.vmap((t: Tensor) => t.add(torch.rand([3])), { randomness: "same", chunk_size })(torch.zeros([7, 3]));
      return [all, torch.rand([2])];
    };
    const [inTwos, after] = noise(2);
    const [atOnce, later] = noise(7);
    expect([far(inTwos!, atOnce!), far(after!, later!), far(inTwos!, inTwos!.select(0, 0))]).toEqual([0, 0, 0]);
    const z = torch.view_as_complex(torch.rand([4, 3, 2]));
    expect(
      far(torch.view_as_real(torch.vmap((t: Tensor) => t.mul(t).exp())(z)), torch.view_as_real(z.mul(z).exp())),
    ).toBeLessThan(1e-6);
  });
});
