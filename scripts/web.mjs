/**
 * `npm run web`: sets everything up and serves the page of examples/web; also `-- build` (to dist/examples/web), `-- preview` (serves
 * what was built). Further arguments go to Vite: `-- --port 8080 --host`.
 */

import { at, main, runNode } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

await main(async () => {
  const args = process.argv.slice(2);
  const command = args[0] && !args[0].startsWith("-") ? [args.shift()] : [];
  await setUp();
  const vite = [at("node_modules/vite/bin/vite.js"), ...command, "--config", at("examples/web/vite.config.ts"), ...args];
  return (await runNode(vite, { inherit: true })).code;
});
