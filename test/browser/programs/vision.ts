/** What test/browser/vision.test.ts runs: pictures decoded by the browser, transforms, a folder of files. */

import * as torch from "kindling";
import { datasets, io, transforms as T } from "kindling/vision";

/** Left red, right blue; the lower half half transparent where asked. */
async function picture(type: "image/png" | "image/jpeg", alpha = 1): Promise<Blob> {
  const canvas = new OffscreenCanvas(32, 16);
  const context = canvas.getContext("2d")!;
  context.fillStyle = "#ff0000";
  context.fillRect(0, 0, 16, 16);
  context.fillStyle = "#0000ff";
  context.fillRect(16, 0, 16, 16);
  if (alpha < 1) {
    context.clearRect(0, 8, 32, 8);
    context.fillStyle = `rgba(0, 255, 0, ${alpha})`;
    context.fillRect(0, 8, 32, 8);
  }
  return canvas.convertToBlob({ type, quality: 0.95 });
}

export async function decodes(): Promise<unknown> {
  const pixel = (img: torch.Tensor, x: number, y: number): unknown => img.select(-1, x).select(-1, y).tolist_sync();
  const png = await io.decode_image(await picture("image/png"));
  const jpeg = await io.read_image(URL.createObjectURL(await picture("image/jpeg")), "RGB");
  const glass = await io.decode_image(await picture("image/png", 0.4));
  const error = await io.decode_image(new Uint8Array([1, 2, 3])).catch((e: Error) => `${e.name}: ${e.message}`);
  return {
    png: [png.shape, pixel(png, 2, 2), pixel(png, 30, 15)],
    jpeg: [jpeg.shape, (pixel(jpeg, 2, 2) as number[])[0]! > 240],
    glass: [glass.shape, pixel(glass, 3, 12)],
    error: (error as string).replace(/damaged: .*/, "damaged"),
  };
}

export async function loads(): Promise<unknown> {
  const files: File[] = [];
  for (const [name, type] of [["b/1.png", "image/png"], ["a/2.jpg", "image/jpeg"], ["a/1.png", "image/png"]] as const) {
    const file = new File([await picture(type)], name.slice(2));
    files.push(Object.defineProperty(file, "webkitRelativePath", { value: `photos/${name}` }));
  } // prettier-ignore
  const transform = new T.Compose([new T.Resize([8, 8]), new T.RandomHorizontalFlip(), new T.ToTensor()]);
  const folder = new datasets.ImageFolder<torch.Tensor>(files, { transform });
  torch.manual_seed(0);
  const seen: unknown[] = [];
  for await (const [images, labels] of new torch.utils.data.DataLoader(folder, { batch_size: 2 })) {
    seen.push(images.shape, labels.tolist_sync());
  }
  return [folder.classes, seen];
}
