/**
 * What `npm install` of the package runs: sees that there is an addon for CUDA that Node can load. A prebuilt one is taken if it fits, else one
 * is built if there is a compiler. Whatever happens the installation succeeds, since cpu and webgpu need none of it.
 */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildAddon, findCompiler, prebuiltFile, supported } from "./build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const addon = join(root, prebuiltFile());

/** Why Node cannot load it; null where it can. */
function problemWith(path) {
  if (!existsSync(path)) return "the package has none for this processor";
  try {
    createRequire(import.meta.url)(path);
    return null;
  } catch (error) {
    return error.message.split("\n")[0];
  }
}

async function install() {
  const problem = problemWith(addon);
  if (problem === null) return;
  const off = (why) =>
    console.log(
      `kindling: cuda is off, cpu and webgpu work. No prebuilt addon fits (${problem}), and ${why}. To try again: npm rebuild kindling`,
    );
  const compiler = await findCompiler();
  if (compiler === null) return off("there is no C++ compiler (g++ or clang++) to build one");
  const folder = mkdtempSync(join(tmpdir(), "kindling-"));
  try {
    await buildAddon({ compiler, output: addon, objectOf: (name) => join(folder, `${name}.o`) });
    const still = problemWith(addon);
    if (still !== null) off(`the one that was built cannot be loaded (${still})`);
  } catch (error) {
    off(`building one with ${compiler.command} failed: ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// A checkout of the project builds it in its setup.
const checkout = existsSync(join(root, "scripts/lib/native.mjs"));
if (supported() && !checkout) {
  try {
    await install();
  } catch (error) {
    console.log(`kindling: cuda is off, cpu and webgpu work (${error.message})`);
  }
}
