/** `kindling/vision`: what torchvision has for training on images. */

export * as transforms from "./transforms/index.ts";
