/** The README's examples are programs that compile and run. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync, spawnSync } from "node:child_process";
import { build } from "esbuild";
import { encode } from "fast-png";
import { expect, it, vi } from "vitest";

const blocks = [...readFileSync("README.md", "utf8").matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);
const code = blocks[0]!;
/** Those that begin with the name of their file, and nothing else in that line. */
const files = new Map(
  blocks.flatMap((block) => {
    const name = /^\/\/ (\w+\.ts)\n/.exec(block);
    return name === null ? [] : [[name[1]!, block] as const];
  }),
);

it("type-check as a user's files would", () => {
  const folder = "build/readme_types";
  const config = "build/readme_types.json";
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of [...files, ["main.ts", code] as const]) writeFileSync(`${folder}/${name}`, text);
  writeFileSync(
    config,
    JSON.stringify({
      extends: "../tsconfig.json",
      compilerOptions: { incremental: false, tsBuildInfoFile: null },
      include: [],
      files: ["main.ts", ...files.keys()].map((name) => `./readme_types/${name}`),
    }),
  );
  try {
    const { stdout } = spawnSync("node", ["node_modules/typescript/bin/tsc", "-p", config], { encoding: "utf8" });
    expect(stdout).toBe("");
  } finally {
    rmSync(folder, { recursive: true });
    rmSync(config);
  }
}, 60_000);

it("the first one runs and prints one loss per batch", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
  const file = `${process.cwd()}/build/readme_run.ts`;
  writeFileSync(file, code);
  try {
    await import(/* @vite-ignore */ file);
    expect(log).toHaveBeenCalledTimes(8);
    for (const [loss] of log.mock.calls) expect(loss).toBeGreaterThan(1.5);
  } finally {
    log.mockRestore();
    rmSync(file);
  }
}, 60_000);

it("a model goes to ONNX and back", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
  const file = `${process.cwd()}/build/readme_onnx`;
  writeFileSync(`${file}.ts`, files.get("onnx.ts")!.replaceAll('"model.onnx"', JSON.stringify(`${file}.onnx`)));
  try {
    await import(/* @vite-ignore */ `${file}.ts`);
    const inputs = [expect.objectContaining({ name: "images", shape: ["batch", 3, 8, 8] }) as unknown];
    expect(log).toHaveBeenCalledExactlyOnceWith(inputs, [5, 4]);
  } finally {
    log.mockRestore();
    for (const end of ["ts", "onnx"]) rmSync(`${file}.${end}`, { force: true });
  }
}, 60_000);

it("photographs are loaded in workers, from the bundles", async () => {
  const folder = "build/readme_data";
  execFileSync("node", ["scripts/setup.mjs"]);
  for (const [at, name] of ["cat", "dog"].entries()) {
    mkdirSync(`${folder}/photos/train/${name}`, { recursive: true });
    for (let i = 0; i < 10; i++) {
      const data = new Uint8Array(40 * 48 * 3).fill(90 * at + i);
      writeFileSync(`${folder}/photos/train/${name}/${i}.png`, encode({ width: 40, height: 48, channels: 3, data }));
    }
  }
  try {
    for (const [name, text] of files) writeFileSync(`${folder}/${name}`, text);
    for (const name of ["photos", "train"]) {
      await build({
        entryPoints: [`${folder}/${name}.ts`],
        outfile: `${folder}/${name}.mjs`,
        bundle: true,
        format: "esm",
        platform: "node",
        packages: "external",
        tsconfigRaw: "{}", // not our own, which leads "kindling" to the sources
      });
    }
    // What a user's bundler does with the worker's address.
    const bundle = readFileSync(`${folder}/train.mjs`, "utf8");
    writeFileSync(`${folder}/train.mjs`, bundle.replace('new URL("./photos.ts"', 'new URL("./photos.mjs"'));
    const output = execFileSync("node", ["train.mjs"], { cwd: folder, encoding: "utf8" });
    expect(output.trim().split("\n")).toEqual(["[ 16, 3, 32, 32 ] [ 16 ]", "[ 4, 3, 32, 32 ] [ 4 ]"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);
