/** The cpu device in Chromium: with threads where the page is isolated, on one where it is not, on the main thread and in a worker. */

import { beforeAll, describe, expect, it } from "vitest";
import { bundleProgram, useBrowser, type Program } from "./harness.ts";

type Cpu = typeof import("./programs/cpu.ts");

const browser = useBrowser();
let cpu: Program<Cpu>;
beforeAll(async () => {
  cpu = await bundleProgram<Cpu>("./programs/cpu.ts");
});

describe("in an isolated page", () => {
  it("env", async () => {
    const page = await browser.open();
    console.log(await page.run(cpu, "environment"));
    console.log(await page.runInWorker(cpu, "environment"));
    console.log(await page.run(cpu, "boot", 3));
    console.log(await page.runInWorker(cpu, "boot", 3));
    console.log(await page.run(cpu, "bootInLoop", 3));
    console.log(await page.runInWorker(cpu, "bootInLoop", 3));
    console.log(await page.run(cpu, "results", 1));
    console.log(await page.run(cpu, "results", 3));
    console.log(await page.runInWorker(cpu, "train", 3));
    console.log(page.log);
    console.log(await page.runInWorker(cpu, "memory", 1000, 100));
    console.log(await page.run(cpu, "memory", 1000, 100));
  });
  it("noniso", async () => {
    const page = await browser.open({ isolated: false });
    console.log(await page.run(cpu, "environment"));
    console.log(await page.run(cpu, "boot", 3));
    console.log(await page.run(cpu, "results", 3));
    console.log(page.log);
    console.log(await page.runInWorker(cpu, "environment"));
    console.log(await page.runInWorker(cpu, "results", 3));
    console.log(page.log);
  });
});
