/** The cpu device in Chromium: with threads where the page is isolated, on one where it is not, on the main thread and in a worker. */

import { beforeAll, describe, expect, it } from "vitest";
import { bundleProgram, PATIENCE, useBrowser, type Program } from "./harness.ts";
import type * as cpuProgram from "./programs/cpu.ts";

type Cpu = typeof cpuProgram;

const browser = useBrowser();
let cpu: Program<Cpu>;
beforeAll(async () => {
  cpu = await bundleProgram<Cpu>("./programs/cpu.ts");
});

const places = ["run", "runInWorker"] as const;
const MIB = 1 << 20;

describe("in an isolated page", () => {
  it.each(places)("threads boot, and the results are one thread's (%s)", async (place) => {
    const page = await browser.open();
    expect(await page[place](cpu, "environment")).toMatchObject({ isolated: true });
    const single = await page[place](cpu, "results", 1);
    expect(await page[place](cpu, "boot", 4, PATIENCE)).toBe(3);
    if (place === "run") expect(await page.run(cpu, "results", 4)).toEqual(single);
    else expect(await page.runInWorker(cpu, "resultsOnAll", 4)).toEqual(single);
    expect(page.log).toEqual([]);
  });

  it.each(places)("threads boot while a loop awaits nothing but its losses (%s)", async (place) => {
    const page = await browser.open();
    expect(await page[place](cpu, "bootInLoop", 3, 1e6)).toBe(2);
  });

  it("trains in a worker as on the main thread, whose weights are the same bit for bit", async () => {
    const page = await browser.open();
    const inWorker = await page.runInWorker(cpu, "train", 20);
    expect(inWorker.losses.at(-1)).toBeLessThan(inWorker.losses[0]! / 2);
    expect(await page.run(cpu, "train", 20)).toEqual(inWorker);
  });

  it.each(places)("memory stays flat over 1,000 steps (%s)", async (place) => {
    const page = await browser.open();
    const seen = await page[place](cpu, "memory", 1000, 100);
    const largest = Math.max(...seen.map(({ allocated }) => allocated));
    expect(largest).toBeLessThan(128 * MIB); // without collections it would be 1.6 GB
    const { reserved } = seen[2]!;
    for (const later of seen.slice(3)) expect(later.reserved).toBe(reserved);
  });
});

describe("in a page that is not isolated", () => {
  it.each(places)("runs on one thread, says so once, and gives the same results (%s)", async (place) => {
    const [page, isolated] = [await browser.open({ isolated: false }), await browser.open()];
    expect(await page[place](cpu, "environment")).toMatchObject({ isolated: false, threads: 1 });
    const results = await page[place](cpu, "results", 4);
    expect(results).toEqual(await isolated.run(cpu, "results", 1));
    expect(page.log).toHaveLength(1);
    expect(page.warnings[0]).toContain("Cross-Origin-Opener-Policy: same-origin");
  });

  it("trains in a worker", async () => {
    const page = await browser.open({ isolated: false });
    const { losses } = await page.runInWorker(cpu, "train", 20);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
    expect(page.warnings).toHaveLength(1);
  });
});
