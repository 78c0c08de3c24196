/** What every transform asks of its image first. */

import * as torch from "../../torch.ts";

/** Fails unless `img` can be an image: a tensor (..., H, W). */
export function checkImage(name: string, img: unknown): asserts img is torch.Tensor {
  if (!(img instanceof torch.Tensor)) throw new TypeError(`${name}: expected an image tensor (..., C, H, W), got ${typeof img}`);
  if (img.ndim < 2)
    throw new TypeError(`${name}: Tensor is not a torch image: expected (..., C, H, W), got shape [${img.shape.join(", ")}]`);
}
