/** `npm run conformance`, `npm run bench`: sets everything up and runs a TypeScript program of this project. */

import { main, runNode } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

await main(async () => {
  const [entry, ...args] = process.argv.slice(2);
  await setUp();
  const { bundleTool } = await import("./lib/bundle.mjs");
  return (await runNode(["--enable-source-maps", await bundleTool(entry), ...args], { inherit: true })).code;
});
