/** Finding Chromium and its software Vulkan driver, on machines made up for the purpose. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, it, vi } from "vitest";
import { findChromium, vulkanEnvironment } from "../../scripts/lib/chromium.mjs";
import { fileURLToPath, pathToFileURL } from "node:url";

const machine = mkdtempSync(join(tmpdir(), "kindling-chromium-"));
afterAll(() => rmSync(machine, { recursive: true, force: true }));
beforeEach(() => {
  for (const name of ["CHROMIUM", "KINDLING_VULKAN", "VK_ICD_FILENAMES", "VK_DRIVER_FILES", "LD_LIBRARY_PATH"])
    vi.stubEnv(name, "");
  vi.stubEnv("PATH", join(machine, "bin"));
  vi.stubEnv("PLAYWRIGHT_BROWSERS_PATH", join(machine, "cache"));
});
afterEach(() => vi.unstubAllEnvs());

/** A browser that only says that it runs, with its driver beside it where `driver` says so. */
function install(path: string, driver = false): string {
  const file = join(machine, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, "#!/bin/sh\necho Chromium 1\n");
  chmodSync(file, 0o755);
  if (driver) for (const name of ["vk_swiftshader_icd.json", "libvulkan.so.1"]) writeFileSync(join(file, "..", name), "");
  return file;
}

it("takes CHROMIUM, then the path, then the newest of Playwright's downloads", () => {
  const older = install("cache/chromium-999/chrome-linux/chrome");
  expect(findChromium()?.executable).toBe(older);
  const newer = install("cache/chromium-1200/chrome-linux/chrome");
  expect(findChromium()?.executable).toBe(newer);
  const onPath = install("bin/chromium");
  expect(findChromium()?.executable).toBe(onPath);
  vi.stubEnv("CHROMIUM", older);
  expect(findChromium()?.executable).toBe(older);
  vi.stubEnv("CHROMIUM", "none");
  expect(findChromium()).toBeNull();
  vi.stubEnv("CHROMIUM", join(machine, "missing"));
  expect(findChromium()).toBeNull();
});

it.runIf(process.platform === "linux")("gives Dawn the driver that lies beside the browser, unless told otherwise", () => {
  vi.stubEnv("CHROMIUM", install("with/chrome", true));
  const dir = join(machine, "with");
  const found = findChromium()!;
  expect(found.vulkan).toEqual({ LD_LIBRARY_PATH: dir, VK_ICD_FILENAMES: join(dir, "vk_swiftshader_icd.json") });
  vi.stubEnv("LD_LIBRARY_PATH", "/mine");
  expect(findChromium()!.vulkan?.LD_LIBRARY_PATH).toBe(`${dir}:/mine`);
  for (const [wanted, expected] of [
    ["swiftshader", found.vulkan],
    ["system", {}],
  ] as const) {
    vi.stubEnv("KINDLING_VULKAN", wanted);
    expect(vulkanEnvironment(found)).toEqual(expected);
  }
  vi.stubEnv("KINDLING_VULKAN", "none");
  expect(vulkanEnvironment(found).VK_ICD_FILENAMES).toBeDefined();
  vi.stubEnv("KINDLING_VULKAN", "nvidia");
  expect(() => vulkanEnvironment(found)).toThrow(/"nvidia".*swiftshader, system or none/);
  vi.stubEnv("KINDLING_VULKAN", "");
  vi.stubEnv("VK_ICD_FILENAMES", "/mine.json");
  expect(vulkanEnvironment(found)).toEqual({});
});

it("says at length what could not run where there is no browser, or one that does not start", () => {
  const library = pathToFileURL(fileURLToPath(new URL("../../scripts/lib/chromium.mjs", import.meta.url))).href;
  const broken = install("broken/chrome");
  writeFileSync(broken, "#!/bin/sh\necho no libnss3.so >&2\nexit 127\n");
  for (const [chromium, reason] of [
    [join(machine, "missing"), /does not exist/],
    [broken, /does not start: no libnss3\.so/],
  ] as const) {
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ["--input-type=module", "--eval", `console.log(await (await import("${library}")).ensureChromium())`],
      { env: { ...process.env, CHROMIUM: chromium }, encoding: "utf8" },
    );
    expect(stdout.trim()).toBe("null");
    expect(stderr).toMatch(/NOT RUN: the tests in a real browser/);
    expect(stderr).toMatch(reason);
    expect(stderr).toMatch(/What to do: install Chromium/);
  }
});
