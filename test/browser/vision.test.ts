/** kindling/vision in Chromium: the browser decodes. */

import { beforeAll, expect, it } from "vitest";
import { bundleProgram, useBrowser, type Program } from "./harness.ts";
import type * as visionProgram from "./programs/vision.ts";

const browser = useBrowser();
let program: Program<typeof visionProgram>;
beforeAll(async () => {
  program = await bundleProgram<typeof visionProgram>("./programs/vision.ts");
});

it("pictures are decoded without packages", async () => {
  const page = await browser.open();
  const seen = await page.run(program, "decodes");
  expect(seen).toEqual({
    png: [
      [3, 16, 32],
      [255, 0, 0],
      [0, 0, 255],
    ],
    jpeg: [[3, 16, 32], true],
    glass: [
      [4, 16, 32],
      [0, 255, 0, 102],
    ],
    error: "RuntimeError: decode_image: the file is damaged",
  });
});

it("a chosen folder is a dataset, in a worker as well", async () => {
  const page = await browser.open();
  const expected = [
    ["a", "b"],
    [[2, 3, 8, 8], [0, 0], [1, 3, 8, 8], [1]],
  ];
  expect(await page.run(program, "loads")).toEqual(expected);
  expect(await page.runInWorker(program, "loads")).toEqual(expected);
});
