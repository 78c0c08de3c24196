/** Transforms by chance: of places and of colours. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { chance, choice, logUniform, permutation, randint, uniform } from "./draws.ts";
import * as F from "./functional.ts";
import { pairOf, roundEven, type Interpolation, type PaddingMode, type Size } from "./geometry.ts";
import { get_dimensions } from "./image.ts";
import { keepPair, listed, type Transform } from "./plain.ts";
import type { Fill } from "./warp.ts";

const { _layer: layer } = torch;
type P = { p?: number };
type Range = readonly number[];
/** What a transform of a chain takes and gives. */
type Any = [input: unknown];

// Of transforms

/** All of the transforms, one after another, with probability p; else none. */
export class RandomApply extends layer<[{ transforms: readonly Transform[] }, P], Any, unknown>(
  "transforms, p=0.5",
  (m, input) => (chance(m.p) ? m.transforms.reduce((x: unknown, t: Transform): unknown => t(x), input) : input),
) {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what the transforms give
  declare forward: (input: any) => any;
  override toString(): string {
    return listed("RandomApply", this.transforms).replace("\n", `\n    p=${this.p}\n`);
  }
}

/** One of the transforms, with probabilities p where they are given. */
export class RandomChoice extends layer<[{ transforms: readonly Transform[] }, { p?: Range | null }], Any, unknown>(
  "transforms, p=None",
  (m, input) => m.transforms[choice(m.p ?? m.transforms.map(() => 1))]!(input) as unknown,
  {
    keep: ({ transforms, p }) => {
      const [n, given] = [(transforms as readonly unknown[]).length, p as Range | null];
      if (given !== null && given.length !== n) {
        throw new torch.ValueError(`RandomChoice: Length of p doesn't match the number of transforms: ${given.length} != ${n}`);
      }
    },
  },
) {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what the transform gives
  declare forward: (input: any) => any;
  override toString(): string {
    return `${listed("RandomChoice", this.transforms)}(p=${this.p === null ? "None" : `[${this.p.join(", ")}]`})`;
  }
}

/** All of the transforms in random order. */
export class RandomOrder extends layer<[{ transforms: readonly Transform[] }], Any, unknown>("transforms", (m, input) =>
  permutation(m.transforms.length).reduce((x: unknown, i): unknown => m.transforms[i]!(x), input),
) {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what the transforms give
  declare forward: (input: any) => any;
  override toString(): string {
    return listed("RandomOrder", this.transforms);
  }
}

// Of places

/** A class that applies `f` with probability p. */
const sometimes = (f: (img: Tensor) => Tensor) => layer<[P]>("p=0.5", (m, img) => (chance(m.p) ? f(img) : img), { repr: "p=" });

export class RandomHorizontalFlip extends sometimes(F.hflip) {}
export class RandomVerticalFlip extends sometimes(F.vflip) {}

type CropArgs = [
  { size: Size },
  { padding?: Size | null },
  { pad_if_needed?: boolean },
  { fill?: number | readonly number[] },
  { padding_mode?: PaddingMode },
];

/** A part of the given size anywhere in the image, after padding it. */
export class RandomCrop extends layer<CropArgs>(
  "size, padding=None, pad_if_needed=False, fill=0, padding_mode='constant'",
  (m, img) => {
    const [height, width] = pairOf("RandomCrop", m.size);
    let padded = m.padding === null ? img : F.pad(img, m.padding, m.fill, m.padding_mode);
    let [, h, w] = get_dimensions(padded);
    if (m.pad_if_needed && w < width) padded = F.pad(padded, [width - w, 0], m.fill, m.padding_mode);
    if (m.pad_if_needed && h < height) padded = F.pad(padded, [0, height - h], m.fill, m.padding_mode);
    [, h, w] = get_dimensions(padded);
    if (h < height || w < width) {
      throw new torch.ValueError(`Required crop size [${height}, ${width}] is larger than input image size [${h}, ${w}]`);
    }
    if (h === height && w === width) return padded;
    const top = randint(0, h - height + 1);
    return F.crop(padded, top, randint(0, w - width + 1), height, width);
  },
  { repr: "size=, padding=", keep: keepPair("RandomCrop") },
) {}

type ResizedCropArgs = [
  { size: Size },
  { scale?: Range },
  { ratio?: Range },
  { interpolation?: Interpolation },
  { antialias?: boolean | null },
];

/** A part of random area (`scale`: shares of the image's) and shape (`ratio`: width by height), resized. */
export class RandomResizedCrop extends layer<ResizedCropArgs>(
  "size, scale=None, ratio=None, interpolation='bilinear', antialias=True",
  (m, img) => {
    const [top, left, height, width] = partOf(img, m.scale, m.ratio);
    return F.resized_crop(img, top, left, height, width, m.size, m.interpolation, m.antialias);
  },
  {
    repr: "size=, scale=, ratio=, interpolation=, antialias=",
    keep: (fields) => {
      keepPair("RandomResizedCrop")(fields);
      fields.scale ??= [0.08, 1];
      fields.ratio ??= [3 / 4, 4 / 3];
      checkRange("RandomResizedCrop", "scale", fields.scale);
      checkRange("RandomResizedCrop", "ratio", fields.ratio);
    },
  },
) {}

function partOf(img: Tensor, scale: Range, ratio: Range): [top: number, left: number, height: number, width: number] {
  const [, h, w] = get_dimensions(img);
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = h * w * uniform(scale[0]!, scale[1]!);
    const aspect = logUniform(ratio[0]!, ratio[1]!);
    const width = roundEven(Math.sqrt(area * aspect));
    const height = roundEven(Math.sqrt(area / aspect));
    if (width <= 0 || height <= 0 || width > w || height > h) continue;
    const top = randint(0, h - height + 1);
    return [top, randint(0, w - width + 1), height, width];
  }
  // The greatest part of an allowed shape, from the middle.
  const [least, most] = [Math.min(...ratio), Math.max(...ratio)];
  const height = w / h < least ? roundEven(w / least) : h;
  const width = w / h > most ? roundEven(h * most) : w;
  return [Math.floor((h - height) / 2), Math.floor((w - width) / 2), height, width];
}

function checkRange(name: string, what: string, x: unknown, sizes: readonly number[] = [2]): asserts x is Range {
  if (!Array.isArray(x)) throw new TypeError(`${name}: ${what} should be a sequence of length ${sizes.join(" or ")}.`);
  if (!sizes.includes(x.length)) {
    throw new torch.ValueError(`${name}: ${what} should be a sequence of length ${sizes.join(" or ")}, got ${x.length}.`);
  }
}

/** One angle means from its negative to it. */
function keepAngles(name: string, fields: Record<string, unknown>, field: string, sizes: readonly number[] = [2]): void {
  const x = fields[field];
  if (typeof x === "number") {
    if (x < 0) throw new torch.ValueError(`${name}: If ${field} is a single number, it must be positive, got ${x}.`);
    fields[field] = [-x, x];
  } else checkRange(name, field, x, sizes);
}

type RotationArgs = [
  { degrees: number | Range },
  { interpolation?: Interpolation },
  { expand?: boolean },
  { center?: Range | null },
  { fill?: Fill },
];

/** Turned by an angle between two, in degrees. */
export class RandomRotation extends layer<RotationArgs>(
  "degrees, interpolation='nearest', expand=False, center=None, fill=0",
  (m, img) => {
    const [from, to] = m.degrees as Range;
    return F.rotate(img, uniform(from!, to!), m.interpolation, m.expand, m.center, m.fill ?? 0);
  },
  {
    repr: "degrees=, interpolation=, expand=, fill=",
    keep: (fields) => {
      keepAngles("RandomRotation", fields, "degrees");
      if (fields.center !== null) checkRange("RandomRotation", "center", fields.center);
    },
  },
) {}

type AffineArgs = [
  { degrees: number | Range },
  { translate?: Range | null },
  { scale?: Range | null },
  { shear?: number | Range | null },
  { interpolation?: Interpolation },
  { fill?: Fill },
  { center?: Range | null },
];

/** Turned (degrees), moved (shares of width and height), scaled and sheared (degrees), each at random where it is given. */
export class RandomAffine extends layer<AffineArgs>(
  "degrees, translate=None, scale=None, shear=None, interpolation='nearest', fill=0, center=None",
  (m, img) => {
    const [, h, w] = get_dimensions(img);
    const degrees = m.degrees as Range;
    const angle = uniform(degrees[0]!, degrees[1]!);
    const move = (share: number, size: number): number => roundEven(uniform(-share * size, share * size));
    const translate = m.translate === null ? [0, 0] : [w, h].map((size, i) => move(m.translate![i]!, size));
    const scale = m.scale === null ? 1 : uniform(m.scale[0]!, m.scale[1]!);
    const shears = m.shear as Range | null;
    const shearX = shears === null ? 0 : uniform(shears[0]!, shears[1]!);
    const shearY = shears?.length === 4 ? uniform(shears[2]!, shears[3]!) : 0;
    const { interpolation, fill, center } = m;
    return F.affine(img, angle, translate, scale, [shearX, shearY], { interpolation, fill: fill ?? 0, center });
  },
  {
    repr: "degrees=, translate=, scale=, shear=, interpolation=, fill=, center=",
    keep: (fields) => {
      const name = "RandomAffine";
      keepAngles(name, fields, "degrees");
      if (fields.shear !== null) keepAngles(name, fields, "shear", [2, 4]);
      if (fields.center !== null) checkRange(name, "center", fields.center);
      if (fields.translate !== null) {
        checkRange(name, "translate", fields.translate);
        if (fields.translate.some((t) => !(t >= 0 && t <= 1)))
          throw new torch.ValueError("translation values should be between 0 and 1");
      }
      if (fields.scale !== null) {
        checkRange(name, "scale", fields.scale);
        if (fields.scale.some((s) => !(s > 0))) throw new torch.ValueError("scale values should be positive");
      }
    },
  },
) {}

type PerspectiveArgs = [{ distortion_scale?: number }, P, { interpolation?: Interpolation }, { fill?: Fill }];

/** With probability p, the corners moved inwards, each by up to distortion_scale of half the image. */
export class RandomPerspective extends layer<PerspectiveArgs>(
  "distortion_scale=0.5, p=0.5, interpolation='bilinear', fill=0",
  (m, img) => {
    if (!chance(m.p)) return img;
    const [, h, w] = get_dimensions(img);
    const x = Math.trunc(m.distortion_scale * Math.floor(w / 2));
    const y = Math.trunc(m.distortion_scale * Math.floor(h / 2));
    const near = (reach: number): number => randint(0, reach + 1);
    const far = (reach: number, size: number): number => randint(size - reach - 1, size);
    const ends = [
      [near(x), near(y)],
      [far(x, w), near(y)],
      [far(x, w), far(y, h)],
      [near(x), far(y, h)],
    ];
    const corners = [[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]]; // prettier-ignore
    return F.perspective(img, corners, ends, m.interpolation, m.fill ?? 0);
  },
  { repr: "p=" },
) {}

type ErasingArgs = [P, { scale?: Range }, { ratio?: Range }, { value?: number | "random" | Range }, { inplace?: boolean }];

/** With probability p, a rectangle of random area (share of the image's) and shape filled with `value`, or with noise. */
export class RandomErasing extends layer<ErasingArgs>(
  "p=0.5, scale=None, ratio=None, value=0, inplace=False",
  (m, img) => {
    if (!chance(m.p)) return img;
    const [channels, h, w] = get_dimensions(img);
    const value = typeof m.value === "number" ? [m.value] : m.value;
    if (Array.isArray(value) && value.length !== 1 && value.length !== channels) {
      throw new torch.ValueError(
        `RandomErasing: If value is a sequence, it should have either a single value or ${channels} (number of input channels)`,
      );
    }
    for (let attempt = 0; attempt < 10; attempt++) {
      const area = h * w * uniform(m.scale[0]!, m.scale[1]!);
      const aspect = logUniform(m.ratio[0]!, m.ratio[1]!);
      const height = roundEven(Math.sqrt(area * aspect));
      const width = roundEven(Math.sqrt(area / aspect));
      if (height >= h || width >= w) continue;
      const filling =
        value === "random"
          ? torch.empty([channels, height, width], { dtype: torch.float32, device: "cpu" }).normal_()
          : torch.tensor(value as Range, { dtype: img.dtype, device: "cpu" }).view(-1, 1, 1);
      const top = randint(0, h - height + 1);
      return F.erase(img, top, randint(0, w - width + 1), height, width, filling, m.inplace);
    }
    return img;
  },
  {
    repr: "p=, scale=, ratio=, value=, inplace=",
    keep: (fields) => {
      const { value, p } = fields;
      fields.scale ??= [0.02, 0.33];
      fields.ratio ??= [0.3, 3.3];
      checkRange("RandomErasing", "scale", fields.scale);
      checkRange("RandomErasing", "ratio", fields.ratio);
      if (typeof value !== "number" && typeof value !== "string" && !Array.isArray(value)) {
        throw new TypeError("RandomErasing: Argument value should be either a number or str or a sequence");
      }
      if (typeof value === "string" && value !== "random") throw new torch.ValueError("If value is str, it should be 'random'");
      if (fields.scale[0]! < 0 || fields.scale[1]! > 1) throw new torch.ValueError("Scale should be between 0 and 1");
      if (!((p as number) >= 0 && (p as number) <= 1)) {
        throw new torch.ValueError("Random erasing probability should be between 0 and 1");
      }
    },
  },
) {}

type ElasticArgs = [{ alpha?: number | Range }, { sigma?: number | Range }, { interpolation?: Interpolation }, { fill?: Fill }];

/** Pixels moved by smooth noise, up to alpha pixels, smoothed by a bell curve of width sigma. */
export class ElasticTransform extends layer<ElasticArgs>(
  "alpha=50.0, sigma=5.0, interpolation='bilinear', fill=0",
  (m, img) => {
    const [, h, w] = get_dimensions(img);
    const alpha = pairOf("ElasticTransform", m.alpha);
    const sigma = pairOf("ElasticTransform", m.sigma);
    const shift = (i: 0 | 1, size: number): Tensor => {
      const noise = torch.rand([1, 1, h, w], { device: "cpu" }).mul(2).sub(1);
      const kernel = Math.trunc(8 * sigma[i] + 1) | 1;
      const smooth = sigma[i] > 0 ? F.gaussian_blur(noise, kernel, sigma) : noise;
      return smooth.mul(alpha[i]).div(size);
    };
    const dx = shift(0, h);
    const displacement = torch.cat([dx, shift(1, w)], 1).permute(0, 2, 3, 1);
    return F.elastic_transform(img, displacement, m.interpolation, m.fill);
  },
  { repr: "alpha=, sigma=, interpolation=, fill=" },
) {}

// Of colours

type JitterArgs = [
  { brightness?: number | Range },
  { contrast?: number | Range },
  { saturation?: number | Range },
  { hue?: number | Range },
];

const JITTERS = [
  ["brightness", F.adjust_brightness],
  ["contrast", F.adjust_contrast],
  ["saturation", F.adjust_saturation],
  ["hue", F.adjust_hue],
] as const;

/**
 * Brightness, contrast, saturation and hue changed in random order, each by a factor from a range; a single number x means from
 * max(0, 1 - x) to 1 + x, for hue from -x to x. null afterwards where nothing changes.
 */
export class ColorJitter extends layer<JitterArgs>(
  "brightness=0, contrast=0, saturation=0, hue=0",
  (m, img) => {
    const order = permutation(4);
    const factors = JITTERS.map(([name]) => {
      const range = m[name] as Range | null;
      return range === null ? null : uniform(range[0]!, range[1]!);
    });
    return order.reduce((x, i) => (factors[i] === null ? x : JITTERS[i]![1](x, factors[i]!)), img);
  },
  {
    repr: "brightness=, contrast=, saturation=, hue=",
    keep: (fields) => {
      for (const [name] of JITTERS) fields[name] = jitterRange(name, fields[name] as number | Range);
    },
  },
) {}

function jitterRange(name: string, value: number | Range): Range | null {
  const [center, least, most] = name === "hue" ? [0, -0.5, 0.5] : [1, 0, Infinity];
  let range: Range;
  if (typeof value === "number") {
    if (!(value >= 0)) throw new torch.ValueError(`If ${name} is a single number, it must be non negative, got ${value}.`);
    range = [name === "hue" ? -value : Math.max(center - value, 0), center + value];
  } else if (Array.isArray(value) && value.length === 2) range = value as Range;
  else throw new TypeError(`${name} should be a single number or a list/tuple with length 2.`);
  const [from, to] = range as [number, number];
  if (!(least <= from && from <= to && to <= most)) {
    throw new torch.ValueError(`${name} values should be between ${least} and ${most}, but got [${from}, ${to}].`);
  }
  return from === center && to === center ? null : range;
}

/** Grey with probability p, in as many channels as before. */
export class RandomGrayscale extends layer<[P]>(
  "p=0.1",
  (m, img) => {
    const [channels] = get_dimensions(img);
    return chance(m.p) ? F.rgb_to_grayscale(img, channels) : img;
  },
  { repr: "p=" },
) {}

export class GaussianBlur extends layer<[{ kernel_size: Size }, { sigma?: number | Range | null }]>(
  "kernel_size, sigma=None",
  (m, img) => {
    const [least, most] = m.sigma as Range;
    const sigma = uniform(least!, most!);
    return F.gaussian_blur(img, m.kernel_size, [sigma, sigma]);
  },
  {
    repr: "kernel_size=, sigma=",
    keep: (fields) => {
      keepPair("GaussianBlur", "kernel_size")(fields);
      if ((fields.kernel_size as Range).some((k) => k <= 0 || k % 2 === 0)) {
        throw new torch.ValueError("Kernel size value should be an odd and positive number.");
      }
      const sigma = (fields.sigma ?? [0.1, 2]) as number | Range;
      const range = typeof sigma === "number" ? [sigma, sigma] : sigma;
      if (range.length !== 2 || !(range[0]! > 0 && range[0]! <= range[1]!)) {
        throw new torch.ValueError(
          `GaussianBlur: sigma values should be positive and of the form (min, max), got ${String(sigma)}`,
        );
      }
      fields.sigma = range;
    },
  },
) {}

export class RandomInvert extends sometimes((img) => F.invert(img)) {}
export class RandomAutocontrast extends sometimes((img) => F.autocontrast(img)) {}
export class RandomEqualize extends sometimes((img) => F.equalize(img)) {}
export class RandomPosterize extends layer<[{ bits: number }, P]>(
  "bits, p=0.5",
  (m, img) => (chance(m.p) ? F.posterize(img, m.bits) : img),
  { repr: "bits=, p=" },
) {}
export class RandomSolarize extends layer<[{ threshold: number }, P]>(
  "threshold, p=0.5",
  (m, img) => (chance(m.p) ? F.solarize(img, m.threshold) : img),
  { repr: "threshold=, p=" },
) {}
export class RandomAdjustSharpness extends layer<[{ sharpness_factor: number }, P]>(
  "sharpness_factor, p=0.5",
  (m, img) => (chance(m.p) ? F.adjust_sharpness(img, m.sharpness_factor) : img),
  { repr: "sharpness_factor=, p=" },
) {}
