/** Pictures in Node: objects that look like ImageData. The real thing is tested in test/browser. */

import * as torch from "kindling";
import { expect, it } from "vitest";

const pixels = { width: 2, height: 1, data: Uint8ClampedArray.of(255, 0, 10, 255, 0, 128, 20, 64) };

it("splits pixels into planes", async () => {
  const rgb = torch.from_image(pixels);
  expect([rgb.dtype, rgb.shape]).toEqual([torch.uint8, [3, 1, 2]]);
  expect(await rgb.tolist()).toEqual([[[255, 0]], [[0, 128]], [[10, 20]]]);
  expect(await torch.from_image(pixels, { mode: "RGBA" }).select(0, 3).tolist()).toEqual([[255, 64]]);
});

it("makes grey of the colours by their luma", async () => {
  // By the formula of PIL's documentation: L = R * 299/1000 + G * 587/1000 + B * 114/1000 = 77.4 and 77.4
  expect(await torch.from_image(pixels, { mode: "L" }).tolist()).toEqual([[[77, 77]]]);
});

it("scales to 0..1 for floating types", async () => {
  const t = torch.from_image(pixels, { dtype: torch.float32 });
  expect(t.dtype).toBe(torch.float32);
  expect(await t.amax().item()).toBe(1);
  expect(await t.select(0, 1).tolist()).toEqual([[0, Math.fround(128 / 255)]]);
});

it("goes back without loss", async () => {
  for (const options of [{}, { dtype: torch.float32 }, { dtype: torch.float64 }]) {
    const image = await torch.from_image(pixels, { ...options, mode: "RGBA" }).to_image();
    expect([image.width, image.height, [...image.data]]).toEqual([2, 1, [...pixels.data]]);
  }
});

it("draws grey, bool and floats, cut off at 0 and 1", async () => {
  const grey = await torch.tensor([[0, 0.5, 1, 2, -1, NaN]]).to_image();
  expect([...grey.data].filter((_, i) => i % 4 === 0)).toEqual([0, 128, 255, 255, 0, 0]);
  expect([...grey.data].filter((_, i) => i % 4 === 3)).toEqual([255, 255, 255, 255, 255, 255]);
  const mask = await torch.tensor([[[true, false]]]).to_image();
  expect([...mask.data]).toEqual([255, 255, 255, 255, 0, 0, 0, 255]);
});

it("says what is wrong", async () => {
  expect(() => torch.from_image({ width: 2, height: 2, data: new Uint8Array(3) })).toThrow(/2 x 2 pixels need 16 bytes.*has 3/);
  expect(() => torch.from_image(pixels, { mode: "CMYK" as never })).toThrow(/"CMYK".*"L", "RGB" or "RGBA"/);
  expect(() => torch.from_image(pixels, { dtype: torch.int64 })).toThrow(/int64/);
  expect(() => torch.from_image({} as never)).toThrow(TypeError);
  expect(() => torch.from_image({ width: 2, height: 2 } as never)).toThrow(/no canvas/);
  await expect(torch.zeros(2, 3, 3).to_image()).rejects.toThrow(/\[2, 3, 3\]/);
  await expect(torch.zeros([3, 3], { dtype: torch.int64 }).to_image()).rejects.toThrow(/int64/);
});
