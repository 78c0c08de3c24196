/** Transforms without chance. */

import * as torch from "../../torch.ts";
import type { DType, Tensor } from "../../torch.ts";
import * as F from "./functional.ts";
import { checkPadding, checkSize, pairOf, type Interpolation, type PaddingMode, type Size } from "./geometry.ts";

const { _layer: layer } = torch;

/** Anything that takes an image and gives something. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- pictures become tensors, tensors lists of them
export type Transform = (input: any) => any;

/** How a list of transforms prints. */
export function listed(name: string, transforms: readonly Transform[]): string {
  const lines = transforms.map((t) => `    ${t instanceof torch.nn.Module ? t.toString() : (t as Transform).name || "function"}`);
  return `${name}(\n${lines.join("\n")}\n)`;
}

/** One transform after another. */
export class Compose extends layer<[{ transforms: readonly Transform[] }], [input: unknown], unknown>("transforms", (m, input) =>
  m.transforms.reduce((x: unknown, t: Transform): unknown => t(x), input),
) {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what the last one gives
  declare forward: (input: any) => any;
  override toString(): string {
    return listed("Compose", this.transforms);
  }
}

type Picture = torch.ImageSource;
type Mode = { mode?: torch.ImageMode };

/** A picture, or a uint8 tensor, as float32 from 0 to 1, (C, H, W). */
export class ToTensor extends layer<[Mode], [pic: Picture | Tensor]>("mode='RGB'", (m, pic) => F.to_tensor(pic, m)) {}
/** A picture as uint8, (C, H, W). */
export class PILToTensor extends layer<[Mode], [pic: Picture]>("mode='RGB'", (m, pic) => F.pil_to_tensor(pic, m)) {}

export class ConvertImageDtype extends layer<[{ dtype: DType }]>("dtype", (m, img) => F.convert_image_dtype(img, m.dtype)) {}

/** (img - mean) / std for each channel. */
export class Normalize extends layer<[{ mean: readonly number[] }, { std: readonly number[] }, { inplace?: boolean }]>(
  "mean, std, inplace=False",
  (m, img) => F.normalize(img, m.mean, m.std, m.inplace),
  { repr: "mean=, std=" },
) {}

type ResizeArgs = [
  { size: Size },
  { interpolation?: Interpolation },
  { max_size?: number | null },
  { antialias?: boolean | null },
];
/** [height, width], or the smaller side's length. */
export class Resize extends layer<ResizeArgs>(
  "size, interpolation='bilinear', max_size=None, antialias=True",
  (m, img) => F.resize(img, m.size, m.interpolation, m.max_size, m.antialias),
  {
    repr: "size=, interpolation=, max_size=, antialias=",
    keep: ({ size, max_size }) => checkSize("Resize", size as Size, max_size as number | null),
  },
) {}

/** Turns a size into [height, width] where it is kept. */
export const keepPair =
  (name: string, field = "size") =>
  (fields: Record<string, unknown>): void => {
    fields[field] = pairOf(name, fields[field] as Size);
  };

export class CenterCrop extends layer<[{ size: Size }]>("size", (m, img) => F.center_crop(img, m.size), {
  repr: "size=",
  keep: keepPair("CenterCrop"),
}) {}

export class Pad extends layer<[{ padding: Size }, { fill?: number | readonly number[] }, { padding_mode?: PaddingMode }]>(
  "padding, fill=0, padding_mode='constant'",
  (m, img) => F.pad(img, m.padding, m.fill, m.padding_mode),
  {
    repr: "padding=, fill=, padding_mode=",
    keep: ({ padding, padding_mode }) => checkPadding("Pad", padding as Size, padding_mode as PaddingMode),
  },
) {}

export class FiveCrop extends layer<[{ size: Size }], [img: Tensor], Tensor[]>("size", (m, img) => F.five_crop(img, m.size), {
  repr: "size=",
  keep: keepPair("FiveCrop"),
}) {}
export class TenCrop extends layer<[{ size: Size }, { vertical_flip?: boolean }], [img: Tensor], Tensor[]>(
  "size, vertical_flip=False",
  (m, img) => F.ten_crop(img, m.size, m.vertical_flip),
  { repr: "size=, vertical_flip=", keep: keepPair("TenCrop") },
) {}

export class Grayscale extends layer<[{ num_output_channels?: number }]>(
  "num_output_channels=1",
  (m, img) => F.rgb_to_grayscale(img, m.num_output_channels),
  { repr: "num_output_channels=" },
) {}

/** A function of one's own. */
export class Lambda extends layer<[{ lambd: Transform }], [input: unknown], unknown>(
  "lambd",
  (m, input) => m.lambd(input) as unknown,
  {
    keep: ({ lambd }) => {
      if (typeof lambd !== "function") throw new TypeError(`Argument lambd should be callable, got ${typeof lambd}`);
    },
  },
) {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the function gives
  declare forward: (input: any) => any;
}

/** The flattened image less mean_vector, times a square matrix: whitening. */
export class LinearTransformation extends layer<[{ transformation_matrix: Tensor }, { mean_vector: Tensor }]>(
  "transformation_matrix, mean_vector",
  ({ transformation_matrix: matrix, mean_vector: mean }, img) => {
    const n = img.shape.slice(-3).reduce((a, b) => a * b, 1);
    if (n !== matrix.size(0)) {
      throw new torch.ValueError(
        `Input tensor and transformation matrix have incompatible shape. [${img.shape.slice(-3).join(" x ")}] != ${matrix.size(0)}`,
      );
    }
    return img.reshape([-1, n]).sub(mean).mm(matrix).view(img.shape);
  },
  {
    keep: ({ transformation_matrix, mean_vector }) => {
      const [matrix, mean] = [transformation_matrix as Tensor, mean_vector as Tensor];
      if (matrix.size(0) !== matrix.size(1)) {
        throw new torch.ValueError(
          `transformation_matrix should be square. Got [${matrix.shape.join(", ")}] rectangular matrix.`,
        );
      }
      if (mean.size(0) !== matrix.size(0)) {
        throw new torch.ValueError(`mean_vector should have the same length ${matrix.size(0)}, got ${mean.size(0)}`);
      }
    },
  },
) {}
