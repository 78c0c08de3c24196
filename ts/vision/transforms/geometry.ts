/** Where pixels lie. */

import type { Tensor } from "../../torch.ts";
import { checkImage } from "./image.ts";

/** Mirrored left to right; (..., H, W). */
export function hflip(img: Tensor): Tensor {
  checkImage("hflip", img);
  return img.flip(-1);
}

/** Upside down; (..., H, W). */
export function vflip(img: Tensor): Tensor {
  checkImage("vflip", img);
  return img.flip(-2);
}
