/** CUDA in Node: the native addon, found or not. */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { Collector } from "../memory.ts";
import type { Addon } from "./addon.ts";
import { diskCache } from "./cubin_cache.node.ts";
import type { CudaPlatform } from "./init.ts";

const FILE = "kindling_cuda.node";

/** Beside the bundle, beside a bundle one folder up (programs of this project), and where the sources' own build puts it. */
function places(): string[] {
  const prebuilt = `native/prebuilds/${process.platform}-${process.arch}/${FILE}`;
  const own = process.env.KINDLING_NATIVE_DIR;
  const near = [`./${prebuilt}`, `../${prebuilt}`, `../../build/native/${FILE}`].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return own === undefined ? near : [`${own}/${FILE}`, ...near];
}

function load(): { readonly addon: Addon } | { readonly missing: string } {
  const searched = places();
  const path = searched.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    return {
      missing: `the addon ${FILE} is not installed (looked for ${searched.join(", ")}). It is built when the package is installed, which needs Linux and a C++ compiler (g++ or clang++) where no prebuilt one fits: run \`npm rebuild kindling\``,
    };
  }
  try {
    return { addon: createRequire(import.meta.url)(path) as Addon };
  } catch (error) {
    return { missing: `the addon ${path} could not be loaded: ${error instanceof Error ? error.message : String(error)}` };
  }
}

export function nodeCuda(collector: Collector): CudaPlatform {
  let loaded: ReturnType<typeof load> | null = null;
  return {
    addon: () => (loaded ??= load()),
    setting: (name) => process.env[name],
    cache: (target) => (process.env.KINDLING_CUDA_CACHE === "0" ? null : diskCache(target)),
    collector,
  };
}
