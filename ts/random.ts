/** `torch.random`: seeds and states of the default streams. */

import type { Device } from "./core/device.ts";
import { default_generator, forkStreams, type RandomAlgorithm, setCpuAlgorithm } from "./ops/generator.ts";

export { default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state } from "./ops/generator.ts";
export type { RandomAlgorithm } from "./ops/generator.ts";

/** Which streams are put back: the cpu's, and those of `devices` (all that have one, if null). */
export interface ForkOptions {
  devices?: readonly (Device | string)[] | null;
  enabled?: boolean;
}

/** Runs `fn`, which may be async, and then puts the default streams back to where they were. Resolves or returns what `fn` does. */
export function fork_rng<T>(fn: () => T, { devices = null, enabled = true }: ForkOptions = {}): T {
  return enabled ? forkStreams(fn, devices) : fn();
}

/**
 * The algorithm of the cpu's default stream: "mt19937" draws PyTorch's numbers, "philox" those of GPU devices under the same seed, in dropout
 * and wherever no generator is given. The stream starts anew from its seed.
 */
export function set_cpu_algorithm(algorithm: RandomAlgorithm): void {
  setCpuAlgorithm(algorithm);
}
export function get_cpu_algorithm(): RandomAlgorithm {
  return default_generator("cpu").algorithm;
}
