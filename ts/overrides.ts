/** `torch.overrides`: code that sees every op that other code calls. */

import { observing, type OpObserver } from "./engine/observe.ts";

export type { ObservedOp, OpObserver } from "./engine/observe.ts";

/**
 * Runs `fn` with all calls of ops going through `observer`, those that ops make themselves too; what the observer calls while it handles
 * one is observed as well. In place of PyTorch's `TorchFunctionMode`. `fn` may not be async: the observer is gone when it returns.
 */
export function observe_ops<T>(observer: OpObserver, fn: () => T): T {
  const before = observing.by;
  observing.by = observer;
  try {
    return fn();
  } finally {
    observing.by = before;
  }
}

/** Runs `fn` unobserved. */
export function unobserved<T>(fn: () => T): T {
  const before = observing.by;
  observing.by = null;
  try {
    return fn();
  } finally {
    observing.by = before;
  }
}
