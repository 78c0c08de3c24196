/** `npm run build`: everything that is published: the bundles with what they load, and the type declarations. */

import { StepError, at, main, runNode, say } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

await main(async () => {
  await setUp();
  const { code, output } = await runNode([at("node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"]);
  if (code !== 0) throw new StepError(`writing the type declarations failed:\n${output.trim()}`);
  say("type declarations in dist/types");
});
