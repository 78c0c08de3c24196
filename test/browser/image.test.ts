/** Canvases, images, bitmaps and video frames to tensors and back, in Chromium. */

import { beforeAll, expect, it } from "vitest";
import { bundleProgram, useBrowser, type Program } from "./harness.ts";
import type * as imageProgram from "./programs/image.ts";

const browser = useBrowser();
let program: Program<typeof imageProgram>;
beforeAll(async () => {
  program = await bundleProgram<typeof imageProgram>("./programs/image.ts");
});

const places = [
  ["run", ["OffscreenCanvas", "ImageBitmap", "ImageData", "VideoFrame", "HTMLCanvasElement", "HTMLImageElement"]],
  ["runInWorker", ["OffscreenCanvas", "ImageBitmap", "ImageData", "VideoFrame"]],
] as const;

const devices = ["cpu", "webgpu"] as const;

it.each(devices.flatMap((device) => places.map((place) => [device, ...place] as const)))(
  "every kind of picture becomes a tensor on %s (%s)",
  async (device, place, kinds) => {
    const page = await browser.open();
    const seen = await page[place](program, "corners", device);
    const expected = [
      [3, 6, 8],
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
      [255, 255, 255],
    ];
    expect(seen).toEqual(Object.fromEntries(kinds.map((kind) => [kind, expected])));
  },
);

it.each(devices)("a tensor on %s becomes a picture", async (device) => {
  const page = await browser.open();
  expect(await page.run(program, "around", device)).toEqual([0, 255, 255, 255, 255, 0, 255, 255]);
});

it("an image that is not loaded is an error", async () => {
  const page = await browser.open();
  expect(await page.run(program, "unloaded")).toMatch(/ValueError.*no pixels/);
});
