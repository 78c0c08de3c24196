/** Everything that must have happened before anything of the project can run. Cheap when nothing changed. */

import { installPackages } from "./install.mjs";
import { StepError, withLock } from "./project.mjs";

export function setUp({ library = true } = {}) {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new StepError(`Kindling needs Node 20.19 or newer; this is ${process.version}`);
  }
  return withLock(async () => {
    await installPackages();
    const { buildWasm } = await import("./wasm.mjs");
    await buildWasm();
    const { buildNative } = await import("./native.mjs");
    await buildNative();
    const { bundleLibrary, bundleWorker } = await import("./bundle.mjs");
    await bundleWorker();
    if (library) await bundleLibrary();
  });
}
