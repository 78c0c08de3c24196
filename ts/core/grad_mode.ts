/** Whether ops record gradients now. Module state, because JavaScript code between two awaits is single-threaded. */

let enabled = true;
let inference = false;

export function is_grad_enabled(): boolean {
  return enabled;
}
export function is_inference_mode_enabled(): boolean {
  return inference;
}
/** @internal Returns the previous mode. */
export function setGradEnabled(mode: boolean): boolean {
  const previous = enabled;
  enabled = mode;
  return previous;
}
/** @internal Returns the previous mode. */
export function setInferenceMode(mode: boolean): boolean {
  const previous = inference;
  inference = mode;
  return previous;
}

/** @internal Runs `fn` in a mode and restores the previous one; for an async `fn` at its end. */
export function withMode<T>(set: () => () => void, fn: () => T): T {
  const restore = set();
  let result: T;
  try {
    result = fn();
  } catch (e) {
    restore();
    throw e;
  }
  if (result instanceof Promise) return result.finally(restore) as T;
  restore();
  return result;
}

function gradMode<T>(mode: boolean, fn: () => T): T {
  return withMode(() => {
    const previous = setGradEnabled(mode);
    return () => void setGradEnabled(previous);
  }, fn);
}

/** Runs `fn` without recording gradients, as PyTorch's `with torch.no_grad():`. */
export function no_grad<T>(fn: () => T): T {
  return gradMode(false, fn);
}
/** Runs `fn` recording gradients, inside `no_grad` too. */
export function enable_grad<T>(fn: () => T): T {
  return gradMode(true, fn);
}
/** Runs `fn` with recording on or off. */
export function set_grad_enabled<T>(mode: boolean, fn: () => T): T {
  return gradMode(mode, fn);
}
/** As `no_grad`; tensors made inside can never take part in autograd later. */
export function inference_mode<T>(fn: () => T): T {
  return withMode(() => {
    const grad = setGradEnabled(false);
    const previous = setInferenceMode(true);
    return () => {
      setInferenceMode(previous);
      setGradEnabled(grad);
    };
  }, fn);
}
