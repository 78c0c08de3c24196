/** `torch.autograd`. */

export { backward, grad } from "./backward.ts";
