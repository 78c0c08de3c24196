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

test.runIf(existsSync(`${root}/ts/entry.browser.ts`))("the browser's bundle imports nothing", () => {
  const bundle = readFileSync(`${root}/dist/kindling.browser.js`, "utf8");
  expect(bundle).not.toMatch(/^\s*(import|export)\b[^"'(]*\bfrom\s*["']/m);
  expect(bundle).not.toMatch(/^\s*import\s*["']/m);
});
