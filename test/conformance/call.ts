/** Calling an operation by its name in the corpus. */

import { Failure, Missing } from "./outcome.ts";
import { withOptions } from "./decode.ts";
import type { Callable, Session, TensorLike } from "./session.ts";

export type CallKind = "function" | "method" | "property";

/** Whether a method changes its first argument, whose copy is then the result. */
export function isInPlace(name: string): boolean {
  return name === "__setitem__" || (name.endsWith("_") && !name.endsWith("__"));
}

const REFLECTED: Readonly<Record<string, string>> = { __rmod__: "remainder", __rpow__: "pow", __rsub__: "sub", __rdiv__: "div" };

/** The result of an operation; promises (of `item`, say) are waited for. */
export async function callOperation(
  session: Session,
  kind: CallKind,
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  if (kind === "function") return await session.blocking(() => session.call(name, withOptions(args, kwargs)));
  const [target, ...rest] = args;
  if (!session.isTensor(target)) {
    // Python's numbers hand a reflected operator back to the tensor: `(2).__rmod__(t)` is `t % 2`.
    const forward = REFLECTED[name];
    const [tensor] = rest;
    if (forward === undefined || !session.isTensor(tensor)) throw new Failure(`${name}: the first argument is not a tensor`);
    return await session.blocking(() => callMethod(session, tensor, forward, [target], kwargs));
  }
  if (kind === "property") {
    if (!(name in target)) throw new Missing(`Tensor.${name}`);
    return target[name];
  }
  if (!isInPlace(name)) return await session.blocking(() => callMethod(session, target, name, rest, kwargs));
  return await session.blocking(() => {
    const copy = session.method(target, "clone") as TensorLike;
    const done = callMethod(session, copy, name, rest, kwargs);
    return done instanceof Promise ? done.then(() => copy) : copy;
  });
}

/** A method, indexing under the names that it has here. */
export function callMethod(
  session: Session,
  target: TensorLike,
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
): unknown {
  if (name === "__getitem__") return session.method(target, "index", indexItems(args[0]));
  if (name === "__setitem__") return session.method(target, "index_put_", args);
  return session.method(target, name, withOptions(args, kwargs));
}

/** An operation in a step: `torch.NAME`, else the method of the first argument; `__getitem__` also of a list. */
export function callStep(
  session: Session,
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
): unknown {
  const [target, ...rest] = args;
  if (name === "__getitem__") {
    if (Array.isArray(target)) return (target as unknown[]).at(rest[0] as number);
    return session.method(target as TensorLike, "index", indexItems(rest[0]));
  }
  const { owner, value } = session.find(name);
  if (typeof value === "function") return (value as Callable).apply(owner, withOptions(args, kwargs));
  if (session.isTensor(target) && target[name] !== undefined) {
    return session.method(target, name, withOptions(rest, kwargs));
  }
  throw new Missing(`torch.${name}`);
}

function indexItems(index: unknown): unknown[] {
  return Array.isArray(index) ? (index as unknown[]) : [index];
}
