/** `transforms.functional`: deterministic transforms of image tensors, (..., C, H, W). */

export { hflip, vflip } from "./geometry.ts";
