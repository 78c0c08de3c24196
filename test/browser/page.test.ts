/** The page of `npm run web`, clicked through as people do: built, from plain files, isolated and not, and from the development server. */

import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { createServer } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isFull } from "../tiers.ts";
import { root, serve, useBrowser, type Site, type TestPage } from "./harness.ts";

/** Devices that the page must offer here. */
const DEVICES = ["cpu", "webgpu"] as const;
/** How much is trained: webgpu takes long on a machine without a GPU. */
const BRIEF = { epochs: 2, digits: 24, steps: 14, characters: 24 };
const THOROUGH = { epochs: 4, digits: 64, steps: 24, characters: 60 };

const browser = useBrowser();
const built = join(root, "build/page_test");
let sites: { isolated: Site; plain: Site };

beforeAll(async () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/web.mjs", "build", "--outDir", built], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`building the page failed:\n${stdout}\n${stderr}`);
  sites = { isolated: await serve(built, { isolated: true }), plain: await serve(built, { isolated: false }) };
});
afterAll(() => {
  sites?.isolated.close();
  sites?.plain.close();
  rmSync(built, { recursive: true, force: true });
});

const state = (page: Page, name: string): Promise<unknown> => page.waitForSelector(`body[data-state=${name}]`);
const textOf = (page: Page, id: string): Promise<string> => page.locator(`#${id}`).innerText();
const lossOf = async (page: Page): Promise<number> => Number(await textOf(page, "tile-loss"));

/** The page, ready. */
async function open(site: Site = sites.isolated): Promise<{ page: Page; test: TestPage }> {
  const test = await browser.open({ site, path: "/index.html" });
  await state(test.page, "idle");
  return { page: test.page, test };
}

async function choose(page: Page, model: "digits" | "gpt", device: string, settings: Record<string, number> = {}): Promise<void> {
  // The radio buttons lie under their labels' text.
  await page.locator(`label:has(input[value=${model}])`).click();
  await page.locator(`label:has(input[value=${device}])`).click();
  expect(await page.locator(`input[value=${device}]`).isChecked()).toBe(true);
  for (const [id, value] of Object.entries(settings)) await page.fill(`#${id}`, String(value));
}

/** Waits until the loss, at first given by `first`, has fallen below a share of it. */
async function lossBelow(page: Page, share: number, first: number): Promise<void> {
  await page.waitForFunction((least) => Number(document.getElementById("tile-loss")!.textContent) < least, first * share);
}
async function firstLoss(page: Page): Promise<number> {
  await page.waitForFunction(() => document.getElementById("tile-loss")!.textContent !== "–");
  return lossOf(page);
}

/** Writes a digit with the mouse; points are shares of the pad. */
async function write(page: Page, strokes: readonly (readonly (readonly [number, number])[])[]): Promise<void> {
  const pad = page.locator("#pad");
  await pad.scrollIntoViewIfNeeded();
  const box = (await pad.boundingBox())!;
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(box.x + first![0] * box.width, box.y + first![1] * box.height);
    await page.mouse.down();
    for (const [x, y] of rest) await page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 4 });
    await page.mouse.up();
  }
}
const circle = Array.from({ length: 21 }, (_, i) => {
  const angle = (i / 20) * 2 * Math.PI - Math.PI / 2;
  return [0.5 + 0.22 * Math.cos(angle), 0.5 + 0.35 * Math.sin(angle)] as const;
});

async function probabilities(page: Page): Promise<number[]> {
  await page.waitForFunction(() => document.getElementById("guess")!.textContent !== "–");
  return (await page.locator(".bar-value").allInnerTexts()).map((text) => parseFloat(text) / 100);
}

/** How many pixels of a chart are painted. */
const painted = (page: Page, chart: string): Promise<number> =>
  page.locator(`#${chart} canvas`).evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((n, v, i) => n + Number(i % 4 === 3 && v > 0), 0);
  });

describe.each(DEVICES)("on %s", (device) => {
  const { epochs, digits, steps, characters } = device === "cpu" || isFull ? THOROUGH : BRIEF;

  it("trains on digits until the loss halves, then reads a digit that is drawn", async () => {
    const { page } = await open();
    const empty = await painted(page, "loss-chart");
    await choose(page, "digits", device, { length: epochs, "batch-size": digits });
    await page.click("#train");
    // Not from the first loss that is seen: where training is quick, that is a later one.
    await lossBelow(page, 0.5, Math.log(10));
    await state(page, "idle");
    expect(await textOf(page, "status")).toBe("Trained");
    expect(await textOf(page, "where")).toBe(`epoch ${epochs} of ${epochs}`);
    expect(await page.locator("progress").evaluate((p: HTMLProgressElement) => p.value)).toBe(1);
    expect(parseFloat(await textOf(page, "tile-accuracy"))).toBeGreaterThan(70);
    expect(await textOf(page, "tile-speed")).toMatch(/^[\d.,]+/);
    expect(await textOf(page, "accuracy-readout")).toMatch(/training [\d.]+ %\s*test [\d.]+ %/);
    expect(await painted(page, "loss-chart")).toBeGreaterThan(empty);

    await write(page, [circle]);
    const shares = await probabilities(page);
    expect(shares.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 1);
    await page.waitForFunction(() => document.getElementById("guess")!.textContent === "0");

    await page.click("#clear");
    expect(await textOf(page, "guess")).toBe("–");
    await page.click("#example");
    await probabilities(page);
    expect(await textOf(page, "truth")).toMatch(/^it is a \d$/);
  });

  it("trains the GPT a little and streams text from it, also while it learns", async () => {
    const { page } = await open();
    await choose(page, "gpt", device, { length: steps, "batch-size": 4 });
    await page.fill("#sample-length", String(characters));
    await page.click("#train");
    await firstLoss(page);
    await page.click("#write");
    await page.waitForFunction(() => document.getElementById("text")!.textContent!.length > "interface ".length + 2);
    await state(page, "idle");
    // Untrained, it is about ln 84.
    expect(await lossOf(page)).toBeLessThan(0.85 * Math.log(84));
    expect(parseFloat(await textOf(page, "tile-accuracy"))).toBeGreaterThan(10);
    await page.waitForFunction(() => document.getElementById("write")!.textContent === "Write");

    await page.fill("#prompt", "declare var ");
    await page.click("#write");
    await page.waitForFunction(
      (done) => document.getElementById("sample-status")!.textContent!.startsWith(done),
      `${characters} characters`,
    );
    const text = (await page.locator("#text").textContent())!;
    expect(text).toHaveLength("declare var ".length + characters);
    expect(text.startsWith("declare var ")).toBe(true);
  });

  it("pauses, goes on, stops, and shows each model's own run", async () => {
    const { page } = await open();
    await choose(page, "digits", device, { length: 50 });
    await page.click("#train");
    await firstLoss(page);
    await page.click("#train"); // it says Pause now
    await state(page, "paused");
    expect(await page.locator("#train").innerText()).toBe("Resume");
    expect(await page.locator("#length").isDisabled()).toBe(true);
    const progress = (): Promise<number> => page.locator("progress").evaluate((p: HTMLProgressElement) => p.value);
    const before = await progress();
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)));
    expect(await progress()).toBe(before);
    await page.click("#train");
    await page.waitForFunction((value) => document.querySelector("progress")!.value > value, before);
    await page.click("#stop");
    await state(page, "idle");
    expect(await textOf(page, "status")).toBe("Stopped");
    const loss = await textOf(page, "tile-loss");
    await page.locator("label:has(input[value=gpt])").click();
    expect(await textOf(page, "tile-loss")).toBe("–");
    expect(await page.locator("#length-label").innerText()).toBe("Steps");
    await page.locator("label:has(input[value=digits])").click();
    expect(await textOf(page, "tile-loss")).toBe(loss);
    expect(await page.inputValue("#length")).toBe("50");
  });
});

it("says when the GPU is lost in mid-training, and goes on on either device", async () => {
  const test = await browser.open({ site: sites.isolated });
  const { page } = test;
  // So that the test gets at the device.
  const tap = `const request = globalThis.GPUAdapter.prototype.requestDevice;
    globalThis.GPUAdapter.prototype.requestDevice = async function (...args) {
      return (globalThis.testDevice = await request.apply(this, args));
    };`;
  await page.route("**/assets/worker-*.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${tap}\n${await response.text()}` });
  });
  await page.goto(`${sites.isolated.origin}/index.html`);
  await state(page, "idle");
  const lose = async (): Promise<void> => {
    await choose(page, "digits", "webgpu", { length: 20 });
    await page.click("#train");
    // Until then the page shows the run before.
    await page.waitForFunction(() => document.getElementById("status")!.textContent === "Training on WebGPU");
    await firstLoss(page);
    for (const worker of page.workers()) {
      await worker.evaluate(() => (globalThis as { testDevice?: GPUDevice }).testDevice?.destroy());
    }
    await page.locator("#banner").waitFor();
    expect([await textOf(page, "banner-title"), await textOf(page, "banner-text")]).toEqual([
      "The device was lost",
      expect.stringContaining("lost"),
    ]);
    await state(page, "idle");
  };
  await lose();
  await lose(); // a new device was made for the second training
  await page.click("#banner-action");
  await page.waitForFunction(() => document.getElementById("status")!.textContent === "Training on CPU");
  await page.waitForFunction(() => document.querySelector("progress")!.value > 0.02);
});

it("says that the page is isolated, and uses threads", async () => {
  const { page, test } = await open();
  const chips = await page.locator("#chips").innerText();
  expect(chips).toContain("cross-origin isolated");
  expect(chips).toMatch(/CPU|WebGPU/);
  expect(await page.inputValue("#threads")).toBe(String(await page.evaluate(() => navigator.hardwareConcurrency)));
  expect(test.log).toEqual([]);
});

it("works from plain files without any headers, on one thread, and says so", async () => {
  const { page } = await open(sites.plain);
  expect(await page.locator("#chips").innerText()).toContain("not isolated");
  expect(await page.inputValue("#threads")).toBe("1");
  await choose(page, "digits", "cpu", { length: 1 });
  await page.click("#train");
  await page.waitForFunction(() => document.querySelector("progress")!.value > 0.2);
  expect(await textOf(page, "chips")).toContain("CPU, 1 thread");
});

it("works from the development server, isolated", async () => {
  const server = await createServer({
    configFile: join(root, "examples/web/vite.config.ts"),
    server: { port: 0, hmr: false, watch: null },
    logLevel: "error",
  });
  try {
    await server.listen();
    const { port } = server.httpServer!.address() as { port: number };
    const { page } = await open({ origin: `http://localhost:${port}`, close: () => undefined });
    expect(await page.locator("#chips").innerText()).toContain("cross-origin isolated");
    await choose(page, "digits", "cpu", { length: 50 });
    await page.click("#train");
    await firstLoss(page);
    await page.click("#stop");
    await state(page, "idle");
  } finally {
    await server.close();
  }
});

it("shows what went wrong, and goes on", async () => {
  const { page, test } = await open();
  // A prompt that the alphabet does not have.
  await page.locator("label:has(input[value=gpt])").click();
  await page.fill("#prompt", "größe");
  await page.click("#write");
  await page.waitForFunction(() => /does not occur/.test(document.getElementById("sample-status")!.textContent!));
  // Settings that make no sense never leave the form.
  await page.fill("#learning-rate", "-1");
  await page.click("#train");
  expect(await page.locator("body").getAttribute("data-state")).toBe("idle");
  await page.fill("#learning-rate", "0.001");
  // A worker that dies.
  const [worker] = page.workers();
  await worker!.evaluate(() => {
    setTimeout(() => {
      throw new Error("the worker broke");
    }, 0);
  });
  await page.locator("#banner").waitFor();
  expect(await textOf(page, "banner-text")).toContain("the worker broke");
  await page.click("#banner-action");
  await state(page, "idle");
  expect(await page.locator("#banner").isHidden()).toBe(true);
  test.takeErrors();
});

it("says when the library cannot be loaded", async () => {
  const test = await browser.open({ site: sites.isolated });
  await test.page.route("**/*.wasm", (route) => route.fulfill({ status: 404, body: "gone" }));
  await test.page.goto(`${sites.isolated.origin}/index.html`);
  await test.page.locator("#banner").waitFor();
  expect(await textOf(test.page, "banner-text")).toContain("wasm");
  await test.page.unroute("**/*.wasm");
  await test.page.click("#banner-action");
  await state(test.page, "idle");
  test.takeErrors();
});

describe("without a WebGPU adapter", () => {
  const bare = useBrowser({ flags: [] });
  it("says so, and trains on cpu", async () => {
    const { page } = await bare.open({ site: sites.isolated, path: "/index.html" });
    await state(page, "idle");
    expect(await page.locator("input[value=webgpu]").isDisabled()).toBe(true);
    expect(await textOf(page, "device-note")).toMatch(/No WebGPU: .*(no WebGPU|no adapter)/);
    expect(await page.locator("input[value=cpu]").isChecked()).toBe(true);
    await page.click("#train");
    await firstLoss(page);
  });

  it("offers the cpu where a training cannot begin on the device that was asked for", async () => {
    const { page } = await bare.open({ site: sites.isolated, path: "/index.html" });
    await state(page, "idle");
    await page.locator("input[value=webgpu]").evaluate((radio: HTMLInputElement) => {
      radio.disabled = false;
      radio.checked = true;
    });
    await page.fill("#length", "50");
    await page.click("#train");
    await page.locator("#banner").waitFor();
    expect(await textOf(page, "banner-title")).toBe("The device is not available");
    expect(await textOf(page, "banner-text")).toContain("webgpu");
    expect(await textOf(page, "banner-action")).toBe("Train on the CPU instead");
    await page.click("#banner-action");
    await firstLoss(page);
    expect(await page.locator("input[value=cpu]").isChecked()).toBe(true);
    expect(await textOf(page, "status")).toBe("Training on CPU");
  });
});
