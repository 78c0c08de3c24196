/** Distributions over matrices. */

import { ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { broadcastShapes, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { readable } from "../engine/blocking.ts";
import * as ops from "../ops/index.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { limits } from "./limits.ts";
import { bind, broadcast_all, Distribution, standardNormal, type Given, type Validate, type Value } from "./distribution.ts";
import { logDiagonal, precisionToTril, transposed } from "./multivariate.ts";
import { Beta, Chi2 } from "./positive.ts";

const range = (n: number, like: Tensor): Tensor => ops.arange(n, { dtype: like.dtype, device: like.device });
/** The sum over i < p of f(x - i / 2), but for a constant the logarithm of the gamma function of p dimensions, or its derivative. */
const overHalves = (x: Tensor, p: number, f: (x: Tensor) => Tensor): Tensor => f(x.unsqueeze(-1).sub(range(p, x).div(2))).sum(-1);
const MOST_TRIES = 10;

/** Positive definite matrices: the sum of squares of normal vectors, `df` of them, by one of covariance, its inverse, and its factor. */
export class Wishart extends Distribution {
  override readonly has_rsample = true;
  readonly df: Tensor;
  /** @internal With the batch that was given. */
  readonly _tril: Tensor;
  readonly #given: "covariance_matrix" | "precision_matrix" | "scale_tril";
  readonly #matrix: Tensor;

  constructor(
    ...given: Given<
      [{ df: Value }, { covariance_matrix?: Tensor | null }, { precision_matrix?: Tensor | null }, { scale_tril?: Tensor | null }]
    >
  ) {
    super();
    const [df, covariance, precision, tril, validate] = bind<[Value, Tensor | null, Tensor | null, Tensor | null, Validate]>(
      "Wishart",
      "df, covariance_matrix=None, precision_matrix=None, scale_tril=None",
      given,
    );
    const all = { covariance_matrix: covariance, precision_matrix: precision, scale_tril: tril };
    const [one, ...more] = (Object.keys(all) as (keyof typeof all)[]).filter((name) => all[name] !== null);
    if (one === undefined || more.length > 0) {
      throw new ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.");
    }
    const matrix = all[one]!;
    if (matrix.ndim < 2) {
      throw new ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions");
    }
    const number = df instanceof Tensor ? df : ops.tensor(df, { dtype: matrix.dtype, device: matrix.device });
    const batch = broadcastShapes("Wishart", matrix.shape.slice(0, -2), number.shape);
    const event = matrix.shape.slice(-2);
    const p = event[1]!;
    this.df = number.expand(batch);
    if (
      readable(number.device) &&
      number
        .detach()
        .le(p - 1)
        .any()
        .item_sync()
    ) {
      // prettier-ignore
      throw new ValueError(`Value of df=${String(df)} expected to be greater than ndim - 1 = ${p - 1}.`);
    }
    this.#given = one;
    this.#matrix = matrix.expand([...batch, ...event]);
    const constraint = one === "scale_tril" ? constraints.lower_cholesky : constraints.positive_definite;
    this.setUp(batch, event, validate, { [one]: constraint, df: constraints.greater_than(p - 1) });
    this._tril =
      one === "scale_tril" ? matrix : one === "covariance_matrix" ? ops.linalg.cholesky(matrix) : precisionToTril(matrix);
  }
  override get support(): Constraint {
    return constraints.positive_definite;
  }
  private get square(): Shape {
    return [...this.batch_shape, ...this.event_shape];
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
    return this.covariance_matrix.mul(this.df.unsqueeze(-1).unsqueeze(-1));
  }
  /** NaN where df is not greater than the dimension + 1. */
  override get mode(): Tensor {
    const factor = this.df.sub(this.event_shape[0]! + 1);
    const valid = factor.masked_fill(factor.le(0), NaN);
    return this.covariance_matrix.mul(valid.unsqueeze(-1).unsqueeze(-1));
  }
  override get variance(): Tensor {
    const V = this.covariance_matrix;
    const diagonal = ops.diagonal(V, 0, -2, -1);
    const spread = V.square().add(diagonal.unsqueeze(-1).mul(diagonal.unsqueeze(-2)));
    return spread.mul(this.df.unsqueeze(-1).unsqueeze(-1));
  }
  /** Bartlett's decomposition: roots of chi-squares on the diagonal, normals below it. */
  private bartlett(sample_shape: Shape): Tensor {
    const p = this.event_shape[0]!;
    const roots = new Chi2(this.df.unsqueeze(-1).sub(range(p, this.df))).rsample(sample_shape).sqrt();
    const diagonal = ops.diag_embed(roots.clamp({ min: limits(roots.dtype).eps }));
    const below = standardNormal(diagonal, diagonal.shape).tril(-1);
    const factor = this._tril.matmul(diagonal.add(below));
    return factor.matmul(transposed(factor));
  }
  /** Draws that rounding leaves singular are made anew, `max_try_correction` times at most, where values can be read. */
  override rsample(sample_shape: Shape = [], { max_try_correction = MOST_TRIES }: { max_try_correction?: number } = {}): Tensor {
    let sample = this.bartlett(sample_shape);
    if (!readable(sample.device)) return sample;
    for (let i = 0; i < max_try_correction; i++) {
      const good = no_grad(() => this.support.check(sample));
      if (good.all().item_sync()) break;
      sample = ops.where(good.unsqueeze(-1).unsqueeze(-1), sample, this.bartlett(sample_shape));
    }
    return sample;
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const p = this.event_shape[0]!;
    const half = this.df.div(2);
    const volume = ops.linalg.slogdet(value).logabsdet;
    const trace = ops.diagonal(ops.cholesky_solve(value, this._tril), 0, -2, -1).sum(-1);
    return this.df
      .mul(logDiagonal(this._tril).add((p * Math.LN2) / 2))
      .neg()
      .sub(ops.mvlgamma(half, p))
      .add(
        this.df
          .sub(p + 1)
          .div(2)
          .mul(volume),
      ) // prettier-ignore
      .sub(trace.div(2));
  }
  override entropy(): Tensor {
    const p = this.event_shape[0]!;
    const half = this.df.div(2);
    const psi = overHalves(half, p, (x) => x.digamma());
    return logDiagonal(this._tril)
      .add((p * Math.LN2) / 2)
      .mul(p + 1)
      .add(ops.mvlgamma(half, p))
      .sub(
        this.df
          .sub(p + 1)
          .div(2)
          .mul(psi),
      ) // prettier-ignore
      .add(half.mul(p));
  }
}

/** kl_divergence of two of them. */
export function klWishart(p: Wishart, q: Wishart): Tensor {
  if (p.event_shape[0] !== q.event_shape[0]) {
    throw new ValueError("KL-divergence between two Wishart distributions of different event shapes cannot be computed");
  }
  const n = p.event_shape[0]!;
  const volume = logDiagonal(q._tril).sub(logDiagonal(p._tril)).mul(q.df);
  const spread = ops.diagonal(ops.cholesky_solve(p.covariance_matrix, q.scale_tril), 0, -2, -1).sum(-1);
  const gammas = ops.mvlgamma(q.df.div(2), n).sub(ops.mvlgamma(p.df.div(2), n));
  const psi = overHalves(p.df.div(2), n, (x) => x.digamma());
  return volume.add(spread.sub(n).mul(p.df.div(2))).add(gammas).add(p.df.sub(q.df).div(2).mul(psi)); // prettier-ignore
}

/** Lower triangular factors of correlation matrices of `dim` variables, whose determinants count with a power of concentration - 1. */
export class LKJCholesky extends Distribution {
  readonly dim: number;
  readonly concentration: Tensor;

  constructor(...given: Given<[{ dim: number }, { concentration?: Value }]>) {
    super();
    const [dim, concentration, validate] = bind<[number, Value, Validate]>("LKJCholesky", "dim, concentration=1", given);
    if (!(dim >= 2)) throw new ValueError(`Expected dim to be an integer greater than or equal to 2. Found dim=${dim}.`);
    this.dim = dim;
    [this.concentration] = broadcast_all(concentration) as [Tensor];
    this.setUp(this.concentration.shape, [dim, dim], validate, { concentration: constraints.positive });
  }
  protected override rebuild(values: Record<string, unknown>, batch_shape: Shape): this {
    return super.rebuild({ ...values, dim: this.dim }, batch_shape);
  }
  override get support(): Constraint {
    return constraints.corr_cholesky;
  }
  /** The onion method (Lewandowski, Kurowicka, Joe): each row a point of a sphere, as far from the diagonal as a beta variable says. */
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => {
      const n = this.dim;
      const offset = range(n, this.concentration).sub(1).clamp({ min: 0 });
      const marginal = this.concentration.add(0.5 * (n - 2)).unsqueeze(-1);
      const far = new Beta(offset.add(0.5), marginal.sub(offset.mul(0.5))).sample(sample_shape).unsqueeze(-1);
      const normal = standardNormal(far, this.extendedShape(sample_shape)).tril(-1);
      const length = normal.square().sum(-1, true).sqrt();
      // (The first row has no direction.)
      const w = far.sqrt().mul(normal.div(length.masked_fill(length.eq(0), 1)));
      const diagonal = w.square().sum(-1).neg().add(1).clamp({ min: limits(w.dtype).tiny }).sqrt(); // prettier-ignore
      return w.add(ops.diag_embed(diagonal));
    });
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const n = this.dim - 1;
    const diagonal = ops.diagonal(value, 0, -2, -1).narrow(-1, 1, n);
    const order = this.concentration.sub(1).mul(2).unsqueeze(-1).add(n - 1).sub(range(n, this.concentration)); // prettier-ignore
    const alpha = this.concentration.add(0.5 * n);
    const norm = ops.mvlgamma(alpha.sub(0.5), n).sub(alpha.lgamma().mul(n)).add(0.5 * n * Math.log(Math.PI)); // prettier-ignore
    return order.mul(diagonal.log()).sum(-1).sub(norm);
  }
}
