/** Pictures: canvases, images, bitmaps, video frames and ImageData to tensors and back. In Node, whatever looks like an ImageData. */

import type { Device } from "../core/device.ts";
import { bool, uint8, type DType } from "../core/dtype.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { tensor } from "../ops/creation.ts";

/** Pixels row by row, red, green, blue and alpha of 8 bits each: what ImageData is. */
export interface ImageLike {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray | Uint8Array;
}

/** What `from_image` takes. */
export type ImageSource = ImageLike | CanvasImageSource;

/** "L": one channel of grey; "RGB": the colours, alpha left out; "RGBA": all four. The names are PIL's. */
export type ImageMode = "L" | "RGB" | "RGBA";
const CHANNELS: Readonly<Record<ImageMode, number>> = { L: 1, RGB: 3, RGBA: 4 };

export interface FromImageOptions {
  mode?: ImageMode;
  /** uint8 (the default): 0..255. A floating type: 0..1. */
  dtype?: DType;
  device?: Device | string | null;
}

/**
 * A tensor [C, H, W] of a picture. Grey is the luma, 0.299 R + 0.587 G + 0.114 B, as in PIL. Videos give the current frame; images must have been
 * loaded (`await image.decode()`); pictures of other origins need CORS.
 */
export function from_image(source: ImageSource, { mode = "RGB", dtype = uint8, device = null }: FromImageOptions = {}): Tensor {
  const channels = CHANNELS[mode];
  if (channels === undefined) throw new ValueError(`from_image: mode is "${String(mode)}"; expected "L", "RGB" or "RGBA"`);
  if (dtype !== uint8 && !dtype.is_floating_point) {
    throw new TypeError(`from_image: dtype is ${dtype.name}; expected uint8 (0..255) or a floating type (0..1)`);
  }
  const { width, height, data } = pixelsOf(source);
  const size = width * height;
  const planes = new Uint8Array(channels * size);
  if (mode === "L") {
    for (let i = 0; i < size; i++) {
      // 0.299, 0.587, 0.114 in 16-bit fixed point, rounded.
      planes[i] = (19595 * data[4 * i]! + 38470 * data[4 * i + 1]! + 7471 * data[4 * i + 2]! + 0x8000) >> 16;
    }
  } else {
    for (let c = 0; c < channels; c++) for (let i = 0; i < size; i++) planes[c * size + i] = data[4 * i + c]!;
  }
  const values = dtype === uint8 ? planes : Float32Array.from(planes, (v) => v / 255);
  return tensor(values, { dtype, device }).reshape([channels, height, width]);
}

function isPixels(source: object): source is ImageLike {
  return "data" in source && (source.data instanceof Uint8ClampedArray || source.data instanceof Uint8Array);
}

function pixelsOf(source: ImageSource): ImageLike {
  if (typeof source !== "object" || source === null) throw new TypeError(`from_image: expected a picture, got ${typeof source}`);
  if (isPixels(source)) {
    const { width, height, data } = source;
    if (data.length !== 4 * width * height) {
      throw new ValueError(
        `from_image: ${width} x ${height} pixels need ${4 * width * height} bytes (RGBA), data has ${data.length}`,
      );
    }
    return source;
  }
  const { width, height } = sizeOf(source);
  const context = drawing(width, height);
  if (context === null) {
    throw new TypeError("from_image: there is no canvas here; pass pixels: { width, height, data } with RGBA bytes in data");
  }
  try {
    context.drawImage(source, 0, 0);
    return context.getImageData(0, 0, width, height);
  } catch (error) {
    throw new RuntimeError(
      `from_image: the picture cannot be read: ${(error as Error).message} (of other origins it needs CORS: img.crossOrigin = "anonymous")`,
    );
  }
}

/** Pixels of a source, whose kinds each have their own words for it. */
function sizeOf(source: CanvasImageSource): { width: number; height: number } {
  const s = source as unknown as Partial<Record<string, unknown>>;
  const [w, h] = ["natural", "video", "display"]
    .map((kind) => [s[`${kind}Width`], s[`${kind}Height`]])
    .find(([w]) => typeof w === "number") ?? [s.width, s.height];
  if (typeof w !== "number" || typeof h !== "number") {
    const kind = Object.prototype.toString.call(source).slice(8, -1);
    throw new TypeError(`from_image: expected a canvas, an image, an ImageBitmap, a video (frame) or an ImageData, got ${kind}`);
  }
  if (w === 0 || h === 0) throw new ValueError("from_image: the picture has no pixels (yet): wait until it is loaded");
  return { width: w, height: h };
}

type Context2D = OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D;

/** A drawing area in memory; null where there are none. */
function drawing(width: number, height: number): Context2D | null {
  const settings = { willReadFrequently: true };
  if (typeof OffscreenCanvas !== "undefined") return new OffscreenCanvas(width, height).getContext("2d", settings);
  if (typeof document === "undefined") return null;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas.getContext("2d", settings) as CanvasRenderingContext2D | null;
}

declare module "../core/tensor.ts" {
  interface Tensor {
    /**
     * An ImageData of a tensor [H, W] or [1, H, W] (grey), [3, H, W] or [4, H, W]: uint8, bool, or floating with 0..1 from black to white
     * (what lies beyond is cut off, NaN is black). Draw it with `context.putImageData(image, 0, 0)`. In Node a plain object of the
     * same form.
     */
    to_image(): Promise<ImageData>;
  }
}

Object.assign(Tensor.prototype, {
  async to_image(this: Tensor): Promise<ImageLike> {
    const { dtype, shape } = this;
    const [channels, height, width] = shape.length === 2 ? [1, ...shape] : shape;
    if (shape.length < 2 || shape.length > 3 || ![1, 3, 4].includes(channels!)) {
      throw new ValueError(`to_image: expected [H, W] or [C, H, W] with 1, 3 or 4 channels, got [${shape.join(", ")}]`);
    }
    if (dtype !== uint8 && dtype !== bool && !dtype.is_floating_point) {
      throw new TypeError(`to_image: expected uint8, bool or a floating type, got ${dtype.name}`);
    }
    const values = (await this.detach().data()) as Exclude<Awaited<ReturnType<Tensor["data"]>>, BigInt64Array>;
    const scale = dtype === uint8 ? 1 : 255;
    const size = height! * width!;
    // Clamps, and rounds to the nearest, by itself.
    const data = new Uint8ClampedArray(4 * size);
    for (let c = 0; c < 4; c++) {
      const from = channels === 1 ? 0 : c * size;
      const opaque = c === 3 && channels !== 4;
      for (let i = 0; i < size; i++) data[4 * i + c] = opaque ? 255 : values[from + i]! * scale;
    }
    if (typeof ImageData !== "undefined" && size > 0) return new ImageData(data, width!, height!);
    return { width: width!, height: height!, data, colorSpace: "srgb" } as ImageLike;
  },
});
