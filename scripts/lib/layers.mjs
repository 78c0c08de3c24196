/** Who may import whom, checked over a map from path to text, so that tests can give it small trees of their own. */

import { posix } from "node:path";
import ts from "typescript";

/** The layers of ts/, leaves first. A layer may import the earlier ones, and not those named here. */
const order = [
  "core",
  "kernel",
  "engine",
  "ops",
  "autograd",
  "nn",
  "func",
  "optim",
  "distributions",
  "workers",
  "data",
  "io",
  "profiler",
  "face",
  "entry",
];
const except = {
  optim: ["func"],
  distributions: ["nn", "func", "optim"],
  workers: ["nn", "func", "optim", "distributions"],
  data: ["nn", "func", "optim", "distributions"],
  io: ["nn", "func", "optim", "distributions", "workers", "data"],
};

/** Folders of ts/ that are published as `kindling/NAME`: they see what a user sees, ts/torch.ts, and may use packages. */
const subPaths = ["vision", "onnx"];
const FACE = "ts/torch.ts";

/** The page that shows the other examples. */
const PAGE = "examples/web/";

const WARN_LINES = 600;
const MOST_LINES = 800;

/** Where a file belongs: a layer of ts/, or one of the folders beside it. `face` is what stands in ts/ itself beside the entries. */
function placeOf(path) {
  const [top, second, third] = path.split("/");
  // Tables of numbers that the AssemblyScript kernels and their TypeScript side share: valid as both languages.
  if (top === "wasm") return path === "wasm/assembly/block_rows.ts" ? "wasm/rows" : `wasm/${second}`;
  if (top !== "ts") return top;
  if (third === undefined) return second.startsWith("entry.") ? "entry" : "face";
  return second;
}

/** The places that files of `place` may import; undefined where anything goes. */
function allowedFor(place) {
  if (place === "wasm/device") return [place, "wasm/rows", "core", "kernel"];
  if (place === "gpu") return [place, "core", "kernel"];
  if (place === "wasm/assembly") return [place, "wasm/rows"];
  if (place === "native") return [place];
  if (place === "examples") return ["examples"];
  if (subPaths.includes(place)) return [place, FACE];
  const rank = order.indexOf(place);
  if (rank < 0) return undefined;
  const allowed = order.slice(0, rank + 1).filter((layer) => !except[place]?.includes(layer));
  return place === "entry" ? [...allowed, "gpu", "wasm/device"] : allowed;
}

/** Every import of a file with its line: `import`, `export from`, `import()`, `import("x").Type`. Augmentations (`declare module`) do not count. */
export function importsOf(path, text) {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, false);
  const found = [];
  const add = (node, specifier, kind) => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return;
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
    found.push({ specifier: specifier.text, line, kind });
  };
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, node.importClause?.isTypeOnly ? "type" : "static");
    else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly ? "type" : "static");
    else if (ts.isImportTypeNode(node)) add(node, node.argument.literal, "type");
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], "dynamic");
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Problems of one import, or the path that it names. */
function resolveImport(path, { specifier, kind }, files) {
  const place = placeOf(path);
  if (!specifier.startsWith(".")) {
    // Only the programs around the models (main.ts, the page) may dress up their output.
    const program = path.endsWith("/main.ts") || path.startsWith(PAGE);
    if (place === "examples" && specifier !== "kindling" && !specifier.startsWith("node:") && !program) {
      return { problem: `imports "${specifier}"; models and their training import only "kindling" and Node's own modules` };
    }
    const isSubPath = subPaths.includes(place);
    const shipped = isSubPath || order.includes(place) || place === "gpu" || place === "wasm/device";
    if (!shipped) return {};
    if (isSubPath && !specifier.startsWith("node:")) return {};
    if (!specifier.startsWith("node:")) return { problem: `imports "${specifier}"; what is shipped has no dependencies` };
    if (kind === "static" && !/\.node\.ts$/.test(path)) {
      return { problem: `imports "${specifier}" statically, which browsers cannot; use import() or a file named *.node.ts` };
    }
    return {};
  }
  // AssemblyScript adds the extension itself and does not take one.
  const target = posix.join(posix.dirname(path), specifier) + (place === "wasm/assembly" ? ".ts" : "");
  if (!files.has(target)) return { problem: `imports "${specifier}", which is not a file of the project (write the .ts)` };
  const allowed = allowedFor(place);
  if (allowed && !allowed.includes(placeOf(target)) && !allowed.includes(target)) {
    return { problem: `imports ${target}: ${place} may import only ${allowed.join(", ")}` };
  }
  if (place === "examples" && target.split("/")[1] !== path.split("/")[1] && !path.startsWith(PAGE)) {
    return { problem: `imports ${target}, which belongs to another example` };
  }
  return { target };
}

/** One message for each circle of imports: the files of a strongly connected component, in an order in which they import each other. */
function circles(graph) {
  const state = new Map();
  const found = [];
  const stack = [];
  const visit = (path) => {
    state.set(path, "open");
    stack.push(path);
    for (const target of graph.get(path) ?? []) {
      if (state.get(target) === "open") found.push([...stack.slice(stack.indexOf(target)), target]);
      else if (!state.has(target)) visit(target);
    }
    stack.pop();
    state.set(path, "done");
  };
  for (const path of graph.keys()) if (!state.has(path)) visit(path);
  return found;
}

/** Checks a tree given as Map(path, text). Returns { problems, warnings }, each a line for the terminal. */
export function checkLayers(files) {
  const problems = [];
  const warnings = [];
  const graph = new Map();
  for (const [path, text] of files) {
    const lines = text.split("\n").length - 1;
    if (lines > MOST_LINES) problems.push(`${path}: ${lines} lines; a file has at most ${MOST_LINES}, better ${WARN_LINES}`);
    else if (lines > WARN_LINES) warnings.push(`${path}: ${lines} lines; better at most ${WARN_LINES}`);
    if (!/\.m?[jt]s$/.test(path)) continue;
    const targets = new Set();
    for (const found of importsOf(path, text)) {
      const { problem, target } = resolveImport(path, found, files);
      if (problem) problems.push(`${path}:${found.line}: ${problem}`);
      if (target) targets.add(target);
    }
    graph.set(path, targets);
  }
  for (const circle of circles(graph)) problems.push(`circle: ${circle.join(" -> ")}`);
  return { problems, warnings };
}
