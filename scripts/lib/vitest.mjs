/** Runs vitest in a process of its own and counts what it reports. */

import { existsSync, readFileSync, rmSync } from "node:fs";
import { at, runNode } from "./project.mjs";

export async function runVitest(args) {
  const report = at("build/vitest.json");
  rmSync(report, { force: true });
  const options = ["run", "--reporter=default", "--reporter=json", "--outputFile.json=build/vitest.json", ...args];
  const { code } = await runNode([at("node_modules/vitest/vitest.mjs"), ...options], { inherit: true });
  if (!existsSync(report)) return { passed: 0, failed: 1 };
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
  // A file that could not even be loaded has no failed test of its own; it counts as one.
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  ).length;
  const failed = numFailedTests + broken;
  // An error outside of every test (an unhandled rejection, say) shows only in the exit status.
  return { passed: numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed };
}
