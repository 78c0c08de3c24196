/** Modules and parameters in lists and dictionaries. */

import { IndexError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { describe, isOptions } from "../engine/signature.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";
import { indent, pythonType, typeName } from "./repr.ts";

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
  /** These and then those. */
  concat(other: Iterable<Module>): Sequential {
    return new Sequential(...this, ...other);
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
  /** A list of these and then those. */
  concat(other: Iterable<T>): ModuleList<T> {
    return new ModuleList<T>([...this, ...other]);
  }
  /** Like others, but equal modules in a row are shown once. */
  override toString(): string {
    const blocks: { first: number; last: number; text: string }[] = [];
    [...this].forEach((m, i) => {
      const text = m.toString();
      const before = blocks.at(-1);
      if (before?.text === text) before.last = i;
      else blocks.push({ first: i, last: i, text });
    });
    const lines = blocks.map(({ first, last, text }) =>
      indent(first === last ? `(${first}): ${text}` : `(${first}-${last}): ${last - first + 1} x ${text}`),
    );
    return lines.length === 0 ? `${this._get_name()}()` : `${this._get_name()}(\n  ${lines.join("\n  ")}\n)`;
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

/** What lists and dictionaries of parameters hold of a value: tensors become parameters, anything else stays what it is. */
function held(value: unknown): unknown {
  return value instanceof Tensor && !(value instanceof Parameter) ? new Parameter(value) : value;
}

function describeHeld(key: string | number, value: unknown, type: (t: Tensor) => string): string {
  if (!(value instanceof Tensor)) return `  (${key}): Object of type: ${pythonType(value)}`;
  const place = value.device.type === "cpu" ? "" : ` (${value.device})`;
  return `  (${key}): Parameter containing: [${type(value)} of size ${value.shape.join("x")}${place}]`;
}

/** Parameters by number. Tensors become parameters; other values are kept, but are no state. */
export class ParameterList<T = Parameter> extends Module {
  [index: number]: T;

  constructor(values: Iterable<Tensor | T> = []) {
    super();
    this.extend(values);
  }
  override get length(): number {
    return [...this].length;
  }
  at(index: number): T {
    const all = [...this];
    return all[place("ParameterList", index, all.length)]!;
  }
  append(value: Tensor | T): this {
    (this as unknown as Fields)[this.length] = held(value);
    return this;
  }
  extend(values: Iterable<Tensor | T>): this {
    if (typeof (values as { [Symbol.iterator]?: unknown } | null)?.[Symbol.iterator] !== "function") {
      throw new TypeError(`ParameterList.extend should be called with an iterable, but got ${describe(values)}`);
    }
    for (const v of [...values]) this.append(v);
    return this;
  }
  slice(start?: number, end?: number): ParameterList<T> {
    return new ParameterList<T>([...this].slice(start, end));
  }
  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; Object.hasOwn(this, i); i++) yield this[i] as T;
  }
  override extra_repr(): string {
    return [...this].map((p, i) => describeHeld(i, p, (t) => String(t.dtype))).join("\n");
  }
}

/** Parameters by name, in the order in which they came. Tensors become parameters; other values are kept, but are no state. */
export class ParameterDict<T = Parameter> extends Module {
  /** @internal */
  readonly _keys = new Set<string>();

  constructor(parameters: Named<Tensor | T> = {}) {
    super();
    this.update(parameters);
  }
  override get length(): number {
    return this._keys.size;
  }
  /** The value under a name; where there is none, the default, or an error without one. */
  get(key: string): T;
  get<D>(key: string, fallback: D): T | D;
  get(key: string, ...fallback: unknown[]): unknown {
    if (this.has(key)) return (this as unknown as Fields)[key];
    if (fallback.length > 0) return fallback[0];
    throw new IndexError(`ParameterDict: no parameter "${key}"; it has ${this.keys().join(", ")}`);
  }
  set(key: string, value: Tensor | T): this {
    if (typeof key !== "string") {
      throw new TypeError(
        `Index given to ParameterDict cannot be used as a key as it is not a string (type is '${describe(key)}')`,
      );
    }
    if (!this._keys.has(key) && (key in this || key === "" || key.includes("."))) {
      throw new IndexError(`ParameterDict: "${key}" cannot be a key: it is empty, has a dot, or is the name of an attribute`);
    }
    this._keys.add(key);
    (this as unknown as Fields)[key] = held(value);
    return this;
  }
  has(key: string): boolean {
    return this._keys.has(key);
  }
  /** Takes a value out. */
  pop(key: string): T {
    const out = this.get(key);
    this._keys.delete(key);
    delete (this as unknown as Fields)[key];
    return out;
  }
  /** Takes the last one out. */
  popitem(): [string, T] {
    const key = this.keys().at(-1);
    if (key === undefined) throw new IndexError("popitem(): ParameterDict is empty");
    return [key, this.pop(key)];
  }
  /** The value under a name, which is the default from now on where there was none. */
  setdefault(key: string, fallback: Tensor | T): T {
    if (!this.has(key)) this.set(key, fallback);
    return this.get(key);
  }
  clear(): void {
    for (const key of this.keys()) this.pop(key);
  }
  /** Another dictionary of the same parameters. */
  copy(): ParameterDict<T> {
    return new ParameterDict<T>(this.items());
  }
  /** A dictionary with these names and one value. */
  fromkeys(keys: Iterable<string>, fallback: Tensor | T): ParameterDict<T> {
    return new ParameterDict<T>([...keys].map((key): [string, Tensor | T] => [key, fallback]));
  }
  keys(): string[] {
    return [...this._keys];
  }
  values(): T[] {
    return this.items().map(([, p]) => p);
  }
  items(): [string, T][] {
    return this.keys().map((key) => [key, this.get(key)]);
  }
  update(values: Named<Tensor | T>): this {
    for (const [key, v] of entriesOf(values)) this.set(key, v);
    return this;
  }
  *[Symbol.iterator](): Generator<[string, T]> {
    yield* this.items();
  }
  override extra_repr(): string {
    return this.items()
      .map(([k, p]) => describeHeld(k, p, typeName))
      .join("\n");
  }
}
