/** The WebGPU device in Chromium, on its software adapter: flat memory, a lost device, a browser without WebGPU. */

import { beforeAll, describe, expect, it } from "vitest";
import { bundleProgram, useBrowser, type Program } from "./harness.ts";
import type * as webgpuProgram from "./programs/webgpu.ts";

type WebGpu = typeof webgpuProgram;

let webgpu: Program<WebGpu>;
beforeAll(async () => {
  webgpu = await bundleProgram<WebGpu>("./programs/webgpu.ts");
});

const places = ["run", "runInWorker"] as const;
const MIB = 1 << 20;

describe("with an adapter", () => {
  const browser = useBrowser();

  it("is the best device", async () => {
    const page = await browser.open();
    expect(await page.run(webgpu, "environment")).toMatchObject({ best: "webgpu", available: true, error: "" });
  });
  it.each(places)("memory stays flat over 1,000 training steps (%s)", async (place) => {
    const page = await browser.open();
    const { peak, reserved, left, losses } = await page[place](webgpu, "memory", 1000, 10);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
    // How much garbage there is at times is the collector's affair; if it stayed, there would be 340 MiB.
    expect(peak).toBeLessThan(160 * MIB);
    expect(reserved).toBeLessThan(200 * MIB);
    expect(left).toBe(0);
  });
  it("a lost device is a typed error, and the page goes on with another", async () => {
    const page = await browser.open();
    const { error, after, cpu } = await page.run(webgpu, "lose");
    expect(error).toBe("DeviceLostError");
    expect(after).toHaveLength(3);
    expect(after[2]).toBeLessThan(after[0]!);
    expect(cpu).toEqual([0, 1, 2, 3]);
  });
});

describe("without", () => {
  const browser = useBrowser({ flags: [] });

  it("the best device is the cpu, and init says what is missing", async () => {
    const page = await browser.open();
    const { best, available, error } = await page.run(webgpu, "environment");
    expect({ best, available }).toEqual({ best: "cpu", available: false });
    expect(error).toMatch(/^RuntimeError: webgpu: /);
  });
});
