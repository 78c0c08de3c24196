/** The package as npm installs it, used the ways that people do: from a script tag, through esbuild, through Vite. */

import { build as esbuild } from "esbuild";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build as viteBuild, createServer } from "vite";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root, serve, useBrowser, type Site, type TestPage } from "./harness.ts";

const browser = useBrowser();
const project = mkdtempSync(join(tmpdir(), "kindling-user-"));
const installed = join(project, "node_modules/kindling");
const sites: Site[] = [];

/** What a user writes: trains a little, shows what came of it. */
const MAIN = `
import * as torch from "kindling";
import { nn, optim } from "kindling";
const model = new nn.Linear(64, 1);
const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
const x = torch.randn(4096, 64);
const y = x.sum(1, { keepdim: true });
const losses = [];
for (let step = 0; step < 100; step++) {
  optimizer.zero_grad();
  const loss = nn.functional.mse_loss(model(x), y);
  loss.backward();
  optimizer.step();
  losses.push(await loss.item());
}
window.result = { threads: torch.get_num_threads(), better: losses[0] / losses[99] };
`;
const page = (script: string, head = "") =>
  `<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>user</title>${head}<script type=module ${script}</script>`;

const put = (path: string, text: string): void => {
  const file = join(project, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
};

beforeAll(async () => {
  const setup = spawnSync(process.execPath, ["scripts/setup.mjs"], { cwd: root, encoding: "utf8" });
  if (setup.status !== 0) throw new Error(`setting up failed: ${setup.stderr}`);
  const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  for (const { path } of files) cpSync(join(root, path), join(installed, path));
  put("package.json", JSON.stringify({ name: "user", private: true, type: "module" }));
  put("main.ts", MAIN);
}, 120_000);

afterAll(() => {
  for (const site of sites) site.close();
  rmSync(project, { recursive: true, force: true });
});

async function site(folder: string, isolated = true): Promise<Site> {
  const made = await serve(join(project, folder), { isolated });
  sites.push(made);
  return made;
}

interface Result {
  readonly threads: number;
  readonly better: number;
}

async function resultOf({ page }: TestPage): Promise<Result> {
  await page.waitForFunction("window.result !== undefined", undefined, { timeout: 30_000 });
  return page.evaluate("window.result");
}

it("from a script tag, without any tool", async () => {
  const imports = { kindling: "./node_modules/kindling/dist/kindling.browser.js" };
  const map = `<script type=importmap>${JSON.stringify({ imports })}</script>`;
  put("plain.html", page(`>${MAIN}`, map));
  const opened = await browser.open({ site: await site("."), path: "/plain.html" });
  const result = await resultOf(opened);
  expect(result.better).toBeGreaterThan(100);
  expect(result.threads).toBeGreaterThan(1);
  expect(opened.log).toEqual([]);
});

/** Everything that the bundle loads lies beside it in the package. */
const assets = () => readdirSync(join(installed, "dist")).filter((name) => name.endsWith(".wasm") || name === "worker.js");

it("through esbuild, with the package's files copied beside the bundle", async () => {
  await esbuild({
    absWorkingDir: project,
    entryPoints: ["main.ts"],
    outdir: "esbuild",
    bundle: true,
    format: "esm",
    minify: true,
    logLevel: "silent",
  });
  for (const name of assets()) cpSync(join(installed, "dist", name), join(project, "esbuild", name));
  put("esbuild/index.html", page(`src=main.js>`));
  const opened = await browser.open({ site: await site("esbuild"), path: "/" });
  expect((await resultOf(opened)).better).toBeGreaterThan(100);
  expect(opened.log).toEqual([]);
});

it("through esbuild, without these files, says what is missing and what to do", async () => {
  cpSync(join(project, "esbuild/main.js"), join(project, "bare/main.js"));
  put("bare/index.html", page(`src=main.js>`));
  const opened = await browser.open({ site: await site("bare"), path: "/" });
  await expect.poll(() => opened.errorCount).toBe(1);
  expect(opened.takeErrors()[0]).toMatch(/kernels_\w+\.\w+\.wasm.*404.*copy.*node_modules\/kindling\/dist/s);
});

it("through Vite's build", async () => {
  put("index.html", page(`src=/main.ts>`));
  await viteBuild({ root: project, configFile: false, logLevel: "silent", build: { outDir: "vite" } });
  const opened = await browser.open({ site: await site("vite"), path: "/" });
  const result = await resultOf(opened);
  expect(result.better).toBeGreaterThan(100);
  expect(result.threads).toBeGreaterThan(1);
  expect(opened.log).toEqual([]);
});

it("through Vite's development server", async () => {
  put("index.html", page(`src=/main.ts>`));
  symlinkSync(join(root, "node_modules/vite"), join(project, "node_modules/vite"));
  const server = await createServer({
    root: project,
    configFile: false,
    logLevel: "silent",
    server: { port: 0, host: "127.0.0.1" },
  });
  try {
    await server.listen();
    const opened = await browser.open({
      site: { origin: server.resolvedUrls!.local[0]!.replace(/\/$/, ""), close() {} },
      path: "/",
    });
    expect((await resultOf(opened)).better).toBeGreaterThan(100);
  } finally {
    await server.close();
  }
});
