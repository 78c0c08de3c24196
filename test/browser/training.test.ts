/** The very files of examples/ train on webgpu in Chromium as on the cpu, from the same weights. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeAll, expect, it } from "vitest";
import { plainText } from "../../examples/char-gpt/train.ts";
import type * as trainingProgram from "../gpu/programs/training.ts";
import { isFull } from "../tiers.ts";
import { bundleProgram, root, useBrowser, type Program } from "./harness.ts";

const browser = useBrowser();
let program: Program<typeof trainingProgram>;
beforeAll(async () => {
  program = await bundleProgram<typeof trainingProgram>("../gpu/programs/training.ts");
});

const STEPS = isFull ? 50 : 20;
const file = (path: string): Buffer => readFileSync(join(root, path));
const csv = gunzipSync(file("examples/digits/digits.csv.gz")).toString();
const text = plainText(file("examples/char-gpt/train.ts").toString());

function expectClose(losses: readonly number[], reference: readonly number[]): void {
  expect(losses).toHaveLength(STEPS);
  expect(reference.at(-1)!).toBeLessThan(reference[0]! * 0.9);
  expect(Math.max(...losses.map((x, i) => Math.abs(x / reference[i]! - 1)))).toBeLessThan(1e-3);
}

it(`digits: ${STEPS} losses within 1e-3 of the cpu's`, { timeout: 600_000 }, async () => {
  const page = await browser.open();
  const reference = await page.runInWorker(program, "digits", "cpu", csv, STEPS);
  expectClose(await page.runInWorker(program, "digits", "webgpu", csv, STEPS), reference);
});

it(`the GPT: ${STEPS} losses within 1e-3 of the cpu's`, { timeout: 600_000 }, async () => {
  const page = await browser.open();
  const reference = await page.runInWorker(program, "gpt", "cpu", text, STEPS, 2);
  expectClose(await page.runInWorker(program, "gpt", "webgpu", text, STEPS, 2), reference);
});
