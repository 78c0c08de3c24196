/** What test/browser/image.test.ts runs: pictures of every kind that browsers have. */

import * as torch from "kindling";

/** Quarters: red, green, blue, white. */
function draw(context: OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D): void {
  const colours = ["#ff0000", "#00ff00", "#0000ff", "#ffffff"];
  colours.forEach((colour, i) => {
    context.fillStyle = colour;
    context.fillRect((i % 2) * 4, Math.floor(i / 2) * 3, 4, 3);
  });
}

function drawn(): OffscreenCanvas {
  const canvas = new OffscreenCanvas(8, 6);
  draw(canvas.getContext("2d")!);
  return canvas;
}

async function sources(): Promise<Record<string, torch.ImageSource>> {
  const offscreen = drawn();
  const found: Record<string, torch.ImageSource> = {
    OffscreenCanvas: offscreen,
    ImageBitmap: await createImageBitmap(offscreen),
    ImageData: offscreen.getContext("2d")!.getImageData(0, 0, 8, 6),
    VideoFrame: new VideoFrame(offscreen, { timestamp: 0 }),
  };
  if (typeof document !== "undefined") {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [8, 6];
    draw(canvas.getContext("2d")!);
    found.HTMLCanvasElement = canvas;
    found.HTMLImageElement = new Image();
    (found.HTMLImageElement as HTMLImageElement).src = canvas.toDataURL();
    await (found.HTMLImageElement as HTMLImageElement).decode();
  }
  return found;
}

async function ready(device: string): Promise<void> {
  if (device === "webgpu") await torch.webgpu.init();
}

/** For each kind of source: shape and the corners' colours. */
export async function corners(device: string): Promise<Record<string, unknown>> {
  await ready(device);
  const seen: Record<string, unknown> = {};
  for (const [kind, source] of Object.entries(await sources())) {
    const t = torch.from_image(source, { device });
    const at = async (y: number, x: number): Promise<unknown> => t.select(2, x).select(1, y).tolist();
    seen[kind] = [t.shape, await at(0, 0), await at(0, 7), await at(5, 0), await at(5, 7)];
    if ("close" in source) source.close();
  }
  return seen;
}

/** A picture drawn, made a tensor, made its negative, drawn again and read: the bytes of its first row's ends. */
export async function around(device: string): Promise<number[]> {
  await ready(device);
  const t = torch.from_image(drawn(), { dtype: torch.float32, device }).neg().add(1);
  const image = await t.to_image();
  if (!(image instanceof ImageData)) throw new Error("to_image gave no ImageData");
  const context = new OffscreenCanvas(8, 6).getContext("2d")!;
  context.putImageData(image, 0, 0);
  return [...context.getImageData(0, 0, 1, 1).data, ...context.getImageData(7, 0, 1, 1).data];
}

/** Errors of an image that is not loaded. */
export function unloaded(): string {
  try {
    torch.from_image(new Image());
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "";
}
