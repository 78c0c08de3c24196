/** Who sees every call of every op, at all depths: what traces programs (`torch.overrides`). */

import type { Tensor } from "../core/tensor.ts";
import { bindArguments, type Signature } from "./signature.ts";

/** An op as an observer meets it. */
export interface ObservedOp {
  readonly name: string;
  readonly kind: "pointwise" | "view" | "primitive" | "composite";
  readonly signature: Signature;
}

export interface OpObserver {
  /** Instead of each call; `args` are bound to the signature, `run` makes the call, and its result is to be returned. */
  call(op: ObservedOp, args: readonly unknown[], run: () => unknown): unknown;
  /** Before `target`'s memory gets `value`'s numbers; null: numbers that no op gave. */
  write(target: Tensor, value: Tensor | null): void;
}

/** @internal Null costs a comparison per call. */
export const observing: { by: OpObserver | null } = { by: null };

/** @internal The call of an op as observers see it. */
export function withObserver(op: ObservedOp, fn: (...args: unknown[]) => unknown): (...args: unknown[]) => unknown {
  return (...given) => {
    const { by } = observing;
    if (by === null) return fn(...given);
    return by.call(op, bindArguments(op.name, op.signature, given), () => fn(...given));
  };
}
