/** `npm start [-- EXAMPLE] [-- OPTIONS]`: sets everything up and runs an example (digits by default) with the options given. */

import { main, runNode } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

await main(async () => {
  const args = process.argv.slice(2);
  const name = args[0] && !args[0].startsWith("-") ? args.shift() : "digits";
  await setUp();
  if (args.some((arg) => arg.includes("webgpu"))) {
    const { ensureChromium, vulkanEnvironment } = await import("./lib/chromium.mjs");
    Object.assign(process.env, vulkanEnvironment(await ensureChromium()));
  }
  const { bundleExample } = await import("./lib/bundle.mjs");
  const program = await bundleExample(name);
  return (await runNode(["--enable-source-maps", program, ...args], { inherit: true })).code;
});
