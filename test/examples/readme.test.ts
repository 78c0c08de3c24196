/** The README's example is a program that compiles and runs. */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { expect, it, vi } from "vitest";

const code = /```ts\n([\s\S]*?)```/.exec(readFileSync("README.md", "utf8"))![1]!;

it("type-checks as a user's file would", () => {
  const file = "build/readme_types.ts";
  const config = "build/readme_types.json";
  writeFileSync(file, code);
  writeFileSync(
    config,
    JSON.stringify({
      extends: "../tsconfig.json",
      compilerOptions: { incremental: false, tsBuildInfoFile: null },
      include: [],
      files: ["./readme_types.ts"],
    }),
  );
  try {
    execFileSync("node", ["node_modules/typescript/bin/tsc", "-p", config], { encoding: "utf8" });
  } finally {
    rmSync(file);
    rmSync(config);
  }
}, 60_000);

it("runs and prints one loss per batch", async () => {
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
