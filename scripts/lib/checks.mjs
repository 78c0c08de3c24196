/** The checks that are not vitest tests: types, lint, layers, format. Each counts as one test. */

import { at, runNode } from "./project.mjs";

const bin = (name) => at("node_modules", name);

export const checks = {
  types: () => runNode([bin("typescript/bin/tsc")]),
  lint: () =>
    runNode([bin("eslint/bin/eslint.js"), "--max-warnings", "0", "--cache", "--cache-location", "build/eslintcache", "."]),
  layers: () => runNode([at("scripts/check-layers.mjs")]),
  format: () =>
    runNode([
      bin("prettier/bin/prettier.cjs"),
      "--check",
      "--log-level",
      "warn",
      "--cache",
      "--cache-location",
      "build/prettiercache",
      ".",
    ]),
};

/** Runs the named checks side by side, prints each result, and returns { passed, failed }. */
export async function runChecks(names) {
  const results = await Promise.all(
    names.map(async (name) => {
      const started = performance.now();
      const { code, output } = await checks[name]();
      console.log(`${code === 0 ? "ok  " : "FAIL"} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
      if (output.trim()) console.log(output.trim());
      return code === 0;
    }),
  );
  const passed = results.filter(Boolean).length;
  return { passed, failed: results.length - passed };
}
