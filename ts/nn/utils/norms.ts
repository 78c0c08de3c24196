/** torch.nn.utils.weight_norm and spectral_norm, the older forms of the parametrizations of that name: their state has other keys. */

import { RuntimeError, ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import { bind, F } from "../layer.ts";
import type { Module } from "../module.ts";
import { is_lazy, Parameter } from "../parameter.ts";
import { asMatrix, norm_except_dim, outputDim, powerMethod } from "./norm_formulas.ts";
import { attach, detach, fieldsOf, recipesOf, settle } from "./reparametrize.ts";

function weightOf(op: string, module: Module, name: string): Parameter {
  const weight = fieldsOf(module)[name];
  if (is_lazy(weight)) {
    throw new ValueError(
      `${op}: the module can't have uninitialized parameters. Make sure to run the dummy forward before applying ${op}`,
    );
  }
  if (weight instanceof Parameter) return weight;
  throw new ValueError(`${op} cannot be applied: \`${name}\` of ${module} is no parameter`);
}

interface Kind {
  readonly name: string;
  compute(module: Module): Tensor;
}
type KindOf<R> = abstract new (...args: never[]) => R;

function only<R extends Kind>(op: string, module: Module, name: string, kind: KindOf<R>): R {
  const found = recipesOf(module, kind).find((r) => r.name === name);
  if (found === undefined) throw new ValueError(`${op} of '${name}' not found in ${module}`);
  return found;
}
function refuseSecond<R extends Kind>(op: string, module: Module, name: string, kind: KindOf<R>): void {
  if (recipesOf(module, kind).some((r) => r.name === name)) {
    throw new RuntimeError(`Cannot register two ${op} hooks on the same parameter ${name}`);
  }
}

class WeightNorm implements Kind {
  constructor(
    readonly name: string,
    readonly dim: number,
  ) {}
  compute(module: Module): Tensor {
    const fields = fieldsOf(module);
    const [g, v] = [fields[`${this.name}_g`] as Tensor, fields[`${this.name}_v`] as Tensor];
    return v.mul(g.div(norm_except_dim(v, this.dim)));
  }
}

/**
 * Splits a weight into its norm per index of `dim` (null: as a whole), `NAME_g`, and its direction, `NAME_v`.
 * Deprecated: nn.utils.parametrizations.weight_norm.
 */
export function weight_norm<M extends Module>(module: M, ...given: Args<[{ name?: string }, { dim?: number | null }]>): M {
  const [name, dim] = bind<[string, number | null]>("weight_norm", "name='weight', dim=0", given);
  refuseSecond("weight_norm", module, name, WeightNorm);
  const weight = weightOf("weight_norm", module, name);
  const recipe = new WeightNorm(name, dim ?? -1);
  delete fieldsOf(module)[name];
  const norm = no_grad(() => norm_except_dim(weight, recipe.dim));
  module.register_parameter(`${name}_g`, new Parameter(norm));
  module.register_parameter(`${name}_v`, new Parameter(weight.detach()));
  attach(module, recipe);
  return module;
}

export function remove_weight_norm<M extends Module>(module: M, name = "weight"): M {
  const recipe = only("weight_norm", module, name, WeightNorm);
  const value = no_grad(() => recipe.compute(module));
  detach(module, recipe);
  settle(module, name, value, `${name}_g`, `${name}_v`);
  return module;
}

class SpectralNorm implements Kind {
  constructor(
    readonly name: string,
    readonly steps: number,
    readonly dim: number,
    readonly eps: number,
  ) {}
  compute(module: Module): Tensor {
    return this.divide(module, module.training ? this.steps : 0);
  }
  divide(module: Module, steps: number): Tensor {
    const fields = fieldsOf(module);
    const [weight, u, v] = ["_orig", "_u", "_v"].map((suffix) => fields[this.name + suffix] as Tensor) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const matrix = asMatrix(weight, this.dim);
    // v goes first here, u first in the newer form: the same with the roles exchanged.
    powerMethod(matrix.t(), v, u, steps, this.eps);
    // Later calls move them on while this call's graph still wants them.
    return weight.div(u.clone().dot(matrix.mv(v.clone())));
  }
}

type SpectralArgs = Args<[{ name?: string }, { n_power_iterations?: number }, { eps?: number }, { dim?: number | null }]>;

/**
 * Divides a weight by its greatest singular value: `NAME_orig` is learned, `NAME_u` and `NAME_v` are buffers.
 * The newer form is nn.utils.parametrizations.spectral_norm.
 */
export function spectral_norm<M extends Module>(module: M, ...given: SpectralArgs): M {
  const [name, steps, eps, dim] = bind<[string, number, number, number | null]>(
    "spectral_norm",
    "name='weight', n_power_iterations=1, eps=1e-12, dim=None",
    given,
  );
  refuseSecond("spectral_norm", module, name, SpectralNorm);
  if (steps <= 0) {
    throw new ValueError(`Expected n_power_iterations to be positive, but got n_power_iterations=${steps}`);
  }
  const weight = weightOf("spectral_norm", module, name);
  const recipe = new SpectralNorm(name, steps, dim ?? outputDim(module), eps);
  const [h, w] = asMatrix(weight, recipe.dim).shape as [number, number];
  const unit = (n: number): Tensor =>
    no_grad(() => {
      const drawn = ops.empty([n], { dtype: weight.dtype, device: weight.device }).normal_(0, 1);
      return F.normalize(drawn, { dim: 0, eps }) as Tensor;
    });
  const [u, v] = [unit(h), unit(w)];
  delete fieldsOf(module)[name];
  module.register_parameter(`${name}_orig`, weight);
  module.register_buffer(`${name}_u`, u);
  module.register_buffer(`${name}_v`, v);
  attach(module, recipe, weight.detach());
  return module;
}

export function remove_spectral_norm<M extends Module>(module: M, name = "weight"): M {
  const recipe = only("spectral_norm", module, name, SpectralNorm);
  const value = no_grad(() => recipe.divide(module, 0));
  detach(module, recipe);
  settle(module, name, value, `${name}_orig`, `${name}_u`, `${name}_v`);
  return module;
}
