/** Images seen through a grid: rotations, affine maps, perspectives, elastic ones. */

import * as torch from "../../torch.ts";
import type { DType, Tensor } from "../../torch.ts";
import { checkInterpolation, type Interpolation } from "./geometry.ts";
import { asBatch, declare, get_dimensions, type ImageFunction } from "./image.ts";

export type Fill = number | readonly number[] | null;
type Point = readonly number[];

const { grid_sample } = torch.nn.functional;
const radians = (degrees: number): number => (degrees * Math.PI) / 180;

/** What the image shows at a grid [1, oh, ow, 2] of positions from -1 to 1; `fill` where that is outside of it. */
function sample(name: string, img: Tensor, grid: Tensor, mode: Interpolation, fill: Fill): Tensor {
  const [channels] = get_dimensions(img);
  const colour = fill === null ? null : typeof fill === "number" ? [fill] : fill;
  if (colour !== null && colour.length !== 1 && colour.length !== channels) {
    throw new torch.ValueError(
      `${name}: The number of elements in 'fill' cannot broadcast to match the number of channels of the image (${colour.length} != ${channels})`,
    );
  }
  checkInterpolation(name, mode, ["nearest", "bilinear"]);
  return asBatch(img, [grid.dtype], (batch) => {
    const n = batch.size(0);
    // One channel more says how much of a pixel comes from the image.
    const input = colour === null ? batch : torch.cat([batch, torch.ones_like(batch.narrow(1, 0, 1))], 1);
    const seen = grid_sample(input, grid.expand(n, -1, -1, -1), { mode, padding_mode: "zeros", align_corners: false });
    if (colour === null) return seen;
    const [image, share] = [seen.narrow(1, 0, channels), seen.narrow(1, channels, 1)];
    const behind = torch.tensor(colour, { dtype: batch.dtype, device: batch.device }).view(1, -1, 1, 1);
    if (mode === "nearest") return torch.where(share.lt(0.5), behind, image);
    return image.mul(share).add(share.neg().add(1).mul(behind));
  });
}

const gridType = (img: Tensor): DType => (img.dtype.is_floating_point ? img.dtype : torch.float32);

/** Pixel centres of an output [1, oh * ow, 3], in homogeneous coordinates. */
function centres(img: Tensor, ow: number, oh: number, x0: number, y0: number): Tensor {
  const options = { dtype: gridType(img), device: img.device };
  const line = (from: number, n: number): Tensor => torch.linspace(from + 0.5, from + n - 0.5, n, options);
  const [y, x] = torch.meshgrid([line(y0, oh), line(x0, ow)], { indexing: "ij" });
  return torch.stack([x!, y!, torch.ones_like(x!)], -1).view(1, oh * ow, 3);
}

function affineGrid(img: Tensor, matrix: readonly number[], ow: number, oh: number): Tensor {
  const [, h, w] = get_dimensions(img);
  const options = { dtype: gridType(img), device: img.device };
  const theta = torch
    .tensor(matrix, options)
    .view(1, 2, 3)
    .transpose(1, 2)
    .div(torch.tensor([0.5 * w, 0.5 * h], options));
  return centres(img, ow, oh, -ow * 0.5, -oh * 0.5)
    .bmm(theta)
    .view(1, oh, ow, 2);
}

/** The map from output to input, about `center`: the inverse of moving, turning, scaling and shearing. */
function inverseAffine(center: Point, angle: number, translate: Point, scale: number, shear: Point): number[] {
  const rot = radians(angle);
  const [sx, sy] = [radians(shear[0]!), radians(shear[1]!)];
  const a = Math.cos(rot - sy) / Math.cos(sy);
  const b = (-Math.cos(rot - sy) * Math.tan(sx)) / Math.cos(sy) - Math.sin(rot);
  const c = Math.sin(rot - sy) / Math.cos(sy);
  const d = (-Math.sin(rot - sy) * Math.tan(sx)) / Math.cos(sy) + Math.cos(rot);
  const m = [d / scale, -b / scale, 0, -c / scale, a / scale, 0];
  const [x, y] = [-center[0]! - translate[0]!, -center[1]! - translate[1]!];
  m[2] = m[0]! * x + m[1]! * y + center[0]!;
  m[5] = m[3]! * x + m[4]! * y + center[1]!;
  return m;
}

/** A point in pixels as one relative to the image's middle; null is the middle. */
function centred(img: Tensor, center: Point | null): Point {
  const [, h, w] = get_dimensions(img);
  return center === null ? [0, 0] : [center[0]! - w * 0.5, center[1]! - h * 0.5];
}

type RotateArgs = [
  { angle: number },
  { interpolation?: Interpolation },
  { expand?: boolean },
  { center?: Point | null },
  { fill?: Fill },
];

/** Turned by `angle` degrees, counter-clockwise; `expand` makes room for all of it, about the middle. */
export const rotate: ImageFunction<RotateArgs> = declare(
  "rotate",
  "angle, interpolation='nearest', expand=False, center=None, fill=None",
  (img: Tensor, angle: number, mode: Interpolation, expand: boolean, center: Point | null, fill: Fill) => {
    const matrix = inverseAffine(centred(img, center), -angle, [0, 0], 1, [0, 0]);
    const [, h, w] = get_dimensions(img);
    const [ow, oh] = expand ? expanded(matrix, w, h) : [w, h];
    return sample("rotate", img, affineGrid(img, matrix, ow, oh), mode, fill);
  },
);

/** Width and height of what holds the corners of the turned image. */
function expanded(matrix: readonly number[], w: number, h: number): [number, number] {
  const corners = [[-w / 2, -h / 2], [-w / 2, h / 2], [w / 2, h / 2], [w / 2, -h / 2]] as const; // prettier-ignore
  const extent = (row: readonly number[], n: number): number => {
    const at = corners.map(([x, y]) => row[0]! * x + row[1]! * y + row[2]! + n / 2);
    // A corner that misses a whole number by rounding is on it.
    const clean = (v: number): number => Math.fround(Math.trunc(v / 1e-4) * 1e-4);
    return Math.ceil(clean(Math.max(...at))) - Math.floor(clean(Math.min(...at)));
  };
  return [extent(matrix.slice(0, 3), w), extent(matrix.slice(3), h)];
}

type AffineArgs = [
  { angle: number },
  { translate: Point },
  { scale: number },
  { shear: number | Point },
  { interpolation?: Interpolation },
  { fill?: Fill },
  { center?: Point | null },
];

/** Sheared, scaled, turned (degrees, clockwise) about `center`, and moved by whole pixels. */
export const affine: ImageFunction<AffineArgs> = declare(
  "affine",
  "angle, translate, scale, shear, interpolation='nearest', fill=None, center=None",
  (
    img: Tensor,
    angle: number,
    translate: Point,
    scale: number,
    shear: number | Point,
    mode: Interpolation,
    fill: Fill,
    center: Point | null,
  ) => {
    if (!Array.isArray(translate) || translate.length !== 2) {
      throw new torch.ValueError("affine: Argument translate should be a sequence of length 2");
    }
    if (!(scale > 0)) throw new torch.ValueError(`affine: Argument scale should be positive, got ${scale}`);
    const sheared = typeof shear === "number" ? [shear, 0] : shear.length === 1 ? [shear[0]!, shear[0]!] : shear;
    if (sheared.length !== 2) {
      throw new torch.ValueError(`affine: Shear should be a sequence containing two values. Got [${sheared.join(", ")}]`);
    }
    const [, h, w] = get_dimensions(img);
    const matrix = inverseAffine(centred(img, center), angle, translate, scale, sheared);
    return sample("affine", img, affineGrid(img, matrix, w, h), mode, fill);
  },
);

/** The eight numbers that take the corners `to` of the output back to `from`. */
function perspectiveCoefficients(from: readonly Point[], to: readonly Point[]): number[] {
  const rows = from.flatMap(([x, y], i) => {
    const [u, v] = to[i] as [number, number];
    return [
      [u, v, 1, 0, 0, 0, -x! * u, -x! * v],
      [0, 0, 0, u, v, 1, -y! * u, -y! * v],
    ];
  });
  const options = { dtype: torch.float64, device: "cpu" };
  const solved = torch.linalg.solve(torch.tensor(rows, options), torch.tensor(from.flat(), options));
  return solved.to(torch.float32).tolist_sync() as number[];
}

type PerspectiveArgs = [
  { startpoints: readonly Point[] },
  { endpoints: readonly Point[] },
  { interpolation?: Interpolation },
  { fill?: Fill },
];

/** The image with four of its points ([x, y]: top left, top right, bottom right, bottom left) moved to others. */
export const perspective: ImageFunction<PerspectiveArgs> = declare(
  "perspective",
  "startpoints, endpoints, interpolation='bilinear', fill=None",
  (img: Tensor, from: readonly Point[], to: readonly Point[], mode: Interpolation, fill: Fill) => {
    if (from.length !== 4 || to.length !== 4) {
      throw new torch.ValueError(`perspective: expected four points, got ${from.length} and ${to.length}`);
    }
    const [a, b, c, d, e, f, g, h] = perspectiveCoefficients(from, to) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const [, oh, ow] = get_dimensions(img);
    const options = { dtype: gridType(img), device: img.device };
    const points = centres(img, ow, oh, 0, 0);
    const half = torch.tensor([0.5 * ow, 0.5 * oh], options);
    const top = points.bmm(torch.tensor([[[a, b, c], [d, e, f]]], options).transpose(1, 2).div(half)); // prettier-ignore
    const bottom = points.bmm(torch.tensor([[[g, h, 1]]], options).transpose(1, 2));
    return sample("perspective", img, top.div(bottom).sub(1).view(1, oh, ow, 2), mode, fill);
  },
);

type ElasticArgs = [{ displacement: Tensor }, { interpolation?: Interpolation }, { fill?: Fill }];

/** Every pixel moved by its displacement [1, H, W, 2], (x, y) in units of which the image is 2 wide and high. */
export const elastic_transform: ImageFunction<ElasticArgs> = declare(
  "elastic_transform",
  "displacement, interpolation='bilinear', fill=None",
  (img: Tensor, displacement: Tensor, mode: Interpolation, fill: Fill) => {
    const [, h, w] = get_dimensions(img);
    if (displacement.shape.join() !== [1, h, w, 2].join()) {
      throw new torch.ValueError(
        `elastic_transform: Argument displacement shape should be [1, ${h}, ${w}, 2], got [${displacement.shape.join(", ")}]`,
      );
    }
    const options = { dtype: gridType(img), device: img.device };
    const line = (n: number): Tensor => torch.linspace((1 - n) / n, (n - 1) / n, n, options);
    const [y, x] = torch.meshgrid([line(h), line(w)], { indexing: "ij" });
    const grid = torch.stack([x!, y!], -1).unsqueeze(0).add(displacement.to(options.device).to(options.dtype));
    return sample("elastic_transform", img, grid, mode, fill);
  },
);
