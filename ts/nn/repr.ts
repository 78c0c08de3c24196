/** Values as Python writes them, for PyTorch's printed form of modules. */

function number(x: number): string {
  if (x === Infinity) return "inf";
  if (x === -Infinity) return "-inf";
  if (Number.isInteger(x) || x === 0) return String(x);
  const size = Math.abs(x);
  if (size >= 1e-4 && size < 1e16) return String(x);
  return x.toExponential().replace(/e([-+])(\d)$/, "e$10$2");
}

export function repr(x: unknown): string {
  if (x === null || x === undefined) return "None";
  if (typeof x === "boolean") return x ? "True" : "False";
  if (typeof x === "number") return number(x);
  if (typeof x === "string") return `'${x}'`;
  if (Array.isArray(x)) return x.length === 1 ? `(${repr(x[0])},)` : `(${x.map(repr).join(", ")})`;
  if (typeof x === "function") return x.name === "" ? "function" : x.name;
  return String(x);
}

export function indent(text: string): string {
  return text.replaceAll("\n", "\n  ");
}
