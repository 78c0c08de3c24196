/** `run_in_worker`: the same client and the same worker in Chromium (isolated and not) and in Node. */

import { build } from "esbuild";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { bundleProgram, root, useBrowser, type Program } from "./harness.ts";
import * as client from "./programs/worker_client.ts";

const browser = useBrowser();
let program: Program<typeof client>;
let workerPath: string;
const nodeWorker = join(root, "build/browser/training_worker.node.mjs");

beforeAll(async () => {
  program = await bundleProgram<typeof client>("./programs/worker_client.ts");
  workerPath = (await bundleProgram("./programs/training_worker.ts")).url;
  await build({
    entryPoints: [join(root, "test/browser/programs/training_worker.ts")],
    outfile: nodeWorker,
    bundle: true,
    format: "esm",
    platform: "node",
    alias: { kindling: join(root, "ts/entry.node.ts") },
    ignoreAnnotations: true,
    logLevel: "silent",
  });
});

type Client = typeof client;
/** Calls a function of the client at one of the three places. */
type Caller = <K extends keyof Client & string>(
  name: K,
  ...rest: Parameters<Client[K]> extends [string, ...infer R] ? R : never
) => Promise<Awaited<ReturnType<Client[K]>>>;

const inNode: Caller = (name, ...rest) => {
  const call = client[name] as unknown as (url: string, ...rest: unknown[]) => Promise<never>;
  return call(pathToFileURL(nodeWorker).href, ...rest);
};
const inPage =
  (isolated: boolean): Caller =>
  async (name, ...rest) => {
    const page = await browser.open({ isolated });
    const url = new URL(workerPath, page.page.url()).href;
    return page.run(program, name, ...([url, ...rest] as never)) as Promise<never>;
  };

describe.each([
  ["Node", inNode],
  ["an isolated page", inPage(true)],
  ["a page that is not isolated", inPage(false)],
] as const)("in %s", (where, call) => {
  it("reports and the result come back, tensors too", async () => {
    const result = (await call("trains")) as { better: number };
    expect(result).toMatchObject({
      step: 50,
      dtype: "float32",
      keys: ["weight", "bias"],
      shape: [1, 8],
      tensor: true,
      same: true,
    });
    expect(result).toMatchObject({ steps: Array.from({ length: 50 }, (_, i) => i) });
    expect(result.better).toBeGreaterThan(10);
  });

  it("tensors of a device that is read asynchronously come back too, in order", async () => {
    expect(await call("doubles", "webgpu")).toEqual(["cpu", [2, 4, 7], [2, 4, 7]]);
  });

  it("errors come back as what they were", async () => {
    const value = { type: "ValueError", name: "ValueError", message: "no such thing", traced: true };
    expect(await call("fails", "ValueError")).toEqual(value);
    expect(await call("fails", "TypeError")).toMatchObject({ type: "TypeError", message: "wrong thing", traced: true });
    expect(await call("fails", "clone")).toMatchObject({ message: expect.stringContaining("could not be cloned") as string });
  });

  it("takes messages while it runs", async () => {
    const { ratio, step } = (await call("talks")) as { ratio: number; step: number };
    expect(ratio).toBeCloseTo(2, 5);
    expect(step).toBe(3);
  });

  it("stops when it is asked to, with what it has", async () => {
    const step = await call("stops");
    expect(step).toBeGreaterThanOrEqual(6);
    expect(step).toBeLessThan(1e6);
  });

  it("says how it died", async () => {
    const [hung, killed, missing] = await call("dies");
    expect(hung).toContain("did not end within 0.5 s of stop()");
    expect(killed).toContain("was terminated before it returned");
    expect(missing).toMatch(where === "Node" ? /Cannot find module/ : /could not be loaded/);
  });
});
