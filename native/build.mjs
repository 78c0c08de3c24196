/**
 * Builds the CUDA addon with whatever C++ compiler there is; no node-gyp, no CUDA toolkit. Used by this project's setup and, where no prebuilt
 * addon fits, when the package is installed: Node built-ins only.
 */

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

export const ADDON = "kindling_cuda.node";
/** Where the package has it, relative to the package's folder: platform and processor as Node names them. */
export const prebuiltFile = () => `dist/native/prebuilds/${process.platform}-${process.arch}/${ADDON}`;

/** CUDA in Node is for Linux. */
export const supported = () => process.platform === "linux" && ["x64", "arm64"].includes(process.arch);

export const sourceFolder = join(here, "src");
export const sources = () => readdirSync(sourceFolder).filter((name) => name.endsWith(".cpp"));

/** Node-API's headers: those of the packages in a checkout, copies in the published package. */
export function includeFolders() {
  const packages = join(here, "../node_modules");
  const folders = [join(packages, "node-addon-api"), join(packages, "node-api-headers/include")];
  return folders.every((folder) => existsSync(folder)) ? folders : [join(here, "../dist/native/include")];
}

const compileFlags = [
  "-std=c++17",
  "-O2",
  "-fPIC",
  "-pthread",
  "-fvisibility=hidden",
  "-fvisibility-inlines-hidden",
  "-ffunction-sections",
  "-fdata-sections",
  "-Wall",
  "-Wextra",
  // One binary for all versions of Node since 20.
  "-DNAPI_VERSION=8",
  "-DNODE_ADDON_API_DISABLE_DEPRECATED",
  "-DNODE_ADDON_API_CPP_EXCEPTIONS",
  // An environment that is ending takes no exceptions; that is no reason to abort.
  "-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
];
// Never unloaded: threads of a driver may return into it.
const linkFlags = [
  "-shared",
  "-pthread",
  "-Wl,--gc-sections",
  "-Wl,-z,nodelete",
  "-Wl,-s",
  `-Wl,--version-script=${join(here, "exports.map")}`,
];
const linkLast = ["-ldl"];
/** So that the binary does not depend on the version of the C++ library. (Node itself brings libgcc_s; ours would ask for a newer glibc.) */
const staticFlags = ["-static-libstdc++", "-shared-libgcc"];

/** What objects depend on besides their text. */
export const flagsId = compileFlags.join(" ");

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => resolve({ code: 1, output: error.message }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** { command, version }, or null where there is none. CXX names one. */
export async function findCompiler() {
  for (const command of [process.env.CXX, "g++", "clang++", "c++"]) {
    if (!command) continue;
    const { code, output } = await run(command, ["--version"]);
    if (code === 0) return { command, version: output.split("\n")[0] };
  }
  return null;
}

/**
 * Compiles and links. `objectOf(name)` says where the object of a source lies; one that exists is taken as it is. Throws with the compiler's
 * words; returns how many files were compiled, and what the compiler warned of.
 */
export async function buildAddon({ compiler, output, objectOf, jobs = 2 }) {
  const includes = includeFolders().flatMap((folder) => ["-isystem", folder]);
  // Those that include Node-API take the longest.
  const names = sources().sort((a, b) => Number(/object|addon/.test(b)) - Number(/object|addon/.test(a)));
  // Asked once: a source that is edited meanwhile has another object.
  const objects = new Map(names.map((name) => [name, objectOf(name)]));
  const queue = names.filter((name) => !existsSync(objects.get(name)));
  const compiled = queue.length;
  const failures = [];
  const warnings = [];
  const work = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const object = objects.get(name);
      mkdirSync(dirname(object), { recursive: true });
      const temporary = `${object}.${process.pid}.tmp`;
      const args = [...compileFlags, ...includes, "-c", join(sourceFolder, name), "-o", temporary];
      const { code, output: said } = await run(compiler.command, args);
      if (code === 0 && said.trim()) warnings.push(said.trim());
      if (code === 0) renameSync(temporary, object);
      else failures.push(`compiling native/src/${name} failed:\n${said.trim()}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  if (failures.length > 0) throw new Error(failures.join("\n\n"));

  mkdirSync(dirname(output), { recursive: true });
  const temporary = `${output}.${process.pid}.tmp`;
  const link = (extra) => run(compiler.command, [...linkFlags, ...extra, ...objects.values(), ...linkLast, "-o", temporary]);
  let linked = await link(staticFlags);
  // Some systems have no static C++ library.
  if (linked.code !== 0) linked = await link([]);
  if (linked.code !== 0) throw new Error(`linking the addon failed:\n${linked.output.trim()}`);
  renameSync(temporary, output);
  return { compiled, warnings };
}
