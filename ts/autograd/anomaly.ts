/** Anomaly mode: errors of backward, and gradients that become NaN, name the forward call that they come from. */

import { anomaly } from "../engine/node.ts";

export function is_anomaly_enabled(): boolean {
  return anomaly.enabled;
}

/** Turns anomaly mode on or off for what is computed from now on. Slow: for debugging only. */
export function set_detect_anomaly(mode: boolean): void {
  anomaly.enabled = mode;
}

/** Runs `fn`, forward and backward, in anomaly mode. */
export function detect_anomaly<T>(fn: () => T): T {
  const previous = anomaly.enabled;
  const restore = (): void => {
    anomaly.enabled = previous;
  };
  anomaly.enabled = true;
  let result: T;
  try {
    result = fn();
  } catch (error) {
    restore();
    throw error;
  }
  if (result instanceof Promise) return result.finally(restore) as T;
  restore();
  return result;
}
