/**
 * Lets CUDA be the stand-ins of this project in the process that imports it (first), whatever GPU the machine has. Compiled kernels are kept
 * with the stand-ins that compiled them.
 */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export const standIns = at("build/stand_in");

/** Null where CUDA's tests can run, else why not: no Linux, or no C++ compiler to build the addon and the stand-ins with. */
export const unavailable: string | null =
  existsSync(`${standIns}/libcuda.so.1`) && existsSync(at("build/native/kindling_cuda.node"))
    ? null
    : "the addon and its stand-ins are not built: that takes Linux and a C++ compiler";

if (unavailable !== null) console.error(`NOT RUN: the tests of CUDA: ${unavailable}`);

const stamp = `${standIns}/abi.txt`;
const version = existsSync(stamp) ? readFileSync(stamp, "utf8").trim() : "unknown";

Object.assign(process.env, {
  KINDLING_CUDA_LIB_DIRS: standIns,
  KINDLING_CUDA_LIB_ONLY: "1",
  KINDLING_CACHE_DIR: at(`build/cuda_cache/${version}`),
});
