/** The bundles as a user meets them: imported by the package's name, with the kernels beside them. */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const node = (...args: string[]) => spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });

beforeAll(() => {
  const { status, stderr } = node("scripts/setup.mjs");
  if (status !== 0) throw new Error(`setting up failed: ${stderr}`);
}, 600_000);

test("import by name in Node", () => {
  const program = `
    import * as torch from "kindling";
    const x = torch.tensor([1, 2]);
    console.log(JSON.stringify(await x.add(x).tolist()));
  `;
  const { stdout, stderr } = node("--input-type=module", "--eval", program);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual([2, 4]);
});

test("sub-paths stand on the same bundle: one class of tensors", () => {
  const program = `
    import * as torch from "kindling";
    import { transforms } from "kindling/vision";
    const flipped = transforms.functional.hflip(torch.tensor([[1, 2]]));
    console.log(JSON.stringify([flipped instanceof torch.Tensor, await flipped.tolist()]));
  `;
  const { stdout, stderr } = node("--input-type=module", "--eval", program);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual([true, [[2, 1]]]);
});

test.each(["node", "browser"])("sub-paths' bundles for %s import the main one and nothing of it is in them", (platform) => {
  const bundle = readFileSync(`${root}/dist/kindling.vision.${platform}.js`, "utf8");
  expect(bundle).toContain(`"./kindling.${platform}.js"`);
  expect(bundle).not.toContain("ts/core/");
});

test.runIf(existsSync(`${root}/ts/entry.browser.ts`))("the browser's bundle imports nothing", () => {
  const bundle = readFileSync(`${root}/dist/kindling.browser.js`, "utf8");
  expect(bundle).not.toMatch(/^\s*(import|export)\b[^"'(]*\bfrom\s*["']/m);
  expect(bundle).not.toMatch(/^\s*import\s*["']/m);
});
