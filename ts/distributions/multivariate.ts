/** Normal distributions of vectors. */

import { ValueError } from "../core/errors.ts";
import { broadcastShapes, type Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { bind, Distribution, standardNormal, type Given, type Validate } from "./distribution.ts";

/** @internal */
export const transposed = (m: Tensor): Tensor => m.transpose(-2, -1);
/** @internal */
export const logDiagonal = (m: Tensor): Tensor => ops.diagonal(m, 0, -2, -1).log().sum(-1);

/** @internal The lower triangle L with P⁻¹ = L Lᵀ: turned round, P's own factor is the inverse of L, transposed. */
export function precisionToTril(P: Tensor): Tensor {
  const turned = ops.linalg.cholesky(P.flip([-2, -1]));
  const inverse = transposed(turned.flip([-2, -1]));
  const eye = ops.eye(P.shape.at(-1)!, { dtype: P.dtype, device: P.device });
  return ops.linalg.solve_triangular(inverse, eye, { upper: false });
}

/** @internal xᵀ (L Lᵀ)⁻¹ x. */
export function mahalanobis(L: Tensor, x: Tensor): Tensor {
  const batch = broadcastShapes("MultivariateNormal", L.shape.slice(0, -2), x.shape.slice(0, -1));
  const n = x.shape.at(-1)!;
  const rows = x.expand([...batch, n]).unsqueeze(-1);
  return ops.linalg
    .solve_triangular(L.expand([...batch, n, n]), rows, { upper: false })
    .pow(2)
    .sum([-2, -1]);
}

/** By one of a covariance matrix, its inverse, and its lower triangular factor. */
export class MultivariateNormal extends Distribution {
  override readonly has_rsample = true;
  readonly loc: Tensor;
  /** @internal With the batch that was given. */
  readonly _tril: Tensor;
  readonly #given: "covariance_matrix" | "precision_matrix" | "scale_tril";
  readonly #matrix: Tensor;

  constructor(
    ...given: Given<
      [
        { loc: Tensor },
        { covariance_matrix?: Tensor | null },
        { precision_matrix?: Tensor | null },
        { scale_tril?: Tensor | null },
      ]
    >
  ) {
    super();
    const [loc, covariance, precision, tril, validate] = bind<[Tensor, Tensor | null, Tensor | null, Tensor | null, Validate]>(
      "MultivariateNormal",
      "loc, covariance_matrix=None, precision_matrix=None, scale_tril=None",
      given,
    );
    if (loc.ndim < 1) throw new ValueError("loc must be at least one-dimensional.");
    const all = { covariance_matrix: covariance, precision_matrix: precision, scale_tril: tril };
    const [one, ...more] = (Object.keys(all) as (keyof typeof all)[]).filter((name) => all[name] !== null);
    if (one === undefined || more.length > 0) {
      throw new ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.");
    }
    const matrix = all[one]!;
    if (matrix.ndim < 2) {
      throw new ValueError(`${one} matrix must be at least two-dimensional, with optional leading batch dimensions`);
    }
    const n = loc.shape.at(-1)!;
    const batch = broadcastShapes("MultivariateNormal", matrix.shape.slice(0, -2), loc.shape.slice(0, -1));
    this.loc = loc.expand([...batch, n]);
    this.#given = one;
    this.#matrix = matrix.expand([...batch, ...matrix.shape.slice(-2)]);
    const constraint = one === "scale_tril" ? constraints.lower_cholesky : constraints.positive_definite;
    this.setUp(batch, [n], validate, { loc: constraints.real_vector, [one]: constraint });
    this._tril =
      one === "scale_tril" ? matrix : one === "covariance_matrix" ? ops.linalg.cholesky(matrix) : precisionToTril(matrix);
  }
  override get support(): Constraint {
    return constraints.real_vector;
  }
  private get square(): Shape {
    return [...this.batch_shape, ...this.event_shape, ...this.event_shape];
  }
  get scale_tril(): Tensor {
    return this.#given === "scale_tril" ? this.#matrix : this._tril.expand(this.square);
  }
  get covariance_matrix(): Tensor {
    if (this.#given === "covariance_matrix") return this.#matrix;
    return this._tril.matmul(transposed(this._tril)).expand(this.square);
  }
  get precision_matrix(): Tensor {
    return this.#given === "precision_matrix" ? this.#matrix : ops.cholesky_inverse(this._tril).expand(this.square);
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    return this._tril
      .pow(2)
      .sum(-1)
      .expand([...this.batch_shape, ...this.event_shape]);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const eps = standardNormal(this.loc, this.extendedShape(sample_shape));
    return this.loc.add(this._tril.matmul(eps.unsqueeze(-1)).squeeze(-1) as Tensor);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const distance = mahalanobis(this._tril, value.sub(this.loc));
    const n = this.event_shape[0]!;
    return distance
      .add(n * Math.log(2 * Math.PI))
      .mul(-0.5)
      .sub(logDiagonal(this._tril));
  }
  override entropy(): Tensor {
    const n = this.event_shape[0]!;
    const H = logDiagonal(this._tril).add(0.5 * n * (1 + Math.log(2 * Math.PI)));
    return H.expand(this.batch_shape);
  }
}

/** kl_divergence of two of them. */
export function klMultivariateNormal(p: MultivariateNormal, q: MultivariateNormal): Tensor {
  if (p.event_shape[0] !== q.event_shape[0]) {
    throw new ValueError("KL-divergence between two Multivariate Normals with different event shapes cannot be computed");
  }
  const n = p.event_shape[0]!;
  const volume = logDiagonal(q._tril).sub(logDiagonal(p._tril));
  const batch = broadcastShapes("kl_divergence", q._tril.shape.slice(0, -2), p._tril.shape.slice(0, -2));
  const [qTril, pTril] = [q._tril, p._tril].map((L) => L.expand([...batch, n, n])) as [Tensor, Tensor];
  const spread = ops.linalg.solve_triangular(qTril, pTril, { upper: false }).pow(2).sum([-2, -1]);
  const distance = mahalanobis(q._tril, q.loc.sub(p.loc));
  return volume.add(spread.add(distance).sub(n).mul(0.5));
}
