/** Installs the pinned packages when they are missing or the lock file changed. */

import { existsSync, readFileSync } from "node:fs";
import { StepError, at, hashOf, isFresh, runNpm, say, stamp } from "./project.mjs";

export async function installPackages() {
  const hash = hashOf(readFileSync(at("package-lock.json"), "utf8"));
  // npm's own record, so that packages that somebody just installed by hand are not installed again.
  const outputs = [at("node_modules/.package-lock.json")];
  if (isFresh("packages", hash, outputs)) return;
  if (!existsSync(outputs[0]) || !matchesLock()) {
    say("installing packages (npm ci)");
    const { code, output } = await runNpm(["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"]);
    if (code !== 0) throw new StepError(`npm ci failed:\n${output.trim()}`);
    say("packages installed");
  }
  stamp("packages", hash);
}

/** Whether what is installed has the versions of the lock file. */
function matchesLock() {
  const packagesOf = (path) => JSON.parse(readFileSync(path, "utf8")).packages;
  const installed = packagesOf(at("node_modules/.package-lock.json"));
  return Object.entries(packagesOf(at("package-lock.json"))).every(
    ([path, { version, optional }]) => path === "" || (installed[path] ? installed[path].version === version : optional),
  );
}
