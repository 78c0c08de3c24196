/** What the build promises about the kernel modules, seen from outside. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readModule } from "../../scripts/lib/wasm-module.mjs";

const bytesOf = (name: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(readFileSync(new URL(`../../build/wasm/${name}.wasm`, import.meta.url)));
const MEBI = 1 << 20;

test.each(["kernels_cpp.simd", "kernels_cpp.relaxed", "kernels_as.simd", "kernels_as.relaxed"])(
  "%s imports only the memory",
  (name) => {
    const { imports, exports } = readModule(bytesOf(name));
    expect(imports).toMatchObject([{ name: "env.memory", kind: 2, memory: { shared: true, maximum: 65536 } }]);
    expect(exports.length).toBeGreaterThan(0);
  },
);

test.each(["simd", "relaxed"])("the %s modules share one memory without touching each other's part", (variant) => {
  const names = [`kernels_cpp.${variant}`, `kernels_as.${variant}`];
  const modules = names.map(bytesOf);
  const end = readModule(modules[0]!).global("__heap_base")!.value!;
  expect(end).toBeGreaterThan(MEBI);
  expect(end).toBeLessThanOrEqual(2 * MEBI);
  if (!modules.every((bytes) => WebAssembly.validate(bytes))) return; // relaxed SIMD is not in every engine

  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true });
  const words = new Uint32Array(memory.buffer);
  const used = () =>
    [words.subarray(0, MEBI / 4), words.subarray(MEBI / 4, MEBI / 2), words.subarray(MEBI / 2)].map((part) =>
      part.some((w) => w !== 0),
    );
  const cpp = new WebAssembly.Instance(new WebAssembly.Module(modules[0]!), { env: { memory } });
  expect(used()).toMatchObject([false, expect.any(Boolean), false]);
  expect(cpp.exports.__stack_pointer).toBeInstanceOf(WebAssembly.Global);
  const before = words.slice(MEBI / 4);
  new WebAssembly.Instance(new WebAssembly.Module(modules[1]!), { env: { memory } });
  expect(words.slice(MEBI / 4)).toEqual(before);
});

test("a second instance of the C++ module, as every thread makes one, leaves changed data alone", () => {
  const module = new WebAssembly.Module(bytesOf("kernels_cpp.simd"));
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true });
  new WebAssembly.Instance(module, { env: { memory } });
  const words = new Uint32Array(memory.buffer, MEBI, 16);
  words[0] = 0xabcdef01;
  new WebAssembly.Instance(module, { env: { memory } });
  expect(words[0]).toBe(0xabcdef01);
});
