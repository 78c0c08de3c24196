/**
 * npm run bench:peers -- [--library NAME,...] [--case TEXT,...] [--rounds N] [--json FILE] [--trace FOLDER]
 * Kindling, TensorFlow.js and jax-js side by side: one headless Chromium, one adapter, taking turns. The peers are installed on demand.
 */

import { build } from "esbuild";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { REMEDY, ensureChromium } from "../../scripts/lib/chromium.mjs";
import { StepError, at, hashOf, isFresh, main, runNpm, say, stamp, writeWhole } from "../../scripts/lib/project.mjs";
import { setUp } from "../../scripts/lib/setup.mjs";

const folder = at("bench/peers");
const allLibraries = ["kindling", "tfjs", "jax-js"];

async function installPeers() {
  const hash = hashOf(readFileSync(`${folder}/package-lock.json`, "utf8"));
  if (isFresh("peers", hash, [`${folder}/node_modules/.package-lock.json`])) return;
  say("installing the libraries to compare with (npm ci in bench/peers)");
  const { code, output } = await runNpm(["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder });
  if (code !== 0) throw new StepError(`npm ci in bench/peers failed:\n${output.trim()}`);
  stamp("peers", hash);
}

async function bundlePage() {
  const outfile = at("dist/tools/peers.js");
  await build({
    entryPoints: [`${folder}/page/main.ts`],
    outfile,
    bundle: true,
    format: "esm",
    target: ["es2022"],
    // The page's import map leads to the library as it is shipped.
    external: ["kindling"],
    // A Node path of the peers that a page never takes.
    alias: {
      "node-fetch": at("bench/peers/page/empty.ts"),
      util: at("bench/peers/page/empty.ts"),
      crypto: at("bench/peers/page/empty.ts"),
    },
    logLevel: "error",
  });
}

const types = { ".js": "text/javascript", ".wasm": "application/wasm", ".map": "application/json" };
const html = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Side by side</title>
<script type="importmap">{ "imports": { "kindling": "/dist/kindling.browser.js" } }</script>
<script type="module" src="/dist/tools/peers.js"></script>`;

/** Serves dist/ on this machine only, isolated across origins: finer clocks, and threads for the cpu device. */
function serve() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (pathname === "/") return response.setHeader("Content-Type", "text/html").end(html);
    const path = at(pathname);
    if (!pathname.startsWith("/dist/") || pathname.includes("..") || !existsSync(path)) return response.writeHead(404).end();
    return response.setHeader("Content-Type", types[extname(path)] ?? "application/octet-stream").end(readFileSync(path));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** A browser with WebGPU; without a GPU, on SwiftShader. */
async function launch() {
  const { chromium } = await import("playwright-core");
  const chromiumHere = await ensureChromium();
  if (chromiumHere === null) throw new StepError(`without Chromium there is nothing to compare in: ${REMEDY}`);
  const adapter = process.env.KINDLING_WEBGPU_ADAPTER ?? "swiftshader";
  const args = ["--no-sandbox", "--enable-unsafe-webgpu", ...(adapter === "default" ? [] : [`--use-webgpu-adapter=${adapter}`])];
  return chromium.launch({ executablePath: chromiumHere.executable, args });
}

const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
};

const ms = (x) => (x < 10 ? x.toFixed(2) : x.toFixed(1));

/** One line per library, with the ratio of the first library's time to its own. */
function describe({ name, tolerance, measured }) {
  const [ours] = measured;
  const lines = measured.map((m) => {
    if (m.error !== undefined) return `  ${m.library.padEnd(10)} failed: ${m.error.split("\n").slice(0, 6).join("\n    ")}`;
    const time = median(m.samples);
    const spread = `${ms(time)} ms [${ms(Math.min(...m.samples))}, ${ms(Math.max(...m.samples))}]`;
    const ratio =
      m === ours || ours.error !== undefined ? "" : `${ours.library} takes ${(median(ours.samples) / time).toFixed(2)}x`;
    const agree =
      m.difference <= tolerance ? `agrees (${m.difference.toExponential(1)})` : `DIFFERS by ${m.difference.toExponential(1)}`;
    return [
      `  ${m.library.padEnd(10)}`,
      spread.padEnd(28),
      `first ${ms(m.first)} ms`.padEnd(18),
      `${m.dispatches} dispatches in ${m.submits} submits`.padEnd(34),
      `${(m.peakBytes / 2 ** 20).toFixed(0)} MiB`.padEnd(9),
      agree.padEnd(18),
      ratio,
    ].join(" ");
  });
  return `${name}\n${lines.join("\n")}`;
}

/** Writes the dispatches of each library's run, slowest kernel first, then one by one, and every kernel's code. */
function writeTrace(folder, { name, measured }) {
  for (const { library, trace } of measured) {
    if (trace === undefined) continue;
    const kernels = new Map();
    for (const { kernel, code, ms: time } of trace) {
      const k = kernels.get(kernel) ?? { kernel, code, count: 0, total: 0 };
      k.count++;
      k.total += Number.isFinite(time) ? time : 0;
      kernels.set(kernel, k);
    }
    const sorted = [...kernels.values()].sort((x, y) => y.total - x.total);
    const line = (d, i) => `${String(i).padStart(5)} ${d.ms.toFixed(3).padStart(9)} ms  ${d.kernel}  ${d.groups.join("x")}`;
    const text = [
      `${name}, ${library}: ${trace.length} dispatches, ${sorted.reduce((sum, k) => sum + k.total, 0).toFixed(2)} ms of them alone`,
      ...sorted.map((k) => `${k.total.toFixed(3).padStart(9)} ms  ${String(k.count).padStart(4)} x  ${k.kernel}`),
      "",
      ...trace.map(line),
      ...sorted.map((k) => `\n${"=".repeat(20)} ${k.kernel}: ${k.total.toFixed(3)} ms\n${k.code}`),
    ].join("\n");
    writeWhole(`${folder}/${name}-${library}.txt`.replaceAll(" ", "_"), `${text}\n`);
  }
}

/** Ours against each peer, one row per workload. */
function table(rows) {
  const peers = rows[0].measured.slice(1).map((m) => m.library);
  const cell = (ours, m) =>
    ours.error !== undefined || m.error !== undefined ? "-" : `${(median(ours.samples) / median(m.samples)).toFixed(2)}x`;
  const result = (m) => (m.error !== undefined ? "failed" : `${ms(median(m.samples))} ms, ${m.dispatches}`);
  const head = ["workload", rows[0].measured[0].library, ...peers.flatMap((p) => [p, "ratio"])];
  const body = rows.map(({ name, measured: [ours, ...others] }) => [
    name,
    result(ours),
    ...others.flatMap((m) => [result(m), cell(ours, m)]),
  ]);
  return [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      library: { type: "string", default: allLibraries.join(",") },
      case: { type: "string", default: "" },
      rounds: { type: "string", default: "9" },
      json: { type: "string" },
      trace: { type: "string" },
    },
  });
  const libraries = values.library.split(",");
  for (const name of libraries)
    if (!allLibraries.includes(name)) throw new StepError(`there is no library "${name}"; there are ${allLibraries.join(", ")}`);
  await setUp();
  await installPeers();
  await bundlePage();
  const versionOf = (path) => JSON.parse(readFileSync(at(path, "package.json"), "utf8")).version;
  const versions = { kindling: versionOf("."), "@jax-js/jax": versionOf("bench/peers/node_modules/@jax-js/jax") };
  const server = await serve();
  const browser = await launch();
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(`page: ${error.stack ?? error}`));
    let shown = 0;
    page.on("console", (message) => {
      // A broken command repeats itself thousands of times.
      if (["error", "warning"].includes(message.type()) && shown++ < 20) console.error(`page: ${message.text()}`);
    });
    await page.exposeFunction("report", (row) => console.log(describe(row)));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => "bench" in globalThis, null, { timeout: 60_000 });
    const options = {
      libraries,
      cases: values.case.split(","),
      rounds: Number(values.rounds),
      trace: values.trace !== undefined,
      versions,
    };
    const result = await page.evaluate((o) => globalThis.bench(o), options);
    if (values.trace !== undefined) for (const row of result.rows) writeTrace(values.trace, row);
    const used = Object.entries(result.versions).map(([name, version]) => `${name} ${version}`);
    console.log(
      `\nChromium ${browser.version()}, adapter: ${result.adapter}; ${used.join(", ")}; median ms per run, dispatches\n`,
    );
    if (result.rows.length > 0) console.log(table(result.rows));
    if (values.json !== undefined)
      writeFileSync(values.json, JSON.stringify({ chromium: browser.version(), ...result }, null, 1));
    return result.rows.every(({ tolerance, measured }) =>
      measured.every((m) => m.error === undefined && m.difference <= tolerance),
    )
      ? 0
      : 1;
  } finally {
    await browser.close();
    server.close();
  }
});
