/** The stand-ins by their C interface: programs in C++ that are linked with them, and a comparison with CUDA's own header where there is one. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { standIns, unavailable } from "./native.ts";

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const out = at("build/stand_in_tests");
const cxx = process.env.CXX ?? "g++";

function compile(args: string[]): void {
  const { status, stderr } = spawnSync(cxx, ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-pthread", ...args], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

describe.skipIf(unavailable !== null)("the stand-ins' C interface", () => {
  it.each(["driver", "streams"])("%s", (name) => {
    mkdirSync(out, { recursive: true });
    const program = `${out}/${name}`;
    const libraries = ["libcuda.so.1", "libnvrtc.so.12"].map((file) => `${standIns}/${file}`);
    compile([at(`test/cuda/stand_in/direct/${name}.cpp`), ...libraries, `-Wl,-rpath,${standIns}`, "-o", program]);
    const env = { ...process.env, KINDLING_STAND_IN_DEVICES: "2" };
    const { stdout, stderr, status, signal } = spawnSync(program, { encoding: "utf8", env, timeout: 50_000 });
    const lines = stdout.trim().split("\n");
    expect(lines.filter((line) => !line.startsWith("ok "))).toEqual([]);
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
    expect(lines.length).toBeGreaterThan(10);
  });

  const header = [process.env.CUDA_HOME, "/usr/local/cuda"].map((root) => `${root}/include/cuda.h`).find(existsSync);
  if (header === undefined)
    console.error("NOT RUN: the stand-in's numbers are not compared with cuda.h, which is not on this machine");
  it.skipIf(header === undefined)("its numbers are those of cuda.h", () => {
    const text = readFileSync(at("test/cuda/stand_in/driver_api.h"), "utf8");
    const pairs = [
      ...[...text.matchAll(/X\((CUDA_\w+), (\d+)\)/g)].map(([, name, value]) => [name, value]),
      ...[...text.matchAll(/^ {2}(CU_(?:DEVICE|FUNC)_ATTRIBUTE_\w+|CU_STREAM_\w+|CU_EVENT_\w+) = (\d+),/gm)].map(
        ([, name, value]) => [name, value],
      ),
    ];
    expect(pairs.length).toBeGreaterThan(150);
    mkdirSync(out, { recursive: true });
    const file = `${out}/numbers.cpp`;
    const version = Number(/#define CUDA_VERSION (\d+)/.exec(readFileSync(header!, "utf8"))![1]);
    // Older headers know less.
    const known = version >= 13000 ? pairs : pairs.filter(([name]) => readFileSync(header!, "utf8").includes(`${name} `));
    writeFileSync(
      file,
      `#include "${header!}"\n${known.map(([name, value]) => `static_assert(${name} == ${value}, "${name}");`).join("\n")}\n`,
    );
    compile(["-fsyntax-only", file]);
  });
});
