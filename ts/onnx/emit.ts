/** Writes the nodes of a graph, and finds expressions for sizes that vary. */

import * as torch from "../torch.ts";
import type { DType, Tensor } from "../torch.ts";
import type { Attribute, Graph, Node, TensorProto, ValueInfo } from "./schema.ts";
import { ELEMENT, rawBytes } from "./tensors.ts";
import { isRef, type Ref } from "./trace.ts";

/** A number that depends on sizes that the user called dynamic: its values in each trace. */
export class Sym {
  constructor(readonly values: readonly number[]) {}
}
export type Dim = number | Sym;

/** A value of the graph that is written. */
export interface Val {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

/** A tensor among an op's arguments: the same place in each trace. */
export class Arg {
  constructor(readonly refs: readonly Ref[]) {}
  get dtype(): DType {
    return this.refs[0]!.dtype;
  }
  get shape(): readonly Dim[] {
    return mergedShape(this.refs);
  }
  get ndim(): number {
    return this.refs[0]!.shape.length;
  }
}

export type AttributeValue = number | string | readonly number[] | Tensor | { float: number } | { floats: readonly number[] };

/** A program that goes different ways for different sizes. */
export function differs(what: string): torch.NotImplementedError {
  return new torch.NotImplementedError(
    `onnx.export: ${what} differs between inputs of different sizes or values, so that no one graph says it; leave the axis out of dynamic_axes, or compute it with tensors`,
  );
}

export function mergedShape(refs: readonly Ref[]): Dim[] {
  const first = refs[0]!.shape;
  if (refs.some((r) => r.shape.length !== first.length)) throw differs("the rank of a tensor");
  return first.map((_, d) => mergedNumber(refs.map((r) => r.shape[d]!)));
}

function mergedNumber(values: readonly number[]): Dim {
  return values.every((v) => Object.is(v, values[0])) ? values[0]! : new Sym(values);
}

/** One argument of a call out of all traces. */
export function merged(values: readonly unknown[], what: string): unknown {
  const first = values[0];
  if (isRef(first)) {
    if (!values.every(isRef)) throw differs(what);
    return new Arg(values as Ref[]);
  }
  if (Array.isArray(first)) {
    if (values.some((v) => !Array.isArray(v) || v.length !== first.length)) throw differs(what);
    return first.map((_, i) =>
      merged(
        values.map((v) => (v as unknown[])[i]),
        what,
      ),
    );
  }
  if (typeof first === "number") {
    if (values.some((v) => typeof v !== "number")) throw differs(what);
    return mergedNumber(values as number[]);
  }
  if (typeof first === "function" || typeof first === "object") return first;
  if (values.some((v) => v !== first)) throw differs(what);
  return first;
}

const key = (s: Sym): string => s.values.join(",");

export class Emitter {
  readonly nodes: Node[] = [];
  private readonly tensors = new Map<string, { value: Tensor; initializer: boolean }>();
  private readonly values = new Map<Ref, Val>();
  private readonly constants = new Map<Tensor, Val>();
  private readonly lists = new Map<string, Val>();
  /** Where each varying size can be read: a value and its dimension. */
  private readonly atoms = new Map<string, { sym: Sym; value: Val; dim: number }>();
  private readonly sizes = new Map<string, Val>();
  private readonly names = new Set<string>();
  /** Constants that have to be the same in all traces. */
  readonly checks: { tensors: readonly Tensor[]; what: string }[] = [];

  constructor(
    readonly opset: number,
    private readonly parameterNames: boolean,
  ) {}

  private fresh(stem: string): string {
    let name = stem;
    for (let n = 1; this.names.has(name); n++) name = `${stem}_${n}`;
    this.names.add(name);
    return name;
  }
  reserve(name: string): void {
    this.names.add(name);
  }

  bind(arg: Arg, value: Val): void {
    for (const ref of arg.refs) this.values.set(ref, value);
    this.learn(value);
  }
  isBound(arg: Arg): boolean {
    return arg.refs.every((r) => this.values.has(r));
  }
  private learn(value: Val): void {
    value.shape.forEach((d, dim) => {
      if (d instanceof Sym && !this.atoms.has(key(d))) this.atoms.set(key(d), { sym: d, value, dim });
    });
  }

  /** The value of an argument; a weight becomes an initializer, anything else that is fixed a Constant. */
  use(arg: Arg): Val {
    const known = this.values.get(arg.refs[0]!);
    if (known !== undefined) {
      if (arg.refs.some((r) => this.values.get(r) !== known)) throw differs("what an op takes");
      return known;
    }
    const [first] = arg.refs;
    if (first!.constant === null) {
      throw new torch.NotImplementedError("onnx.export: an op takes a tensor whose making could not be traced");
    }
    if (first!.name === null && arg.refs.length > 1) {
      const tensors = arg.refs.map((r) => r.constant!);
      if (tensors.some((t) => t === null || t.shape.join() !== tensors[0]!.shape.join()))
        throw differs("a tensor that the model makes itself");
      this.checks.push({ tensors, what: "a tensor that the model makes itself" });
    }
    const value = this.constant(first!.constant, first!.name);
    this.bind(arg, value);
    return value;
  }
  isConstant(arg: Arg): boolean {
    return arg.refs[0]!.constant !== null && !this.values.has(arg.refs[0]!);
  }

  constant(t: Tensor, name: string | null = null): Val {
    const known = this.constants.get(t);
    if (known !== undefined) return known;
    const own = this.fresh(name === null ? "constant" : this.parameterNames ? name : "weight");
    this.tensors.set(own, { value: t.detach(), initializer: name !== null });
    const value = { name: own, dtype: t.dtype, shape: t.shape };
    this.constants.set(t, value);
    return value;
  }

  /** A number in a dtype, 0-d. */
  scalar(x: number | bigint | boolean, dtype: DType): Val {
    const id = `${String(x)}|${dtype.name}`;
    let value = this.lists.get(id);
    if (value === undefined) this.lists.set(id, (value = this.constant(torch.tensor(x, { dtype, device: "cpu" }))));
    return value;
  }

  /** Numbers as an int64 vector; those that vary are computed. */
  ints(list: readonly Dim[]): Val {
    if (list.every((d) => typeof d === "number")) {
      const id = `[${list.join(",")}]`;
      let value = this.lists.get(id);
      if (value === undefined) {
        const t = torch.tensor(list, { dtype: torch.int64, device: "cpu" }).reshape([list.length]);
        this.lists.set(id, (value = this.constant(t)));
      }
      return value;
    }
    const parts = list.map((d) => (typeof d === "number" ? this.ints([d]) : this.size(d)));
    return parts.length === 1 ? parts[0]! : this.op("Concat", parts, { axis: 0 }, { dtype: torch.int64, shape: [list.length] });
  }
  /** A number, or what computes it, 0-d. */
  int(d: Dim): Val {
    if (typeof d === "number") return this.scalar(d, torch.int64);
    return this.op("Squeeze", [this.size(d), this.ints([0])], {}, { dtype: torch.int64, shape: [] });
  }

  /** A varying number as an int64 vector of one. */
  private size(sym: Sym): Val {
    const id = key(sym);
    let value = this.sizes.get(id);
    if (value === undefined) this.sizes.set(id, (value = this.express(sym)));
    return value;
  }
  private readonly vector = { dtype: torch.int64, shape: [1] };

  private express(sym: Sym): Val {
    const atom = this.atoms.get(key(sym));
    if (atom !== undefined) {
      const shape = this.op("Shape", [atom.value], {}, { dtype: torch.int64, shape: [atom.value.shape.length] });
      return this.op("Gather", [shape, this.ints([atom.dim])], { axis: 0 }, this.vector);
    }
    const all = [...this.atoms.values()];
    for (const { sym: a } of all) {
      const linear = linearFit(sym.values, a.values);
      if (linear === null) continue;
      const [num, add, div] = linear;
      let v = this.size(a);
      if (num !== 1) v = this.op("Mul", [v, this.ints([num])], {}, this.vector);
      if (add !== 0) v = this.op("Add", [v, this.ints([add])], {}, this.vector);
      return div === 1 ? v : this.op("Div", [v, this.ints([div])], {}, this.vector);
    }
    for (const { sym: a } of all) {
      for (const { sym: b } of all) {
        const product = a.values.map((v, i) => v * b.values[i]!);
        const c = sym.values[0]! / product[0]!;
        if (!Number.isInteger(c) || !sym.values.every((v, i) => v === c * product[i]!)) continue;
        const v = this.op("Mul", [this.size(a), this.size(b)], {}, this.vector);
        return c === 1 ? v : this.op("Mul", [v, this.ints([c])], {}, this.vector);
      }
    }
    throw new torch.NotImplementedError(
      `onnx.export: a number that is ${sym.values.join(", ")} for different inputs cannot be made from the sizes of the dynamic axes; compute it with tensors`,
    );
  }

  /** Adds a node of one output. */
  op(
    type: string,
    inputs: readonly (Val | null)[],
    attributes: Record<string, AttributeValue | undefined>,
    like: Omit<Val, "name">,
  ): Val {
    return this.node(type, inputs, attributes, [like])[0]!;
  }
  node(
    type: string,
    inputs: readonly (Val | null)[],
    attributes: Record<string, AttributeValue | undefined>,
    outputs: readonly (Omit<Val, "name"> | null)[],
  ): Val[] {
    const stem = type.toLowerCase();
    const values = outputs.map((o) => (o === null ? null : { ...o, name: this.fresh(stem) }));
    const names = inputs.map((v) => v?.name ?? "");
    while (names.at(-1) === "") names.pop();
    this.nodes.push({
      op_type: type,
      name: this.fresh(`node_${values[0]?.name ?? stem}`),
      input: names,
      output: values.map((v) => v?.name ?? ""),
      attribute: Object.entries(attributes).flatMap(([name, v]) => (v === undefined ? [] : [attributeOf(name, v)])),
    });
    for (const v of values) if (v !== null) this.learn(v);
    return values as Val[];
  }
  cast(value: Val, dtype: DType): Val {
    if (value.dtype === dtype) return value;
    const code = ELEMENT.get(dtype);
    if (code === undefined) throw new torch.NotImplementedError(`onnx.export: there is no ${dtype} in ONNX`);
    return this.op("Cast", [value], { to: code }, { dtype, shape: value.shape });
  }

  /** The graph, with what its nodes use. */
  async graph(
    name: string,
    inputs: readonly ValueInfo[],
    outputs: readonly { name: string; value: Val; info: ValueInfo }[],
  ): Promise<Graph> {
    const nodes = [...this.nodes];
    for (const { name: own, value } of outputs)
      nodes.push({ op_type: "Identity", name: `node_${own}`, input: [value.name], output: [own] });
    const used = new Set(nodes.flatMap((n) => n.input ?? []));
    const initializer: TensorProto[] = [];
    const constants: Node[] = [];
    let total = 0;
    for (const [own, { value: tensor, initializer: learned }] of this.tensors) {
      if (!used.has(own)) continue;
      total += tensor.numel() * tensor.element_size();
      if (total > 2 ** 31 - 2 ** 16) {
        throw new torch.RuntimeError(
          "onnx.export: the model has more than 2 GB of weights, which one ONNX file cannot hold (external data is not supported)",
        );
      }
      const dims = BigInt64Array.from(tensor.shape, BigInt);
      const proto = { dims, data_type: BigInt(ELEMENT.get(tensor.dtype) ?? 0), raw_data: await rawBytes(tensor) };
      if (learned) initializer.push({ ...proto, name: own });
      // What the model has no name for is no weight to those who load the file.
      else
        constants.push({
          op_type: "Constant",
          name: `node_${own}`,
          output: [own],
          attribute: [{ name: "value", t: proto, type: 4n }],
        });
    }
    return { node: [...constants, ...nodes], name, initializer, input: [...inputs], output: outputs.map((o) => o.info) };
  }
}

/** [a, b, c] with value = floor((a * x + b) / c) in all traces; null where no small ones do. */
function linearFit(values: readonly number[], x: readonly number[]): [number, number, number] | null {
  const fits = (a: number, b: number, c: number): boolean => values.every((v, i) => v === Math.trunc((a * x[i]! + b) / c));
  const slope = (values[1]! - values[0]!) / (x[1]! - x[0]!);
  if (Number.isInteger(slope) && slope !== 0) {
    const b = values[0]! - slope * x[0]!;
    if (fits(slope, b, 1)) return [slope, b, 1];
  }
  for (let c = 2; c <= 64; c++) {
    for (let b = 0; b < c; b++) {
      if (fits(1, b, c)) return [1, b, c];
      if (b > 0 && fits(1, -b, c)) return [1, -b, c];
    }
  }
  return null;
}

function attributeOf(name: string, v: AttributeValue): Attribute {
  if (typeof v === "string") return { name, s: new TextEncoder().encode(v), type: 3n };
  if (typeof v === "number") return { name, i: BigInt(v), type: 2n };
  if (v instanceof torch.Tensor) {
    const dims = BigInt64Array.from(v.shape, BigInt);
    const raw = new Uint8Array(v.data_sync().slice().buffer as ArrayBuffer);
    return { name, t: { dims, data_type: BigInt(ELEMENT.get(v.dtype)!), raw_data: raw }, type: 4n };
  }
  if ("float" in v) return { name, f: v.float, type: 1n };
  if ("floats" in v) return { name, floats: Float32Array.from(v.floats), type: 6n };
  return { name, ints: BigInt64Array.from(v as readonly number[], BigInt), type: 7n };
}
