/** What each library brings to the comparison: the same workloads, written as its own users would write them. */

import type { Batch, Named, Size } from "./data.ts";

/** One workload, ready to run on the GPU. */
export interface Runner {
  /** Enqueues one run; the result of the run before is let go. */
  run(): void;
  /** Resolves when everything that was enqueued has run. A training step reads its losses for that, as a training loop does. */
  finish(): Promise<void>;
  /** What to compare: the last result's values, or the losses of all steps so far. */
  values(): Promise<ArrayLike<number>>;
  dispose(): void;
}

export interface Inputs {
  readonly shapes: readonly (readonly number[])[];
  readonly arrays: readonly Float32Array[];
}

export interface Training {
  readonly parameters: readonly Named[];
  readonly batches: readonly Batch[];
  readonly size: Size;
}

export interface Library {
  readonly name: string;
  readonly version: string;
  matmul(inputs: Inputs): Runner;
  softmax(inputs: Inputs): Runner;
  layernorm(inputs: Inputs): Runner;
  /** The gradients of the input, the weight and the bias, one after another. */
  layernormBackward(inputs: Inputs): Runner;
  chain(inputs: Inputs): Runner;
  mlp(training: Training): Runner;
  gpt(training: Training): Runner;
}

export type Workload = Exclude<keyof Library, "name" | "version">;

/** Hyper-parameters that all three share. */
export const adam = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;
export const weightDecay = 0.1;
export const layernormEps = 1e-5;
