/**
 * Gradients of draws from gamma and Dirichlet distributions by implicit reparameterisation: with F the distribution function and f the
 * density, dx/da = -(dF/da) / f(x). The quotient is one integral over a half line, of a smooth function, which the exp-sinh rule gives
 * to about 1e-10 in float64.
 */

import { float64 } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import { defineOp, type Op } from "../engine/define.ts";
import * as ops from "../ops/index.ts";
import { limits } from "./limits.ts";

const STEP = 0.07;
const REACH = 3.3;

/** Nodes and weights of the rule in a last dimension, for a function that falls off at about `scale`. */
function rule(scale: Tensor): { at: Tensor; weight: Tensor } {
  const points: number[] = [];
  const weights: number[] = [];
  for (let t = -REACH; t <= REACH; t += STEP) {
    const x = Math.exp((Math.PI / 2) * Math.sinh(t));
    points.push(x);
    weights.push(STEP * (Math.PI / 2) * Math.cosh(t) * x);
  }
  const options = { dtype: scale.dtype, device: scale.device };
  const unit = scale.unsqueeze(-1);
  return { at: ops.tensor(points, options).mul(unit), weight: ops.tensor(weights, options).mul(unit) };
}

const wide = (x: Tensor): Tensor => (x.device.caps.float64 ? x.to(float64) : x);

/** dx/da of x drawn from Gamma(a, 1). */
function gammaGradient(a: Tensor, x: Tensor): Tensor {
  const [A, X] = [wide(a), wide(x).clamp({ min: limits(x.dtype).tiny })];
  // Over the tail on x's side of the mean: t = x e^(side s).
  const side = ops.where(X.lt(A), -1, 1).to(A.dtype);
  const rate = X.sub(A).abs().add(X.sqrt()).reciprocal();
  const limit = ops.where(X.lt(A), A.reciprocal(), X.log().neg().clamp({ min: 0 }).add(1));
  const { at, weight } = rule(ops.minimum(rate, limit));
  const s = side.unsqueeze(-1).mul(at);
  const slope = X.log().sub(A.digamma()).unsqueeze(-1).add(s);
  const density = A.unsqueeze(-1).mul(s).sub(X.unsqueeze(-1).mul(s.expm1())).exp();
  return total(slope, density, weight).mul(X).mul(side).to(a.dtype);
}

/** dx/da of x drawn from Beta(a, total - a), over 1 - x, by which the other parts of a Dirichlet draw shrink. */
function betaGradient(x: Tensor, a: Tensor, sum: Tensor): Tensor {
  const { tiny, eps } = limits(x.dtype);
  const [A, X] = [wide(a), wide(x).clamp({ min: tiny, max: 1 - eps / 2 })];
  const B = wide(sum).sub(A);
  const rest = X.neg().add(1);
  const lower = X.mul(A.add(B)).lt(A);
  // Over the tail on x's side of the mean: t = x e^-s below it, 1 - t = (1 - x) e^-s above.
  const [near, far] = [ops.where(lower, X, rest), ops.where(lower, rest, X)];
  const [p, q] = [ops.where(lower, A, B), ops.where(lower, B, A)];
  const drift = p.sub(q.mul(near).div(far)).abs();
  const rate = drift.add(q.mul(near).sqrt().div(far)).reciprocal();
  const { at, weight } = rule(ops.minimum(rate, p.reciprocal()));
  const one = (t: Tensor): Tensor => t.unsqueeze(-1);
  const part = one(near).mul(at.neg().exp());
  const other = part.neg().log1p(); // log of what is left
  const logT = ops.where(one(lower), one(X.log()).sub(at), other);
  const slope = logT.sub(one(A.digamma().sub(A.add(B).digamma())));
  const density = one(q)
    .sub(1)
    .mul(other.sub(one(near.neg().log1p())))
    .sub(one(p).mul(at))
    .exp();
  const side = ops.where(lower, -1, 1).to(A.dtype);
  return total(slope, density, weight).mul(near).mul(side).div(rest).to(a.dtype);
}

/** Where the density has died, its product with what has grown beyond all numbers is nothing. */
function total(slope: Tensor, density: Tensor, weight: Tensor): Tensor {
  const terms = slope.mul(density).mul(weight);
  return ops.where(density.gt(0), terms, 0).sum(-1);
}

/** From Gamma(concentration, 1), with a gradient. */
export const standard_gamma: Op<[concentration: Tensor], Tensor> = defineOp("standard_gamma", "concentration", {
  doc: "From gamma distributions of these concentrations and rate 1, with a gradient.",
  forward(ctx, concentration: Tensor) {
    const x = ops._standard_gamma(concentration);
    ctx.save(concentration, x);
    return x;
  },
  backward(ctx, g: Tensor) {
    const [concentration, x] = ctx.saved() as [Tensor, Tensor];
    return [g.mul(gammaGradient(concentration, x))];
  },
});

/** From Dirichlet distributions, whose concentrations are in the last dimension, with a gradient. */
export const dirichlet: Op<[concentration: Tensor], Tensor> = defineOp("dirichlet", "concentration", {
  doc: "From Dirichlet distributions of these concentrations, with a gradient.",
  forward(ctx, concentration: Tensor) {
    const { dtype } = concentration;
    const { tiny, eps } = limits(dtype);
    // Small concentrations give draws that only float64 can hold.
    const parts = ops._standard_gamma(wide(concentration));
    const x = parts
      .div(parts.sum(-1, true))
      .clamp({ min: tiny, max: 1 - eps / 2 })
      .to(dtype);
    ctx.save(concentration, x);
    return x;
  },
  backward(ctx, g: Tensor) {
    const [concentration, x] = ctx.saved() as [Tensor, Tensor];
    const slope = betaGradient(x, concentration, concentration.sum(-1, true).expand(concentration.shape));
    return [slope.mul(g.sub(x.mul(g).sum(-1, true)))];
  },
});
