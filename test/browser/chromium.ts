/**
 * A real browser, driven from Node: Chromium, pages, and a small server that can isolate them.
 *
 * What runs in a page is a program: a module of test/browser/programs whose exported functions are called by name, on the page's
 * main thread or in a worker. It is bundled with the library's sources each time.
 */

import { build } from "esbuild";
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";
import { findChromium, REMEDY } from "../../scripts/lib/chromium.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".map": "application/json",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".css": "text/css; charset=utf-8",
};
const BLANK = "<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>test</title>";
/** Pages that share memory among threads must be served with these. */
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export interface Site {
  readonly origin: string;
  close(): void;
}

/** Serves the files of a folder; `/blank` is an empty page. */
export async function serve(folder: string, { isolated }: { isolated: boolean }): Promise<Site> {
  const server: Server = createServer((request, response) => {
    void (async () => {
      const path = decodeURIComponent(new URL(request.url ?? "/", "http://host").pathname);
      const headers = { "Cache-Control": "no-store", ...(isolated ? ISOLATION : {}) };
      try {
        const file = join(folder, normalize(path.endsWith("/") ? `${path}index.html` : path));
        const body = path === "/blank" ? BLANK : await readFile(file);
        const type = path === "/blank" ? TYPES[".html"] : TYPES[extname(file)];
        response.writeHead(200, { ...headers, "Content-Type": type ?? "application/octet-stream" }).end(body);
      } catch {
        response.writeHead(404, headers).end(`there is no ${path}`);
      }
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Where a program's bundle is served; the type is the module's. */
export interface Program<M> {
  readonly url: string;
  /** Only in the type. */
  readonly _module?: M;
}

/**
 * Bundles a module with the library's sources for browsers. It lies two folders deep, as the sources do that name the kernels by
 * `../../build/wasm/`, so these names stay right as they are.
 */
export async function bundleProgram<M>(path: string): Promise<Program<M>> {
  const name = `${basename(path, ".ts")}.js`;
  mkdirSync(join(root, "build/browser"), { recursive: true });
  await build({
    entryPoints: [join(root, "test/browser", path)],
    outfile: join(root, "build/browser", name),
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    sourcemap: "inline",
    alias: { "kindling/vision": join(root, "ts/vision/entry.browser.ts"), kindling: join(root, "ts/entry.browser.ts") },
    external: ["node:*"],
    ignoreAnnotations: true, // package.json knows of the bundles' side effects only
    logLevel: "silent",
  });
  return { url: `/build/browser/${name}` };
}

/** The names of a module's functions that take and give what can be sent to a page. */
type Functions<M> = { [K in keyof M]: M[K] extends (...args: never[]) => unknown ? K : never }[keyof M] & string;
type Call<M, K extends keyof M> = M[K] extends (...args: infer A) => infer R ? { args: A; result: Awaited<R> } : never;

/** Runs in the worker that `runInWorker` starts. */
const WORKER_HOST = `
  self.onmessage = async ({ data: { url, name, args } }) => {
    self.onmessage = null;
    try {
      const module = await import(url);
      self.postMessage({ value: await module[name](...args) });
    } catch (error) {
      self.postMessage({ error: error?.stack ?? String(error) });
    }
  };`;

export class TestPage {
  /** What the page and its workers wrote to the console, and errors nobody caught. */
  readonly log: { readonly type: string; readonly text: string }[] = [];
  #errors: string[] = [];

  constructor(readonly page: Page) {
    page.on("console", (message) => this.log.push({ type: message.type(), text: message.text() }));
    page.on("pageerror", (error) => this.#errors.push(error.stack ?? error.message));
  }

  get warnings(): string[] {
    return this.log.filter(({ type }) => type === "warning").map(({ text }) => text);
  }

  get errorCount(): number {
    return this.#errors.length;
  }
  /** Errors since the last call that nobody caught: a test that expects some takes them away here. */
  takeErrors(): string[] {
    const errors = this.#errors;
    this.#errors = [];
    return errors;
  }

  /** Calls an exported function of a program on the page's main thread. */
  run<M, K extends Functions<M>>(program: Program<M>, name: K, ...args: Call<M, K>["args"]): Promise<Call<M, K>["result"]> {
    // As text: a function would be rewritten for vitest, dynamic imports included.
    return this.page.evaluate(
      `import(${JSON.stringify(program.url)}).then((module) => module[${JSON.stringify(name)}](...${JSON.stringify(args)}))`,
    );
  }

  /** The same in a dedicated worker of the page. */
  runInWorker<M, K extends Functions<M>>(
    program: Program<M>,
    name: K,
    ...args: Call<M, K>["args"]
  ): Promise<Call<M, K>["result"]> {
    const call = JSON.stringify({ name, args });
    return this.page.evaluate(`new Promise((resolve, reject) => {
      const host = new Blob([${JSON.stringify(WORKER_HOST)}], { type: "text/javascript" });
      const worker = new Worker(URL.createObjectURL(host), { type: "module" });
      worker.onerror = (event) => reject(new Error("the worker failed: " + event.message));
      worker.onmessage = ({ data }) => {
        worker.terminate();
        if ("error" in data) reject(new Error("in the worker: " + data.error));
        else resolve(data.value);
      };
      worker.postMessage({ ...${call}, url: new URL(${JSON.stringify(program.url)}, location.href).href });
    })`);
  }
}

/** What gives a software WebGPU adapter. */
const FLAGS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--ignore-gpu-blocklist"];

/** Starts Chromium. Throws, saying what to do, where there is none. */
export async function launch(flags: readonly string[] = FLAGS): Promise<Browser> {
  const found = findChromium();
  if (found === null) throw new Error(`NOT RUN, there is no Chromium: ${REMEDY}`);
  return chromium.launch({ executablePath: found.executable, args: [...flags], timeout: 180_000 });
}
