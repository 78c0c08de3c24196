/** What has no golden values: arguments, printing, mixing, and where chance is ours to choose. */

import * as torch from "kindling";
import { transforms as T } from "kindling/vision";
import { describe, expect, it } from "vitest";

const F = T.functional;
const image = torch
  .arange(3 * 8 * 8, { dtype: torch.float32 })
  .div(192)
  .view(3, 8, 8);
const values = (x: torch.Tensor): unknown => x.tolist_sync();

it("chains print as torchvision's", () => {
  const chain = new T.Compose([new T.RandomCrop(6, { padding: 2 }), new T.RandomHorizontalFlip(), new T.Normalize([0.5], [0.2])]);
  expect(String(chain)).toBe(
    "Compose(\n    RandomCrop(size=(6, 6), padding=2)\n    RandomHorizontalFlip(p=0.5)\n    Normalize(mean=(0.5,), std=(0.2,))\n)",
  );
  expect((chain(image) as torch.Tensor).shape).toEqual([3, 6, 6]);
});

it("pictures become tensors", () => {
  const picture = { width: 2, height: 1, data: Uint8Array.of(255, 0, 51, 255, 0, 102, 0, 255) };
  expect(values(new T.PILToTensor()(picture))).toEqual([[[255, 0]], [[0, 102]], [[51, 0]]]);
  const floats = new T.ToTensor()(picture);
  expect([floats.dtype.name, floats.select(0, 2).item_sync]).toBeTruthy();
  expect(values(floats.mul(255).round())).toEqual([[[255, 0]], [[0, 102]], [[51, 0]]]);
  expect(new T.ToTensor({ mode: "L" })(picture).shape).toEqual([1, 1, 2]);
});

describe("types", () => {
  const u8 = torch.tensor([0, 128, 255], { dtype: torch.uint8 }).view(1, 3);
  it("are converted by their greatest values", () => {
    expect(values(F.convert_image_dtype(u8).mul(255))).toEqual([[0, 128, 255]]);
    expect(values(F.convert_image_dtype(torch.tensor([[0, 0.5, 1]]), torch.uint8))).toEqual([[0, 127, 255]]);
    expect(values(F.convert_image_dtype(u8, torch.int16))).toEqual([[0, 128 * 128, 255 * 128]]);
    expect(values(F.convert_image_dtype(torch.tensor([[32767, 128]], { dtype: torch.int16 }), torch.uint8))).toEqual([[255, 1]]);
    expect(() => F.convert_image_dtype(torch.ones(1, 1), torch.int32)).toThrow(/cannot be performed safely/);
  });
  it("batches go through as one image does", () => {
    const batch = torch.stack([image, image.flip(-1)]);
    for (const f of [
      (x: torch.Tensor) => F.resize(x, [5, 4]),
      (x: torch.Tensor) => F.rotate(x, 33, { interpolation: "bilinear", fill: 0.5 }),
      (x: torch.Tensor) => F.gaussian_blur(x, 3),
      (x: torch.Tensor) => F.adjust_hue(x, 0.1),
      (x: torch.Tensor) => F.pad(x, 2, { padding_mode: "symmetric" }),
      (x: torch.Tensor) => F.autocontrast(x),
    ]) {
      const whole = f(batch);
      for (const i of [0, 1]) {
        const alone = f(batch.select(0, i));
        expect(alone.shape).toEqual(whole.shape.slice(1));
        expect(whole.select(0, i).sub(alone).abs().max().item_sync()).toBeLessThan(1e-6);
      }
    }
    expect(F.resize(image.select(0, 0), 4).shape).toEqual([4, 4]);
    expect(F.resize(torch.stack([batch, batch]), [2, 3]).shape).toEqual([2, 2, 3, 2, 3]);
  });
  it("gradients reach the image", () => {
    const x = image.clone().requires_grad_();
    F.adjust_saturation(F.rotate(F.resize(x, 6), 20, { interpolation: "bilinear" }), 0.5)
      .sum()
      .backward();
    expect(x.grad!.abs().max().item_sync()).toBeGreaterThan(0);
  });
});

describe("choices", () => {
  it("of transforms", () => {
    const add = (n: number) => (x: torch.Tensor) => x.mul(2).add(n);
    torch.manual_seed(0);
    const order = new T.RandomOrder([add(1), add(2)]);
    const seen = new Set(Array.from({ length: 20 }, () => order(torch.zeros(1, 1)).item_sync() as number));
    expect(seen).toEqual(new Set([4, 5]));
    const choice = new T.RandomChoice([add(1), add(2), add(3)], { p: [1, 0, 3] });
    const counts = Array.from({ length: 200 }, () => choice(torch.zeros(1, 1)).item_sync() as number);
    expect(counts.filter((n) => n === 2)).toEqual([]);
    expect(counts.filter((n) => n === 3).length).toBeGreaterThan(110);
    const apply = new T.RandomApply([add(1)], 0.25);
    const applied = Array.from({ length: 200 }, () => apply(torch.zeros(1, 1)).item_sync() as number);
    expect(applied.filter((n) => n === 1).length).toBeGreaterThan(20);
    expect(applied.filter((n) => n === 1).length).toBeLessThan(80);
  });
  it("noise in what is erased", () => {
    torch.manual_seed(1);
    const erased = new T.RandomErasing({ p: 1, value: "random" })(image);
    const changed = erased.ne(image).select(0, 0);
    expect(changed.sum().item_sync()).toBeGreaterThan(0);
    expect(changed.sum().item_sync()).toBeLessThan(64);
    expect(erased).not.toBe(image);
  });
});

describe("mixing", () => {
  const images = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4), torch.ones(1, 4, 4)]);
  const labels = torch.tensor([0, 1, 2]);
  it("MixUp: images and labels by the same share, with the one before", () => {
    torch.manual_seed(2);
    const [mixed, shares] = new T.MixUp({ alpha: 0.8, num_classes: 3 })(images, labels);
    const lam = shares.select(0, 0).select(0, 0).item_sync() as number;
    expect(shares.sum(1).sub(1).abs().max().item_sync()).toBeLessThan(1e-6);
    expect(shares.select(0, 0).select(0, 2).item_sync()).toBeCloseTo(1 - lam, 6);
    expect(mixed.select(0, 0).mean().item_sync()).toBeCloseTo(1 - lam, 6);
    expect(mixed.select(0, 1).mean().item_sync()).toBeCloseTo(lam, 6);
  });
  it("CutMix: labels by the area that is left", () => {
    torch.manual_seed(4);
    for (let i = 0; i < 10; i++) {
      const [cut, shares] = new T.CutMix({ num_classes: 3 })(images, labels);
      const left = 1 - (cut.select(0, 0).mean().item_sync() as number);
      expect(shares.select(0, 0).select(0, 0).item_sync()).toBeCloseTo(left, 6);
    }
  });
  it("checks what it is given", () => {
    expect(() => new T.MixUp()(images, labels)).toThrow(/num_classes must be passed/);
    expect(() => new T.MixUp({ num_classes: 3 })(image, labels)).toThrow(/4 dims/);
    expect(() => new T.CutMix({ num_classes: 3 })(images, labels.narrow(0, 0, 2))).toThrow(/3 images and 2 labels/);
    expect(() => new T.MixUp({ alpha: 0 })).toThrow(torch.ValueError);
  });
});

it("bad arguments are typed errors", () => {
  const u8 = image.mul(255).to(torch.uint8);
  const bad: [() => unknown, new (message: string) => Error, RegExp][] = [
    [() => F.hflip(torch.ones(3)), TypeError, /not a torch image/],
    [() => F.hflip("x" as never), TypeError, /expected an image tensor/],
    [() => F.pad(image, [1, 2, 3]), torch.ValueError, /1, 2, or 4 element tuple/],
    [() => F.pad(image, 1, { padding_mode: "wrap" as never }), torch.ValueError, /constant, edge, reflect or symmetric/],
    [() => F.resize(image, [1, 2, 3]), torch.ValueError, /1 or 2 values/],
    [() => F.resize(image, 6, { max_size: 6 }), torch.ValueError, /strictly greater/],
    [() => F.resize(image, 6, { interpolation: "lanczos" as never }), torch.ValueError, /unsupported with Tensor/],
    [() => F.rotate(image, 1, { fill: [1, 2] }), torch.ValueError, /cannot broadcast/],
    [() => F.affine(image, 0, [0, 0], 0, 0), torch.ValueError, /scale should be positive/],
    [() => F.adjust_hue(image, 0.6), torch.ValueError, /hue_factor/],
    [() => F.adjust_brightness(image, -1), torch.ValueError, /not non-negative/],
    [() => F.adjust_contrast(torch.ones(2, 4, 4), 1), TypeError, /permitted channel values are 1 or 3, but found 2/],
    [() => F.posterize(image, 3), TypeError, /torch.uint8/],
    [() => F.posterize(u8, 9), torch.ValueError, /between 0 and 8/],
    [() => F.solarize(image, 2), TypeError, /bound of img/],
    [() => F.equalize(image), TypeError, /torch.uint8/],
    [() => F.normalize(u8, [0], [1]), TypeError, /float tensor/],
    [() => F.normalize(image, [0], [0]), torch.ValueError, /division by zero/],
    [() => F.gaussian_blur(image, 4), torch.ValueError, /odd and positive/],
    [() => F.five_crop(image, 9), torch.ValueError, /bigger than input size/],
    [() => F.crop(image, 0, 0, { heigth: 3 } as never), TypeError, /unexpected keyword argument 'heigth'/],
    [() => new T.RandomCrop(9)(image), torch.ValueError, /larger than input image size/],
    [() => new T.RandomCrop([1, 2, 3]), torch.ValueError, /two dimensions/],
    [() => new T.RandomRotation(-1), torch.ValueError, /must be positive/],
    [() => new T.RandomRotation([1, 2, 3]), torch.ValueError, /sequence of length 2/],
    [() => new T.RandomAffine(0, { translate: [0, 2] }), torch.ValueError, /between 0 and 1/],
    [() => new T.RandomAffine(0, { scale: [0, 1] }), torch.ValueError, /should be positive/],
    [() => new T.ColorJitter(-1), torch.ValueError, /non negative/],
    [() => new T.ColorJitter({ hue: 0.7 }), torch.ValueError, /between -0.5 and 0.5/],
    [() => new T.ColorJitter({ hue: [0, 1] }), torch.ValueError, /between -0.5 and 0.5/],
    [() => new T.RandomErasing({ p: 2 }), torch.ValueError, /probability/],
    [() => new T.RandomErasing({ value: "noise" as never }), torch.ValueError, /'random'/],
    [() => new T.GaussianBlur(2), torch.ValueError, /odd and positive/],
    [() => new T.GaussianBlur(3, [2, 1]), torch.ValueError, /\(min, max\)/],
    [() => new T.RandomChoice([(x) => x as unknown], { p: [1, 2] }), torch.ValueError, /doesn't match/],
    [() => new T.AutoAugment("mnist" as never), torch.ValueError, /not recognized/],
    [() => new T.RandAugment({ magnitude: 31 }), torch.ValueError, /num_magnitude_bins/],
    [() => new T.Lambda(3 as never), TypeError, /callable/],
    [() => new T.LinearTransformation(torch.ones(2, 3), torch.ones(2)), torch.ValueError, /square/],
  ];
  for (const [f, type, message] of bad) {
    expect(f).toThrow(type);
    expect(f).toThrow(message);
  }
});
