/** Tensor's autograd methods. */

import { Tensor } from "../core/tensor.ts";
import { backward, type BackwardOptions } from "./backward.ts";

declare module "../core/tensor.ts" {
  interface Tensor {
    /** Gradients of this tensor with respect to the graph's leaves, added to their `.grad`. `gradient` may be left out for scalars. */
    backward(gradient?: Tensor | BackwardOptions | null, options?: BackwardOptions): void;
    backward(options: BackwardOptions): void;
    /** Keeps `.grad` of a tensor that is not a leaf. */
    retain_grad(): void;
  }
}

Object.assign(Tensor.prototype, {
  backward(this: Tensor, gradient: Tensor | BackwardOptions | null = null, options: BackwardOptions = {}) {
    if (gradient instanceof Tensor || gradient === null) backward(this, gradient, options);
    else backward(this, null, gradient);
  },
  retain_grad(this: Tensor) {
    if (this.is_leaf || this._retainsGrad) return;
    this._retainsGrad = true;
    this.register_hook((g) => {
      this.grad = g;
    });
  },
});
