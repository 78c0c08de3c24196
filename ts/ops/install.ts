/** Gives Tensor its methods: every op that says so, and its in-place form. */

import { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import { inplaceForm } from "../engine/inplace.ts";

type AnyOp = Op<never[], unknown>;

/** All ops by full name (`add`, `nn.functional.relu`): what the docs, the support table and the tests derive from. */
export const registry = new Map<string, AnyOp>();

/** Installs the ops of a module, whose functions live in `torch.<namespace>`. */
export function install(module: Readonly<Record<string, unknown>>, namespace = ""): void {
  for (const [name, op] of Object.entries(module)) {
    if (!isOp(op)) continue;
    const { info } = op;
    registry.set(namespace === "" ? name : `${namespace}.${name}`, op);
    if (info.method !== null) define(info.method, op);
    if (info.inplace) define(`${info.name}_`, inplaceForm(op as Op<never[], Tensor>));
  }
}

/** Installs ops under further names, those of the module's exports. */
export function installAliases(module: Readonly<Record<string, unknown>>): void {
  for (const [name, op] of Object.entries(module)) {
    if (!isOp(op)) continue;
    registry.set(name, op);
    define(name, op);
    if (op.info.inplace) define(`${name}_`, inplaceForm(op as Op<never[], Tensor>));
  }
}

const isOp = (x: unknown): x is AnyOp => typeof x === "function" && "info" in x;

function define(name: string, fn: (...args: never[]) => unknown): void {
  const call = fn as (...args: unknown[]) => unknown;
  Object.defineProperty(Tensor.prototype, name, {
    value: function (this: Tensor, ...args: unknown[]) {
      return call(this, ...args);
    },
    configurable: true,
    writable: true,
  });
}
