/** The package as npm installs it, used the ways that people do: from a script tag, through esbuild, through Vite. */

import { build as esbuild } from "esbuild";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build as viteBuild, createServer } from "vite";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PATIENCE, root, serve, useBrowser, type Site, type TestPage } from "./harness.ts";

const browser = useBrowser();
const project = mkdtempSync(join(tmpdir(), "kindling-user-"));
const installed = join(project, "node_modules/kindling");
const sites: Site[] = [];

/** What a user writes: trains a little, asks a worker, shows what came of it. */
const main = (worker: string): string => `
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
const run = torch.run_in_worker((Worker) => new Worker(new URL("${worker}", import.meta.url), { type: "module" }), 7);
window.result = { threads: torch.get_num_threads(), better: losses[0] / losses[99], worker: await run.result };
`;
/** Its worker. */
const TRAIN = `
import * as torch from "kindling";
torch.worker_main(async (task, n) => {
  await task.report(0);
  return { sum: await torch.arange(n).sum().item(), threads: torch.get_num_threads() };
});
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
  put("main.ts", main("./train.ts"));
  put("main-js.ts", main("./train.js"));
  put("train.ts", TRAIN);
});

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
  readonly worker: { readonly sum: number; readonly threads: number };
}

async function resultOf<R = Result>({ page }: TestPage): Promise<R> {
  await page.waitForFunction("window.result !== undefined");
  return page.evaluate("window.result");
}

function expectGood({ better, threads, worker }: Result, least = 2): void {
  expect(better).toBeGreaterThan(100);
  expect(threads).toBeGreaterThanOrEqual(least);
  expect(worker).toEqual({ sum: 21, threads });
}

it("from a script tag, without any tool", async () => {
  const plain = await site(".");
  const imports = { kindling: "./node_modules/kindling/dist/kindling.browser.js" };
  const map = `<script type=importmap>${JSON.stringify({ imports })}</script>`;
  // Workers have no import maps, and a browser reads no TypeScript.
  put("train.js", TRAIN.replace('"kindling"', '"./node_modules/kindling/dist/kindling.browser.js"'));
  put("plain.html", page(`>${main("./train.js")}`, map));
  const opened = await browser.open({ site: plain, path: "/plain.html" });
  expectGood(await resultOf(opened));
  expect(opened.log).toEqual([]);
});

/** Everything that the bundle loads lies beside it in the package. */
const assets = () => readdirSync(join(installed, "dist")).filter((name) => name.endsWith(".wasm") || name === "worker.js");

it("through esbuild, with the package's files copied beside the bundle", async () => {
  await esbuild({
    absWorkingDir: project,
    // esbuild bundles no workers by itself: each is an entry of its own, whose bundle the program names.
    entryPoints: ["main-js.ts", "train.ts"],
    outdir: "esbuild",
    bundle: true,
    format: "esm",
    minify: true,
    logLevel: "silent",
  });
  for (const name of assets()) cpSync(join(installed, "dist", name), join(project, "esbuild", name));
  put("esbuild/index.html", page(`src=main-js.js>`));
  const opened = await browser.open({ site: await site("esbuild"), path: "/" });
  expectGood(await resultOf(opened));
  expect(opened.log).toEqual([]);
});

it("through esbuild, without these files, says what is missing and what to do", async () => {
  for (const name of ["main-js.js", "train.js"]) cpSync(join(project, "esbuild", name), join(project, "bare", name));
  put("bare/index.html", page(`src=main-js.js>`));
  const opened = await browser.open({ site: await site("bare"), path: "/" });
  await expect.poll(() => opened.errorCount, { timeout: PATIENCE }).toBe(1);
  expect(opened.takeErrors()[0]).toMatch(/kernels_\w+\.\w+\.wasm.*404.*copy.*node_modules\/kindling\/dist/s);
});

it("a worker without these files says the same to the thread that started it", async () => {
  const from = `"${join(installed, "dist/kindling.browser.js")}"`;
  put(
    "ask.ts",
    `
    import * as torch from ${from};
    const run = torch.run_in_worker(() => new Worker(new URL("../bare/train.js", import.meta.url), { type: "module" }));
    window.result = await run.result.catch((error) => error.message);`,
  );
  await esbuild({
    absWorkingDir: project,
    entryPoints: ["ask.ts"],
    outdir: "ask",
    bundle: true,
    format: "esm",
    logLevel: "silent",
  });
  for (const name of assets()) cpSync(join(installed, "dist", name), join(project, "ask", name));
  put("ask/index.html", page(`src=ask.js>`));
  const opened = await browser.open({ site: await site("."), path: "/ask/" });
  expect(await resultOf(opened)).toMatch(/cannot load .*404.*copy/);
});

it("through Vite's build", async () => {
  put("index.html", page(`src=/main.ts>`));
  await viteBuild({ root: project, configFile: false, logLevel: "silent", worker: { format: "es" }, build: { outDir: "vite" } });
  const opened = await browser.open({ site: await site("vite"), path: "/" });
  expectGood(await resultOf(opened));
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
    expectGood(await resultOf(opened), 1); // it sends no headers that isolate
  } finally {
    await server.close();
  }
});
