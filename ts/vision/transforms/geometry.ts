/** Where pixels lie: flips, crops, borders, sizes. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { asBatch, checkImage, declare, get_dimensions, type ImageFunction } from "./image.ts";

export type Size = number | readonly number[];
export type PaddingMode = "constant" | "edge" | "reflect" | "symmetric";
export type Interpolation = "nearest" | "nearest-exact" | "bilinear" | "bicubic";
/** torchvision's names for the ways to interpolate. */
export const InterpolationMode = {
  NEAREST: "nearest",
  NEAREST_EXACT: "nearest-exact",
  BILINEAR: "bilinear",
  BICUBIC: "bicubic",
} as const;

/** [height, width] of one number or of two. */
export function pairOf(name: string, size: Size): [height: number, width: number] {
  const list = typeof size === "number" ? [size] : size;
  if (list.length !== 1 && list.length !== 2) {
    throw new torch.ValueError(`${name}: Please provide only two dimensions (h, w) for size, got [${list.join(", ")}]`);
  }
  return [list[0]!, list[1] ?? list[0]!];
}

/** Half to even, as Python rounds. */
export function roundEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** Mirrored left to right; (..., H, W). */
export function hflip(img: Tensor): Tensor {
  checkImage("hflip", img);
  return img.flip(-1);
}
/** Upside down; (..., H, W). */
export function vflip(img: Tensor): Tensor {
  checkImage("vflip", img);
  return img.flip(-2);
}

const MODES: readonly PaddingMode[] = ["constant", "edge", "reflect", "symmetric"];

/** Left, top, right, bottom of one number, two (sides, top and bottom) or four. */
function bordersOf(padding: Size): [left: number, top: number, right: number, bottom: number] {
  if (typeof padding === "number") return [padding, padding, padding, padding];
  const [a, b, c, d] = padding;
  if (padding.length === 1) return [a!, a!, a!, a!];
  if (padding.length === 2) return [a!, b!, a!, b!];
  if (padding.length === 4) return [a!, b!, c!, d!];
  throw new torch.ValueError(`Padding must be an int or a 1, 2, or 4 element tuple, not a ${padding.length} element tuple`);
}

/** Fails where what a class keeps for `pad` cannot be right. */
export function checkPadding(name: string, padding: Size, mode: PaddingMode): void {
  if (typeof padding !== "number" && !Array.isArray(padding)) throw new TypeError(`${name}: Got inappropriate padding arg`);
  bordersOf(padding);
  if (!MODES.includes(mode)) {
    throw new torch.ValueError(
      `${name}: Padding mode should be either constant, edge, reflect or symmetric, got ${String(mode)}`,
    );
  }
}

/** Borders around the image, negative ones cut off: one number, [sides, top and bottom], or [left, top, right, bottom]. */
export const pad: ImageFunction<[{ padding: Size }, { fill?: number | readonly number[] }, { padding_mode?: PaddingMode }]> =
  declare(
    "pad",
    "padding, fill=0, padding_mode='constant'",
    (img: Tensor, padding: Size, fill: number | readonly number[] | null, mode: PaddingMode) => {
      checkPadding("pad", padding, mode);
      const [left, top, right, bottom] = bordersOf(padding);
      if (mode === "symmetric") return mirrored(mirrored(img, -2, top, bottom), -1, left, right);
      const borders = [left, right, top, bottom];
      if (mode === "constant") {
        if (typeof fill === "number" || fill === null) return torch.nn.functional.pad(img, borders, { value: fill ?? 0 });
        if (fill.length === 1) return torch.nn.functional.pad(img, borders, { value: fill[0]! });
        // A colour: what is within comes from the image, all else from it.
        const inside = torch.nn.functional.pad(torch.ones_like(img, { dtype: torch.bool }), borders, { value: 0 });
        const colour = torch.tensor(fill, { dtype: img.dtype, device: img.device }).view(-1, 1, 1);
        return torch.where(inside, torch.nn.functional.pad(img, borders), colour);
      }
      const name = mode === "edge" ? "replicate" : "reflect";
      return asBatch(img, [torch.float32, torch.float64], (batch) => torch.nn.functional.pad(batch, borders, { mode: name }));
    },
  );

/** Borders that mirror with the edge. */
function mirrored(img: Tensor, dim: number, before: number, after: number): Tensor {
  const cut = img.narrow(dim, Math.max(-before, 0), img.size(dim) + Math.min(before, 0) + Math.min(after, 0));
  const n = cut.size(dim);
  const [a, b] = [Math.max(before, 0), Math.max(after, 0)];
  if (a > n || b > n) throw new torch.ValueError(`pad: symmetric borders of ${a} and ${b} are wider than the image's ${n}`);
  const at = [...Array(a).keys()].reverse().concat([...Array(n).keys()], [...Array(b).keys()].map((i) => n - 1 - i)); // prettier-ignore
  return cut.index_select(dim, torch.tensor(at, { dtype: torch.int64, device: img.device }));
}

type Box = [{ top: number }, { left: number }, { height: number }, { width: number }];

/** The part that begins at (top, left); what lies beyond the image is 0. */
export const crop: ImageFunction<Box> = declare(
  "crop",
  "top, left, height, width",
  (img: Tensor, top: number, left: number, height: number, width: number) => {
    const [, h, w] = get_dimensions(img);
    const [bottom, right] = [top + height, left + width];
    if (left >= 0 && top >= 0 && right <= w && bottom <= h) return img.narrow(-2, top, height).narrow(-1, left, width);
    const part = (x: Tensor, dim: number, from: number, to: number, n: number): Tensor => {
      const start = Math.min(Math.max(from, 0), n);
      return x.narrow(dim, start, Math.max(Math.min(to, n) - start, 0));
    };
    return pad(part(part(img, -2, top, bottom, h), -1, left, right, w), [
      Math.max(-left + Math.min(0, right), 0),
      Math.max(-top + Math.min(0, bottom), 0),
      Math.max(right - Math.max(w, left), 0),
      Math.max(bottom - Math.max(h, top), 0),
    ]);
  },
);

/** The middle; smaller images get black borders first. */
export const center_crop: ImageFunction<[{ output_size: Size }]> = declare(
  "center_crop",
  "output_size",
  (img: Tensor, size: Size) => {
    const [height, width] = pairOf("center_crop", size);
    let [, h, w] = get_dimensions(img);
    if (width > w || height > h) {
      const [x, y] = [Math.max(width - w, 0), Math.max(height - h, 0)];
      img = pad(img, [Math.floor(x / 2), Math.floor(y / 2), Math.floor((x + 1) / 2), Math.floor((y + 1) / 2)]);
      [, h, w] = get_dimensions(img);
      if (width === w && height === h) return img;
    }
    return crop(img, roundEven((h - height) / 2), roundEven((w - width) / 2), height, width);
  },
);

/** Height and width after resizing: of one number, the smaller side's. */
function resizedTo([h, w]: readonly [number, number], size: readonly number[], max: number | null): [number, number] {
  if (size.length === 2) return [size[0]!, size[1]!];
  const wanted = size[0]!;
  let [short, long] = [wanted, Math.trunc((wanted * Math.max(h, w)) / Math.min(h, w))];
  if (max !== null) {
    if (max <= wanted) {
      throw new torch.ValueError(
        `resize: max_size = ${max} must be strictly greater than the requested size for the smaller edge size = ${wanted}`,
      );
    }
    if (long > max) [short, long] = [Math.trunc((max * short) / long), max];
  }
  return w <= h ? [long, short] : [short, long];
}

type ResizeArgs = [
  { size: Size },
  { interpolation?: Interpolation },
  { max_size?: number | null },
  { antialias?: boolean | null },
];

/**
 * Another size: [height, width], or the smaller side's length with the same shape (the longer one at most max_size). antialias counts for
 * bilinear and bicubic.
 */
export const resize: ImageFunction<ResizeArgs> = declare(
  "resize",
  "size, interpolation='bilinear', max_size=None, antialias=True",
  (img: Tensor, size: Size, mode: Interpolation, max: number | null, antialias: boolean | null) => {
    const list = typeof size === "number" ? [size] : size;
    checkSize("resize", list, max);
    const [, h, w] = get_dimensions(img);
    const to = resizedTo([h, w], list, max);
    if (to[0] === h && to[1] === w) return img;
    checkInterpolation("resize", mode, Object.values(InterpolationMode));
    const smooth = mode === "bilinear" || mode === "bicubic";
    const options = { size: to, mode, align_corners: smooth ? false : null, antialias: smooth && antialias !== false };
    return asBatch(img, [torch.float32, torch.float64], (batch) => {
      const out = torch.nn.functional.interpolate(batch, options);
      return mode === "bicubic" && img.dtype === torch.uint8 ? out.clamp(0, 255) : out;
    });
  },
);

export function checkSize(name: string, size: Size, max: number | null = null): void {
  if (typeof size === "number") return;
  if (!Array.isArray(size)) throw new TypeError(`${name}: Size should be int or sequence. Got ${typeof size}`);
  if (size.length !== 1 && size.length !== 2) {
    throw new torch.ValueError(`${name}: If size is a sequence, it should have 1 or 2 values, got ${size.length}`);
  }
  if (max !== null && size.length !== 1) {
    throw new torch.ValueError(`${name}: max_size should only be passed if size specifies the length of the smaller edge`);
  }
}

export function checkInterpolation(name: string, mode: string, known: readonly string[]): void {
  if (!known.includes(mode)) {
    throw new torch.ValueError(
      `${name}: Interpolation mode '${mode}' is unsupported with Tensor input; expected ${known.join(", ")}`,
    );
  }
}

type ResizedCropArgs = [...Box, { size: Size }, { interpolation?: Interpolation }, { antialias?: boolean | null }];

/** A crop, resized. */
export const resized_crop: ImageFunction<ResizedCropArgs> = declare(
  "resized_crop",
  "top, left, height, width, size, interpolation='bilinear', antialias=True",
  (
    img: Tensor,
    top: number,
    left: number,
    height: number,
    width: number,
    size: Size,
    interpolation: Interpolation,
    antialias: boolean | null,
  ) => resize(crop(img, top, left, height, width), size, { interpolation, antialias }),
);

/** The corners and the middle: top left, top right, bottom left, bottom right, centre. */
export const five_crop: ImageFunction<[{ size: Size }], Tensor[]> = declare("five_crop", "size", (img: Tensor, size: Size) => {
  const [height, width] = pairOf("five_crop", size);
  const [, h, w] = get_dimensions(img);
  if (width > w || height > h) {
    throw new torch.ValueError(`five_crop: Requested crop size [${height}, ${width}] is bigger than input size [${h}, ${w}]`);
  }
  const corners = [0, h - height].flatMap((top) => [0, w - width].map((left) => crop(img, top, left, height, width)));
  return [...corners, center_crop(img, [height, width])];
});

/** Five crops, and those of the mirrored image (upside down with vertical_flip). */
export const ten_crop: ImageFunction<[{ size: Size }, { vertical_flip?: boolean }], Tensor[]> = declare(
  "ten_crop",
  "size, vertical_flip=False",
  (img: Tensor, size: Size, vertical_flip: boolean) => [
    ...five_crop(img, size),
    ...five_crop(vertical_flip ? vflip(img) : hflip(img), size),
  ],
);
