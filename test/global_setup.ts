/** Fails once, clearly, when the kernels are missing, instead of once in every test file; builds the stand-ins for CUDA's libraries. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withLock } from "../scripts/lib/project.mjs";
import { buildStandIns } from "../scripts/lib/stand_in.mjs";

export default async function setup(): Promise<void> {
  const missing = ["kernels_cpp", "kernels_as"]
    .flatMap((module) => [`${module}.simd.wasm`, `${module}.relaxed.wasm`])
    .filter((name) => !existsSync(fileURLToPath(new URL(`../build/wasm/${name}`, import.meta.url))));
  if (missing.length > 0)
    throw new Error(`build/wasm lacks ${missing.join(", ")}: run \`npm run build:wasm\` (npm test does it by itself)`);
  await withLock(() => buildStandIns());
}
