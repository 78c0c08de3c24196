/** What pixels show: brightness, colours, sharpness. Of uint8, or floating from 0 to 1. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { pairOf, type Size } from "./geometry.ts";
import { asBatch, checkChannels, convert_image_dtype, declare, get_dimensions, whiteOf, type ImageFunction } from "./image.ts";

const floatOf = (img: Tensor): torch.DType => (img.dtype.is_floating_point ? img.dtype : torch.float32);

/** `ratio` parts of one image and 1 - ratio of another. */
function blend(img: Tensor, other: Tensor, ratio: number): Tensor {
  const white = img.dtype.is_floating_point ? 1 : 255;
  return img
    .mul(new torch.FloatScalar(ratio))
    .add(other.mul(new torch.FloatScalar(1 - ratio)))
    .clamp(0, white)
    .to(img.dtype);
}

function checkFactor(name: string, factor: number): void {
  if (!(factor >= 0)) throw new torch.ValueError(`${name} (${factor}) is not non-negative.`);
}

/** Grey, (..., 1, H, W) or three equal channels. */
export const rgb_to_grayscale: ImageFunction<[{ num_output_channels?: number }]> = declare(
  "rgb_to_grayscale",
  "num_output_channels=1",
  (img: Tensor, channels: number) => {
    checkChannels("rgb_to_grayscale", img, 3);
    if (channels !== 1 && channels !== 3) throw new torch.ValueError("num_output_channels should be either 1 or 3");
    let grey = img;
    if (img.size(-3) === 3) {
      const [r, g, b] = img.unbind(-3) as [Tensor, Tensor, Tensor];
      grey = r.mul(0.2989).add(g.mul(0.587)).add(b.mul(0.114)).to(img.dtype).unsqueeze(-3);
    } else if (channels === 1) grey = img.clone();
    return channels === 3 ? grey.expand([...img.shape.slice(0, -3), 3, ...img.shape.slice(-2)]) : grey;
  },
);

/** 0: black, 1: as it is, 2: twice as bright. */
export const adjust_brightness: ImageFunction<[{ brightness_factor: number }]> = declare(
  "adjust_brightness",
  "brightness_factor",
  (img: Tensor, factor: number) => {
    checkFactor("brightness_factor", factor);
    checkChannels("adjust_brightness", img);
    return blend(img, torch.zeros_like(img), factor);
  },
);

/** 0: all of the mean grey, 1: as it is. */
export const adjust_contrast: ImageFunction<[{ contrast_factor: number }]> = declare(
  "adjust_contrast",
  "contrast_factor",
  (img: Tensor, factor: number) => {
    checkFactor("contrast_factor", factor);
    checkChannels("adjust_contrast", img);
    const grey = get_dimensions(img)[0] === 3 ? rgb_to_grayscale(img) : img;
    return blend(img, grey.to(floatOf(img)).mean(img.ndim === 2 ? [-2, -1] : [-3, -2, -1], { keepdim: true }), factor);
  },
);

/** 0: grey, 1: as it is. */
export const adjust_saturation: ImageFunction<[{ saturation_factor: number }]> = declare(
  "adjust_saturation",
  "saturation_factor",
  (img: Tensor, factor: number) => {
    checkFactor("saturation_factor", factor);
    checkChannels("adjust_saturation", img);
    return get_dimensions(img)[0] === 1 ? img : blend(img, rgb_to_grayscale(img), factor);
  },
);

/** Hues moved round the circle by hue_factor, -0.5 to 0.5 of it. */
export const adjust_hue: ImageFunction<[{ hue_factor: number }]> = declare(
  "adjust_hue",
  "hue_factor",
  (img: Tensor, factor: number) => {
    if (!(factor >= -0.5 && factor <= 0.5)) throw new torch.ValueError(`hue_factor (${factor}) is not in [-0.5, 0.5].`);
    checkChannels("adjust_hue", img);
    if (get_dimensions(img)[0] === 1) return img;
    const whole = !img.dtype.is_floating_point;
    const [h, s, v] = toHsv(whole ? img.to(torch.float32).div(255) : img);
    const turned = fromHsv(h.add(factor).remainder(1), s, v);
    return whole ? turned.mul(255).to(img.dtype) : turned;
  },
);

/** Hue, saturation and value, each (..., H, W) from 0 to 1. */
function toHsv(img: Tensor): [Tensor, Tensor, Tensor] {
  const [r, g, b] = img.unbind(-3) as [Tensor, Tensor, Tensor];
  const [most, least] = [img.amax(-3), img.amin(-3)];
  const range = most.sub(least);
  const grey = most.eq(least);
  // Where there is no colour, any divisor does: what it divides is 0.
  const saturation = range.div(torch.where(grey, 1, most));
  const divisor = torch.where(grey, 1, range);
  const [rc, gc, bc] = [r, g, b].map((c) => most.sub(c).div(divisor)) as [Tensor, Tensor, Tensor];
  const sixth = torch.where(most.eq(r), bc.sub(gc), torch.where(most.eq(g), rc.add(2).sub(bc), gc.add(4).sub(rc)));
  return [sixth.div(6).add(1).fmod(1), saturation, most];
}

function fromHsv(h: Tensor, s: Tensor, v: Tensor): Tensor {
  const sixths = h.mul(6);
  const sector = sixths.floor();
  const f = sixths.sub(sector);
  const rest = (part: Tensor): Tensor => v.mul(part.neg().add(1)).clamp(0, 1);
  const [p, q, t] = [rest(s), rest(s.mul(f)), rest(s.mul(f.neg().add(1)))];
  const at = sector.remainder(6).unsqueeze(-3);
  const pick = (...six: Tensor[]): Tensor => {
    const all = torch.stack(six, -3);
    const number = torch.arange(6, { dtype: at.dtype, device: at.device }).view(-1, 1, 1);
    return torch.where(at.eq(number), all, 0).sum(-3);
  };
  return torch.stack([pick(v, q, p, p, t, v), pick(t, v, v, q, p, p), pick(p, p, t, v, v, q)], -3);
}

/** gain * img^gamma, of values from 0 to 1. */
export const adjust_gamma: ImageFunction<[{ gamma: number }, { gain?: number }]> = declare(
  "adjust_gamma",
  "gamma, gain=1",
  (img: Tensor, gamma: number, gain: number) => {
    checkChannels("adjust_gamma", img);
    if (!(gamma >= 0)) throw new torch.ValueError(`Gamma should be a non-negative real number, got ${gamma}`);
    const light = img.dtype.is_floating_point ? img : convert_image_dtype(img, torch.float32);
    return convert_image_dtype(light.pow(gamma).mul(gain).clamp(0, 1), img.dtype);
  },
);

export const invert: ImageFunction<[]> = declare("invert", "", (img: Tensor) => {
  checkChannels("invert", img, 3);
  return img.neg().add(whiteOf(img.dtype)).to(img.dtype);
});

function checkBytes(name: string, img: Tensor): void {
  if (img.dtype !== torch.uint8) {
    throw new TypeError(`${name}: Only torch.uint8 image tensors are supported, but found ${img.dtype.name}`);
  }
}

/** The upper `bits` bits of each channel; uint8. */
export const posterize: ImageFunction<[{ bits: number }]> = declare("posterize", "bits", (img: Tensor, bits: number) => {
  if (!(bits >= 0 && bits <= 8)) throw new torch.ValueError(`The number if bits should be between 0 and 8. Got ${bits}`);
  checkBytes("posterize", img);
  checkChannels("posterize", img, 3);
  return img.bitwise_and(256 - 2 ** (8 - bits));
});

/** What is at least as bright as the threshold, inverted. */
export const solarize: ImageFunction<[{ threshold: number }]> = declare(
  "solarize",
  "threshold",
  (img: Tensor, threshold: number) => {
    checkChannels("solarize", img, 3);
    const white = img.dtype.is_floating_point ? 1 : 255;
    if (threshold > white) throw new TypeError(`Threshold should be less than bound of img: ${threshold} > ${white}`);
    return torch.where(img.ge(threshold), invert(img), img);
  },
);

/** 0: blurred, 1: as it is, 2: sharpened. Images of two pixels a side stay as they are. */
export const adjust_sharpness: ImageFunction<[{ sharpness_factor: number }]> = declare(
  "adjust_sharpness",
  "sharpness_factor",
  (img: Tensor, factor: number) => {
    checkFactor("sharpness_factor", factor);
    checkChannels("adjust_sharpness", img);
    const [channels, h, w] = get_dimensions(img);
    if (w <= 2 || h <= 2) return img;
    const dtype = floatOf(img);
    const kernel = torch.tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]], { dtype, device: img.device }).div(13); // prettier-ignore
    const inner = asBatch(img, [dtype], (batch) =>
      torch.nn.functional.conv2d(batch, kernel.expand(channels, 1, 3, 3), { groups: channels }),
    );
    const blurred = img.clone();
    blurred
      .narrow(-2, 1, h - 2)
      .narrow(-1, 1, w - 2)
      .copy_(inner);
    return blend(img, blurred, factor);
  },
);

/** Each channel stretched so that its darkest pixel is black and its lightest white. */
export const autocontrast: ImageFunction<[]> = declare("autocontrast", "", (img: Tensor) => {
  checkChannels("autocontrast", img, 3);
  const white = img.dtype.is_floating_point ? 1 : 255;
  const dtype = floatOf(img);
  const least = img.amin([-2, -1], { keepdim: true }).to(dtype);
  const scale = img.amax([-2, -1], { keepdim: true }).to(dtype).sub(least).reciprocal().mul(white);
  const varies = scale.isfinite();
  return img
    .sub(torch.where(varies, least, 0))
    .mul(torch.where(varies, scale, 1))
    .clamp(0, white)
    .to(img.dtype);
});

/** Each channel's values spread so that all are about as frequent; uint8, (C, H, W) or (N, C, H, W). */
export const equalize: ImageFunction<[]> = declare("equalize", "", (img: Tensor) => {
  if (img.ndim < 3 || img.ndim > 4) {
    throw new TypeError(`equalize: Input image tensor should have 3 or 4 dimensions, but found ${img.ndim}`);
  }
  checkBytes("equalize", img);
  checkChannels("equalize", img);
  const values = img.flatten(-2).to(torch.int64);
  const counts = torch
    .zeros([...values.shape.slice(0, -1), 256], { dtype: torch.int64, device: img.device })
    .scatter_add(-1, values, torch.ones_like(values));
  // The lightest value does not count. A channel of one value has no step, and stays.
  const lightest = counts.gather(-1, values.amax(-1, { keepdim: true }));
  const step = lightest.neg().add(values.size(-1)).div(255, { rounding_mode: "floor" });
  const flat = step.eq(0);
  const divisor = torch.where(flat, 1, step);
  const sums = counts
    .cumsum(-1)
    .add(divisor.div(2, { rounding_mode: "floor" }))
    .div(divisor, { rounding_mode: "floor" });
  const table = torch.nn.functional.pad(sums.narrow(-1, 0, 255), [1, 0]).clamp(0, 255);
  return torch.where(flat, values, table.gather(-1, values)).to(torch.uint8).view(img.shape);
});

type Per = readonly number[] | Tensor;

/** (img - mean) / std, channel by channel; a floating image (..., C, H, W). */
export const normalize: ImageFunction<[{ mean: Per }, { std: Per }, { inplace?: boolean }]> = declare(
  "normalize",
  "mean, std, inplace=False",
  (img: Tensor, mean: Per, std: Per, inplace: boolean) => {
    const { dtype, device } = img;
    if (!dtype.is_floating_point) throw new TypeError(`Input tensor should be a float tensor. Got ${dtype.name}.`);
    if (img.ndim < 3) {
      throw new torch.ValueError(
        `Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = [${img.shape.join(", ")}]`,
      );
    }
    if (Array.isArray(std) && std.includes(0)) {
      throw new torch.ValueError(`std evaluated to zero after conversion to ${dtype.name}, leading to division by zero.`);
    }
    const [m, s] = [mean, std].map((x) => {
      const t = x instanceof torch.Tensor ? x.to(device).to(dtype) : torch.tensor(x, { dtype, device });
      return t.ndim === 1 ? t.view(-1, 1, 1) : t;
    }) as [Tensor, Tensor];
    return inplace ? img.sub_(m).div_(s) : img.sub(m).div(s);
  },
);

type EraseArgs = [{ i: number }, { j: number }, { h: number }, { w: number }, { v: Tensor | number }, { inplace?: boolean }];

/** The rectangle of height h and width w at (i, j) filled with v. */
export const erase: ImageFunction<EraseArgs> = declare(
  "erase",
  "i, j, h, w, v, inplace=False",
  (img: Tensor, i: number, j: number, h: number, w: number, v: Tensor | number, inplace: boolean) => {
    const out = inplace ? img : img.clone();
    const part = out.narrow(-2, i, h).narrow(-1, j, w);
    if (typeof v === "number") part.fill_(v);
    else part.copy_(v.to(img.device));
    return out;
  },
);

/** A bell curve of `size` samples whose sum is 1. */
function bell(size: number, sigma: number): Tensor {
  const half = (size - 1) * 0.5;
  const pdf = torch.linspace(-half, half, size, { device: "cpu" }).div(sigma).pow(2).mul(-0.5).exp();
  return pdf.div(pdf.sum());
}

/** Blurred by a bell curve; kernel_size [width, height] odd, sigma [x, y] from it unless given. */
export const gaussian_blur: ImageFunction<[{ kernel_size: Size }, { sigma?: Size | null }]> = declare(
  "gaussian_blur",
  "kernel_size, sigma=None",
  (img: Tensor, kernel_size: Size, sigma: Size | null) => {
    const [kx, ky] = pairOf("gaussian_blur", kernel_size);
    for (const k of [kx, ky]) {
      if (!Number.isInteger(k) || k <= 0 || k % 2 === 0) {
        throw new torch.ValueError(`gaussian_blur: kernel_size should have odd and positive integers. Got [${kx}, ${ky}]`);
      }
    }
    const [sx, sy] = sigma === null ? [kx * 0.15 + 0.35, ky * 0.15 + 0.35] : pairOf("gaussian_blur", sigma);
    if (!(sx > 0 && sy > 0)) throw new torch.ValueError(`gaussian_blur: sigma should have positive values. Got [${sx}, ${sy}]`);
    const [channels] = get_dimensions(img);
    const dtype = floatOf(img);
    const kernel = bell(ky, sy).unsqueeze(1).mul(bell(kx, sx).unsqueeze(0)).to(img.device).to(dtype).expand(channels, 1, ky, kx);
    const borders = [kx >> 1, kx >> 1, ky >> 1, ky >> 1];
    return asBatch(img, [dtype], (batch) =>
      torch.nn.functional.conv2d(torch.nn.functional.pad(batch, borders, { mode: "reflect" }), kernel, { groups: channels }),
    );
  },
);
