/** Elementwise ops. */

import * as torch from "../../torch.ts";
import type { DType } from "../../torch.ts";
import { Arg, type Emitter, type Val } from "../emit.ts";
import { like, number, operand, simple, type Args, type Convert, type Table } from "./shared.ts";

/** The type that a comparison's operands have in common. */
function common(...xs: unknown[]): DType {
  const probes = xs.map((x) => (x instanceof Arg ? torch.zeros(x.ndim === 0 ? [] : [1], { dtype: x.dtype }) : x));
  const [first, second] = probes;
  if (second === undefined) return (first as torch.Tensor).dtype;
  return torch.result_type(first as torch.Tensor, second as torch.Tensor);
}

const compare =
  (type: string, negate = false): Convert =>
  (g, a, [out]) => {
    const dtype = common(a.input, a.other);
    // Not all of them take truth values.
    const as = dtype === torch.bool ? torch.int32 : dtype;
    const v = g.op(type, [operand(g, a.input, as), operand(g, a.other, as)], {}, like(out!));
    return negate ? g.op("Not", [v], {}, like(out!)) : v;
  };
const logical =
  (type: string): Convert =>
  (g, a, [out]) =>
    g.op(type, [operand(g, a.input, torch.bool), operand(g, a.other, torch.bool)], {}, like(out!));
const bitwise =
  (type: string, ofBools: string): Convert =>
  (g, a, [out]) => {
    const bools = out!.dtype === torch.bool;
    if (!bools && g.opset < 18) return null;
    return g.op(bools ? ofBools : type, [operand(g, a.input, out!.dtype), operand(g, a.other, out!.dtype)], {}, like(out!));
  };

/** A formula in the result's dtype. */
type Formula = (f: Build, x: Val, a: Args) => Val;
class Build {
  constructor(
    readonly g: Emitter,
    readonly out: Arg,
  ) {}
  un(type: string, x: Val, attributes = {}): Val {
    return this.g.op(type, [x], attributes, like(this.out));
  }
  bin(type: string, x: Val, y: Val | number): Val {
    return this.g.op(type, [x, typeof y === "number" ? this.num(y) : y], {}, like(this.out));
  }
  num(x: number): Val {
    return this.g.scalar(x, this.out.dtype);
  }
  arg(x: unknown): Val {
    return operand(this.g, x, this.out.dtype);
  }
}
const formula =
  (f: Formula): Convert =>
  (g, a, [out]) => {
    const build = new Build(g, out!);
    return f(build, build.arg(a.input), a);
  };
/** An activation of ONNX's with number attributes. */
const activation = (type: string, attributes: Readonly<Record<string, string | number>>): Convert =>
  formula((f, x, a) =>
    f.un(
      type,
      x,
      Object.fromEntries(
        Object.entries(attributes).map(([name, v]) => [name, { float: typeof v === "string" ? number(a[v], v) : v }]),
      ),
    ),
  );

const scaled =
  (type: string): Convert =>
  (g, a, [out]) => {
    const f = new Build(g, out!);
    const other = a.alpha === 1 ? f.arg(a.other) : f.bin("Mul", f.arg(a.other), f.arg(a.alpha));
    if (out!.dtype === torch.bool) return g.op("Or", [f.arg(a.input), other], {}, like(out!));
    return f.bin(type, f.arg(a.input), other);
  };

function floorDivide(f: Build, x: Val, y: Val): Val {
  if (f.out.dtype.is_floating_point) return f.un("Floor", f.bin("Div", x, y));
  return f.bin("Div", f.bin("Sub", x, f.bin("Mod", x, y)), y);
}
const divide: Convert = (g, a, [out]) => {
  const f = new Build(g, out!);
  const [x, y] = [f.arg(a.input), f.arg(a.other)];
  if (a.rounding_mode === "floor") return floorDivide(f, x, y);
  const v = f.bin("Div", x, y);
  return a.rounding_mode === "trunc" && out!.dtype.is_floating_point ? truncate(f, v) : v;
};
const truncate = (f: Build, x: Val): Val => f.bin("Mul", f.un("Sign", x), f.un("Floor", f.un("Abs", x)));

const clip = (f: Build, x: Val, min: unknown, max: unknown): Val => {
  const bound = (b: unknown): Val | null => (b === null || b === undefined ? null : f.arg(b));
  const tensors = [min, max].some((b) => b instanceof Arg && b.ndim > 0);
  if (!tensors) return f.g.op("Clip", [x, bound(min), bound(max)], {}, like(f.out));
  const low = bound(min) === null ? x : f.bin("Max", x, bound(min)!);
  return bound(max) === null ? low : f.bin("Min", low, bound(max)!);
};

const erf = (f: Build, x: Val): Val => f.un("Erf", x);
const gelu: Convert = formula((f, x, a) => {
  const tanh = a.approximate === "tanh";
  if (f.g.opset >= 20) return f.un("Gelu", x, { approximate: tanh ? "tanh" : "none" });
  const half = f.bin("Mul", x, 0.5);
  if (!tanh) return f.bin("Mul", half, f.bin("Add", erf(f, f.bin("Mul", x, Math.SQRT1_2)), 1));
  const cubic = f.bin("Add", x, f.bin("Mul", f.bin("Mul", f.bin("Mul", x, x), x), 0.044715));
  return f.bin("Mul", half, f.bin("Add", f.un("Tanh", f.bin("Mul", cubic, Math.sqrt(2 / Math.PI))), 1));
});

const select =
  (pick: (a: Args) => [condition: unknown, yes: unknown, no: unknown]): Convert =>
  (g, a, [out]) => {
    const [c, yes, no] = pick(a);
    if (yes === null) return null;
    return g.op("Where", [operand(g, c, torch.bool), operand(g, yes, out!.dtype), operand(g, no, out!.dtype)], {}, like(out!));
  };

const unary = (...names: string[]): Table => Object.fromEntries(names.map((n) => [n.toLowerCase(), simple(n)]));

export const elementwise: Table = {
  ...unary("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Log", "Neg"),
  ...unary("Reciprocal", "Relu", "Sigmoid", "Sign", "Sin", "Sinh", "Softsign", "Sqrt", "Tan", "Tanh"),
  add: scaled("Add"),
  addcdiv: formula((f, x, a) =>
    f.bin("Add", x, f.bin("Mul", f.bin("Div", f.arg(a.tensor1), f.arg(a.tensor2)), number(a.value, "value"))),
  ),
  addcmul: formula((f, x, a) =>
    f.bin("Add", x, f.bin("Mul", f.bin("Mul", f.arg(a.tensor1), f.arg(a.tensor2)), number(a.value, "value"))),
  ),
  bitwise_and: bitwise("BitwiseAnd", "And"),
  bitwise_not: (g, a, [out]) =>
    out!.dtype !== torch.bool && g.opset < 18
      ? null
      : g.op(out!.dtype === torch.bool ? "Not" : "BitwiseNot", [g.use(a.input as Arg)], {}, like(out!)),
  bitwise_or: bitwise("BitwiseOr", "Or"),
  bitwise_xor: bitwise("BitwiseXor", "Xor"),
  celu: activation("Celu", { alpha: "alpha" }),
  clamp: formula((f, x, a) => clip(f, x, a.min, a.max)),
  clamp_max: formula((f, x, a) => clip(f, x, null, a.max)),
  clamp_min: formula((f, x, a) => clip(f, x, a.min, null)),
  div: divide,
  elu: (g, a, out) => ("scale" in a ? null : activation("Elu", { alpha: "alpha" })(g, a, out)),
  eq: compare("Equal"),
  erfc: formula((f, x) => f.bin("Sub", f.num(1), erf(f, x))),
  exp2: formula((f, x) => f.bin("Pow", f.num(2), x)),
  expm1: formula((f, x) => f.bin("Sub", f.un("Exp", x), 1)),
  floor_divide: formula((f, x, a) => floorDivide(f, x, f.arg(a.other))),
  fmod: (g, a, [out]) => g.op("Mod", [operand(g, a.input, out!.dtype), operand(g, a.other, out!.dtype)], { fmod: 1 }, like(out!)),
  frac: formula((f, x) => f.bin("Sub", x, truncate(f, x))),
  ge: compare("GreaterOrEqual"),
  gelu,
  glu: (g, a, [out]) => {
    const x = g.use(a.input as Arg);
    const d = number(a.dim, "dim");
    const halves = g.node("Split", [x], { axis: d, ...(g.opset >= 18 ? { num_outputs: 2 } : {}) }, [like(out!), like(out!)]);
    return g.op("Mul", [halves[0]!, g.op("Sigmoid", [halves[1]!], {}, like(out!))], {}, like(out!));
  },
  gt: compare("Greater"),
  hardshrink: activation("Shrink", { lambd: "lambd", bias: 0 }),
  hardsigmoid: activation("HardSigmoid", { alpha: 1 / 6, beta: 0.5 }),
  hardswish: simple("HardSwish"),
  hardtanh: formula((f, x, a) => clip(f, x, a.min_val, a.max_val)),
  isinf: (g, a, [out]) => g.op("IsInf", [g.use(a.input as Arg)], {}, like(out!)),
  isnan: (g, a, [out]) => g.op("IsNaN", [g.use(a.input as Arg)], {}, like(out!)),
  le: compare("LessOrEqual"),
  leaky_relu: activation("LeakyRelu", { alpha: "negative_slope" }),
  lerp: formula((f, x, a) => f.bin("Add", x, f.bin("Mul", f.arg(a.weight), f.bin("Sub", f.arg(a.end), x)))),
  log10: formula((f, x) => f.bin("Div", f.un("Log", x), Math.LN10)),
  log1p: formula((f, x) => f.un("Log", f.bin("Add", x, 1))),
  log2: formula((f, x) => f.bin("Div", f.un("Log", x), Math.LN2)),
  logical_and: logical("And"),
  logical_not: (g, a, [out]) => g.op("Not", [operand(g, a.input, torch.bool)], {}, like(out!)),
  logical_or: logical("Or"),
  logical_xor: logical("Xor"),
  logsigmoid: formula((f, x) => f.un("Neg", f.un("Softplus", f.un("Neg", x)))),
  lt: compare("Less"),
  masked_fill: select((a) => [a.mask, a.value, a.input]),
  maximum: simple("Max", "input", "other"),
  minimum: simple("Min", "input", "other"),
  mish: formula((f, x) => f.bin("Mul", x, f.un("Tanh", f.un("Softplus", x)))),
  mul: (g, a, [out]) => simple(out!.dtype === torch.bool ? "And" : "Mul", "input", "other")(g, a, [out!]),
  ne: compare("Equal", true),
  pow: simple("Pow", "input", "exponent"),
  prelu: (g, a, [out]) => {
    const x = g.use(a.input as Arg);
    let slope = g.use(a.weight as Arg);
    const n = (a.input as Arg).ndim;
    if (slope.shape[0] !== 1 && n > 2) {
      slope = g.op("Reshape", [slope, g.ints([-1, ...new Array<number>(n - 2).fill(1)])], {}, like(slope));
    }
    return g.op("PRelu", [x, slope], {}, like(out!));
  },
  rad2deg: formula((f, x) => f.bin("Mul", x, 180 / Math.PI)),
  deg2rad: formula((f, x) => f.bin("Mul", x, Math.PI / 180)),
  relu6: formula((f, x) => clip(f, x, 0, 6)),
  remainder: formula((f, x, a) => {
    const y = f.arg(a.other);
    if (!f.out.dtype.is_floating_point) return f.bin("Mod", x, y);
    return f.bin("Sub", x, f.bin("Mul", f.un("Floor", f.bin("Div", x, y)), y));
  }),
  round: (g, a, out) => (a.decimals === 0 ? simple("Round")(g, a, out) : null),
  rsqrt: formula((f, x) => f.un("Reciprocal", f.un("Sqrt", x))),
  rsub: (g, a, out) => scaled("Sub")(g, { input: a.other, other: a.input, alpha: a.alpha }, out),
  selu: activation("Selu", {}),
  silu: formula((f, x) => f.bin("Mul", x, f.un("Sigmoid", x))),
  softplus: (g, a, out) => (a.beta === 1 && a.threshold === 20 ? simple("Softplus")(g, a, out) : null),
  softshrink: activation("Shrink", { lambd: "lambd", bias: "lambd" }),
  square: formula((f, x) => f.bin("Mul", x, x)),
  sub: scaled("Sub"),
  tanhshrink: formula((f, x) => f.bin("Sub", x, f.un("Tanh", x))),
  threshold: (g, a, [out]) => {
    const x = g.use(a.input as Arg);
    const above = g.op("Greater", [x, operand(g, a.threshold, x.dtype)], {}, { dtype: torch.bool, shape: x.shape });
    return g.op("Where", [above, x, operand(g, a.value, x.dtype)], {}, like(out!));
  },
  true_divide: divide,
  trunc: formula(truncate),
  where: (g, a, out) => {
    // Tensor.where has its condition second.
    return select((b) => [b.condition, "other" in b && "input" in b ? b.input : (b.self as unknown), b.other])(g, a, out);
  },
};
