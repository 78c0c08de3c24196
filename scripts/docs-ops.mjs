/** `npm run docs:ops`: runs the golden corpus of operations on every device (minutes) and writes docs/ops.md from what passes. */

import { existsSync, readFileSync } from "node:fs";
import { StepError, at, main, runNode, say } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

const PACK = "test/golden/ops.pack";

await main(async () => {
  await setUp();
  const { ensureChromium, vulkanEnvironment } = await import("./lib/chromium.mjs");
  const { bundleTool } = await import("./lib/bundle.mjs");
  const { buildStandIns } = await import("./lib/stand_in.mjs");
  await buildStandIns();
  const standIns = at("build/stand_in");
  Object.assign(process.env, vulkanEnvironment(await ensureChromium()), {
    KINDLING_CUDA_LIB_DIRS: standIns,
    KINDLING_CUDA_LIB_ONLY: "1",
    KINDLING_CACHE_DIR: at("build/cuda_cache", readFileSync(`${standIns}/abi.txt`, "utf8").trim()),
  });
  const run = await bundleTool("test/conformance/run.ts");
  const results = [];
  for (const device of ["cpu", "webgpu", "cuda"]) {
    const file = at("build", `ops.${device}.json`);
    const { output } = await runNode([run, "--corpus", PACK, "--device", device, "--json", file]);
    if (!existsSync(file)) throw new StepError(`the corpus did not run on ${device}:\n${output.trim()}`);
    say(`${device}: ${output.trim().split("\n").at(-1)}`);
    results.push(`${device}=${file}`);
  }
  const { code, output } = await runNode([await bundleTool("test/conformance/op_table.ts"), PACK, at("docs/ops.md"), ...results]);
  if (code !== 0) throw new StepError(`writing docs/ops.md failed:\n${output.trim()}`);
  say("docs/ops.md");
  return 0;
});
