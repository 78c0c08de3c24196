/**
 * `npm run gpu:stage [-- --out .gpu] [--node VERSION|none]`: puts everything that a bare x86-64 or arm64 Linux machine with an NVIDIA GPU needs
 * (no Node.js, no network there) into one folder that git ignores: Node, the addon, and programs with all their code. There,
 * `bash .gpu/run.sh` runs it all. `--node none`: uses the Node that is there.
 */

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { StepError, at, filesUnder, main, run, runNpm, say } from "../lib/project.mjs";
import { setUp } from "../lib/setup.mjs";

const NODE = "24.21.0";
const MOST_BYTES = 60 << 20;

const programs = {
  run: at("scripts/gpu/run.mjs"),
  machine: at("bench/cuda/machine.ts"),
  start: at("bench/cuda/start.ts"),
  bench: at("bench/cuda/run.ts"),
  grid: at("test/cuda/programs/grid.ts"),
  conformance: at("test/conformance/run.ts"),
  digits: at("examples/digits/main.ts"),
  "char-gpt": at("examples/char-gpt/main.ts"),
};
/** Read by path, not through import.meta.url. */
const data = ["test/golden/ops.pack", "test/golden/training.pack", "node_modules/typescript/lib/lib.es5.d.ts"];

async function must(what, command, args, options) {
  const { code, output } = await run(command, args, options);
  if (code !== 0) throw new StepError(`${what} failed: ${command} ${args.join(" ")}\n${output.trim()}`);
  return output;
}

/** The path of Node, stripped and packed; made once per version. */
async function packedNode(version) {
  const name = `node-linux-${process.arch}`;
  const packed = at("build/gpu", `${name}-${version}.xz`);
  if (existsSync(packed)) return packed;
  say(`fetching ${name}@${version} from npm`);
  const folder = mkdtempSync(join(tmpdir(), "kindling-node-"));
  try {
    const { code, output } = await runNpm(["pack", "--silent", "--pack-destination", folder, `${name}@${version}`]);
    if (code !== 0) throw new StepError(`npm has no ${name}@${version}:\n${output.trim()}`);
    const [archive] = filesUnder(folder);
    await must("unpacking", "tar", ["-xzf", archive, "-C", folder, "package/bin/node"]);
    const node = join(folder, "package/bin/node");
    // The symbols that addons resolve stay.
    await must("stripping", "strip", [node]);
    const found = (await must("starting Node", node, ["-p", "process.versions.node"])).trim();
    if (found !== version) throw new StepError(`${name}@${version} holds Node ${found}`);
    say("packing Node (a minute)");
    await must("packing", "xz", ["-T0", "-6", node]);
    mkdirSync(dirname(packed), { recursive: true });
    cpSync(`${node}.xz`, `${packed}.part`);
    renameSync(`${packed}.part`, packed);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return packed;
}

async function commit() {
  const git = async (...args) => (await run("git", args)).output.trim();
  return { commit: await git("rev-parse", "--short=12", "HEAD"), changed: (await git("status", "--porcelain")) !== "" };
}

await main(async () => {
  const { values } = parseArgs({
    options: { out: { type: "string", default: ".gpu" }, node: { type: "string", default: NODE } },
  });
  const out = resolve(at(), values.out);
  await setUp();
  const { bundlePrograms } = await import("../lib/bundle.mjs");
  const { addonFile } = await import("../lib/native.mjs");
  if (!existsSync(addonFile())) {
    throw new StepError("the CUDA addon is not built (it needs Linux and a C++ compiler): there is nothing to stage");
  }

  const app = at("dist/gpu");
  rmSync(app, { recursive: true, force: true });
  const files = await bundlePrograms(programs, app);

  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, "native"), { recursive: true });
  const tree = mkdtempSync(join(tmpdir(), "kindling-app-"));
  try {
    const absolute = [...filesUnder(app), ...files, ...data.map((path) => at(path))];
    for (const path of absolute) cpSync(path, join(tree, "app", relative(at(), path)));
    // Bundles are modules.
    writeFileSync(join(tree, "app/package.json"), '{ "type": "module" }\n');
    await must("packing", "tar", ["-cJf", join(out, "app.tar.xz"), "-C", tree, "app"], {
      env: { ...process.env, XZ_OPT: "-T0 -3" },
    });
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
  await must("stripping", "strip", ["-o", join(out, "native", "kindling_cuda.node"), addonFile()]);
  if (values.node !== "none") cpSync(await packedNode(values.node), join(out, "node.xz"));
  for (const name of ["env.sh", "run.sh"]) cpSync(at("scripts/gpu", name), join(out, name));

  const info = { ...(await commit()), node: values.node, arch: process.arch, programs: Object.keys(programs) };
  writeFileSync(join(out, "stage.json"), `${JSON.stringify(info, null, 1)}\n`);
  const staged = filesUnder(out);
  const hash = createHash("sha256");
  for (const path of staged) hash.update(relative(out, path)).update(readFileSync(path));
  writeFileSync(join(out, "id"), hash.digest("hex").slice(0, 16));
  const bytes = staged.reduce((n, path) => n + statSync(path).size, 0);
  const size = `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  if (bytes > MOST_BYTES) throw new StepError(`${values.out} takes ${size}; at most ${MOST_BYTES >> 20} MiB are wanted`);
  say(`staged ${values.out}: ${values.node === "none" ? "without Node" : `Node ${values.node}`}, ${size}`);
  say(`carry it to the GPU machine and run there: bash ${values.out}/run.sh (--help lists parts and limits)`);
});
