/** What every transform asks of its image first, and what it converts. */

import * as torch from "../../torch.ts";
import type { Args, DType, Tensor } from "../../torch.ts";

/** A function of an image: PyTorch's signature but for the image, with arguments by position or by name in one last object. */
export type ImageFunction<P extends readonly object[], R = Tensor> = (img: Tensor, ...args: Args<P>) => R;

/** Declares one; `signature` names the arguments after the image. */
export function declare<P extends readonly object[], R = Tensor>(
  name: string,
  signature: string,
  run: (img: Tensor, ...args: never[]) => R,
): ImageFunction<P, R> {
  return (img, ...given) => {
    checkImage(name, img);
    return run(img, ...(torch._bind(name, signature, given) as never[]));
  };
}

/** Fails unless `img` can be an image: a tensor (..., H, W). */
export function checkImage(name: string, img: unknown): asserts img is Tensor {
  if (!(img instanceof torch.Tensor)) throw new TypeError(`${name}: expected an image tensor (..., C, H, W), got ${typeof img}`);
  if (img.ndim < 2) {
    throw new TypeError(`${name}: Tensor is not a torch image: expected (..., C, H, W), got shape [${img.shape.join(", ")}]`);
  }
}

/** Fails unless it is grey or has three colours. */
export function checkChannels(name: string, img: Tensor, least = 2): void {
  if (img.ndim < least) {
    throw new TypeError(`${name}: Input image tensor should have at least ${least} dimensions, but found ${img.ndim}`);
  }
  const [channels] = get_dimensions(img);
  if (channels !== 1 && channels !== 3) {
    throw new TypeError(`${name}: Input image tensor permitted channel values are 1 or 3, but found ${channels}`);
  }
}

/** Channels, height, width. */
export function get_dimensions(img: Tensor): [channels: number, height: number, width: number] {
  checkImage("get_dimensions", img);
  return [img.ndim === 2 ? 1 : img.size(-3), img.size(-2), img.size(-1)];
}
/** Width and height. */
export function get_image_size(img: Tensor): [width: number, height: number] {
  const [, height, width] = get_dimensions(img);
  return [width, height];
}
export function get_image_num_channels(img: Tensor): number {
  return get_dimensions(img)[0];
}

/** White: the greatest value of a whole type, 1 of a floating one. */
export const whiteOf = (dtype: DType): number => (dtype === torch.uint8 ? 255 : dtype.is_floating_point ? 1 : maxOf(dtype));
const maxOf = (dtype: DType): number =>
  dtype === torch.bool ? 1 : 2 ** (8 * dtype.itemsize - (dtype === torch.uint8 ? 0 : 1)) - 1;

/** `f` of the image as a batch (N, C, H, W) of a floating type; then back to its shape and type, rounded where that is whole. */
export function asBatch(img: Tensor, floating: readonly DType[], f: (batch: Tensor) => Tensor): Tensor {
  const { dtype } = img;
  const leading = img.shape.slice(0, -3);
  const flat = img.ndim === 4 ? img : img.reshape([-1, ...get_dimensions(img)]);
  const out = f(floating.includes(dtype) ? flat : flat.to(floating[0]!));
  const shaped = img.ndim === 4 ? out : out.reshape([...leading, ...out.shape.slice(img.ndim === 2 ? -2 : -3)]);
  if (floating.includes(dtype)) return shaped;
  return (dtype.is_floating_point ? shaped : shaped.round()).to(dtype);
}

/**
 * The image in another type: between floating types as it is, between whole ones and 0..1 scaled by the type's greatest value. RuntimeError where a
 * floating type cannot hold the whole one's greatest value (float32 to int32 or int64, float64 to int64).
 */
export const convert_image_dtype: ImageFunction<[{ dtype?: DType | null }]> = declare(
  "convert_image_dtype",
  "dtype=None",
  (img: Tensor, wanted: DType | null) => {
    const dtype = wanted ?? torch.float32;
    const from = img.dtype;
    if (from === dtype) return img;
    if (from.is_floating_point) {
      if (dtype.is_floating_point) return img.to(dtype);
      if (dtype.itemsize === 8 || (dtype.itemsize === 4 && from.itemsize < 8)) {
        throw new torch.RuntimeError(
          `convert_image_dtype: The cast from ${from.name} to ${dtype.name} cannot be performed safely.`,
        );
      }
      // So that all values get an equal share of 0..1.
      return img.mul(maxOf(dtype) + 1 - 1e-3).to(dtype);
    }
    const [input, output] = [BigInt(maxOf(from)) + 1n, BigInt(maxOf(dtype)) + 1n];
    if (dtype.is_floating_point) return img.to(dtype).div(maxOf(from));
    if (input > output) return img.div(Number(input / output), { rounding_mode: "floor" }).to(dtype);
    return img.to(dtype).mul(Number(output / input));
  },
);

type Picture = torch.ImageSource;

/** A picture as a tensor (C, H, W) of uint8: an ImageData, a canvas, an ImageBitmap, what `io.read_image` decodes. */
export function pil_to_tensor(pic: Picture, options: { mode?: torch.ImageMode } = {}): Tensor {
  return torch.from_image(pic, options);
}

/** The same as float32 from 0 to 1; a uint8 tensor (C, H, W) is scaled, too. */
export function to_tensor(pic: Picture | Tensor, options: { mode?: torch.ImageMode } = {}): Tensor {
  const img = pic instanceof torch.Tensor ? pic : pil_to_tensor(pic, options);
  return img.dtype === torch.uint8 ? img.to(torch.float32).div(255) : img;
}
