/** `npm run layers`: fails on imports that go upwards or in a circle, and on files that are too long. Takes another root as an argument. */

import { readFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { checkLayers } from "./lib/layers.mjs";
import { filesUnder, main, root } from "./lib/project.mjs";

const folders = ["ts", "gpu", "wasm", "native", "examples", "test", "bench", "scripts"];

await main(() => {
  const top = resolve(process.argv[2] ?? root);
  const paths = folders.flatMap((folder) => filesUnder(join(top, folder), (path) => /\.([cm]?[jt]s|cpp|cc|h)$/.test(path)));
  const files = new Map(paths.map((path) => [relative(top, path).split(sep).join("/"), readFileSync(path, "utf8")]));
  const { problems, warnings } = checkLayers(files);
  for (const warning of warnings) console.log(`warning: ${warning}`);
  for (const problem of problems) console.error(problem);
  return problems.length > 0 ? 1 : 0;
});
