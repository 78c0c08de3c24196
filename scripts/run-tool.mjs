/** `npm run conformance`, `npm run bench`: sets everything up and runs a TypeScript program of this project. */

import { main, runNode } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

await main(async () => {
  const [entry, ...args] = process.argv.slice(2);
  await setUp();
  // Dawn, the webgpu device's way to the GPU in Node, looks for its driver in the environment that the process was started with.
  const { ensureChromium, findChromium, vulkanEnvironment } = await import("./lib/chromium.mjs");
  const chromium = args.some((arg) => /webgpu|^--browser$/.test(arg)) ? await ensureChromium() : findChromium();
  Object.assign(process.env, vulkanEnvironment(chromium));
  const { bundleTool } = await import("./lib/bundle.mjs");
  return (await runNode(["--enable-source-maps", await bundleTool(entry), ...args], { inherit: true })).code;
});
