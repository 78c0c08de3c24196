/** The addon in a process: several environments at once, every way to end, garbage, installation. */

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import { ARCH, KERNELS, addonPath, standIns, unavailable } from "./native.ts";

/** What every program begins with. */
const HEAD = `
  const addon = require(${JSON.stringify(addonPath)});
  const { control } = require(${JSON.stringify(`${standIns}/control.node`)});
  addon.probe({ directories: [${JSON.stringify(standIns)}], only: true });
  const device = addon.open(0);
  const text = ${JSON.stringify(KERNELS)};
  const options = [${JSON.stringify(ARCH)}];
`;

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs a program in a process of its own. One that does not end is killed, which `signal` tells. */
function node(program: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  const child = spawn(process.execPath, [...args, "-e", program], { env, timeout: 30_000, killSignal: "SIGKILL" });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (errors += chunk));
  return new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, output: output.trim(), errors: errors.trim() }));
  });
}

const ended = (code: number, output: string): Ended => ({ code, signal: null, output, errors: "" });

describe.skipIf(unavailable !== null)("the addon in a process", () => {
  it("lets it end when nothing waits", async () => {
    const program = `${HEAD}
      const y = device.allocate(4);
      device.upload(y, Uint8Array.of(1, 2, 3, 4));
      device.download(y, 4).then((bytes) => console.log([...bytes].join()));`;
    expect(await node(program)).toEqual(ended(0, "1,2,3,4"));
  });

  it("lets it go on while somebody waits", async () => {
    const program = `${HEAD}
      control("delay copy 200000");
      const y = device.allocate(4);
      device.upload(y, new Uint8Array(4));
      device.synchronize().then(() => console.log("synchronized"));
      device.compile(text, options).then(({ cubin }) => console.log(cubin.length > 0));`;
    const { code, output } = await node(program);
    expect(code).toBe(0);
    expect(output.split("\n").sort()).toEqual(["synchronized", "true"]);
  });

  const inFlight = `${HEAD}
    control("delay copy 100000");
    const y = device.allocate(1 << 20);
    for (let i = 0; i < 3; i++) device.upload(y, new Uint8Array(1 << 20));
    device.download(y, 1 << 20).then(() => console.log("downloaded"), () => console.log("rejected"));
    device.synchronize().catch(() => {});
    device.compile(text, options).catch(() => {});
    device.compile(text + " ", options).catch(() => {});
  `;

  it.each([
    ["process.exit", "process.exit(3);", 3],
    ["process.exit in a while", "setTimeout(() => process.exit(3), 60);", 3],
    ["an exception", "setTimeout(() => { throw new Error('mine'); }, 20);", 1],
    ["process.exit with threads of an idle device", "Promise.all([device.synchronize()]).then(() => process.exit(5));", 5],
    ["process.exit in a capture", "device.beginCapture(); process.exit(6);", 6],
  ])("ends with work in flight: %s", async (_, end, code) => {
    const result = await node(inFlight + end);
    expect(result).toMatchObject({ code, signal: null });
    if (code !== 1) expect(result.errors).toBe("");
  });

  it("ends in the middle of an endless kernel", async () => {
    const program = `${HEAD}
      control("hold");
      const y = device.allocate(4);
      device.upload(y, new Uint8Array(4));
      device.synchronize();
      setTimeout(() => process.exit(4), 20);`;
    expect(await node(program)).toEqual(ended(4, ""));
  });

  it("ends when a device is lost", async () => {
    const program = `${HEAD}
      device.allocate(4);
      control("lose 0");
      device.synchronize().catch((error) => console.log(error.code));`;
    expect(await node(program)).toEqual(ended(0, "DEVICE_LOST"));
  });

  it("gives a device that nobody refers to back", async () => {
    const program = `${HEAD}
      (async () => {
        for (let i = 0; i < 5; i++) addon.open(0, { reclaim: () => {} }).allocate(1 << 20);
        const open = () => JSON.parse(control("objects")).streams;
        console.log(open());
        for (let i = 0; i < 100 && open() > 1; i++) {
          global.gc();
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        console.log(open(), device.idle());
      })();`;
    expect(await node(program, ["--expose-gc"])).toEqual(ended(0, "6\n1 true"));
  });

  it("is used by several worker_threads at once", async () => {
    const program = `
      const { parentPort, workerData } = require("node:worker_threads");
      ${HEAD}
      (async () => {
        const n = 5000;
        const module = device.loadModule((await device.compile(text + "// " + workerData, options)).cubin);
        const add = device.getFunction(module, "add", 64, 0);
        const x = device.allocate(n * 4), y = device.allocate(n * 4);
        device.upload(x, new Uint8Array(new Float32Array(n).fill(workerData).buffer));
        const words = new Uint32Array(10);
        const view = new DataView(words.buffer);
        words.set([1 | (10 << 8), add, Math.ceil(n / 64), 24]);
        view.setBigUint64(24, BigInt(y), true);
        words[8] = n;
        view.setFloat32(36, 1, true);
        let wrong = 0;
        for (let step = 0; step < 50; step++) {
          view.setBigUint64(16, BigInt(step === 0 ? x : y), true);
          device.submit(words, 10);
          if (step % 10 === 9) {
            const values = new Float32Array((await device.download(y, n * 4)).buffer);
            wrong += values.filter((value) => value !== workerData + step + 1).length;
          }
        }
        parentPort.postMessage(wrong);
      })();`;
    const results = await Promise.all(
      [1, 2, 3, 4].map(
        (workerData) =>
          new Promise((resolve, reject) => {
            const worker = new Worker(program, { eval: true, workerData });
            let result: unknown;
            worker.on("message", (message) => (result = message));
            worker.on("error", reject);
            worker.on("exit", (code) => resolve([code, result]));
          }),
      ),
    );
    expect(results).toEqual([1, 2, 3, 4].map(() => [0, 0]));
  });

  it.each([
    ["terminated", "worker.terminate();"],
    ["with the process", "process.exit(0);"],
  ])("ends in workers with work in flight: %s", async (_, end) => {
    const program = `
      const { Worker } = require("node:worker_threads");
      const program = ${JSON.stringify(`${inFlight} require("node:worker_threads").parentPort.postMessage(1); setInterval(() => {}, 1000);`)};
      let started = 0;
      const workers = [1, 2, 3].map(() => new Worker(program, { eval: true }));
      for (const each of workers) each.on("message", () => { if (++started === 3) for (const worker of workers) { ${end} } });`;
    expect(await node(program)).toEqual(ended(0, ""));
  });

  it("does not outlive a worker whose environment it was loaded in first", async () => {
    const program = `
      const { Worker } = require("node:worker_threads");
      const program = ${JSON.stringify(`${HEAD} device.synchronize().then(() => process.exit(0));`)};
      let left = 5;
      const next = () => {
        if (left-- > 0) new Worker(program, { eval: true }).on("exit", next);
        else eval(${JSON.stringify(`${HEAD} console.log(device.idle());`)});
      };
      next();`;
    expect(await node(program)).toEqual(ended(0, "true"));
  });
});

describe.skipIf(unavailable !== null)("installing the package", () => {
  const folder = mkdtempSync(join(tmpdir(), "kindling-test-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const from = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const prebuilt = `dist/native/prebuilds/${process.platform}-${process.arch}/kindling_cuda.node`;

  /** What the published package has of it. */
  function unpack(name: string): string {
    const root = join(folder, name);
    for (const path of ["native", "dist/native/include"]) cpSync(from(path), join(root, path), { recursive: true });
    mkdirSync(join(root, prebuilt, ".."), { recursive: true });
    writeFileSync(join(root, "package.json"), '{ "type": "module" }');
    return root;
  }
  const install = (root: string, env = {}): Promise<Ended> =>
    node(`import(${JSON.stringify(`file://${root}/native/install.mjs`)})`, [], { ...process.env, ...env });

  it("takes the prebuilt addon without a word", async () => {
    const root = unpack("prebuilt");
    cpSync(addonPath, join(root, prebuilt));
    expect(await install(root, { PATH: "/nowhere", CXX: "" })).toEqual(ended(0, ""));
  });

  it("without a compiler says that cuda is off, and succeeds", async () => {
    const { code, output, errors } = await install(unpack("bare"), { PATH: "/nowhere", CXX: "" });
    expect([code, errors]).toEqual([0, ""]);
    expect(output).toMatch(/^kindling: cuda is off, cpu and webgpu work\. .*there is no C\+\+ compiler \(g\+\+ or clang\+\+\)/);
    expect(output.split("\n")).toHaveLength(1);
  });

  it("with a compiler that fails says what it said, and succeeds", async () => {
    const root = unpack("broken");
    writeFileSync(join(root, prebuilt), "not a library");
    writeFileSync(join(root, "native/src/errors.cpp"), "broken");
    for (const name of readdirSync(join(root, "native/src"))) {
      if (name.endsWith(".cpp") && name !== "errors.cpp") rmSync(join(root, "native/src", name));
    }
    const { code, output } = await install(root);
    expect(code).toBe(0);
    expect(output).toMatch(
      /cuda is off, cpu and webgpu work.*building one with .* failed: compiling native\/src\/errors\.cpp failed/s,
    );
  });

  it("is silent in a checkout", async () => {
    expect(existsSync(from("native/install.mjs"))).toBe(true);
    expect(await install(from("."), { PATH: "/nowhere", CXX: "" })).toEqual(ended(0, ""));
  });
});
