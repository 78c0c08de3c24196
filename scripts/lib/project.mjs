/** What every script needs: where things are, content hashes, stamps, progress lines, child processes, one lock. Node built-ins only. */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const at = (...parts) => join(root, ...parts);
/** A path as people read it: relative to the root, with forward slashes. */
export const shown = (path) => relative(root, path).split(sep).join("/");

/** All files under a folder (sorted), or none where the folder is missing. */
export function filesUnder(folder, keep = () => true) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesUnder(path, keep);
      return keep(path) ? [path] : [];
    })
    .sort();
}

export function hashOf(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(typeof part === "string" ? part : JSON.stringify(part)).update("\0");
  return hash.digest("hex").slice(0, 24);
}

/** Hash of names and contents. */
export function hashFiles(paths) {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(shown(path)).update("\0").update(readFileSync(path)).update("\0");
  return hash.digest("hex").slice(0, 24);
}

/** Writes through a temporary name, so that a reader never sees half a file. */
export function writeWhole(path, data) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, data);
  renameSync(temporary, path);
}

const stampPath = (name) => at("build", "stamps", name);
/** Whether step `name` last succeeded with this hash and its outputs are still there. */
export function isFresh(name, hash, outputs = []) {
  const path = stampPath(name);
  return existsSync(path) && readFileSync(path, "utf8") === hash && outputs.every((output) => existsSync(output));
}
export const stamp = (name, hash) => writeWhole(stampPath(name), hash);

/** An error whose message is all that the user needs. */
export class StepError extends Error {}

const started = performance.now();
export const say = (text) => console.log(`[${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s] ${text}`);

/** Runs a program; resolves to { code, output }. With `inherit`, its output goes straight to the terminal. */
export function run(command, args, { inherit = false, cwd = root, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: inherit ? "inherit" : ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout?.on("data", (chunk) => (output += chunk));
    child.stderr?.on("data", (chunk) => (output += chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code: code ?? 1, output: signal ? `${output}\nended by ${signal}` : output }));
  });
}

/** Runs a script of this project or of a package with the Node that runs us. */
export const runNode = (args, options) => run(process.execPath, args, options);

/** npm, by way of the Node that runs us where npm told us its own path (as it does in `npm start` and `npm test`). */
export function runNpm(args, options) {
  const cli = process.env.npm_execpath;
  if (cli && /\.[cm]?js$/.test(cli)) return runNode([cli, ...args], options);
  return process.platform === "win32" ? run("cmd", ["/c", "npm", ...args], options) : run("npm", args, options);
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
};

/** Holds the project's build lock while `work` runs, so that two set-ups at once wait for each other. */
export async function withLock(work) {
  const lock = at("build", "lock");
  const owner = join(lock, "pid");
  mkdirSync(dirname(lock), { recursive: true });
  for (let waited = 0; ; waited++) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      let stale;
      try {
        stale = !alive(Number(readFileSync(owner, "utf8")));
      } catch {
        // The owner has not written its number yet; give it some seconds.
        stale = existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 10_000;
      }
      if (stale) {
        rmSync(lock, { recursive: true, force: true });
        continue;
      }
      if (waited === 20) say("waiting for another build of this folder");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  writeFileSync(owner, String(process.pid));
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.once("exit", release);
  try {
    return await work();
  } finally {
    process.off("exit", release);
    release();
  }
}

/** Runs a script's main function and turns a StepError into a plain message and exit status 1. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    console.error(error instanceof StepError ? error.message : error);
    process.exitCode = 1;
  }
}
