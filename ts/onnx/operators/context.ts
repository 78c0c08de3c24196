/** What an operator sees when it runs: its inputs, on one device, and its attributes. */

import * as torch from "../../torch.ts";
import type { DType, Tensor } from "../../torch.ts";
import type { Attribute, Node } from "../schema.ts";
import { dtypeOf, tensorOf } from "../tensors.ts";
import { bad } from "../wire.ts";

/** A value of a graph: a tensor, a sequence of tensors, or null where an optional one is missing. */
export type Value = Tensor | Tensor[] | null;

/** A graph within a node, ready to run with what is visible where the node stands. */
export interface Block {
  readonly inputs: readonly string[];
  run(inputs: readonly Value[], outer: Scope): Value[];
}

/** Values by name; those of enclosing graphs are seen through `outer`. */
export class Scope {
  readonly values = new Map<string, Value>();
  constructor(private readonly outer: Scope | null) {}
  get(name: string): Value {
    const value = this.values.get(name);
    if (value !== undefined) return value;
    if (this.outer === null) throw bad(`the value '${name}' is used before it is computed`);
    return this.outer.get(name);
  }
}

/** One node's call. */
export class Call {
  private device: Tensor["device"] | null = null;

  constructor(
    readonly node: Prepared,
    private readonly inputs: readonly Value[],
    readonly scope: Scope,
  ) {}

  get opset(): number {
    return this.node.opset;
  }
  get count(): number {
    return this.inputs.length;
  }
  has(i: number): boolean {
    return (this.inputs[i] ?? null) !== null;
  }
  value(i: number): Value {
    return this.inputs[i] ?? null;
  }
  /** Input i as it is. */
  raw(i: number): Tensor {
    const value = this.inputs[i] ?? null;
    if (value === null) throw bad(`${this.node.title} lacks input ${i}`);
    if (Array.isArray(value)) throw bad(`${this.node.title}: input ${i} is a sequence where a tensor is expected`);
    return value;
  }
  /** Input i beside the others: what was computed of shapes is on the cpu, and follows to the device of the rest. */
  x(i: number): Tensor {
    const t = this.raw(i);
    if (this.device === null) {
      const first = this.inputs.find((v): v is Tensor => v instanceof torch.Tensor && v.device.type !== "cpu");
      this.device = first?.device ?? t.device;
    }
    return onDevice(t, this.device);
  }
  /** Input i or null. */
  optional(i: number): Tensor | null {
    return this.has(i) ? this.x(i) : null;
  }
  /** All inputs, beside each other. */
  all(): Tensor[] {
    return this.inputs.map((_, i) => this.x(i));
  }
  /** Values of input i as numbers, now. */
  numbers(i: number): number[] {
    return [...(this.raw(i).data_sync() as Iterable<number | bigint>)].map(Number);
  }
  number(i: number, otherwise: number): number {
    return this.has(i) ? (this.numbers(i)[0] ?? otherwise) : otherwise;
  }
  /** Numbers that newer operator sets have as an input and older ones as an attribute. */
  listed(i: number, name: string): number[] | null {
    if (this.has(i)) return this.numbers(i);
    return this.node.attributes.has(name) ? this.ints(name) : null;
  }

  attribute(name: string): Attribute | null {
    return this.node.attributes.get(name) ?? null;
  }
  int(name: string, otherwise: number): number {
    const a = this.attribute(name);
    return a?.i === undefined ? (a === null ? otherwise : 0) : Number(a.i);
  }
  float(name: string, otherwise: number): number {
    const a = this.attribute(name);
    return a?.f === undefined ? (a === null ? otherwise : 0) : a.f;
  }
  string(name: string, otherwise: string): string {
    const a = this.attribute(name);
    return a?.s === undefined ? (a === null ? otherwise : "") : new TextDecoder().decode(a.s);
  }
  strings(name: string): string[] | null {
    return this.attribute(name)?.strings?.map((s) => new TextDecoder().decode(s)) ?? null;
  }
  ints(name: string, otherwise: readonly number[] = []): number[] {
    return [...(this.attribute(name)?.ints ?? otherwise)].map(Number);
  }
  floats(name: string): number[] | null {
    const a = this.attribute(name);
    return a?.floats === undefined ? null : [...a.floats];
  }
  dtype(name: string, otherwise: DType): DType {
    const code = this.int(name, 0);
    return code === 0 ? otherwise : dtypeOf(code, `${this.node.title}: ${name}`);
  }
  tensor(name: string): Tensor | null {
    const proto = this.attribute(name)?.t;
    return proto === undefined ? null : tensorOf(proto, `${this.node.title}: ${name}`);
  }
  block(name: string): Block {
    const block = this.node.blocks.get(name);
    if (block === undefined) throw bad(`${this.node.title} lacks its graph '${name}'`);
    return block;
  }
  /** An operator, or a use of it, that nothing here computes. */
  unsupported(what: string): torch.NotImplementedError {
    return new torch.NotImplementedError(`onnx: ${this.node.title}: ${what} is not supported`);
  }
}

/** A node as it will be run. */
export interface Prepared {
  readonly opset: number;
  readonly node: Node;
  readonly title: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  readonly blocks: ReadonlyMap<string, Block>;
  readonly run: Operator;
  /** Names that nobody wants after this node. */
  readonly last: string[];
  /** What an operator keeps from call to call. */
  readonly memory: { value?: unknown };
}

export type Operator = (call: Call) => Value | Value[];
export type Operators = Readonly<Record<string, Operator>>;

const copies = new WeakMap<Tensor, Tensor>();

/** Constants are copied once. */
export function onDevice(t: Tensor, device: Tensor["device"]): Tensor {
  if (t.device === device) return t;
  const known = copies.get(t);
  if (known !== undefined && known.device === device) return known;
  const copy = t.to(device);
  if (!t.requires_grad) copies.set(t, copy);
  return copy;
}

/** A non-negative dimension; `axis` counts from the end where it is negative. */
export function dimension(call: Call, axis: number, rank: number): number {
  const d = axis < 0 ? axis + rank : axis;
  if (!(d >= 0 && d < Math.max(rank, 1)))
    throw new torch.IndexError(`onnx: ${call.node.title}: axis ${axis} of a tensor of rank ${rank}`);
  return d;
}
