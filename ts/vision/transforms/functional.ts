/** `transforms.functional`: deterministic transforms of image tensors (..., C, H, W). */

export * from "./color.ts";
export { center_crop, crop, five_crop, hflip, pad, resize, resized_crop, ten_crop, vflip } from "./geometry.ts";
export {
  convert_image_dtype,
  get_dimensions,
  get_image_num_channels,
  get_image_size,
  pil_to_tensor,
  to_tensor,
} from "./image.ts";
export { affine, elastic_transform, perspective, rotate } from "./warp.ts";
