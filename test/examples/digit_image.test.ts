/** What the page makes of pen strokes, against how the digits data look. */

import { expect, it } from "vitest";
import { digitImage, type Point, type Stroke } from "../../examples/web/digit_image.ts";

const zero: Stroke = Array.from({ length: 40 }, (_, i) => {
  const angle = (i / 39) * 2 * Math.PI;
  return { x: 140 + 60 * Math.cos(angle), y: 140 + 95 * Math.sin(angle) };
});
const ink = (image: Float32Array): number => image.reduce((sum, v) => sum + v, 0) * 16;
const moved = (stroke: Stroke, f: (p: Point) => Point): Stroke => stroke.map(f);

it("is nothing where nothing is drawn", () => {
  expect(digitImage([])).toBeNull();
  expect(digitImage([[]])).toBeNull();
});

it("fills the height, stands in the middle, and has as much ink as the data", () => {
  const image = digitImage([zero])!;
  expect(image).toHaveLength(64);
  for (const v of image) expect(v).toBeGreaterThanOrEqual(0);
  for (const v of image) expect(v).toBeLessThanOrEqual(1);
  const row = (y: number): number => ink(image.slice(y * 8, y * 8 + 8));
  expect(row(0)).toBeGreaterThan(8);
  expect(row(7)).toBeGreaterThan(8);
  const moment = image.reduce((sum, v, i) => sum + v * ((i % 8) + 0.5), 0) / image.reduce((sum, v) => sum + v, 0);
  expect(moment).toBeCloseTo(4, 1);
  expect(ink(image)).toBeGreaterThan(270); // 312 in the mean of the data
  expect(ink(image)).toBeLessThan(350);
  expect(image[3 * 8 + 3]! + image[4 * 8 + 4]!).toBe(0); // a zero is hollow
});

it("does not depend on where and how large somebody writes", () => {
  const image = digitImage([zero])!;
  for (const f of [
    ({ x, y }: Point) => ({ x: x / 3 + 12, y: y / 3 }),
    ({ x, y }: Point) => ({ x: x * 1.4 - 50, y: y * 1.4 + 7 }),
  ]) {
    digitImage([moved(zero, f)])!.forEach((v, i) => expect(Math.abs(v - image[i]!)).toBeLessThanOrEqual(2 / 16));
  }
});

it("keeps thin, flat and tiny drawings in the square", () => {
  const dot: Stroke = [{ x: 5, y: 5 }];
  const upright: Stroke = [
    { x: 9, y: 0 },
    { x: 9, y: 90 },
  ];
  const flat: Stroke = [
    { x: 0, y: 9 },
    { x: 90, y: 9 },
  ];
  for (const stroke of [dot, upright, flat]) {
    const image = digitImage([stroke])!;
    expect(ink(image)).toBeGreaterThan(30);
    expect(image.every(Number.isFinite)).toBe(true);
  }
  const one = digitImage([upright])!;
  for (let y = 0; y < 8; y++) expect(one[y * 8 + 3]! + one[y * 8 + 4]!).toBeGreaterThan(0.8);
  for (let y = 0; y < 8; y++) expect(one[y * 8]! + one[y * 8 + 7]!).toBe(0);
});
