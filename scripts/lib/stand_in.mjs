/**
 * Builds the stand-ins for NVIDIA's libraries (test/cuda/stand_in) into build/stand_in, with g++: what the CUDA tests run on where there is no
 * GPU. The stand-in's NVRTC runs the same compiler on kernels, with the shim precompiled.
 */

import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { StepError, at, filesUnder, hashFiles, hashOf, isFresh, run, say, shown, stamp, writeWhole } from "./project.mjs";

const sources = at("test/cuda/stand_in");
const folder = at("build/stand_in");

/** Shared libraries and what they are made of. One that a file is missing of is left out. */
const libraries = [
  {
    name: "libcuda.so.1",
    files: ["traps", "fibers", "math", "settings", "contexts", "memory", "streams", "captures", "transfers", "modules"],
    // Its threads outlive whoever closes it.
    link: ["-Wl,-z,nodelete"],
  },
  { name: "libnvrtc.so.12", files: ["unit", "nvrtc"] },
  { name: "libcublasLt.so.12", files: ["cublaslt"], beside: ["libcuda.so.1"] },
  { name: "libcudnn.so.9", files: ["cudnn"], beside: ["libcuda.so.1"] },
  /** A module of Node's, by which tests give commands to the stand-in's libcuda. */
  { name: "control.node", files: ["control"], beside: ["libcuda.so.1"] },
];
const headers = ["shim.h", "shim_types.h", "shim_math.h", "shim_threads.h", "shim_kd.h", "mma.h", "module_abi.h"];

const compileFlags = ["-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-pthread"];
/**
 * Kernels: what CUDA defines and C++ does not (wrapping, aliasing) is defined, nothing is contracted; an index beyond the end of an array of
 * known size traps, and so does an address that is misaligned for its type.
 */
const kernelFlags = [
  "-std=c++20",
  "-O1",
  "-fPIC",
  "-w",
  "-fvisibility=hidden",
  "-fno-exceptions",
  "-fno-rtti",
  "-fno-asynchronous-unwind-tables",
  "-fno-unwind-tables",
  "-fno-stack-protector",
  "-fwrapv",
  "-fno-strict-aliasing",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-ffp-contract=off",
  // They take a sixth of the compile time.
  "-fno-tree-dominator-opts",
  "-fno-tree-pta",
  "-fsanitize=bounds,alignment",
  "-fsanitize-undefined-trap-on-error",
];

/** Whether stand-ins can be built here, or why not. */
export async function standInProblem() {
  if (process.platform !== "linux") return `the stand-ins need Linux; this is ${process.platform}`;
  const cxx = process.env.CXX || "g++";
  const { code, output } = await run(cxx, ["--version"]).catch((error) => ({ code: 1, output: error.message }));
  if (code !== 0) return `the stand-ins need g++ (CXX names another one); ${cxx}: ${output.trim()}`;
  // Shared memory of a kernel is one section, by a way of GCC's assembler.
  return /clang/i.test(output) ? `the stand-ins need GCC's g++ (CXX names it); ${cxx} is clang` : null;
}

/** The folder with the libraries, after building what is out of date; null, after saying so, where they cannot be built. */
export async function buildStandIns() {
  const problem = await standInProblem();
  if (problem !== null) {
    console.error(`\nNO STAND-INS FOR CUDA: ${problem}. The tests that run CUDA kernels on the CPU are skipped.\n`);
    return null;
  }
  const cxx = process.env.CXX || "g++";
  const { output: version } = await run(cxx, ["--version"]);
  const present = libraries.filter(({ files }) => files.every((name) => existsSync(join(sources, `${name}.cpp`))));
  // A fused multiply-add is one instruction, or a call.
  const fused =
    process.arch === "x64" && ["avx2", "fma"].every((word) => readFileSync("/proc/cpuinfo", "utf8").includes(` ${word} `));
  const machine = fused ? ["-march=x86-64-v3"] : [];
  const all = filesUnder(sources, (path) => /\.(cpp|h)$/.test(path) && dirname(path) === sources);
  const hash = hashOf(hashFiles([...all, at("scripts/lib/stand_in.mjs")]), cxx, version, machine);
  const include = join(folder, "include");
  const outputs = [
    ...present.map(({ name }) => join(folder, name)),
    join(include, "shim.h.gch"),
    join(folder, "compile.txt"),
    join(folder, "abi.txt"),
  ];
  if (isFresh("stand_in", hash, outputs)) return folder;

  const started = performance.now();
  const check = async (args, what) => {
    const { code, output } = await run(cxx, args);
    if (code !== 0) throw new StepError(`${what} failed:\n${output.trim()}`);
    if (output.trim()) say(output.trim());
  };
  mkdirSync(include, { recursive: true });
  // Units that were compiled with another shim are refused. Whoever keeps compiled units can key them by abi.txt.
  const used = headers.map((name) => join(sources, name)).filter(existsSync);
  const abiHash = hashOf(hashFiles(used), kernelFlags, machine, version).slice(0, 15);
  const abi = `-DKD_ABI=0x${abiHash}ull`;
  const objects = async (names) => {
    const paths = names.map((name) => {
      const source = join(sources, `${name}.cpp`);
      const own = name === "modules" ? abi : "";
      return {
        source,
        own,
        object: at("build/objects", `${hashOf(version, compileFlags, own, hashFiles([source, ...headersOf(all)]))}.o`),
      };
    });
    const waiting = paths.filter(({ object }) => !existsSync(object));
    const work = async () => {
      for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
        const temporary = `${job.object}.${process.pid}.tmp`;
        await check(
          [...compileFlags, ...(job.own ? [job.own] : []), "-c", job.source, "-o", temporary],
          `compiling ${shown(job.source)}`,
        );
        renameSync(temporary, job.object);
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, work));
    return paths.map(({ object }) => object);
  };
  mkdirSync(at("build/objects"), { recursive: true });
  for (const { name, files, link = [], beside = [] } of present) {
    const temporary = join(folder, `${name}.${process.pid}.tmp`);
    const parts = await objects(files);
    const against = beside.map((library) => join(folder, library));
    const args = [
      "-shared",
      "-pthread",
      ...parts,
      ...against,
      `-Wl,-soname,${name}`,
      "-Wl,-rpath,$ORIGIN",
      "-Wl,-z,defs",
      ...link,
      "-o",
      temporary,
    ];
    await check([...args, "-ldl", "-lm"], `linking ${name}`);
    renameSync(temporary, join(folder, name));
  }
  for (const path of used) copyFileSync(path, join(include, basename(path)));
  const flags = [...kernelFlags, ...machine, abi];
  await check(
    [...flags, "-x", "c++-header", join(include, "shim.h"), "-o", join(include, "shim.h.gch")],
    "precompiling the shim",
  );
  const command = [cxx, ...flags, "-pipe", "-shared", "-nostdlib", "-s", "-I", include, "-include", "shim.h"];
  writeWhole(join(folder, "compile.txt"), `${command.join("\n")}\n`);
  writeWhole(join(folder, "abi.txt"), abiHash);
  stamp("stand_in", hash);
  say(`stand-ins for CUDA: built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return folder;
}

const headersOf = (files) => files.filter((path) => path.endsWith(".h"));
