/** Values as Python writes them, for PyTorch's printed form of modules. */

import type { Tensor } from "../core/tensor.ts";

function number(x: number): string {
  if (x === Infinity) return "inf";
  if (x === -Infinity) return "-inf";
  if (Number.isInteger(x) || x === 0) return String(x);
  const size = Math.abs(x);
  if (size >= 1e-4 && size < 1e16) return String(x);
  return x.toExponential().replace(/e([-+])(\d)$/, "e$10$2");
}

/** A number of Python's type float: 1 is 1.0. */
export function reprFloat(x: unknown): string {
  if (Array.isArray(x)) return `(${x.map(reprFloat).join(", ")}${x.length === 1 ? "," : ""})`;
  return typeof x === "number" && Number.isInteger(x) && Math.abs(x) < 1e16 ? `${Object.is(x, -0) ? "-0" : x}.0` : repr(x);
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

const TYPES: Readonly<Record<string, string>> = {
  float32: "Float",
  float64: "Double",
  float16: "Half",
  bfloat16: "BFloat16",
  int64: "Long",
  int32: "Int",
  int16: "Short",
  int8: "Char",
  uint8: "Byte",
  bool: "Bool",
  complex64: "ComplexFloat",
  complex128: "ComplexDouble",
};

/** The name of a value's type in Python. */
export function pythonType(x: unknown): string {
  if (x === null || x === undefined) return "NoneType";
  if (typeof x === "number") return Number.isInteger(x) ? "int" : "float";
  if (typeof x === "string") return "str";
  if (typeof x === "boolean") return "bool";
  if (Array.isArray(x)) return "list";
  return x.constructor.name === "Object" ? "dict" : x.constructor.name;
}

/** A tensor's type by the names of old, `torch.FloatTensor`. */
export function typeName(t: Tensor): string {
  const place = t.device.type === "cpu" ? "" : `${t.device.type}.`;
  return `torch.${place}${TYPES[t.dtype.name] ?? t.dtype.name}Tensor`;
}

export function indent(text: string): string {
  return text.replaceAll("\n", "\n  ");
}
