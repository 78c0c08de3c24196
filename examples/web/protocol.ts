/** What the page and its worker say to each other. Everything is plain data. */

export type ModelName = "digits" | "gpt";
export type DeviceName = "cpu" | "webgpu" | "cuda";

export interface DeviceState {
  readonly name: DeviceName;
  readonly available: boolean;
  /** What it is (adapter, threads) or why it is not available. */
  readonly detail: string;
}

/** What the worker found on this machine. */
export interface Environment {
  readonly devices: readonly DeviceState[];
  /** The device that `torch.accelerator()` chose. */
  readonly best: DeviceName;
  readonly isolated: boolean;
  /** Threads of the cpu device now, and at most. */
  readonly threads: number;
  readonly maxThreads: number;
}

export interface TrainSettings {
  readonly model: ModelName;
  readonly device: DeviceName;
  /** Epochs of the digits, steps of the GPT. */
  readonly length: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly threads: number;
}

export type ToWorker =
  | { readonly type: "train"; readonly settings: TrainSettings }
  | { readonly type: "pause" | "resume" | "stop" | "stop-sampling" | "example" }
  /** An image [8, 8] of 0..1; the answer carries the same serial number. */
  | { readonly type: "classify"; readonly pixels: Float32Array; readonly serial: number }
  | { readonly type: "sample"; readonly prompt: string; readonly length: number; readonly temperature: number };

/** Steps since the last report, oldest first. */
export interface StepReport {
  readonly steps: readonly number[];
  readonly losses: readonly number[];
  /** Share of right answers in training, where the model's training counts them. */
  readonly accuracies: readonly number[];
  readonly stepsPerSecond: number;
  /** Seconds of training, pauses not counted. */
  readonly seconds: number;
  /** Where it is, in the model's own terms ("epoch 3 of 10"). */
  readonly where: string;
}

/** Results on data that are not trained on. */
export interface Evaluation {
  readonly step: number;
  readonly accuracy: number;
  readonly loss?: number;
}

/** What went wrong, so that the page can offer a way on. */
export type FailureKind = "device-lost" | "out-of-memory" | "no-device" | "sampling" | "other";

export type FromWorker =
  | { readonly type: "ready"; readonly environment: Environment }
  | { readonly type: "started"; readonly totalSteps: number; readonly parameters: number; readonly threads: number }
  | { readonly type: "steps"; readonly report: StepReport }
  | { readonly type: "evaluated"; readonly evaluation: Evaluation }
  | { readonly type: "paused" | "resumed" | "stopped" | "finished" }
  | { readonly type: "probabilities"; readonly values: readonly number[]; readonly serial: number; readonly trained: boolean }
  | { readonly type: "example"; readonly pixels: Float32Array; readonly label: number }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "sampled"; readonly seconds: number }
  | { readonly type: "failed"; readonly kind: FailureKind; readonly message: string; readonly training: boolean };
