/**
 * Bundles with esbuild. Sources name files that lie beside them as `new URL("./digits.csv.gz", import.meta.url)`, which is right when
 * they run unbundled (in tests); here the name is rewritten for the bundle's own place. Kernels and the worker are copied to dist/.
 */

import { build } from "esbuild";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { StepError, at, filesUnder, hashFiles, isFresh, say, shown, stamp } from "./project.mjs";
import { wasmFiles } from "./wasm.mjs";

const workerSource = at("wasm/device/worker.ts");
const workerBuilt = at("build/worker.js");

/** Rewrites `new URL("relative", import.meta.url)` where it names a file of the project; what is built is found in dist/. `seen` gets them. */
const relocate = (outfile, seen = new Set()) => ({
  name: "relocate",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      if (!source.includes("import.meta.url")) return undefined;
      const contents = source.replace(/new URL\(\s*"(\.[^"]*)",\s*import\.meta\.url\s*\)/g, (whole, name) => {
        let target = fileURLToPath(new URL(name, pathToFileURL(path)));
        if (!existsSync(target)) return whole;
        const isFile = statSync(target).isFile();
        // It is copied there in the end.
        if (shown(target).startsWith("build/")) target = at("dist", basename(target));
        if (isFile) seen.add(target);
        const moved = relative(dirname(outfile), target).split(sep).join("/");
        return `new URL("${moved.startsWith(".") ? moved : `./${moved}`}", import.meta.url)`;
      });
      return { contents, loader: "ts" };
    });
  },
});

/** Leaves ts/torch.ts to the main bundle beside the one that is made, so that no state exists twice. */
const beside = (main) => ({
  name: "beside",
  setup({ onResolve }) {
    onResolve({ filter: /(^|\/)torch\.ts$/ }, ({ path, resolveDir }) =>
      resolve(resolveDir, path) === at("ts/torch.ts") ? { path: `./${basename(main)}`, external: true } : undefined,
    );
  },
});

/** The sources' own names for what users import; the longer ones first. */
const sources = Object.fromEntries([
  ...subPathNames().map((name) => [`kindling/${name}`, at("ts", name, "entry.node.ts")]),
  ["kindling", at("ts/entry.node.ts")],
]);

/** Folders of ts/ with entries of their own: `kindling/NAME`. */
function subPathNames() {
  return readdirSync(at("ts")).filter((name) => existsSync(at("ts", name, "entry.node.ts")));
}

async function bundle(entry, outfile, options = {}) {
  try {
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      format: "esm",
      target: ["es2022"],
      sourcemap: true,
      external: ["node:*"],
      plugins: [relocate(outfile)],
      // package.json lists only what is shipped as having side effects; the sources have them too (installing methods, registering devices).
      ignoreAnnotations: true,
      logLevel: "silent",
      ...options,
    });
  } catch (error) {
    if (!error.errors) throw error;
    const lines = error.errors.map(({ location: at, text }) => (at ? `${at.file}:${at.line}:${at.column}: ${text}` : text));
    throw new StepError(`bundling ${entry === undefined ? "programs" : shown(entry)} failed:\n${lines.join("\n")}`);
  }
}

const ourScripts = () => [at("scripts/lib/bundle.mjs"), at("package-lock.json")];
const sourcesOf = (...folders) => folders.flatMap((folder) => filesUnder(at(folder), (path) => path.endsWith(".ts")));

/** The thread that wasm/device starts, one file for Node and browsers. Tests, which run the sources, use it as well. */
export async function bundleWorker() {
  if (!existsSync(workerSource)) return;
  const hash = hashFiles([...sourcesOf("wasm/device", "ts/core", "ts/kernel"), ...ourScripts()]);
  if (isFresh("worker", hash, [workerBuilt])) return;
  await bundle(workerSource, workerBuilt, { platform: "neutral", minify: true });
  stamp("worker", hash);
}

/** The library and its sub-paths, for Node and for browsers, with everything they load beside them. */
export async function bundleLibrary() {
  const entries = ["node", "browser"].flatMap((platform) => {
    const main = { entry: at(`ts/entry.${platform}.ts`), outfile: at(`dist/kindling.${platform}.js`), options: { platform } };
    const others = subPathNames().map((name) => {
      const outfile = at(`dist/kindling.${name}.${platform}.js`);
      // Packages are the user's to install, where they use what needs them.
      const options = { platform, packages: "external", plugins: [beside(main.outfile), relocate(outfile)] };
      return { entry: at("ts", name, `entry.${platform}.ts`), outfile, options };
    });
    return [main, ...others].filter(({ entry }) => existsSync(entry));
  });
  const assets = [...wasmFiles(), workerBuilt].filter(existsSync);
  const outputs = [...entries.map(({ outfile }) => outfile), ...assets.map((path) => at("dist", basename(path)))];
  const hash = hashFiles([...sourcesOf("ts", "gpu", "wasm/device"), ...assets, ...ourScripts()]);
  if (isFresh("library", hash, outputs)) return;
  for (const { entry, outfile, options } of entries) await bundle(entry, outfile, options);
  mkdirSync(at("dist"), { recursive: true });
  for (const path of assets) copyFileSync(path, at("dist", basename(path)));
  stamp("library", hash);
  say(`bundled ${entries.map(({ outfile }) => shown(outfile)).join(", ") || "no library: ts/entry.node.ts is missing"}`);
}

/** A program that imports `kindling` and packages as a user would; it runs against dist/. */
export async function bundleExample(name) {
  const entry = at("examples", name, "main.ts");
  if (!existsSync(entry)) throw new StepError(`there is no example "${name}": examples/${name}/main.ts does not exist`);
  const outfile = at("dist/examples", `${name}.js`);
  const hash = hashFiles([...sourcesOf("examples"), ...ourScripts()]);
  if (!isFresh(`example-${name}`, hash, [outfile])) {
    await bundle(entry, outfile, { platform: "node", packages: "external" });
    stamp(`example-${name}`, hash);
  }
  return outfile;
}

/** A program of this project that may import any source of it; packages stay what is installed. */
export async function bundleTool(path) {
  const entry = resolve(at(), path);
  if (!existsSync(entry)) throw new StepError(`${path} does not exist`);
  const outfile = at("dist/tools", `${shown(dirname(entry)).replaceAll("/", "-")}.js`);
  await bundle(entry, outfile, { platform: "node", packages: "external", alias: sources });
  return outfile;
}

/**
 * Several programs that share their code, as `folder`/NAME.js, for a machine that has nothing but Node: packages are in them, but for those
 * that only optional parts import. Returns the files that they read, which must travel along.
 */
export async function bundlePrograms(entryPoints, folder) {
  const files = new Set();
  await bundle(undefined, undefined, {
    entryPoints,
    outfile: undefined,
    outdir: folder,
    platform: "node",
    splitting: true,
    sourcemap: false,
    external: ["node:*", "webgpu", "playwright-core", "vite", "esbuild", "typescript"],
    alias: sources,
    // Packages in CommonJS call it.
    banner: {
      js: 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);',
    },
    plugins: [relocate(join(folder, "program.js"), files)],
  });
  return [...files].sort();
}
