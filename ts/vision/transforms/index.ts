/** `transforms`: torchvision's classes and, as `functional`, what they are made of. */

export * as functional from "./functional.ts";
export { InterpolationMode, type Interpolation, type PaddingMode, type Size } from "./geometry.ts";
export type { Fill } from "./warp.ts";
export {
  CenterCrop,
  Compose,
  ConvertImageDtype,
  FiveCrop,
  Grayscale,
  Lambda,
  LinearTransformation,
  Normalize,
  Pad,
  PILToTensor,
  Resize,
  TenCrop,
  ToTensor,
  type Transform,
} from "./plain.ts";
export * from "./random.ts";
export { AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide } from "./augment.ts";
export { CutMix, MixUp } from "./mix.ts";
