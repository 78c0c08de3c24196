/** Anomaly mode: errors of backward, and gradients that become NaN, name the forward call that they come from. */

import { withMode } from "../core/grad_mode.ts";
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
  return withMode(() => {
    const previous = anomaly.enabled;
    anomaly.enabled = true;
    return () => void (anomaly.enabled = previous);
  }, fn);
}
