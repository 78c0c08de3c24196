/** Adafactor. */

import { finfo } from "../core/numeric_limits.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { PlainOptimizer, type Common, type Given, type State } from "./more.ts";
import type { ParamGroup } from "./optimizer.ts";

export interface AdafactorOptions extends Omit<Common, "differentiable"> {
  beta2_decay: number;
  eps: readonly [number | null, number];
  d: number;
}

/** Adam with little state: of a matrix it keeps the mean squares of rows and columns only. */
export class Adafactor extends PlainOptimizer<AdafactorOptions & Common> {
  constructor(...args: Given<AdafactorOptions>) {
    const own = "beta2_decay=-0.8, eps=[null, 0.001], d=1, weight_decay=0";
    super("Adafactor", `lr=0.01, ${own}, *, foreach=None, maximize=False`, args);
  }
  private start(p: Tensor): object {
    if (p.ndim <= 1) return { variance: ops.zeros_like(p) };
    const [rows, columns] = [[...p.shape], [...p.shape]];
    rows[p.ndim - 1] = 1;
    columns[p.ndim - 2] = 1;
    return { row_var: p.new_zeros(rows), col_var: p.new_zeros(columns) };
  }
  protected override updateGroup(group: ParamGroup, params: readonly Tensor[]): void {
    const o = group as unknown as AdafactorOptions & Common;
    for (const p of params) {
      const state = this.stateOf<State>(p, () => ({ step: 0, ...this.start(p) }) as unknown as State);
      state.step++;
      this.update(p, o.maximize ? p.grad!.neg() : p.grad!, state, o);
    }
  }
  private update(p: Tensor, grad: Tensor, state: State, options: AdafactorOptions): void {
    const { lr, weight_decay, beta2_decay, eps, d } = options;
    // The step's length depends on the parameter before its decay.
    const size = rms(p).clamp(eps[1]);
    size._storage.materialize();
    if (weight_decay !== 0) p.mul_(1 - lr * weight_decay);
    const weight = state.step ** beta2_decay;
    const eps1 = eps[0] ?? finfo(p.dtype).eps;
    let square: Tensor;
    if (grad.ndim > 1) {
      const squares = grad.mul(grad);
      state.row_var!.lerp_(squares.mean(-1, true), weight);
      state.col_var!.lerp_(squares.mean(-2, true), weight);
      square = state.row_var!.mul(state.col_var!).div(state.row_var!.mean(-2, true).clamp(eps1));
    } else square = state.variance!.lerp_(grad.mul(grad), weight);
    const update = square
      .clamp(eps1 * eps1)
      .rsqrt()
      .mul(grad);
    const longest = rms(update).div(d).clamp(1);
    p.sub_(update.mul(size.mul(Math.min(lr, 1 / Math.sqrt(state.step))).div(longest)));
  }
}

const rms = (t: Tensor): Tensor => t.mul(t).mean().sqrt();
