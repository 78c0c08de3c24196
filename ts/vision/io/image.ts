/** Pictures in files: JPEG and PNG by packages in Node, whatever the browser knows there. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { optional, readBytes, type BytesSource } from "./bytes.ts";

/** What channels an image is to have. UNCHANGED: those of the file. */
export const ImageReadMode = {
  UNCHANGED: "UNCHANGED",
  GRAY: "GRAY",
  GRAY_ALPHA: "GRAY_ALPHA",
  RGB: "RGB",
  RGB_ALPHA: "RGB_ALPHA",
} as const;
export type ImageReadMode = keyof typeof ImageReadMode;
const CHANNELS: Readonly<Record<ImageReadMode, number>> = { UNCHANGED: 0, GRAY: 1, GRAY_ALPHA: 2, RGB: 3, RGB_ALPHA: 4 };

/** Pixels row by row, 8 bits for each of `channels`. */
interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: ArrayLike<number>;
}

const startsWith = (bytes: Uint8Array, ...head: number[]): boolean => head.every((b, i) => bytes[i] === b);
const isJpeg = (bytes: Uint8Array): boolean => startsWith(bytes, 0xff, 0xd8, 0xff);
const isPng = (bytes: Uint8Array): boolean => startsWith(bytes, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/**
 * A picture as a uint8 tensor [C, H, W]. In Node: JPEG (package `jpeg-js`) and PNG (package `fast-png`; 16 bits become 8). In browsers: what
 * createImageBitmap knows. RuntimeError for damaged files and unknown formats.
 */
export async function decode_image(
  input: BytesSource,
  mode: ImageReadMode | { mode?: ImageReadMode } = "UNCHANGED",
): Promise<Tensor> {
  const wanted = typeof mode === "string" ? mode : (mode.mode ?? "UNCHANGED");
  if (!(wanted in CHANNELS)) {
    throw new torch.ValueError(`decode_image: mode is "${String(wanted)}"; expected ${Object.keys(CHANNELS).join(", ")}`);
  }
  const bytes = await readBytes("decode_image", input);
  if (bytes.length === 0) throw new torch.ValueError("decode_image: expected the bytes of an image, got none");
  return toTensor(await pixelsOf(bytes), CHANNELS[wanted]);
}

async function pixelsOf(bytes: Uint8Array): Promise<Pixels> {
  const decode =
    typeof createImageBitmap === "function" ? decodeBitmap : isJpeg(bytes) ? decodeJpeg : isPng(bytes) ? decodePng : null;
  if (decode === null) {
    const head = [...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, "0")).join(" ");
    throw new torch.RuntimeError(
      `decode_image: Unsupported image file. Only jpeg and png are currently supported; it begins with ${head}`,
    );
  }
  try {
    return await decode(bytes);
  } catch (error) {
    if (error instanceof torch.RuntimeError) throw error;
    throw new torch.RuntimeError(`decode_image: the file is damaged: ${(error as Error).message}`);
  }
}

async function decodeJpeg(bytes: Uint8Array): Promise<Pixels> {
  const { default: jpeg } = await optional("decode_image of a JPEG", "jpeg-js", () => import("jpeg-js"));
  const { width, height, data } = jpeg.decode(bytes, { useTArray: true, formatAsRGBA: false, tolerantDecoding: false });
  const grey = jpegComponents(bytes) === 1;
  return { width, height, channels: grey ? 1 : 3, data: grey ? data.filter((_, i) => i % 3 === 0) : data };
}

/** How many components a JPEG's frame header names. */
function jpegComponents(bytes: Uint8Array): number {
  for (let at = 2; at + 9 < bytes.length; at += 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!)) {
    const marker = bytes[at + 1]!;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return bytes[at + 9]!;
  }
  return 3;
}

async function decodePng(bytes: Uint8Array): Promise<Pixels> {
  const { convertIndexedToRgb, decode } = await optional("decode_image of a PNG", "fast-png", () => import("fast-png"));
  const png = decode(bytes, { checkCrc: true });
  const { width, height, depth, palette } = png;
  if (palette !== undefined) return { width, height, channels: palette[0]!.length, data: convertIndexedToRgb(png) };
  if (depth === 16) return { width, height, channels: png.channels, data: png.data.map((v) => v >> 8) };
  if (depth === 8) return { width, height, channels: png.channels, data: png.data };
  // Several grey pixels in a byte, rows beginning with new ones.
  const row = Math.ceil((width * depth) / 8);
  const white = 2 ** depth - 1;
  const data = Uint8Array.from({ length: width * height }, (_, i) => {
    const bit = (i % width) * depth;
    const byte = png.data[Math.floor(i / width) * row + (bit >> 3)]!;
    return (((byte >> (8 - depth - (bit & 7))) & white) * 255) / white;
  });
  return { width, height, channels: 1, data };
}

/** Browsers say nothing of a file's channels: three, or four where something is transparent. */
async function decodeBitmap(bytes: Uint8Array): Promise<Pixels> {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" } as const;
  const bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), options);
  try {
    const [height, width] = [bitmap.height, bitmap.width];
    const rgba = torch
      .from_image(bitmap, { mode: "RGBA", device: "cpu" })
      .permute(1, 2, 0)
      .contiguous()
      .data_sync() as Uint8Array;
    if (rgba.some((v, i) => i % 4 === 3 && v !== 255)) return { width, height, channels: 4, data: rgba };
    return { width, height, channels: 3, data: rgba.filter((_, i) => i % 4 !== 3) };
  } finally {
    bitmap.close();
  }
}

/** [C, H, W] with as many channels as wanted, 0: as many as there are. Alpha is left out, or opaque; grey is the luma. */
function toTensor({ width, height, channels, data }: Pixels, wanted: number): Tensor {
  const size = width * height;
  const out = new Uint8Array((wanted || channels) * size);
  const [colours, hasAlpha] = channels % 2 === 0 ? [channels - 1, true] : [channels, false];
  const to = wanted || channels;
  const toColours = to % 2 === 0 ? to - 1 : to;
  for (let i = 0; i < size; i++) {
    const at = i * channels;
    for (let c = 0; c < toColours; c++) {
      out[c * size + i] =
        colours > toColours
          ? (19595 * data[at]! + 38470 * data[at + 1]! + 7471 * data[at + 2]! + 0x8000) >> 16
          : data[at + (colours === 1 ? 0 : c)]!;
    }
    if (to % 2 === 0) out[toColours * size + i] = hasAlpha ? data[at + colours]! : 255;
  }
  return torch.tensor(out, { dtype: torch.uint8, device: "cpu" }).reshape([to, height, width]);
}

/** A picture of a file, as `decode_image` has it. */
export async function read_image(
  path: BytesSource,
  mode: ImageReadMode | { mode?: ImageReadMode } = "UNCHANGED",
): Promise<Tensor> {
  const bytes = await readBytes("read_image", path);
  try {
    return await decode_image(bytes, mode);
  } catch (error) {
    // Which of a folder's thousands it was.
    if (typeof path === "string" || path instanceof URL) (error as Error).message += `: ${String(path)}`;
    throw error;
  }
}

/** The bytes of a file, a uint8 tensor [N]. */
export async function read_file(path: BytesSource): Promise<Tensor> {
  return torch.tensor(await readBytes("read_file", path), { dtype: torch.uint8, device: "cpu" });
}
