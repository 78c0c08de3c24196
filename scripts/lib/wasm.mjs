/**
 * Builds the WebAssembly kernels: wasm/cpp -> kernels_cpp, wasm/assembly -> kernels_as, each as `simd` (SIMD128) and `relaxed`
 * (relaxed SIMD), into build/wasm. Everything is keyed by content, so an edit of one C++ file recompiles only that file.
 *
 * The memory map that both modules keep to: AssemblyScript's static data below 1 MiB, C++'s data and stack between 1 and 2 MiB, the
 * heap of the TypeScript allocator from 4 MiB.
 */

import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { MEBI, compileFlags, findCxx, relaxedFlags } from "./cxx.mjs";
import { StepError, at, filesUnder, hashFiles, hashOf, isFresh, runNode, say, shown, stamp, writeWhole } from "./project.mjs";
import { readModule } from "./wasm-module.mjs";

const variants = ["simd", "relaxed"];
const outFile = (module, variant) => at("build", "wasm", `${module}.${variant}.wasm`);

export const wasmFiles = () =>
  ["kernels_cpp", "kernels_as"].flatMap((module) => variants.map((variant) => outFile(module, variant)));

const ascFlags = [
  "-O3",
  "--noExportMemory",
  "--importMemory",
  "--sharedMemory",
  "--initialMemory",
  "64",
  "--maximumMemory",
  "65536",
  "--memoryBase",
  "4096",
  "--runtime",
  "stub",
  "--use",
  "abort=",
];
const ascVariantFlags = {
  simd: ["--enable", "simd,threads", "--use", "KINDLING_RELAXED=0"],
  relaxed: ["--enable", "simd,relaxed-simd,threads", "--use", "KINDLING_RELAXED=1"],
};

/** Hash of everything that the modules depend on besides the C++ route that is present. */
const scriptsHash = () => hashFiles(["wasm", "wasm-module", "cxx", "yowasp"].map((name) => at("scripts/lib", `${name}.mjs`)));

/** Builds what is out of date. */
export async function buildWasm() {
  const tools = hashOf(scriptsHash(), process.env.KINDLING_CXX ?? "");
  await Promise.all([buildCpp(tools), buildAssembly(tools)]);
}

/** The headers that a C++ file includes from this project, and theirs. */
function headersOf(source, seen = new Set()) {
  for (const [, name] of readFileSync(source, "utf8").matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)) {
    const header = [join(dirname(source), name), at("wasm/cpp", name)].find(existsSync);
    if (!header) throw new StepError(`${shown(source)} includes "${name}", which is not in its folder nor in wasm/cpp`);
    if (seen.has(header)) continue;
    seen.add(header);
    headersOf(header, seen);
  }
  return [...seen].sort();
}

async function buildCpp(tools) {
  const everything = filesUnder(at("wasm/cpp"), (path) => /\.(cpp|h|inc)$/.test(path));
  const sources = everything.filter((path) => path.endsWith(".cpp"));
  const outputs = variants.map((variant) => outFile("kernels_cpp", variant));
  const hash = hashOf(tools, hashFiles(everything));
  if (sources.length === 0 || isFresh("kernels_cpp", hash, outputs)) return;

  const started = performance.now();
  const route = await findCxx();
  let compiled = 0;
  const object = async (source, flags) => {
    const headers = headersOf(source);
    const path = at("build/objects", `${hashOf(route.id, flags, hashFiles([source, ...headers]))}.o`);
    if (!existsSync(path)) {
      compiled++;
      writeWhole(path, await route.compile({ source, headers, flags }));
    }
    return readFileSync(path);
  };
  try {
    say(`C++ kernels: ${sources.length} files, ${route.name}`);
    const results = await Promise.allSettled(
      variants.map(async (variant) => {
        const flags = variant === "relaxed" ? [...compileFlags, ...relaxedFlags] : compileFlags;
        const objects = await all(sources.map((source) => object(source, flags)));
        const bytes = await route.link(objects);
        verifyCpp(bytes, variant);
        writeWhole(outFile("kernels_cpp", variant), bytes);
      }),
    );
    throwAll(results);
  } finally {
    route.close();
  }
  stamp("kernels_cpp", hash);
  say(`C++ kernels: compiled ${compiled} of ${sources.length * variants.length} objects in ${seconds(started)}`);
}

async function buildAssembly(tools) {
  const entry = at("wasm/assembly/index.ts");
  const outputs = variants.map((variant) => outFile("kernels_as", variant));
  const { version } = JSON.parse(readFileSync(at("node_modules/assemblyscript/package.json"), "utf8"));
  const hash = hashOf(tools, version, hashFiles(filesUnder(at("wasm/assembly"), (path) => path.endsWith(".ts"))));
  if (!existsSync(entry) || isFresh("kernels_as", hash, outputs)) return;

  const started = performance.now();
  say("AssemblyScript kernels");
  const results = await Promise.allSettled(
    variants.map(async (variant) => {
      const temporary = at("build", `kernels_as.${variant}.${process.pid}.wasm`);
      const args = [shown(entry), ...ascFlags, ...ascVariantFlags[variant], "--outFile", shown(temporary)];
      const { code, output } = await runNode([at("node_modules/assemblyscript/bin/asc.js"), ...args]);
      if (code !== 0) throw new StepError(`compiling wasm/assembly (${variant}) failed:\n${output.trim()}`);
      if (output.trim()) say(output.trim());
      const bytes = readFileSync(temporary);
      rmSync(temporary);
      verifyAssembly(bytes, variant);
      writeWhole(outFile("kernels_as", variant), bytes);
    }),
  );
  throwAll(results);
  stamp("kernels_as", hash);
  say(`AssemblyScript kernels: built in ${seconds(started)}`);
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Waits for all, then fails with every distinct message, so that one build shows every broken file. */
async function all(promises) {
  const results = await Promise.allSettled(promises);
  throwAll(results);
  return results.map((result) => result.value);
}
function throwAll(results) {
  const reasons = results.filter((result) => result.status === "rejected").map((result) => result.reason);
  const unexpected = reasons.find((reason) => !(reason instanceof StepError));
  if (unexpected) throw unexpected;
  if (reasons.length > 0) throw new StepError([...new Set(reasons.map((reason) => reason.message))].join("\n\n"));
}

/** What both modules promise: only the shared memory is imported, and it may grow to 4 GiB. */
function verifyImports(module, name) {
  const [memory, ...rest] = module.imports;
  if (rest.length > 0 || memory?.name !== "env.memory") {
    const names = module.imports.map((entry) => entry.name).join(", ");
    throw new StepError(`${name} imports ${names}; it may import only env.memory (does a kernel call something not linked in?)`);
  }
  if (!memory.memory.shared || memory.memory.maximum !== 65536 || memory.memory.minimum > 64) {
    throw new StepError(
      `${name}: its memory must be shared, of at most 64 pages at first and up to 65536: ${JSON.stringify(memory)}`,
    );
  }
}

function verifyCpp(bytes, variant) {
  const name = `kernels_cpp.${variant}`;
  const module = readModule(bytes);
  verifyImports(module, name);
  const stack = module.global("__stack_pointer");
  const end = module.global("__heap_base");
  if (!stack?.mutable) throw new StepError(`${name} does not export a settable __stack_pointer`);
  if (!end || end.value > 2 * MEBI || stack.value > 2 * MEBI || stack.value <= MEBI) {
    throw new StepError(
      `${name}: data and stack must lie between 1 and 2 MiB, but end at ${end?.value} (stack at ${stack.value})`,
    );
  }
  const early = module.data.find(({ offset }) => offset !== undefined && offset < MEBI);
  if (early) throw new StepError(`${name}: a data segment at ${early.offset}, below 1 MiB`);
}

function verifyAssembly(bytes, variant) {
  const name = `kernels_as.${variant}`;
  const module = readModule(bytes);
  verifyImports(module, name);
  const end = Math.max(0, ...module.data.map(({ offset, length }) => (offset ?? Infinity) + length));
  if (end > MEBI) throw new StepError(`${name}: static data must end below 1 MiB, but ends at ${end}`);
}
