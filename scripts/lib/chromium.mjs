/**
 * Chromium for the tests that run in a browser, and the software Vulkan driver that comes with it, through which Dawn works in Node on a
 * machine without a GPU. Found, or else installed: Debian's package for root on Debian, Playwright's own download elsewhere.
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { at, hashOf, isFresh, run, runNode, say, stamp } from "./project.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const playwrightCli = () => at("node_modules/playwright-core/cli.js");

/**
 * @typedef {{ LD_LIBRARY_PATH: string, VK_ICD_FILENAMES: string }} VulkanEnvironment
 * @typedef {{ executable: string, dir: string, vulkan: VulkanEnvironment | null }} Chromium
 *
 * `dir`: where the browser's own files lie, which need not be where the command lies. `vulkan`: what a process must be started with to
 * find the software driver; null where there is none (it is not needed on macOS and Windows).
 */

/** Looks for Chromium; starts and installs nothing. Null where there is none. `CHROMIUM=none` stands for a machine without. @returns {Chromium | null} */
export function findChromium() {
  const named = process.env.CHROMIUM;
  if (named === "none") return null;
  if (named) return existsSync(named) ? describe(named) : null;
  const onPath = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const usual = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ...["ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA"].map((name) =>
      join(process.env[name] ?? "/nowhere", "Google/Chrome/Application/chrome.exe"),
    ),
  ];
  const executable = [...onPath, ...usual, ...downloaded()].find((path) => existsSync(path));
  return executable === undefined ? null : describe(executable);
}

/** Browsers in Playwright's cache, newest first. */
function downloaded() {
  const caches = { darwin: "Library/Caches", win32: "AppData/Local" };
  const cache = process.env.PLAYWRIGHT_BROWSERS_PATH ?? join(homedir(), caches[process.platform] ?? ".cache", "ms-playwright");
  if (!existsSync(cache)) return [];
  const inside = [
    "chrome-linux/chrome",
    "chrome-linux64/chrome",
    "chrome-mac/Chromium.app/Contents/MacOS/Chromium",
    ...["arm64", "x64"].map((cpu) => `chrome-mac-${cpu}/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing`),
    "chrome-win/chrome.exe",
    "chrome-win64/chrome.exe",
  ];
  return readdirSync(cache)
    .filter((name) => /^chromium-\d+$/.test(name))
    .sort((a, b) => Number(b.slice(9)) - Number(a.slice(9)))
    .flatMap((name) => inside.map((path) => join(cache, name, path)));
}

/** @returns {Chromium} */
function describe(executable) {
  // Debian's command is a script in another folder than the browser.
  const folders = [dirname(realpathSync(executable)), "/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome"];
  const has = (folder, file) => existsSync(join(folder, file));
  const dir = folders.find((folder) => has(folder, "vk_swiftshader_icd.json") && has(folder, "libvulkan.so.1"));
  const vulkan = dir && {
    LD_LIBRARY_PATH: [dir, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter),
    VK_ICD_FILENAMES: join(dir, "vk_swiftshader_icd.json"),
  };
  return { executable, dir: dir ?? folders[0], vulkan: vulkan ?? null };
}

/**
 * Chromium, installed where it is missing and seen to start. Cheap when nothing changed since it last worked. Where nothing
 * works, says so at length and returns null: the tests that need a browser then fail with the same message.
 * @returns {Promise<Chromium | null>}
 */
export async function ensureChromium() {
  if (process.env.CHROMIUM === "none") {
    complain(["CHROMIUM=none: somebody asked for this"]);
    return null;
  }
  const tried = [];
  let found = findChromium();
  if (found !== null && (await works(found, tried))) return found;
  if (process.env.CHROMIUM) {
    if (found === null) tried.push(`CHROMIUM names ${process.env.CHROMIUM}, which does not exist`);
  } else {
    for (const [what, install] of installers()) {
      say(`installing Chromium for the browser tests: ${what}`);
      const { code, output } = await install();
      found = findChromium();
      if (code === 0 && found !== null && (await works(found, tried))) return found;
      if (code !== 0) tried.push(`${what}: ${output.trim().split("\n").slice(-3).join(" | ")}`);
    }
  }
  complain(tried);
  return null;
}

/** Ways to get it on this machine, best first. */
function installers() {
  const ways = [];
  const apt = (...args) => run("apt-get", ["-qq", ...args], { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  if (isDebian() && process.getuid?.() === 0) {
    ways.push([
      "Debian's package chromium",
      async () => {
        const direct = await apt("install", "-y", "--no-install-recommends", "chromium");
        if (direct.code === 0) return direct;
        const update = await apt("update");
        return update.code === 0 ? apt("install", "-y", "--no-install-recommends", "chromium") : update;
      },
    ]);
  }
  ways.push(["Playwright's download", () => runNode([playwrightCli(), "install", "--no-shell", "chromium"])]);
  return ways;
}

function isDebian() {
  // Ubuntu's package of that name only leads to a snap.
  return existsSync("/etc/os-release") && /^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"));
}

/** Whether it starts: one that was downloaded may lack libraries of the system's. */
async function works({ executable }, tried) {
  const hash = hashOf(executable, realpathSync(executable));
  if (isFresh("chromium", hash)) return true;
  if (process.platform === "win32") return true; // `--version` opens a window there
  const { code, output } = await run(executable, ["--version"]).catch((error) => ({ code: 1, output: String(error) }));
  if (code === 0) stamp("chromium", hash);
  else tried.push(`${executable} does not start: ${output.trim().split("\n").slice(0, 3).join(" | ")}`);
  return code === 0;
}

/** What to do where there is no browser. */
export const REMEDY =
  "install Chromium or Chrome (Debian: apt-get install chromium; others: npx playwright-core install --with-deps chromium), or set CHROMIUM to its executable";

/** For the end of a test run. */
export const notRun =
  "NOT RUN: the tests in a real browser (test/browser), for want of Chromium; without a GPU nor those of webgpu in Node";

function complain(tried) {
  const line = "!".repeat(100);
  console.error([line, `${notRun}.`, ...tried.map((reason) => `  - ${reason}`), `What to do: ${REMEDY}.`, line].join("\n"));
}

/**
 * What to start a process with so that Dawn finds an adapter in it: nothing where the machine has Vulkan and a GPU, otherwise the software
 * driver. KINDLING_VULKAN=swiftshader|system|none says what to take; `none` hides every driver.
 * @returns {Partial<VulkanEnvironment>}
 */
export function vulkanEnvironment(chromium = findChromium()) {
  if (process.platform !== "linux") return {};
  const wanted = process.env.KINDLING_VULKAN ?? "";
  if (!["", "swiftshader", "system", "none"].includes(wanted)) {
    throw new Error(`KINDLING_VULKAN is "${wanted}"; it may be swiftshader, system or none`);
  }
  if (wanted === "none") return { VK_ICD_FILENAMES: "/nonexistent" };
  if (wanted === "system") return {};
  if (wanted === "" && (process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES || hasVulkan())) return {};
  return chromium?.vulkan ?? {};
}

/** Whether the machine has a Vulkan loader, a driver and a GPU for it. */
function hasVulkan() {
  const gpu =
    existsSync("/dev/nvidia0") || (existsSync("/dev/dri") && readdirSync("/dev/dri").some((n) => n.startsWith("render")));
  if (!gpu) return false;
  const drivers = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
  if (!drivers.some((folder) => existsSync(folder) && readdirSync(folder).length > 0)) return false;
  for (const ldconfig of ["/sbin/ldconfig", "ldconfig"]) {
    const { status, stdout } = spawnSync(ldconfig, ["-p"], { encoding: "utf8" });
    if (status === 0) return stdout.includes("libvulkan.so.1");
  }
  return false;
}
