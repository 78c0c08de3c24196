/**
 * A part of the golden corpora in Chromium, some cases of every operation: what test/conformance/known.json promises holds there too, on
 * the cpu with threads and without, and on webgpu.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import type { Exceptions } from "../conformance/golden.ts";
import type { Known } from "../conformance/known.ts";
import { isFull } from "../tiers.ts";
import { bundleConformance, offerCorpus, type ConformanceProgram } from "./conform.ts";
import { root, useBrowser } from "./harness.ts";

/** On webgpu, where each new kernel takes its time to compile, one case in so many. */
const SHARE = { cpu: 5, webgpu: isFull ? 5 : 16 };
const browser = useBrowser();
const known = JSON.parse(readFileSync(join(root, "test/conformance/known.json"), "utf8")) as Known;
const exceptions = JSON.parse(readFileSync(join(root, "test/conformance/exceptions.webgpu.json"), "utf8")) as Exceptions;
let program: ConformanceProgram;
const paths = { ops: "", training: "" };

beforeAll(async () => {
  program = await bundleConformance();
  for (const kind of ["ops", "training"] as const) paths[kind] = offerCorpus(join(root, `test/golden/${kind}.pack`), kind);
});

const places: [device: keyof typeof SHARE, isolated: boolean, place: "run" | "runInWorker"][] = [
  ["cpu", true, "run"],
  ["cpu", false, "runInWorker"],
  ["webgpu", true, "run"],
];

it.each(places.flatMap((place) => (["ops", "training"] as const).map((kind) => [...place, kind] as const)))(
  "on %s, isolated: %s, %s: %s",
  async (device, isolated, place, kind) => {
    const page = await browser.open({ isolated });
    const reply = await page[place](program, "conform", {
      url: new URL(paths[kind], page.page.url()).href,
      device,
      share: SHARE[device],
    });
    const { passed, failed, skipped } = reply.totals;
    console.log(`${kind} on ${device} in Chromium: ${passed} passed, ${failed} failed, ${skipped} skipped`);
    const promised = new Set(known[kind].filter((unit) => device === "cpu" || exceptions[kind]?.[unit] === undefined));
    const broken = Object.entries(reply.units).flatMap(([unit, { problems }]) =>
      promised.has(unit) ? problems.filter((p) => p.status === "failed").map((p) => `${unit} ${p.id}: ${p.reason}`) : [],
    );
    expect(broken).toEqual([]);
    expect(
      known[kind].filter((unit) => !(unit in reply.units)),
      "units without a case",
    ).toEqual([]);
    expect(passed).toBeGreaterThan(known[kind].length / 2);
  },
  600_000,
);
