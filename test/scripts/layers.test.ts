import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { checkLayers } from "../../scripts/lib/layers.mjs";

const problemsOf = (tree: Record<string, string>): string[] => checkLayers(new Map(Object.entries(tree))).problems;

test("downward imports pass", () => {
  const tree = {
    "ts/core/dtype.ts": "export type DType = 'float32';",
    "ts/kernel/spec.ts": 'import type { DType } from "../core/dtype.ts"; export type S = DType;',
    "ts/ops/add.ts": 'import { x } from "../kernel/spec.ts";\n// import "../nn/module.ts"\n',
    "ts/nn/module.ts": 'export * from "../ops/add.ts";',
    "ts/io/save.ts": 'import "../ops/add.ts"; const fs = await import("node:fs");',
    "wasm/device/cpu.ts": 'import "../../ts/core/dtype.ts";',
    "ts/entry.node.ts": 'import "node:fs"; import "./nn/module.ts"; import "../wasm/device/cpu.ts";',
    "ts/torch.ts": 'export * from "./nn/module.ts";',
    "ts/vision/a.ts": 'import "../torch.ts"; import "./b.ts"; await import("left-pad");',
    "ts/vision/b.ts": "",
    "examples/digits/main.ts": 'import * as torch from "kindling"; import "./model.ts"; import "node:fs";',
    "examples/digits/model.ts": 'import { nn } from "kindling";',
    "examples/web/worker.ts": 'import "kindling"; import "uplot"; import "../digits/model.ts";',
  };
  expect(problemsOf(tree)).toEqual([]);
});

test.each([
  [
    "an upward import",
    { "ts/core/a.ts": 'import "../ops/b.ts";', "ts/ops/b.ts": "" },
    "ts/core/a.ts:1: imports ts/ops/b.ts: core may import",
  ],
  [
    "an upward re-export",
    { "ts/ops/a.ts": '\nexport { b } from "../nn/b.ts";', "ts/nn/b.ts": "" },
    "ts/ops/a.ts:2: imports ts/nn/b.ts",
  ],
  ["an upward type", { "ts/core/a.ts": 'export type A = import("../ops/b.ts").B;', "ts/ops/b.ts": "" }, "imports ts/ops/b.ts"],
  ["an upward import()", { "ts/core/a.ts": 'void import("../ops/b.ts");', "ts/ops/b.ts": "" }, "imports ts/ops/b.ts"],
  [
    "a sibling",
    { "ts/io/a.ts": 'import "../nn/b.ts";', "ts/nn/b.ts": "" },
    "io may import only core, kernel, engine, ops, autograd, io",
  ],
  [
    "a sub-path in what the library is made of",
    { "ts/vision/a.ts": 'import "../ops/b.ts";', "ts/ops/b.ts": "" },
    "vision may import only vision, ts/torch.ts",
  ],
  [
    "a sub-path in the library",
    { "ts/ops/a.ts": 'import "../onnx/b.ts";', "ts/onnx/b.ts": "" },
    "ts/ops/a.ts:1: imports ts/onnx/b.ts: ops may import only",
  ],
  ["a device in the front end", { "ts/ops/a.ts": 'import "../../gpu/b.ts";', "gpu/b.ts": "" }, "imports gpu/b.ts"],
  [
    "the engine in a device",
    { "gpu/a.ts": 'import "../ts/engine/b.ts";', "ts/engine/b.ts": "" },
    "gpu may import only gpu, core, kernel",
  ],
  ["one device in another", { "wasm/device/a.ts": 'import "../../gpu/b.ts";', "gpu/b.ts": "" }, "wasm/device may import only"],
  [
    "a source in an example",
    { "examples/x/a.ts": 'import "../../ts/core/b.ts";', "ts/core/b.ts": "" },
    "examples may import only examples",
  ],
  ["a package in an example", { "examples/x/a.ts": 'import "left-pad";' }, 'import only "kindling"'],
  ["another example", { "examples/x/a.ts": 'import "../y/b.ts";', "examples/y/b.ts": "" }, "belongs to another example"],
  ["a dependency", { "ts/core/a.ts": 'import "left-pad";' }, "what is shipped has no dependencies"],
  ["Node in a browser's path", { "ts/core/a.ts": 'import "node:fs";' }, "which browsers cannot"],
  ["a missing file", { "ts/core/a.ts": 'import "./b";', "ts/core/b.ts": "" }, "is not a file of the project"],
  ["too long a file", { "wasm/cpp/a.cpp": "\n".repeat(801) }, "801 lines"],
])("%s is caught", (_, tree, message) => {
  const problems = problemsOf(tree as unknown as Record<string, string>);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(message);
});

test("circles are caught, types included", () => {
  const tree = {
    "ts/core/a.ts": 'import "./b.ts";',
    "ts/core/b.ts": 'import type { C } from "./c.ts"; export type B = C;',
    "ts/core/c.ts": 'import type { A } from "./a.ts"; export type C = A;',
  };
  expect(problemsOf(tree)).toEqual(["circle: ts/core/a.ts -> ts/core/b.ts -> ts/core/c.ts -> ts/core/a.ts"]);
});

test("augmenting a lower module is not an upward import", () => {
  expect(problemsOf({ "ts/core/tensor.ts": 'declare module "../ops/table.ts" { interface A { b: 1 } }\nexport {};' })).toEqual(
    [],
  );
});

test("the script exits with 1 on a tree with a violation", () => {
  const folder = mkdtempSync(join(tmpdir(), "kindling-layers-"));
  const check = () =>
    spawnSync(process.execPath, [fileURLToPath(new URL("../../scripts/check-layers.mjs", import.meta.url)), folder]);
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  try {
    write("ts/ops/b.ts", "export const b = 1;\n");
    expect(check().status).toBe(0);
    write("ts/core/a.ts", 'export { b } from "../ops/b.ts";\n');
    const { status, stderr } = check();
    expect(status).toBe(1);
    expect(String(stderr)).toContain("ts/core/a.ts:1: imports ts/ops/b.ts");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
