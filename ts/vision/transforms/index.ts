/** `transforms`: torchvision's classes and, as `functional`, what they are made of. */

export * as functional from "./functional.ts";
