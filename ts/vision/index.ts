/** `kindling/vision`: what torchvision has for training on images. */

export * as datasets from "./datasets/index.ts";
export * as io from "./io/index.ts";
export * as transforms from "./transforms/index.ts";
