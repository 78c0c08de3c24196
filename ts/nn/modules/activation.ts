/** Activations as layers. */

import { get_default_dtype, type DType } from "../../core/dtype.ts";
import type { Device } from "../../core/device.ts";
import { ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import { bind, F, layer, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";
import { repr } from "../repr.ts";

interface Inplace {
  inplace?: boolean;
}
interface Lambda {
  lambd?: number;
}
interface Dim {
  dim?: number | null;
}

const INPLACE = { repr: "inplace?" };

export class ReLU extends layer<[Inplace]>("inplace=False", (m, x) => F.relu(x, m.inplace), INPLACE) {}
export class ReLU6 extends layer<[Inplace]>("inplace=False", (m, x) => F.relu6(x, m.inplace), INPLACE) {}
export class SELU extends layer<[Inplace]>("inplace=False", (m, x) => F.selu(x, m.inplace), INPLACE) {}
export class SiLU extends layer<[Inplace]>("inplace=False", (m, x) => F.silu(x, m.inplace), INPLACE) {}
export class Mish extends layer<[Inplace]>("inplace=False", (m, x) => F.mish(x, m.inplace), INPLACE) {}
export class Hardswish extends layer<[Inplace]>("inplace=False", (m, x) => F.hardswish(x, m.inplace), INPLACE) {}
export class Hardsigmoid extends layer<[Inplace]>("inplace=False", (m, x) => F.hardsigmoid(x, m.inplace), INPLACE) {}
export class Sigmoid extends layer<[]>("", (_, x) => F.sigmoid(x)) {}
export class Tanh extends layer<[]>("", (_, x) => F.tanh(x)) {}
export class Softsign extends layer<[]>("", (_, x) => F.softsign(x)) {}
export class Tanhshrink extends layer<[]>("", (_, x) => F.tanhshrink(x)) {}
export class LogSigmoid extends layer<[]>("", (_, x) => F.logsigmoid(x)) {}
export class LeakyReLU extends layer<[{ negative_slope?: number }, Inplace]>(
  "negative_slope=0.01, inplace=False",
  (m, x) => F.leaky_relu(x, m.negative_slope, m.inplace),
  { repr: "negative_slope=, inplace?" },
) {}
export class ELU extends layer<[{ alpha?: number }, Inplace]>(
  "alpha=1.0, inplace=False",
  (m, x) => F.elu(x, m.alpha, m.inplace),
  { repr: "alpha=, inplace?" },
) {}
export class CELU extends layer<[{ alpha?: number }, Inplace]>(
  "alpha=1.0, inplace=False",
  (m, x) => F.celu(x, m.alpha, m.inplace),
  { repr: "alpha=, inplace?" },
) {}
export class GELU extends layer<[{ approximate?: "none" | "tanh" }]>(
  "approximate='none'",
  (m, x) => F.gelu(x, { approximate: m.approximate }),
  { repr: "approximate=" },
) {}
export class Hardtanh extends layer<[{ min_val?: number }, { max_val?: number }, Inplace]>(
  "min_val=-1.0, max_val=1.0, inplace=False",
  (m, x) => F.hardtanh(x, m.min_val, m.max_val, m.inplace),
  { repr: "min_val=, max_val=, inplace?" },
) {}
export class Softplus extends layer<[{ beta?: number }, { threshold?: number }]>(
  "beta=1.0, threshold=20.0",
  (m, x) => F.softplus(x, m.beta, m.threshold),
  { repr: "beta=, threshold=" },
) {}
export class Softshrink extends layer<[Lambda]>("lambd=0.5", (m, x) => F.softshrink(x, m.lambd), { repr: "lambd" }) {}
export class Hardshrink extends layer<[Lambda]>("lambd=0.5", (m, x) => F.hardshrink(x, m.lambd), { repr: "lambd" }) {}
export class Threshold extends layer<[{ threshold: number }, { value: number }, Inplace]>(
  "threshold, value, inplace=False",
  (m, x) => F.threshold(x, m.threshold, m.value, m.inplace),
  { repr: "threshold=, value=, inplace?" },
) {}
export class RReLU extends layer<[{ lower?: number }, { upper?: number }, Inplace]>(
  "lower=0.125, upper=0.3333333333333333, inplace=False",
  (m, x) => F.rrelu(x, m.lower, m.upper, m.training, m.inplace),
  { repr: "lower=, upper=, inplace?" },
) {}
export class GLU extends layer<[{ dim?: number }]>("dim=-1", (m, x) => F.glu(x, m.dim), { repr: "dim=" }) {}
export class Softmax extends layer<[Dim]>("dim=None", (m, x) => F.softmax(x, { dim: m.dim }), { repr: "dim=" }) {}
export class LogSoftmax extends layer<[Dim]>("dim=None", (m, x) => F.log_softmax(x, { dim: m.dim }), { repr: "dim=" }) {}
export class Softmin extends layer<[Dim]>("dim=None", (m, x) => F.softmin(x, { dim: m.dim }), { repr: "dim=" }) {}
/** Softmax over the channels of images. */
export class Softmax2d extends layer<[]>("", (_, x) => {
  if (x.ndim === 3 || x.ndim === 4) return F.softmax(x, { dim: -3 }) as Tensor;
  throw new ValueError(`Softmax2d: expected input to be 3D or 4D, got ${x.ndim}D instead`);
}) {}

export class PReLU extends Module {
  weight: Parameter;
  num_parameters: number;

  constructor(...given: Args<[{ num_parameters?: number }, { init?: number }], Factory>) {
    super();
    const [n, init, device, dtype] = bind<[number, number, Device | null, DType | null]>(
      "PReLU",
      "num_parameters=1, init=0.25, device=None, dtype=None",
      given,
    );
    this.num_parameters = n;
    this.weight = new Parameter(ops.full([n], init, { device, dtype: dtype ?? get_default_dtype() }));
  }
  forward(input: Tensor): Tensor {
    return F.prelu(input, this.weight) as Tensor;
  }
  override extra_repr(): string {
    return `num_parameters=${repr(this.num_parameters)}`;
  }
}
