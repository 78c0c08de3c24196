/** torch.distributions beyond the corpus: consistency of densities, draws and their gradients. */

import { describe, expect, it } from "vitest";
import * as torch from "kindling";
import { Tensor } from "kindling";

const D = torch.distributions;
const f64 = (x: number | readonly number[]): Tensor => torch.tensor(x as number[], { dtype: torch.float64 });
const list = (t: Tensor): number[] => Array.from(t.reshape(-1).data_sync() as ArrayLike<number>, Number);

/** One of each kind, with scalar parameters. */
const continuous = {
  Normal: new D.Normal(f64(0.5), f64(1.3)),
  Laplace: new D.Laplace(f64(-0.5), f64(0.7)),
  Cauchy: new D.Cauchy(f64(0.2), f64(0.7)),
  Gumbel: new D.Gumbel(f64(0.3), f64(0.8)),
  Uniform: new D.Uniform(f64(-1), f64(2.5)),
  StudentT: new D.StudentT(f64(5), f64(0.4), f64(1.2)),
  HalfNormal: new D.HalfNormal(f64(1.4)),
  HalfCauchy: new D.HalfCauchy(f64(0.6)),
  Exponential: new D.Exponential(f64(1.7)),
  Gamma: new D.Gamma(f64(2.3), f64(1.4)),
  Chi2: new D.Chi2(f64(4.2)),
  InverseGamma: new D.InverseGamma(f64(5.5), f64(2)),
  Weibull: new D.Weibull(f64(1.3), f64(2.1)),
  Pareto: new D.Pareto(f64(1.2), f64(4.5)),
  Beta: new D.Beta(f64(2.5), f64(3.1)),
  FisherSnedecor: new D.FisherSnedecor(f64(5), f64(11)),
  Kumaraswamy: new D.Kumaraswamy(f64(2.2), f64(3.4)),
  LogNormal: new D.LogNormal(f64(0.1), f64(0.5)),
  ContinuousBernoulli: new D.ContinuousBernoulli(f64(0.3)),
};
const discrete = {
  Bernoulli: new D.Bernoulli({ probs: f64(0.3) }),
  Geometric: new D.Geometric({ probs: f64(0.35) }),
  Binomial: new D.Binomial(7, f64(0.4)),
  NegativeBinomial: new D.NegativeBinomial(f64(3.5), f64(0.4)),
  Poisson: new D.Poisson(f64(2.6)),
  Categorical: new D.Categorical(f64([0.2, 0.5, 0.3])),
};
const heavy = ["Cauchy", "HalfCauchy"];

/** ∫ f(x) p(x) dx over the support by the midpoint rule in a variable that reaches infinity. */
function expectation(d: torch.distributions.Distribution, f: (x: Tensor, log: Tensor) => Tensor): number {
  const n = 200_000;
  const u = torch.arange(n, { dtype: torch.float64 }).add(0.5).div(n);
  const bounds = d.support as unknown as { lower_bound?: Tensor | number; upper_bound?: Tensor | number };
  const number = (x: Tensor | number | undefined): number | undefined =>
    x === undefined ? undefined : Number(x instanceof Tensor ? x.item_sync() : x);
  const [low, high] = [number(bounds.lower_bound), number(bounds.upper_bound)];
  let x: Tensor;
  let dx: Tensor;
  if (low !== undefined && high !== undefined) {
    x = u.mul(high - low).add(low);
    dx = torch.full_like(u, high - low);
  } else if (low !== undefined) {
    x = u.div(u.neg().add(1)).add(low);
    dx = u.neg().add(1).pow(-2);
  } else {
    const t = u.mul(2).sub(1);
    x = t.div(t.square().neg().add(1));
    dx = t.square().add(1).div(t.square().neg().add(1).square()).mul(2);
  }
  const log = d.log_prob(x);
  // Where the density is as good as 0, whatever f is there does not count.
  const terms = torch.where(log.lt(-700), 0, f(x, log).mul(log.exp()).mul(dx));
  return Number(terms.mean().item_sync());
}

describe("densities", () => {
  it.each(Object.entries(continuous))("%s", (name, d) => {
    expect(expectation(d, (x) => torch.ones_like(x))).toBeCloseTo(1, 3);
    if (heavy.includes(name)) return;
    const mean = expectation(d, (x) => x);
    expect(mean).toBeCloseTo(Number(d.mean.item_sync()), 3);
    expect(expectation(d, (x) => x.sub(mean).square())).toBeCloseTo(Number(d.variance.item_sync()), 2);
    if (name === "FisherSnedecor") expect(() => d.entropy()).toThrow(torch.NotImplementedError);
    else expect(expectation(d, (_x, log) => log.neg())).toBeCloseTo(Number(d.entropy().item_sync()), 3);
  });

  it.each(Object.entries(discrete))("%s", (name, d) => {
    const n = { Bernoulli: 2, Binomial: 8, Categorical: 3 }[name] ?? 200;
    const x = torch.arange(n, { dtype: torch.float64 });
    const p = d.log_prob(x).exp();
    expect(Number(p.sum().item_sync())).toBeCloseTo(1, 10);
    if (name === "Categorical") return;
    const mean = Number(p.mul(x).sum().item_sync());
    expect(mean).toBeCloseTo(Number(d.mean.item_sync()), 8);
    expect(Number(p.mul(x.sub(mean).square()).sum().item_sync())).toBeCloseTo(Number(d.variance.item_sync()), 8);
    if (["Bernoulli", "Binomial", "Geometric"].includes(name)) {
      expect(Number(torch.special.xlogy(p, p).sum().neg().item_sync())).toBeCloseTo(Number(d.entropy().item_sync()), 6);
    }
    const most = Number(p.argmax().item_sync());
    if (name !== "NegativeBinomial") expect(Number(d.mode.item_sync())).toBe(most);
  });
});

describe("draws", () => {
  it.each(Object.entries({ ...continuous, ...discrete }))("%s have the distribution's moments", (name, d) => {
    torch.manual_seed(3);
    const n = 40_000;
    const x = d.sample([n]).to(torch.float64);
    expect(x.shape).toEqual([n]);
    expect(x.requires_grad).toBe(false);
    if (heavy.includes(name) || name === "Categorical") return;
    const [mean, variance] = [Number(d.mean.item_sync()), Number(d.variance.item_sync())];
    expect(Math.abs(Number(x.mean().item_sync()) - mean)).toBeLessThan(5 * Math.sqrt(variance / n));
    expect(Number(x.var().item_sync()) / variance).toBeGreaterThan(0.8);
    expect(Number(x.var().item_sync()) / variance).toBeLessThan(1.25);
  });

  it("of categories come as often as they should", () => {
    torch.manual_seed(0);
    const counts = new D.Multinomial(5000, torch.tensor([0.1, 0.6, 0.3])).sample();
    expect(Number(counts.sum().item_sync())).toBe(5000);
    list(counts).forEach((c, i) => expect(Math.abs(c / 5000 - [0.1, 0.6, 0.3][i]!)).toBeLessThan(0.03));
    expect(new D.OneHotCategorical(torch.tensor([0.1, 0.9])).sample([4]).sum(-1).tolist_sync()).toEqual([1, 1, 1, 1]);
  });
});

/** Derivatives of a draw by its concentration: those of the distribution function's inverse, by differences. */
describe("pathwise gradients", () => {
  it.each([0.05, 0.3, 1, 2.5, 30, 4000])("of Gamma(%d)", (a) => {
    torch.manual_seed(11);
    const concentration = f64(new Array<number>(20).fill(a)).requires_grad_();
    const x = new D.Gamma(concentration, 1).rsample();
    const [got] = torch.autograd.grad(x.sum(), [concentration]) as [Tensor];
    const v = x.detach();
    const h = 1e-4 * a;
    const at = (c: number): Tensor => torch.igamma(f64(c).expand_as(v), v);
    // Of the smaller of the two tails.
    const upper = (c: number): Tensor => torch.igammac(f64(c).expand_as(v), v).neg();
    const slope = torch.where(v.lt(a), at(a + h).sub(at(a - h)), upper(a + h).sub(upper(a - h))).div(2 * h);
    const want = slope.neg().div(new D.Gamma(f64(a), f64(1)).log_prob(v).exp());
    list(got).forEach((g, i) => expect(g / list(want)[i]!).toBeCloseTo(1, 4));
  });

  it("of Beta are those of the means and variances, on average", () => {
    torch.manual_seed(5);
    for (const [p, q] of [
      [0.6, 0.4],
      [2, 3],
      [40, 7],
    ] as const) {
      const [a, b] = [f64(p).requires_grad_(), f64(q).requires_grad_()];
      const d = new D.Beta(a, b);
      const got = torch.autograd.grad(d.rsample([20_000]).square().mean(), [a, b]) as Tensor[];
      const want = torch.autograd.grad(d.variance.add(d.mean.square()), [a, b]) as Tensor[];
      got.forEach((g, i) => expect(Number(g.div(want[i]!).item_sync())).toBeCloseTo(1, 1));
    }
  });

  it("of Beta(a, 1) are exact: x is u^(1/a)", () => {
    torch.manual_seed(6);
    const a = f64([0.2, 0.7, 1.5, 20]).requires_grad_();
    const x = new D.Beta(a, f64([1, 1, 1, 1])).rsample();
    const [got] = torch.autograd.grad(x.sum(), [a]) as [Tensor];
    const want = x.detach().log().mul(x.detach()).div(a.detach()).neg();
    list(got).forEach((g, i) => expect(g / list(want)[i]!).toBeCloseTo(1, 6));
  });
});

describe("shapes and arguments", () => {
  it("broadcast, expand and print as in PyTorch", () => {
    const d = new D.Normal({ loc: torch.zeros([3, 1]), scale: torch.ones([2]) });
    expect(d.batch_shape).toEqual([3, 2]);
    expect(d.expand([4, 3, 2]).sample([5]).shape).toEqual([5, 4, 3, 2]);
    expect(new D.Normal(0, 1).toString()).toBe("Normal(loc: 0.0, scale: 1.0)");
    expect(d.toString()).toBe("Normal(loc: torch.Size([3, 2]), scale: torch.Size([3, 2]))");
    expect(new D.Normal(0, 1).mean.dtype).toBe(torch.float32);
    const whole = new D.Independent(d, 1);
    expect([whole.batch_shape, whole.event_shape]).toEqual([[3], [2]]);
    expect(whole.log_prob(torch.zeros([3, 2])).shape).toEqual([3]);
    expect(whole.expand([6, 3]).batch_shape).toEqual([6, 3]);
    expect(new D.Categorical({ logits: torch.zeros([2, 4]) }).expand([3, 2]).sample().shape).toEqual([3, 2]);
  });

  it("validate_args: false checks nothing", () => {
    expect(() => new D.Normal(0, -1)).toThrow(torch.ValueError);
    const d = new D.Normal({ loc: 0, scale: -1, validate_args: false });
    expect(d.validate_args).toBe(false);
    expect(() => new D.Poisson(2).log_prob(torch.tensor(0.5))).toThrow(
      /within the support \(IntegerGreaterThan\(lower_bound=0\)\)/,
    );
    expect(() => new D.Normal(0, 1).enumerate_support()).toThrow(torch.NotImplementedError);
  });

  it("enumerates", () => {
    expect(new D.Bernoulli(torch.tensor([0.1, 0.2])).enumerate_support().tolist_sync()).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect(new D.Categorical(torch.ones([3])).enumerate_support(false).tolist_sync()).toEqual([0, 1, 2]);
  });
});

describe("made of others", () => {
  it("transforms change the density", () => {
    const T = D.transforms;
    const base = new D.Normal(f64(0), f64(1));
    const d = new D.TransformedDistribution(base, [new T.AffineTransform(1, -2), new T.SigmoidTransform()]);
    const p = (
      d
        .log_prob(torch.linspace(0.0005, 0.9995, 1000, { dtype: torch.float64 }))
        .exp()
        .mean() as Tensor
    ).item_sync();
    expect(Number(p)).toBeCloseTo(1, 3);
    const x = f64([0.2, 0.6]);
    list(d.icdf(d.cdf(x))).forEach((v, i) => expect(v).toBeCloseTo([0.2, 0.6][i]!, 10));
    const logistic = new D.TransformedDistribution(new D.Uniform(f64(0), f64(1)), new T.SigmoidTransform().inv);
    expect(Number(logistic.log_prob(f64(0)).exp().item_sync())).toBeCloseTo(0.25, 10);
  });

  it.each(["StickBreakingTransform", "TanhTransform", "SoftplusTransform", "ExpTransform"] as const)("%s is undone", (name) => {
    const t = new D.transforms[name]();
    const x = f64([0.3, -1.2, 0.8]).requires_grad_();
    const y = t.call(x);
    list(t.inverse(y)).forEach((v, i) => expect(v).toBeCloseTo([0.3, -1.2, 0.8][i]!, 10));
    const jacobian = torch.autograd.functional.jacobian((v: Tensor) => t.call(v), x) as Tensor;
    const square = name === "StickBreakingTransform" ? jacobian.narrow(0, 0, 3) : jacobian;
    const want = torch.linalg.slogdet(square).logabsdet;
    const got = t.log_abs_det_jacobian(x, y);
    expect(Number(got.sum().item_sync())).toBeCloseTo(Number(want.item_sync()), 8);
  });

  it("mixtures weigh their components", () => {
    const d = new D.MixtureSameFamily(new D.Categorical(f64([0.3, 0.7])), new D.Normal(f64([-1, 2]), f64([0.5, 1])));
    expect(Number(d.mean.item_sync())).toBeCloseTo(1.1, 10);
    expect(expectation(d, (x) => x.sub(1.1).square())).toBeCloseTo(Number(d.variance.item_sync()), 4);
    torch.manual_seed(1);
    expect(Number(d.sample([20_000]).mean().item_sync())).toBeCloseTo(1.1, 1);
  });

  it("MultivariateNormal: three forms of one matrix", () => {
    const cov = f64([2, 0.5, 0.5, 1]).view([2, 2]);
    const loc = f64([1, -1]);
    const forms = [
      new D.MultivariateNormal(loc, cov),
      new D.MultivariateNormal({ loc, precision_matrix: torch.linalg.inv(cov) }),
      new D.MultivariateNormal({ loc, scale_tril: torch.linalg.cholesky(cov) }),
    ];
    for (const d of forms) {
      list(d.covariance_matrix).forEach((v, i) => expect(v).toBeCloseTo([2, 0.5, 0.5, 1][i]!, 10));
      list(d.precision_matrix.matmul(cov)).forEach((v, i) => expect(v).toBeCloseTo([1, 0, 0, 1][i]!, 10));
      expect(Number(d.log_prob(f64([0, 0])).item_sync())).toBeCloseTo(Number(forms[0]!.log_prob(f64([0, 0])).item_sync()), 10);
      expect(Number(D.kl_divergence(d, forms[0]!).item_sync())).toBeCloseTo(0, 10);
      expect(d.expand([3]).rsample([4]).shape).toEqual([4, 3, 2]);
    }
  });
});

describe("kl_divergence", () => {
  it.each(Object.entries(continuous))("from %s is the integral", (a, p) => {
    let finite = 0;
    for (const [b, q] of Object.entries(continuous)) {
      let kl: number;
      try {
        kl = Number(D.kl_divergence(p, q).item_sync());
      } catch (error) {
        expect(error).toBeInstanceOf(torch.NotImplementedError);
        continue;
      }
      if (kl === Infinity) continue;
      finite++;
      const free = unchecked(q);
      const got = expectation(p, (x, log) => log.sub(free.log_prob(x)));
      expect(Math.abs(got - kl), b).toBeLessThan(a === "Cauchy" ? 0.01 : 0.001);
    }
    const none = ["StudentT", "Weibull", "FisherSnedecor", "Kumaraswamy"];
    expect(finite > 0).toBe(!none.includes(a));
  });
  it("a rule of one's own", () => {
    class Mine extends D.Normal {}
    D.register_kl(Mine, D.Normal)(() => torch.tensor(42));
    expect(Number(D.kl_divergence(new Mine(0, 1), new D.Normal(0, 1)).item_sync())).toBe(42);
    expect(Number(D.kl_divergence(new D.Normal(0, 1), new Mine(0, 1)).item_sync())).toBe(0);
  });
});

/** The same without checks. */
function unchecked(d: torch.distributions.Distribution): torch.distributions.Distribution {
  const values = Object.fromEntries(Object.keys(d._parameters).map((k) => [k, (d as unknown as Record<string, Tensor>)[k]]));
  return new (d.constructor as new (options: object) => torch.distributions.Distribution)({ ...values, validate_args: false });
}
