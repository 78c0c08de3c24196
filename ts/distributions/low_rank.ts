/** Normal distributions of vectors whose covariance is a diagonal and a matrix of low rank. */

import { ValueError } from "../core/errors.ts";
import { broadcastShapes, type Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { bind, Distribution, standardNormal, type Given, type Validate } from "./distribution.ts";
import { logDiagonal, mahalanobis, type MultivariateNormal, transposed } from "./multivariate.ts";

const addIdentity = (m: Tensor): Tensor => m.add(ops.eye(m.shape.at(-1)!, { dtype: m.dtype, device: m.device }));
const squares = (m: Tensor): Tensor => m.square().sum([-2, -1]);

/** Covariance: cov_factor @ cov_factor.mT + diag(cov_diag), never inverted as a whole (Woodbury's identity). */
export class LowRankMultivariateNormal extends Distribution {
  override readonly has_rsample = true;
  readonly loc: Tensor;
  readonly cov_factor: Tensor;
  readonly cov_diag: Tensor;
  /** @internal What was given, with its own batch, and the factor of I + Wᵀ D⁻¹ W. */
  readonly _W: Tensor;
  readonly _D: Tensor;
  readonly _capacitance: Tensor;

  constructor(...given: Given<[{ loc: Tensor }, { cov_factor: Tensor }, { cov_diag: Tensor }]>) {
    super();
    const [loc, W, D, validate] = bind<[Tensor, Tensor, Tensor, Validate]>(
      "LowRankMultivariateNormal",
      "loc, cov_factor, cov_diag",
      given,
    );
    if (loc.ndim < 1) throw new ValueError("loc must be at least one-dimensional.");
    const n = loc.shape.at(-1)!;
    if (W.ndim < 2) {
      throw new ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions");
    }
    if (W.shape.at(-2) !== n) {
      throw new ValueError(`cov_factor must be a batch of matrices with shape ${n} x m, got [${W.shape.join(", ")}]`);
    }
    if (D.shape.at(-1) !== n) {
      throw new ValueError(`cov_diag must be a batch of vectors with shape [${n}], got [${D.shape.join(", ")}]`);
    }
    const batch = batchOf(loc, W, D);
    this.loc = loc.expand([...batch, n]);
    this.cov_factor = W.expand([...batch, ...W.shape.slice(-2)]);
    this.cov_diag = D.expand([...batch, n]);
    const { real, positive, real_vector, independent } = constraints;
    this.setUp(batch, [n], validate, {
      loc: real_vector,
      cov_factor: independent(real, 2),
      cov_diag: independent(positive, 1),
    });
    [this._W, this._D] = [W, D];
    this._capacitance = ops.linalg.cholesky(addIdentity(this._WtD.matmul(W)));
  }
  override get support(): Constraint {
    return constraints.real_vector;
  }
  /** @internal Wᵀ D⁻¹. */
  get _WtD(): Tensor {
    return transposed(this._W).div(this._D.unsqueeze(-2));
  }
  private get whole(): Shape {
    return [...this.batch_shape, ...this.event_shape];
  }
  private get square(): Shape {
    return [...this.whole, ...this.event_shape];
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    return this._W.square().sum(-1).add(this._D).expand(this.whole);
  }
  get scale_tril(): Tensor {
    const root = this._D.sqrt().unsqueeze(-1);
    const W = this._W.div(root);
    return root.mul(ops.linalg.cholesky(addIdentity(W.matmul(transposed(W))))).expand(this.square);
  }
  get covariance_matrix(): Tensor {
    return this._W.matmul(transposed(this._W)).add(ops.diag_embed(this._D)).expand(this.square);
  }
  /** @internal */
  get _A(): Tensor {
    return ops.linalg.solve_triangular(this._capacitance, this._WtD, { upper: false });
  }
  get precision_matrix(): Tensor {
    const A = this._A;
    return ops.diag_embed(this._D.reciprocal()).sub(transposed(A).matmul(A)).expand(this.square);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    const low = standardNormal(this.loc, [...shape.slice(0, -1), this.cov_factor.shape.at(-1)!]);
    const each = standardNormal(this.loc, shape);
    const common = this._W.matmul(low.unsqueeze(-1)).squeeze(-1) as Tensor;
    return this.loc.add(common).add(this._D.sqrt().mul(each));
  }
  /** @internal */
  get _logDeterminant(): Tensor {
    return logDiagonal(this._capacitance).mul(2).add(this._D.log().sum(-1));
  }
  /** @internal xᵀ covariance⁻¹ x. */
  _distance(x: Tensor): Tensor {
    const turned = this._WtD.matmul(x.unsqueeze(-1)).squeeze(-1) as Tensor;
    return x.square().div(this._D).sum(-1).sub(mahalanobis(this._capacitance, turned));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const n = this.event_shape[0]!;
    const distance = this._distance(value.sub(this.loc));
    return distance
      .add(this._logDeterminant)
      .add(n * Math.log(2 * Math.PI))
      .mul(-0.5);
  }
  override entropy(): Tensor {
    const n = this.event_shape[0]!;
    return this._logDeterminant
      .add(n * (1 + Math.log(2 * Math.PI)))
      .mul(0.5)
      .expand(this.batch_shape);
  }
}

function batchOf(loc: Tensor, W: Tensor, D: Tensor): Shape {
  const name = "LowRankMultivariateNormal";
  try {
    const batch = broadcastShapes(name, loc.shape.slice(0, -1), W.shape.slice(0, -2));
    return broadcastShapes(name, batch, D.shape.slice(0, -1));
  } catch {
    const [l, w, d] = [loc, W, D].map((t) => `[${t.shape.join(", ")}]`) as [string, string, string];
    throw new ValueError(`Incompatible batch shapes: loc ${l}, cov_factor ${w}, cov_diag ${d}`);
  }
}

type Normal = MultivariateNormal | LowRankMultivariateNormal;
const isLow = (d: Normal): d is LowRankMultivariateNormal => d instanceof LowRankMultivariateNormal;
const logDeterminant = (d: Normal): Tensor => (isLow(d) ? d._logDeterminant : logDiagonal(d._tril).mul(2));

/** kl_divergence of normal distributions one of which, or both, are of low rank. */
export function klLowRank(p: Normal, q: Normal): Tensor {
  if (p.event_shape[0] !== q.event_shape[0]) {
    throw new ValueError("KL-divergence between two (Low Rank) Multivariate Normals with different event shapes cannot be computed"); // prettier-ignore
  }
  // Matrices whose squares add up to p's covariance.
  const parts = isLow(p) ? [p._W, ops.diag_embed(p._D.sqrt())] : [p._tril];
  const spread = parts.map((part) => {
    if (isLow(q)) return squares(part.mul(q._D.rsqrt().unsqueeze(-1))).sub(squares(q._A.matmul(part)));
    const batch = broadcastShapes("kl_divergence", q._tril.shape.slice(0, -2), part.shape.slice(0, -2));
    const [L, B] = [q._tril, part].map((m) => m.expand([...batch, ...m.shape.slice(-2)])) as [Tensor, Tensor];
    return squares(ops.linalg.solve_triangular(L, B, { upper: false }));
  });
  const away = q.loc.sub(p.loc);
  const distance = isLow(q) ? q._distance(away) : mahalanobis(q._tril, away);
  const volume = logDeterminant(q).sub(logDeterminant(p));
  return spread.reduce((a, b) => a.add(b), volume).add(distance).sub(p.event_shape[0]!).mul(0.5); // prettier-ignore
}
