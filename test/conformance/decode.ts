/** The corpus's VALUEs → what the library takes. */

import type { Json, JsonObject } from "./corpus.ts";
import { Failure } from "./outcome.ts";
import type { SafeTensors } from "./safetensors.ts";
import type { Callable, Constructor, Session, TensorLike } from "./session.ts";

export interface DecodeOptions {
  /**
   * `typed`: a whole float keeps counting as a float (`torch.FloatScalar`), which decides the type that results. `plain`: a number, as
   * users write hyperparameters. Default: typed.
   */
  readonly floats?: "typed" | "plain";
  /** Whether gradients are wanted of the tensors marked so. Default: yes. */
  readonly grads?: boolean;
  /** Tensors with gaps between their elements. */
  readonly strided?: boolean;
  /** What `{"var": NAME}` stands for. */
  readonly variable?: (name: string) => unknown;
}

export class Decoder {
  /** The tensors made, by key; a complex one as the (re, im) tensor that it views. */
  readonly inputs = new Map<string, TensorLike>();

  constructor(
    readonly session: Session,
    private readonly tensors: SafeTensors,
    private readonly options: DecodeOptions = {},
  ) {}

  value(v: Json): unknown {
    if (v === null || typeof v === "number" || typeof v === "boolean") return v;
    // On another device, what the corpus did on the cpu is done there.
    if (typeof v === "string") return v === "cpu" ? this.session.device : v;
    if (isList(v)) return v.map((x) => this.value(x));
    if ("tensor" in v) return this.tensor(v);
    if ("float" in v) return this.float(floatOf(v));
    if ("tuple" in v) return (v.tuple as readonly Json[]).map((x) => this.value(x));
    if ("var" in v) return this.options.variable!(v.var as string);
    if ("dtype" in v) return this.session.dtype(v.dtype as string);
    if ("dict" in v) return this.record(v.dict as JsonObject);
    if ("int" in v) return BigInt(v.int as string);
    if ("slice" in v)
      return this.session.construct(
        "Slice",
        (v.slice as readonly Json[]).map((x) => this.value(x)),
      );
    if ("ellipsis" in v) return "...";
    if ("device" in v) return this.session.device;
    if ("layout" in v || "memory_format" in v) return this.constant((v.layout ?? v.memory_format) as string);
    if ("complex" in v) return this.session.construct("Complex", v.complex as readonly Json[]);
    throw new Failure(`cannot read the value ${JSON.stringify(v)}`);
  }

  values(list: readonly Json[]): unknown[] {
    return list.map((v) => this.value(v));
  }

  record(values: JsonObject): Record<string, unknown> {
    return Object.fromEntries(Object.entries(values).map(([key, v]) => [key, this.value(v)]));
  }

  /** A tensor without gradient that is no argument (a cotangent, say). */
  plain(key: string): TensorLike {
    return this.session.tensor(this.tensors.get(key));
  }

  /** The tensors of which gradients are wanted. */
  leaves(): Map<string, TensorLike> {
    return new Map([...this.inputs].filter(([, t]) => t.requires_grad));
  }

  private tensor(v: JsonObject): unknown {
    const key = v.tensor as string;
    const leaf = v.requires_grad === true && this.options.grads !== false;
    let t = this.session.tensor(this.tensors.get(key), this.options.strided && v.complex !== true && v.as_strided === undefined);
    if (v.as_strided !== undefined) {
      // What is stored is the memory; the argument is a window on it.
      if (v.complex === true) t = this.session.call("view_as_complex", [t]) as TensorLike;
      t = this.session.method(t, "as_strided", v.as_strided as readonly Json[]) as TensorLike;
      if (leaf) this.session.method(t, "requires_grad_");
      this.inputs.set(key, t);
      return t;
    }
    if (leaf) this.session.method(t, "requires_grad_");
    this.inputs.set(key, t);
    return v.complex === true ? this.session.call("view_as_complex", [t]) : t;
  }

  private float(x: number): unknown {
    if (this.options.floats === "plain" || !Number.isInteger(x)) return x;
    return new (this.session.torch.FloatScalar as Constructor)(x);
  }

  /** A layout or memory format: the library's constant, or its name. */
  private constant(name: string): unknown {
    return this.session.torch[name] ?? name;
  }
}

export function isList(v: Json): v is readonly Json[] {
  return Array.isArray(v);
}

export function isObject(v: Json | undefined): v is JsonObject {
  return typeof v === "object" && v !== null && !isList(v);
}

/** The number in `{"float": …}`. */
export function floatOf(v: JsonObject): number {
  const x = v.float;
  if (typeof x === "number") return x;
  return x === "inf" ? Infinity : x === "-inf" ? -Infinity : NaN;
}

/** Every dtype that occurs in a part of a manifest, so that a device can say beforehand that it cannot. */
export function dtypesIn(v: Json | undefined, tensors: SafeTensors, found = new Set<string>()): Set<string> {
  if (typeof v !== "object" || v === null) return found;
  if (isList(v)) {
    for (const x of v) dtypesIn(x, tensors, found);
    return found;
  }
  if (typeof v.tensor === "string") {
    const { dtype } = tensors.meta(v.tensor);
    found.add(v.complex === true ? (dtype === "float64" ? "complex128" : "complex64") : dtype);
  }
  if (typeof v.dtype === "string") found.add(v.dtype);
  if (isList(v.complex ?? null)) found.add("complex64");
  for (const x of Object.values(v)) dtypesIn(x, tensors, found);
  return found;
}

/** The keys of all tensors that occur in a part of a manifest. */
export function keysIn(v: Json | undefined, tensors: SafeTensors, found = new Set<string>()): Set<string> {
  if (typeof v === "string" && tensors.has(v)) found.add(v);
  if (typeof v !== "object" || v === null) return found;
  for (const x of isList(v) ? v : Object.values(v)) keysIn(x, tensors, found);
  return found;
}

/** Calls with keyword arguments in one trailing object, where there are any. */
export function withOptions(args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): unknown[] {
  return Object.keys(kwargs).length === 0 ? [...args] : [...args, kwargs];
}

/** Calls a module, which is callable or has only `forward`. */
export function callModule(module: object, args: readonly unknown[]): unknown {
  if (typeof module === "function") return (module as Callable)(...args);
  return (module as { forward: Callable }).forward(...args);
}
