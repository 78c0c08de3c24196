/** Tensor's autograd methods. */

import { RuntimeError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { backward, onAccumulated, type BackwardOptions } from "./backward.ts";

declare module "../core/tensor.ts" {
  interface Tensor {
    /** Gradients of this tensor with respect to the graph's leaves, added to their `.grad`. `gradient` may be left out for scalars. */
    backward(gradient?: Tensor | BackwardOptions | null, options?: BackwardOptions): void;
    backward(options: BackwardOptions): void;
    /** Keeps `.grad` of a tensor that is not a leaf. */
    retain_grad(): void;
    /**
     * Calls `hook` with this leaf each time `backward` has added to its `.grad`: an optimizer's step there frees the gradient before others
     * come. Throws RuntimeError for what is no leaf or does not require grad.
     */
    register_post_accumulate_grad_hook(hook: (param: Tensor) => void): { remove(): void };
  }
}

Object.assign(Tensor.prototype, {
  backward(this: Tensor, gradient: Tensor | BackwardOptions | null = null, options: BackwardOptions = {}) {
    if (gradient instanceof Tensor || gradient === null) backward(this, gradient, options);
    else backward(this, null, gradient);
  },
  register_post_accumulate_grad_hook(this: Tensor, hook: (param: Tensor) => void) {
    if (!this.requires_grad) throw new RuntimeError("cannot register a hook on a tensor that doesn't require gradient");
    if (!this.is_leaf) throw new RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors");
    if (typeof hook !== "function") {
      throw new TypeError(`register_post_accumulate_grad_hook: expected a function, got ${typeof hook}`);
    }
    return onAccumulated(this, hook);
  },
  retain_grad(this: Tensor) {
    if (this.is_leaf || this._retainsGrad) return;
    this._retainsGrad = true;
    this.register_hook((g) => {
      this.grad = g;
    });
  },
});
