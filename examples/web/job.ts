/** What a model's training needs of the worker, and what the worker needs of it. */

import type { Evaluation, TrainSettings } from "./protocol.ts";

export interface JobHooks {
  /** Before the first step. */
  started(totalSteps: number, parameters: number): void;
  /** After every step; throws when the training is to stop. `accuracy` is the share of right answers where there is such a thing. */
  step(step: number, loss: number, accuracy: number | undefined, where: string): Promise<void>;
  evaluated(evaluation: Evaluation): void;
}

/** One model of the page: its data, its network and how it is trained. */
export interface Job {
  train(settings: TrainSettings, hooks: JobHooks): Promise<void>;
  /** Lets go of the network, whose device is lost. */
  forget(): void;
}
