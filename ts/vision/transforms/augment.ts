/** Policies of augmentation: ops by name, at strengths from a scale. Images are uint8 (posterize and equalize ask for it). */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { randint } from "./draws.ts";
import * as F from "./functional.ts";
import type { Interpolation } from "./geometry.ts";
import { get_dimensions } from "./image.ts";
import { stepsOf, type PolicyName } from "./policies.ts";
import type { Fill } from "./warp.ts";

const { _layer: layer } = torch;

/** torchvision's names for the policies. */
export const AutoAugmentPolicy = { IMAGENET: "imagenet", CIFAR10: "cifar10", SVHN: "svhn" } as const;

interface Look {
  readonly interpolation: Interpolation;
  readonly fill: Fill;
}
type Apply = (img: Tensor, magnitude: number, look: Look) => Tensor;

const sheared = (img: Tensor, x: number, y: number, look: Look): Tensor =>
  F.affine(img, 0, [0, 0], 1, [degrees(x), degrees(y)], { interpolation: look.interpolation, fill: look.fill, center: [0, 0] });
const moved = (img: Tensor, x: number, y: number, look: Look): Tensor =>
  F.affine(img, 0, [Math.trunc(x), Math.trunc(y)], 1, [0, 0], { interpolation: look.interpolation, fill: look.fill });
const degrees = (slope: number): number => (Math.atan(slope) * 180) / Math.PI;

const OPS: Readonly<Record<string, Apply>> = {
  Identity: (img) => img,
  ShearX: (img, m, look) => sheared(img, m, 0, look),
  ShearY: (img, m, look) => sheared(img, 0, m, look),
  TranslateX: (img, m, look) => moved(img, m, 0, look),
  TranslateY: (img, m, look) => moved(img, 0, m, look),
  Rotate: (img, m, look) => F.rotate(img, m, { interpolation: look.interpolation, fill: look.fill }),
  Brightness: (img, m) => F.adjust_brightness(img, 1 + m),
  Color: (img, m) => F.adjust_saturation(img, 1 + m),
  Contrast: (img, m) => F.adjust_contrast(img, 1 + m),
  Sharpness: (img, m) => F.adjust_sharpness(img, 1 + m),
  Posterize: (img, m) => F.posterize(img, Math.trunc(m)),
  Solarize: (img, m) => F.solarize(img, img.dtype.is_floating_point ? m / 255 : m),
  AutoContrast: (img) => F.autocontrast(img),
  Equalize: (img) => F.equalize(img),
  Invert: (img) => F.invert(img),
};

/** The strengths that an op has; null: it has only one. `signed`: either direction, by a toss. */
interface Scale {
  readonly magnitudes: readonly number[] | null;
  readonly signed: boolean;
}
/** How far each op of a family goes at most; `bits`: how many bits posterize takes at most. */
interface Reach {
  readonly shear: number;
  readonly translateX: number;
  readonly translateY: number;
  readonly rotate: number;
  readonly color: number;
  readonly bits: number;
}

function scales(bins: number, reach: Reach, names: readonly string[]): Map<string, Scale> {
  const line = (from: number, to: number): number[] =>
    torch.linspace(from, to, bins, { dtype: torch.float32, device: "cpu" }).tolist_sync() as number[];
  const posterize = torch.arange(bins, { device: "cpu" }).div((bins - 1) / reach.bits).round().neg().add(8); // prettier-ignore
  const signed = (to: number): Scale => ({ magnitudes: line(0, to), signed: true });
  const all: Readonly<Record<string, Scale>> = {
    ShearX: signed(reach.shear),
    ShearY: signed(reach.shear),
    TranslateX: signed(reach.translateX),
    TranslateY: signed(reach.translateY),
    Rotate: signed(reach.rotate),
    Brightness: signed(reach.color),
    Color: signed(reach.color),
    Contrast: signed(reach.color),
    Sharpness: signed(reach.color),
    Posterize: { magnitudes: posterize.tolist_sync() as number[], signed: false },
    Solarize: { magnitudes: line(255, 0), signed: false },
  };
  return new Map(names.map((name) => [name, all[name] ?? { magnitudes: null, signed: false }]));
}

const { Identity: _identity, Invert: _invert, ...SHARED } = OPS;
const COMMON = Object.keys(SHARED);
const WITH_IDENTITY = ["Identity", ...COMMON];

/** The reach of AutoAugment and RandAugment, which depends on the image's size. */
function reachOf(img: Tensor): Reach {
  const [, h, w] = get_dimensions(img);
  return { shear: 0.3, translateX: (150 / 331) * w, translateY: (150 / 331) * h, rotate: 30, color: 0.9, bits: 4 };
}
const WIDE: Reach = { shear: 0.99, translateX: 32, translateY: 32, rotate: 135, color: 0.99, bits: 6 };

type LookArgs = [{ interpolation?: Interpolation }, { fill?: Fill }];

/** One of the pairs of steps that were found for ImageNet, CIFAR10 or SVHN, each step with its probability. */
export class AutoAugment extends layer<[{ policy?: PolicyName }, ...LookArgs]>(
  "policy='imagenet', interpolation='nearest', fill=None",
  (m, img) => {
    const pairs = stepsOf(m.policy);
    const pair = pairs[randint(0, pairs.length)]!;
    const draws = torch.rand([2], { device: "cpu" }).tolist_sync() as number[];
    const signs = torch.randint(0, 2, [2], { device: "cpu" }).tolist_sync() as number[];
    const space = scales(10, reachOf(img), [...COMMON, "Invert"]);
    return pair.reduce((x, { op, p, strength }, i) => {
      // float32 has what was drawn, and what it is compared with
      if (draws[i]! > Math.fround(p)) return x;
      const { magnitudes, signed } = space.get(op)!;
      const magnitude = strength === null || magnitudes === null ? 0 : magnitudes[strength]!;
      return OPS[op]!(x, signed && Number(signs[i]) === 0 ? -magnitude : magnitude, m);
    }, img);
  },
  {
    repr: "policy=, fill=",
    keep: ({ policy }) => {
      if (Object.values(AutoAugmentPolicy).includes(policy as PolicyName)) return;
      throw new torch.ValueError(`The provided policy ${String(policy)} is not recognized; expected imagenet, cifar10 or svhn.`);
    },
  },
) {}

const tossed = (signed: boolean, magnitude: number): number => (signed && randint(0, 2) === 1 ? -magnitude : magnitude);

type RandArgs = [{ num_ops?: number }, { magnitude?: number }, { num_magnitude_bins?: number }, ...LookArgs];

/** num_ops ops, any of fourteen, all at the same strength. */
export class RandAugment extends layer<RandArgs>(
  "num_ops=2, magnitude=9, num_magnitude_bins=31, interpolation='nearest', fill=None",
  (m, img) => {
    const space = scales(m.num_magnitude_bins, reachOf(img), WITH_IDENTITY);
    for (let i = 0; i < m.num_ops; i++) {
      const op = WITH_IDENTITY[randint(0, WITH_IDENTITY.length)]!;
      const { magnitudes, signed } = space.get(op)!;
      img = OPS[op]!(img, tossed(signed, magnitudes === null ? 0 : magnitudes[m.magnitude]!), m);
    }
    return img;
  },
  {
    repr: "num_ops=, magnitude=, num_magnitude_bins=, interpolation=, fill=",
    keep: ({ magnitude, num_magnitude_bins: bins }) => {
      if ((magnitude as number) >= 0 && (magnitude as number) < (bins as number)) return;
      throw new torch.ValueError(`RandAugment: magnitude should be from 0 to num_magnitude_bins - 1, got ${String(magnitude)}`);
    },
  },
) {}

/** One op, any of fourteen, at any strength of a wide scale. */
export class TrivialAugmentWide extends layer<[{ num_magnitude_bins?: number }, ...LookArgs]>(
  "num_magnitude_bins=31, interpolation='nearest', fill=None",
  (m, img) => {
    const op = WITH_IDENTITY[randint(0, WITH_IDENTITY.length)]!;
    const { magnitudes, signed } = scales(m.num_magnitude_bins, WIDE, WITH_IDENTITY).get(op)!;
    const magnitude = magnitudes === null ? 0 : magnitudes[randint(0, magnitudes.length)]!;
    return OPS[op]!(img, tossed(signed, magnitude), m);
  },
  { repr: "num_magnitude_bins=, interpolation=, fill=" },
) {}
