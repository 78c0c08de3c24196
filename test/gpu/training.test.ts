/** The examples train on webgpu in Node as on the cpu, from the same weights. */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { plainText } from "../../examples/char-gpt/train.ts";
import { isFull } from "../tiers.ts";
import { digits, gpt, memory } from "./programs/training.ts";

const file = (path: string): Buffer => readFileSync(new URL(`../../${path}`, import.meta.url));
const csv = gunzipSync(file("examples/digits/digits.csv.gz")).toString();
const text = plainText(file("examples/char-gpt/train.ts").toString());

const STEPS = isFull ? 50 : 20;

/** Greatest relative difference of two curves. */
function distance(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((x, i) => Math.abs(x - b[i]!) / Math.abs(b[i]!)));
}

it(`digits: ${STEPS} losses within 1e-3 of the cpu's`, { timeout: 600_000 }, async () => {
  const reference = await digits("cpu", csv, STEPS);
  expect(reference).toHaveLength(STEPS);
  expect(reference.at(-1)!).toBeLessThan(reference[0]! * 0.9);
  expect(distance(await digits("webgpu", csv, STEPS), reference)).toBeLessThan(1e-3);
});

it(`the GPT: ${STEPS} losses within 1e-3 of the cpu's`, { timeout: 600_000 }, async () => {
  const reference = await gpt("cpu", text, STEPS, 2);
  expect(reference.at(-1)!).toBeLessThan(reference[0]! * 0.9);
  expect(distance(await gpt("webgpu", text, STEPS, 2), reference)).toBeLessThan(1e-3);
});

it("memory stays flat over 1,000 steps with nothing but losses awaited", { timeout: 600_000 }, async () => {
  const seen = await memory("webgpu", 1000, 100);
  const live = seen.map((memory) => memory.live);
  expect(Math.max(...live)).toBeLessThan(Math.min(...live) + (64 << 10));
  // Garbage included, which the collector finds when it likes: all steps together take far more.
  expect(Math.max(...seen.map(({ reserved }) => reserved))).toBeLessThan(320 << 20);
});
