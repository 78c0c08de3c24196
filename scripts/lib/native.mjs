/** Builds the CUDA addon (native/) into build/native, and what the package has of it into dist/native: the binary, and Node-API's headers. */

import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  ADDON,
  buildAddon,
  findCompiler,
  flagsId,
  includeFolders,
  prebuiltFile,
  sourceFolder,
  supported,
} from "../../native/build.mjs";
import { StepError, at, filesUnder, hashFiles, hashOf, isFresh, say, stamp } from "./project.mjs";

export const addonFile = () => at("build/native", ADDON);

/** From node_modules to dist/native/include: what a build at installation needs, and under which terms. */
const headers = {
  "node-addon-api": ["napi.h", "napi-inl.h", "napi-inl.deprecated.h", "LICENSE.md"],
  "node-api-headers": [
    "include/js_native_api.h",
    "include/js_native_api_types.h",
    "include/node_api.h",
    "include/node_api_types.h",
    "LICENSE",
  ],
};

/** Builds what is out of date. Where it cannot be built, says so; everything but CUDA works without. */
export async function buildNative() {
  const files = filesUnder(at("native"), (path) => /\.(cpp|h|mjs|map)$/.test(path));
  const versions = Object.keys(headers).map(
    (name) => JSON.parse(readFileSync(at("node_modules", name, "package.json"), "utf8")).version,
  );
  const hash = hashOf(
    versions,
    hashFiles([...files, at("scripts/lib/native.mjs")]),
    process.platform,
    process.arch,
    process.env.CXX ?? "",
  );
  const outputs = [addonFile(), at(prebuiltFile())];
  if (isFresh("native", hash, outputs)) return;

  const skip = (why) => {
    // Said once.
    if (isFresh("native_skipped", hashOf(hash, why))) return;
    stamp("native_skipped", hashOf(hash, why));
    say(`CUDA addon: not built, ${why}; cpu and webgpu work without it`);
  };
  if (!supported()) return skip(`CUDA is for Linux on x64 and arm64 (this is ${process.platform} on ${process.arch})`);
  const compiler = await findCompiler();
  if (compiler === null) return skip("there is no C++ compiler (g++ or clang++)");

  const started = performance.now();
  const shared = hashOf(flagsId, compiler, versions, hashFiles(files.filter((path) => path.endsWith(".h"))));
  const objectOf = (name) => at("build/native/objects", `${hashOf(shared, readFileSync(join(sourceFolder, name), "utf8"))}.o`);
  let built;
  try {
    built = await buildAddon({ compiler, output: addonFile(), objectOf });
  } catch (error) {
    throw new StepError(error.message);
  }
  copyInto(addonFile(), at(prebuiltFile()));
  const [addonApi] = includeFolders();
  for (const [name, paths] of Object.entries(headers)) {
    for (const path of paths) {
      const license = path.startsWith("LICENSE");
      copyInto(
        join(dirname(addonApi), name, path),
        at("dist/native/include", license ? `LICENSE.${name}` : path.replace("include/", "")),
      );
    }
  }
  stamp("native", hash);
  // Another compiler's taste is no reason not to build.
  for (const warning of built.warnings) say(warning);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`CUDA addon: compiled ${built.compiled} files with ${compiler.command} in ${seconds} s`);
}

function copyInto(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}
