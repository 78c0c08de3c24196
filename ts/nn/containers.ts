/** Modules and parameters in lists and dictionaries. */

import { IndexError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { describe, isOptions } from "../engine/signature.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

type Named<T> = Readonly<Record<string, T>> | ReadonlyMap<string, T> | Iterable<readonly [string, T]>;

function entriesOf<T>(named: Named<T>): Iterable<readonly [string, T]> {
  return Symbol.iterator in named ? (named as Iterable<readonly [string, T]>) : Object.entries(named);
}

type Fields = Record<string | number, unknown>;

/** A number of entry, counted from the end where it is negative. */
function place(name: string, index: number, length: number): number {
  const i = index < 0 ? index + length : index;
  if (!Number.isInteger(index) || i < 0 || i >= length) throw new IndexError(`${name}: index ${index} is out of range`);
  return i;
}

/** Modules by number, as fields "0", "1", … */
abstract class Modules<T extends Module> extends Module {
  [index: number]: T;

  override get length(): number {
    return [...this._own(Module)].length;
  }
  at(index: number): T {
    const all = [...this];
    return all[place(this.constructor.name, index, all.length)]!;
  }
  *[Symbol.iterator](): Generator<T> {
    for (const [, m] of this._own(Module)) yield m as T;
  }
  /** @internal Numbers `modules` anew. */
  protected renumber(modules: readonly T[]): this {
    for (const [name] of [...this._own(Module)]) delete (this as unknown as Fields)[name];
    modules.forEach((m, i) => this.add_module(String(i), m));
    return this;
  }
  append(module: T): this {
    this.add_module(String(this.length), module);
    return this;
  }
  extend(modules: Iterable<T>): this {
    for (const m of [...modules]) this.append(m);
    return this;
  }
  insert(index: number, module: T): this {
    const all = [...this];
    all.splice(index, 0, module);
    return this.renumber(all);
  }
  /** Takes a module out. */
  pop(index = -1): T {
    const all = [...this];
    const [out] = all.splice(place(this.constructor.name, index, all.length), 1);
    this.renumber(all);
    return out!;
  }
}

/** Calls its modules one after the other. */
export class Sequential extends Modules<Module> {
  /** `new Sequential(a, b, c)`, or one object or Map of names. */
  constructor(...modules: Module[] | [named: Readonly<Record<string, Module>> | ReadonlyMap<string, Module>]) {
    super();
    const [first] = modules;
    if (modules.length === 1 && (isOptions(first) || first instanceof Map)) {
      for (const [name, m] of entriesOf(first as Readonly<Record<string, Module>>)) this.add_module(name, m);
    } else (modules as Module[]).forEach((m, i) => this.add_module(String(i), m));
  }
  forward(input: Tensor): Tensor {
    let x: unknown = input;
    for (const m of this) x = m(x);
    return x as Tensor;
  }
  slice(start?: number, end?: number): Sequential {
    return new (this.constructor as typeof Sequential)(...[...this].slice(start, end));
  }
}

/** A list of modules; calling them is up to its owner. */
export class ModuleList<T extends Module = Module> extends Modules<T> {
  constructor(modules: Iterable<T> = []) {
    super();
    this.extend(modules);
  }
  slice(start?: number, end?: number): ModuleList<T> {
    return new (this.constructor as typeof ModuleList<T>)([...this].slice(start, end));
  }
}

/** Modules by name. */
export class ModuleDict<T extends Module = Module> extends Module {
  constructor(modules: Named<T> = {}) {
    super();
    this.update(modules);
  }
  override get length(): number {
    return this.keys().length;
  }
  get(key: string): T {
    const value = (this as unknown as Fields)[key];
    if (!(value instanceof Module)) throw new IndexError(`ModuleDict: no module "${key}"; it has ${this.keys().join(", ")}`);
    return value as T;
  }
  set(key: string, module: T): this {
    this.add_module(key, module);
    return this;
  }
  has(key: string): boolean {
    return Object.hasOwn(this, key) && (this as unknown as Fields)[key] instanceof Module;
  }
  pop(key: string): T {
    const out = this.get(key);
    delete (this as unknown as Fields)[key];
    return out;
  }
  clear(): void {
    for (const key of this.keys()) this.pop(key);
  }
  keys(): string[] {
    return this.items().map(([k]) => k);
  }
  values(): T[] {
    return this.items().map(([, m]) => m);
  }
  items(): [string, T][] {
    return [...this._own(Module)] as [string, T][];
  }
  update(modules: Named<T>): this {
    for (const [key, m] of entriesOf(modules)) this.add_module(key, m);
    return this;
  }
  *[Symbol.iterator](): Generator<[string, T]> {
    yield* this.items();
  }
}

function asParameter(what: string, value: unknown): Parameter {
  if (value instanceof Parameter) return value;
  if (value instanceof Tensor) return new Parameter(value);
  throw new TypeError(`${what}: expected Parameter or Tensor, got ${describe(value)}`);
}

/** Parameters by number. Plain tensors become parameters. */
export class ParameterList extends Module {
  [index: number]: Parameter;

  constructor(values: Iterable<Tensor> = []) {
    super();
    this.extend(values);
  }
  override get length(): number {
    return [...this].length;
  }
  at(index: number): Parameter {
    const all = [...this];
    return all[place("ParameterList", index, all.length)]!;
  }
  append(value: Tensor): this {
    this.register_parameter(String(this.length), asParameter("ParameterList", value));
    return this;
  }
  extend(values: Iterable<Tensor>): this {
    for (const v of [...values]) this.append(v);
    return this;
  }
  *[Symbol.iterator](): Generator<Parameter> {
    for (const [, p] of this._own(Parameter)) yield p;
  }
  override extra_repr(): string {
    return [...this].map((p, i) => `(${i}): ${describeParameter(p)}`).join("\n");
  }
}

/** Parameters by name. */
export class ParameterDict extends Module {
  constructor(parameters: Named<Tensor> = {}) {
    super();
    this.update(parameters);
  }
  override get length(): number {
    return this.keys().length;
  }
  get(key: string): Parameter {
    const value = (this as unknown as Fields)[key];
    if (!(value instanceof Parameter)) {
      throw new IndexError(`ParameterDict: no parameter "${key}"; it has ${this.keys().join(", ")}`);
    }
    return value;
  }
  set(key: string, value: Tensor): this {
    this.register_parameter(key, asParameter("ParameterDict", value));
    return this;
  }
  has(key: string): boolean {
    return Object.hasOwn(this, key) && (this as unknown as Fields)[key] instanceof Parameter;
  }
  pop(key: string): Parameter {
    const out = this.get(key);
    delete (this as unknown as Fields)[key];
    return out;
  }
  keys(): string[] {
    return this.items().map(([k]) => k);
  }
  values(): Parameter[] {
    return this.items().map(([, p]) => p);
  }
  items(): [string, Parameter][] {
    return [...this._own(Parameter)];
  }
  update(values: Named<Tensor>): this {
    for (const [key, v] of entriesOf(values)) this.set(key, v);
    return this;
  }
  *[Symbol.iterator](): Generator<[string, Parameter]> {
    yield* this.items();
  }
  override extra_repr(): string {
    return this.items()
      .map(([k, p]) => `(${k}): ${describeParameter(p)}`)
      .join("\n");
  }
}

function describeParameter(p: Parameter): string {
  const type = p.dtype.name === "float32" ? "torch.FloatTensor" : String(p.dtype);
  return `Parameter containing: [${type} of size ${p.shape.join("x")}]`;
}
