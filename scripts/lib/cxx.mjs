/**
 * The C++ compiler for the kernels, by one of two routes with the same flags: the LLVM inside Emscripten where it is installed and
 * new enough, otherwise the LLVM from npm (`@yowasp/clang`). KINDLING_CXX=emscripten or =yowasp forces one.
 * Both call clang and wasm-ld directly: the kernels are freestanding, so nothing else of Emscripten is needed.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { StepError, at, run, say, shown } from "./project.mjs";
import { YowaspPool } from "./yowasp.mjs";

/** Relaxed SIMD needs this LLVM. */
const OLDEST_LLVM = 17;

export const MEBI = 1 << 20;

export const compileFlags = [
  "--target=wasm32-unknown-unknown",
  "-std=c++20",
  "-O3",
  "-nostdlib",
  "-nostdlibinc",
  "-ffreestanding",
  "-fno-exceptions",
  "-fno-rtti",
  "-fno-math-errno",
  "-ffp-contract=off",
  "-fvisibility=hidden",
  "-matomics",
  "-mbulk-memory",
  "-msimd128",
  "-Wall",
  "-Wextra",
  "-Werror",
];
export const relaxedFlags = ["-mrelaxed-simd", "-DKINDLING_RELAXED=1"];

/** Newer linkers place the stack at the bottom of memory unless told otherwise; older ones do not know the flag. */
const STACK_AFTER_DATA = "--no-stack-first";

/** Data and then stack of the C++ module lie from 1 MiB on; wasm.mjs checks that they end below 2 MiB. */
export const linkFlags = [
  "--no-entry",
  "--import-memory",
  "--shared-memory",
  "--max-memory=4294967296",
  `--global-base=${MEBI}`,
  "-z",
  "stack-size=65536",
  "--export=__stack_pointer",
  "--export=__heap_base",
  "--strip-debug",
];

/** Emscripten's own answer to where or how something is; undefined where it has none or is not installed. */
async function emConfig(name) {
  const { code, output } = await run("em-config", [name]).catch(() => ({ code: 1, output: "" }));
  return code === 0 ? output.trim() : undefined;
}

/** Where Emscripten's own LLVM is, with its version; or why it cannot be used. */
async function findEmscripten() {
  const folder = await emConfig("LLVM_ROOT");
  if (!folder) return { missing: true, problem: "Emscripten is not installed" };
  // Debian's programs carry the version in their names.
  const program = async (name, suffix) => join(folder, [name, await emConfig(suffix)].filter(Boolean).join("-"));
  const ask = async (...command) => run(command[0], command.slice(1)).catch((error) => ({ code: 1, output: error.message }));
  const clang = await program("clang++", "CLANG_ADD_VERSION");
  const linker = await program("wasm-ld", "LLVM_ADD_VERSION");
  const answer = await ask(clang, "--version");
  const version = /clang version (\d\S*)/.exec(answer.output)?.[1];
  if (answer.code !== 0 || !version) return { problem: `its compiler does not run: ${answer.output.trim()}` };
  if (parseInt(version) < OLDEST_LLVM) {
    return { problem: `its LLVM is ${version}, and relaxed SIMD needs ${OLDEST_LLVM} or newer` };
  }
  const help = await ask(linker, "--help");
  if (help.code !== 0) return { problem: `its linker does not run: ${help.output.trim()}` };
  return { clang, linker, version, placement: help.output.includes(STACK_AFTER_DATA) ? [STACK_AFTER_DATA] : [] };
}

/** Picks the route. A route has `name`, `id` (what its output depends on), `compile(job)`, `link(objects)` and `close()`. */
export async function findCxx() {
  const wanted = process.env.KINDLING_CXX ?? "";
  if (!["", "emscripten", "yowasp"].includes(wanted)) {
    throw new StepError(`KINDLING_CXX is "${wanted}"; it may be "emscripten" or "yowasp"`);
  }
  if (wanted !== "yowasp") {
    const found = await findEmscripten();
    if (!found.problem) return emscriptenRoute(found);
    if (wanted === "emscripten") throw new StepError(`KINDLING_CXX=emscripten cannot be: ${found.problem}`);
    if (!found.missing) say(`Emscripten is installed but not used: ${found.problem}`);
  }
  return yowaspRoute();
}

function emscriptenRoute({ clang, linker, version, placement }) {
  let free = availableParallelism();
  const waiting = [];
  /** One program a core, each with a temporary folder of its own. */
  const inFolder = async (work) => {
    if (free > 0) free--;
    else await new Promise((resolve) => waiting.push(resolve));
    const folder = mkdtempSync(join(tmpdir(), "kindling-"));
    try {
      return await work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
      if (waiting.length > 0) waiting.shift()();
      else free++;
    }
  };
  const checked = async (program, args, what) => {
    const { code, output } = await run(program, args);
    if (code !== 0) throw new StepError(`${what} failed:\n${output.trim()}`);
    if (output.trim()) say(output.trim());
  };
  return {
    name: `Emscripten's LLVM ${version}`,
    id: `emscripten ${version}`,
    compile: ({ source, flags }) =>
      inFolder(async (folder) => {
        const object = join(folder, "out.o");
        await checked(clang, [...flags, "-I", at("wasm/cpp"), "-c", source, "-o", object], `compiling ${shown(source)}`);
        return readFileSync(object);
      }),
    link: (objects) =>
      inFolder(async (folder) => {
        const names = objects.map((bytes, index) => join(folder, `${index}.o`));
        names.forEach((name, index) => writeFileSync(name, objects[index]));
        await checked(linker, [...names, ...linkFlags, ...placement, "-o", join(folder, "out.wasm")], "linking");
        return readFileSync(join(folder, "out.wasm"));
      }),
    close: () => {},
  };
}

function yowaspRoute() {
  const { version } = JSON.parse(readFileSync(at("node_modules/@yowasp/clang/package.json"), "utf8"));
  const pool = new YowaspPool();
  return {
    name: `LLVM ${version} from npm`,
    id: `yowasp ${version}`,
    compile: ({ source, headers, flags }) => {
      const files = Object.fromEntries([source, ...headers].map((path) => [shown(path), readFileSync(path)]));
      const args = ["clang++", ...flags, "-I", "wasm/cpp", "-c", shown(source), "-o", "out.o"];
      return pool.run({ tool: "clang++", args, files, output: "out.o", what: `compiling ${shown(source)}` });
    },
    link: (objects) => {
      const files = Object.fromEntries(objects.map((bytes, index) => [`${index}.o`, bytes]));
      const args = ["wasm-ld", ...Object.keys(files), ...linkFlags, STACK_AFTER_DATA, "-o", "out.wasm"];
      return pool.run({ tool: "wasm-ld", args, files, output: "out.wasm", what: "linking" });
    },
    close: () => pool.close(),
  };
}
