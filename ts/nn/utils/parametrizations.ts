/** torch.nn.utils.parametrizations: weight_norm, spectral_norm and orthogonal. */

import { IndexError, NotImplementedError, ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import { float32, float64 } from "../../core/dtype.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as linalg from "../../ops/linalg/index.ts";
import * as ops from "../../ops/index.ts";
import { bind, F } from "../layer.ts";
import { Module } from "../module.ts";
import { asMatrix, norm_except_dim, outputDim, powerMethod } from "./norm_formulas.ts";
import { register_parametrization } from "./parametrize.ts";

type Fields = Record<string, unknown>;

function tensorOf(module: Module, name: string): Tensor {
  const value = (module as unknown as Fields)[name];
  if (value instanceof Tensor) return value;
  throw new ValueError(`Module '${module}' has no parameter or buffer with name '${name}'`);
}

class WeightNorm extends Module {
  constructor(readonly dim: number) {
    super();
  }
  override _get_name(): string {
    return "_WeightNorm";
  }
  forward(g: Tensor, v: Tensor): Tensor {
    return v.mul(g.div(norm_except_dim(v, this.dim)));
  }
  right_inverse(weight: Tensor): Tensor[] {
    return [norm_except_dim(weight, this.dim), weight];
  }
}

/**
 * Splits a weight into its norm per index of `dim` (null: as a whole) and its direction: `parametrizations.NAME.original0` and
 * `original1`. States that have them as `NAME_g` and `NAME_v`, as the older torch.nn.utils.weight_norm writes them, can be loaded.
 */
export function weight_norm<M extends Module>(module: M, ...given: Args<[{ name?: string }, { dim?: number | null }]>): M {
  const [name, dim] = bind<[string, number | null]>("weight_norm", "name='weight', dim=0", given);
  register_parametrization(module, name, new WeightNorm(dim ?? -1), { unsafe: true });
  module.register_load_state_dict_pre_hook((_module, state, prefix) => {
    const old = ["_g", "_v"].map((suffix) => `${prefix}${name}${suffix}`);
    if (!old.every((key) => key in state)) return;
    old.forEach((key, i) => {
      state[`${prefix}parametrizations.${name}.original${i}`] = state[key]!;
      delete state[key];
    });
  });
  return module;
}

class SpectralNorm extends Module {
  readonly dim: number;
  declare n_power_iterations: number;
  declare _u: Tensor;
  declare _v: Tensor;

  constructor(
    weight: Tensor,
    n_power_iterations: number,
    dim: number,
    readonly eps: number,
  ) {
    super();
    const { ndim } = weight;
    if (dim >= ndim || dim < -ndim) {
      throw new IndexError(`Dimension out of range (expected to be in range of [-${ndim}, ${ndim - 1}] but got ${dim})`);
    }
    if (n_power_iterations <= 0) {
      throw new ValueError(`Expected n_power_iterations to be positive, but got n_power_iterations=${n_power_iterations}`);
    }
    this.dim = dim < 0 ? dim + ndim : dim;
    // A vector is its own singular vector.
    if (ndim === 1) return;
    this.n_power_iterations = n_power_iterations;
    no_grad(() => {
      const matrix = asMatrix(weight, this.dim);
      for (const [name, n] of [
        ["_u", matrix.shape[0]!],
        ["_v", matrix.shape[1]!],
      ] as const) {
        const drawn = ops.empty([n], { dtype: weight.dtype, device: weight.device }).normal_(0, 1);
        this.register_buffer(name, F.normalize(drawn, { dim: 0, eps }) as Tensor);
      }
      powerMethod(matrix, this._u, this._v, 15, eps);
    });
  }
  override _get_name(): string {
    return "_SpectralNorm";
  }
  forward(weight: Tensor): Tensor {
    if (weight.ndim === 1) return F.normalize(weight, { dim: 0, eps: this.eps }) as Tensor;
    const matrix = asMatrix(weight, this.dim);
    if (this.training) powerMethod(matrix, this._u, this._v, this.n_power_iterations, this.eps);
    // Later calls move them on while this call's graph still wants them.
    const [u, v] = [this._u.clone(), this._v.clone()];
    return weight.div(u.dot(matrix.mv(v)));
  }
  right_inverse(value: Tensor): Tensor {
    return value;
  }
}

type SpectralArgs = Args<[{ name?: string }, { n_power_iterations?: number }, { eps?: number }, { dim?: number | null }]>;

/** Divides a weight by its greatest singular value, as the power method knows it: it takes a step at each forward in training. */
export function spectral_norm<M extends Module>(module: M, ...given: SpectralArgs): M {
  const [name, steps, eps, dim] = bind<[string, number, number, number | null]>(
    "spectral_norm",
    "name='weight', n_power_iterations=1, eps=1e-12, dim=None",
    given,
  );
  const weight = tensorOf(module, name);
  return register_parametrization(module, name, new SpectralNorm(weight, steps, dim ?? outputDim(module), eps));
}

const MAPS = ["matrix_exp", "cayley", "householder"] as const;
type OrthogonalMap = (typeof MAPS)[number];

/** Q of the decomposition A = QR whose R has a positive diagonal. */
function orthonormal(A: Tensor): Tensor {
  const { a, tau } = ops.geqrf(A);
  const signs = a.diagonal(0, -2, -1).sgn();
  return linalg.householder_product(a, tau).mul(signs.unsqueeze(-2));
}

function isOrthogonal(Q: Tensor): boolean {
  const eps = { [float32.name]: 2 ** -23, [float64.name]: 2 ** -52 }[Q.dtype.real.name] ?? 1e-3;
  const identity = ops.eye(Q.shape.at(-1)!, { dtype: Q.dtype, device: Q.device });
  return Q.mH.matmul(Q).allclose(identity, { atol: 10 * Q.shape.at(-2)! * eps });
}

class Orthogonal extends Module {
  declare base?: Tensor | null;

  constructor(
    private readonly size: readonly number[],
    readonly orthogonal_map: OrthogonalMap,
    use_trivialization: boolean,
  ) {
    super();
    if (use_trivialization) this.register_buffer("base", null);
  }
  override _get_name(): string {
    return "_Orthogonal";
  }
  forward(input: Tensor): Tensor {
    const wide = input.shape.at(-2)! < input.shape.at(-1)!;
    const X = wide ? input.mT : input;
    const [n, k] = [X.shape.at(-2)!, X.shape.at(-1)!];
    let Q: Tensor;
    if (this.orthogonal_map === "householder") {
      const A = X.tril(-1);
      const tau = A.mul(A).sum(-2).add(1).reciprocal().mul(2);
      // The diagonal is signs only: nothing is learned there.
      const signs = X.detach().diagonal(0, -2, -1).trunc();
      Q = linalg.householder_product(A, tau).mul(signs.unsqueeze(-2));
    } else {
      let lower = X.tril();
      if (n !== k) {
        const zeros = ops.zeros([...X.shape.slice(0, -1), n - k], { dtype: X.dtype, device: X.device });
        lower = ops.cat([lower, zeros], -1);
      }
      const A = lower.sub(lower.mH);
      if (this.orthogonal_map === "matrix_exp") Q = linalg.matrix_exp(A);
      else {
        const identity = ops.eye(n, { dtype: A.dtype, device: A.device });
        const half = A.mul(0.5);
        Q = linalg.solve(identity.sub(half), identity.add(half).expand(A.shape));
      }
      if (n !== k) Q = Q.narrow(-1, 0, k);
    }
    if (this.base instanceof Tensor) Q = this.base.matmul(Q);
    return wide ? Q.mT : Q;
  }
  right_inverse(value: Tensor): Tensor {
    if (!sameShape(value.shape, this.size)) {
      throw new ValueError(
        `Expected a matrix or batch of matrices of shape ${formatShape(this.size)}. Got a tensor of shape ${formatShape(value.shape)}.`,
      );
    }
    return no_grad(() => this.inverse(value));
  }
  private inverse(value: Tensor): Tensor {
    const wide = value.shape.at(-2)! < value.shape.at(-1)!;
    let Q = wide ? value.mT : value;
    const [n, k] = [Q.shape.at(-2)!, Q.shape.at(-1)!];
    if (!("base" in this)) {
      if (this.orthogonal_map !== "householder") {
        throw new NotImplementedError(
          "It is not possible to assign to the matrix exponential or the Cayley parametrizations when use_trivialization=False.",
        );
      }
      const { a, tau } = ops.geqrf(Q);
      const diagonal = a.diagonal(0, -2, -1);
      // Where LAPACK leaves a column as it is, tau is exactly zero.
      const signs = diagonal.sign().mul(ops.where(tau.eq(0), -1, 1).to(a.dtype));
      const out = a.clone();
      out.diagonal(0, -2, -1).copy_(signs);
      return wide ? out.mT : out;
    }
    if (n !== k) {
      const more = ops.randn([...Q.shape.slice(0, -2), n, n - k], { dtype: Q.dtype, device: Q.device });
      Q = orthonormal(ops.cat([Q, more], -1));
    } else Q = isOrthogonal(Q) ? Q.clone() : orthonormal(Q);
    this.register_buffer("base", Q);
    // Zero reflections with signs of -1 are the identity.
    const negative = ops.zeros_like(value);
    negative.diagonal(0, -2, -1).fill_(-1);
    return negative;
  }
}

type OrthogonalArgs = Args<[{ name?: string }, { orthogonal_map?: OrthogonalMap | null }], { use_trivialization?: boolean }>;

/**
 * Keeps a matrix, or each of a batch, orthogonal: its rows or columns, the fewer ones, orthonormal. By default "matrix_exp" for square
 * ones, else "householder". `use_trivialization`: the map starts at the present value, which is kept as a buffer.
 */
export function orthogonal<M extends Module>(module: M, ...given: OrthogonalArgs): M {
  const [name, map, trivialize] = bind<[string, OrthogonalMap | null, boolean]>(
    "orthogonal",
    "name='weight', orthogonal_map=None, *, use_trivialization=True",
    given,
  );
  const weight = tensorOf(module, name);
  if (weight.ndim < 2) {
    throw new ValueError(`Expected a matrix or batch of matrices. Got a tensor of ${weight.ndim} dimensions.`);
  }
  const square = weight.shape.at(-2) === weight.shape.at(-1);
  const chosen = map ?? (square || weight.is_complex() ? "matrix_exp" : "householder");
  if (!MAPS.includes(chosen)) {
    throw new ValueError(`orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: ${String(map)}`);
  }
  if (chosen === "householder" && weight.is_complex()) {
    throw new ValueError("The householder parametrization does not support complex tensors.");
  }
  return register_parametrization(module, name, new Orthogonal(weight.shape, chosen, trivialize), { unsafe: true });
}
