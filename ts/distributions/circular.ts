/** Distributions of angles. */

import { bool, float64 } from "../core/dtype.ts";
import { no_grad } from "../core/grad_mode.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { i0e, i1e } from "../ops/special.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { bind, broadcast_all, Distribution, newLike, type Given, type Validate, type Value } from "./distribution.ts";

/** The normal distribution's relative on the circle; angles count modulo 2 pi, mean and variance are circular. */
export class VonMises extends Distribution {
  readonly loc: Tensor;
  readonly concentration: Tensor;

  constructor(...given: Given<[{ loc: Value }, { concentration: Value }]>) {
    super();
    const [loc, concentration, validate] = bind<[Value, Value, Validate]>("VonMises", "loc, concentration", given);
    [this.loc, this.concentration] = broadcast_all(loc, concentration) as [Tensor, Tensor];
    this.setUp(this.loc.shape, [], validate, { loc: constraints.real, concentration: constraints.positive });
  }
  override get support(): Constraint {
    return constraints.real;
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    return i1e(this.concentration).div(i0e(this.concentration)).neg().add(1);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const { concentration } = this;
    // cos - 1 takes the exponential that i0e leaves out.
    const wave = value.sub(this.loc).cos().sub(1).mul(concentration);
    return wave.sub(i0e(concentration).log()).sub(Math.log(2 * Math.PI));
  }
  /** By rejection (Best and Fisher), in float64 where the device has it, in as many rounds as it takes. */
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => {
      const { dtype, device } = this.loc;
      const wide = device.caps.float64 ? float64 : dtype;
      const [loc, k] = [this.loc.to(wide), this.concentration.to(wide)];
      const tau = k.square().mul(4).add(1).sqrt().add(1);
      const rho = tau.sub(tau.mul(2).sqrt()).div(k.mul(2));
      const r = ops.where(k.lt(1e-5), k.reciprocal().add(k), rho.square().add(1).div(rho.mul(2)));
      const shape = this.extendedShape(sample_shape);
      let x = ops.zeros(shape, { dtype: wide, device });
      let done = ops.zeros(shape, { dtype: bool, device });
      while (!done.all().item_sync()) {
        const [u1, u2, u3] = newLike(x, [3, ...shape])
          .uniform_()
          .unbind() as [Tensor, Tensor, Tensor];
        const z = u1.mul(Math.PI).cos();
        const f = r.mul(z).add(1).div(r.add(z));
        const c = k.mul(r.sub(f));
        const accept = c.mul(c.neg().add(2)).sub(u2).gt(0).logical_or(c.div(u2).log().add(1).sub(c).ge(0)); // prettier-ignore
        x = ops.where(accept, u3.sub(0.5).sign().mul(f.acos()), x);
        done = done.logical_or(accept);
      }
      return x
        .add(Math.PI)
        .add(loc)
        .remainder(2 * Math.PI)
        .sub(Math.PI)
        .to(dtype);
    });
  }
}
