/** Small layers in one line each: a signature whose arguments become fields, and what forward does with them. */

import { Tensor } from "../core/tensor.ts";
import { bindArguments, parseSignature, type Args, type Signature } from "../engine/signature.ts";
import * as functional from "../ops/functional/index.ts";
import { Module } from "./module.ts";
import { repr, reprFloat } from "./repr.ts";

/** torch.nn.functional by name, for layers that only pass their fields on. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tuples and tensors come back
export const F = functional as unknown as Readonly<Record<string, (...args: unknown[]) => any>>;

export type { Factory } from "./parameter.ts";

const signatures = new Map<string, Signature>();

/** Arguments of a constructor or of a forward in the order of PyTorch's signature. */
export function bind<T extends unknown[]>(name: string, text: string, given: readonly unknown[]): T {
  let signature = signatures.get(text);
  if (signature === undefined) signatures.set(text, (signature = parseSignature(text)));
  return bindArguments(name, signature, given) as T;
}

type Merge<P extends readonly object[]> = P extends readonly [infer H, ...infer T extends object[]] ? H & Merge<T> : unknown;
/** The arguments of a constructor as fields. */
export type FieldsOf<P extends readonly object[]> = { -readonly [K in keyof Merge<P>]-?: Exclude<Merge<P>[K], undefined> };

/** What `layer` makes: a class whose instances have its arguments as fields. */
export interface LayerClass<P extends readonly object[], A extends unknown[], R> {
  new (...args: Args<P>): Module & FieldsOf<P> & { forward(...args: A): R };
}

/** How a layer prints: names of fields, with `=` if written as `name=value`, with `?` if so and only where they are true. */
interface LayerOptions {
  readonly repr?: string;
  /** Brings arguments to the form in which they are kept. */
  readonly keep?: (fields: Record<string, unknown>) => void;
}

/** Arguments of a signature that are of Python's type float, as their defaults tell. */
function floatsOf(signature: string): Set<string> {
  return new Set([...signature.matchAll(/(\w+)=-?\d+(?:\.\d|e-)/g)].map((m) => m[1]!));
}

/**
 * The base of a layer without parameters. `signature` is PyTorch's; `forward` gets the layer and its inputs; tensors among the
 * arguments become buffers.
 */
export function layer<P extends readonly object[], A extends unknown[] = [input: Tensor], R = Tensor>(
  signature: string,
  forward: (self: FieldsOf<P> & { readonly training: boolean }, ...args: A) => R,
  options: LayerOptions = {},
): LayerClass<P, A, R> {
  const { names } = parseSignature(signature);
  const floats = floatsOf(signature);
  class Layer extends Module {
    constructor(...given: unknown[]) {
      super();
      const values = bind<unknown[]>(new.target.name, signature, given);
      names.forEach((name, i) => {
        if (values[i] instanceof Tensor) this.register_buffer(name, values[i]);
        else (this as unknown as Record<string, unknown>)[name] = values[i];
      });
      options.keep?.(this as unknown as Record<string, unknown>);
    }
    forward(...args: A): R {
      return forward(this as never, ...args);
    }
    override extra_repr(): string {
      const fields = this as unknown as Record<string, unknown>;
      const shown = options.repr === undefined ? [] : options.repr.split(",").map((s) => s.trim());
      return shown
        .filter((name) => !(name.endsWith("?") && !fields[name.slice(0, -1)]))
        .map((name) => {
          const plain = name.replace(/[=?]$/, "");
          const value = (floats.has(plain) ? reprFloat : repr)(fields[plain]);
          return plain === name ? value : `${plain}=${value}`;
        })
        .join(", ");
    }
  }
  return Layer as unknown as LayerClass<P, A, R>;
}

/** A number for each of `n` dimensions. */
export function tuple(x: number | readonly number[], n: number): number[] {
  return typeof x === "number" ? new Array<number>(n).fill(x) : [...x];
}
