/** Transforms on webgpu: nothing waits for a value, and what comes out is what the cpu gives, chance included. */

import * as torch from "kindling";
import { transforms as T } from "kindling/vision";
import { beforeAll, expect, it } from "vitest";

const F = T.functional;
const image = torch
  .arange(3 * 8 * 8)
  .mul(5)
  .remainder(256)
  .view(3, 8, 8)
  .to(torch.uint8);
const corners = [[0, 0], [7, 0], [7, 7], [0, 7]]; // prettier-ignore
const moved = [[1, 0], [7, 1], [6, 7], [0, 6]]; // prettier-ignore

const cases: Readonly<Record<string, (x: torch.Tensor) => torch.Tensor>> = {
  resize: (x) => F.resize(x, [5, 4]),
  crop: (x) => F.crop(x, -1, 2, 9, 9),
  "pad, symmetric": (x) => F.pad(x, 2, { padding_mode: "symmetric" }),
  "pad, reflect": (x) => F.pad(x, 2, { padding_mode: "reflect" }),
  "pad, colour": (x) => F.pad(x, 2, { fill: [1, 2, 3] }),
  rotate: (x) => F.rotate(x, 30, { interpolation: "bilinear", fill: 9 }),
  affine: (x) => F.affine(x, 10, [1, 1], 1.1, 3),
  perspective: (x) => F.perspective(x, corners, moved),
  hue: (x) => F.adjust_hue(x, 0.2),
  gamma: (x) => F.adjust_gamma(x, 0.6),
  posterize: (x) => F.posterize(x, 3),
  solarize: (x) => F.solarize(x, 99),
  sharpness: (x) => F.adjust_sharpness(x, 2),
  autocontrast: (x) => F.autocontrast(x),
  equalize: (x) => F.equalize(x),
  blur: (x) => F.gaussian_blur(x, 3),
  ColorJitter: new T.ColorJitter(0.3, 0.3, 0.3, 0.1),
  RandomErasing: new T.RandomErasing({ p: 1 }),
  RandomResizedCrop: new T.RandomResizedCrop(6),
  TrivialAugmentWide: new T.TrivialAugmentWide(),
  ElasticTransform: new T.ElasticTransform({ sigma: 0.4 }),
  "as floats": (x) => new T.Normalize([0.5, 0.4, 0.3], [0.2, 0.2, 0.2])(new T.ToTensor()(x)),
};

beforeAll(() => torch.webgpu.init());

it.each(Object.entries(cases))("%s", async (_, f) => {
  torch.manual_seed(1);
  const here = f(image).to(torch.float32);
  torch.manual_seed(1);
  const there = f(image.to("webgpu"));
  expect(there.device.type).toBe("webgpu");
  const values = (await there.to(torch.float32).to_async("cpu")).sub(here).abs().max().item_sync();
  expect(values).toBeLessThanOrEqual(Number(here.max().item_sync()) > 10 ? 1 : 1e-4);
});
