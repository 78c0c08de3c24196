/** Averages of a model's weights over training: equal ones (SWA), or of exponentially falling weight (EMA). */

import type { Device } from "../core/device.ts";
import { int64 } from "../core/dtype.ts";
import { ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { readable } from "../engine/blocking.ts";
import { parseSignature, bindArguments, type Args } from "../engine/signature.ts";
import { deepcopy } from "../nn/copy.ts";
import { Module } from "../nn/module.ts";
import * as ops from "../ops/index.ts";

/** The new average of one parameter. `num_averaged`: how many it is of so far, a tensor. */
export type AvgFn = (averaged: Tensor, current: Tensor, num_averaged: Tensor) => Tensor;
/** Changes the averages of many parameters in place. */
export type MultiAvgFn = (averaged: readonly Tensor[], current: readonly Tensor[], num_averaged: Tensor) => void;

function checkDecay(decay: number): void {
  if (!(decay >= 0 && decay <= 1)) {
    throw new ValueError(`Invalid decay value ${decay} provided. Please provide a value in [0,1] range.`);
  }
}
const continuous = (t: Tensor): boolean => t.dtype.is_floating_point || t.is_complex();

/** `decay * average + (1 - decay) * current`. ValueError for a decay outside of [0, 1]. */
export function get_ema_multi_avg_fn(decay = 0.999): MultiAvgFn {
  checkDecay(decay);
  return (averaged, current) =>
    no_grad(() => {
      averaged.forEach((average, i) => {
        if (continuous(average)) average.lerp_(current[i]!, 1 - decay);
        else average.copy_(average.mul(decay).add(current[i]!.mul(1 - decay)));
      });
    });
}

/** The mean of all that have been averaged. */
export function get_swa_multi_avg_fn(): MultiAvgFn {
  return (averaged, current, num_averaged) =>
    no_grad(() => {
      averaged.forEach((average, i) => average.copy_(meanWith(average, current[i]!, num_averaged)));
    });
}

/** The same for one parameter. */
export function get_ema_avg_fn(decay = 0.999): AvgFn {
  checkDecay(decay);
  return (average, current) => no_grad(() => average.mul(decay).add(current.mul(1 - decay)));
}
export function get_swa_avg_fn(): AvgFn {
  return (average, current, num_averaged) => no_grad(() => meanWith(average, current, num_averaged));
}

function meanWith(average: Tensor, current: Tensor, num_averaged: Tensor): Tensor {
  const step = current.sub(average).div(num_averaged.to(average.device).add(1));
  return average.add(step).to(average.dtype);
}

const SIGNATURE = parseSignature("model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False");

/**
 * A copy of `model` (its `module`) whose parameters are averages of the model's at each `update_parameters(model)`: means, or what `avg_fn` or
 * `multi_avg_fn` make. Buffers are averaged too where `use_buffers`, else they are the model's. `n_averaged`, a buffer, counts.
 *
 *     const averaged = new torch.optim.swa_utils.AveragedModel(model, { multi_avg_fn: get_ema_multi_avg_fn(0.999) });
 */
export class AveragedModel<M extends Module = Module> extends Module {
  readonly module: M;
  n_averaged: Tensor;
  avg_fn: AvgFn | null;
  multi_avg_fn: MultiAvgFn | null;
  readonly use_buffers: boolean;

  constructor(
    ...given: [
      model: M,
      ...Args<
        [
          { device?: Device | string | null },
          { avg_fn?: AvgFn | null },
          { multi_avg_fn?: MultiAvgFn | null },
          { use_buffers?: boolean },
        ]
      >,
    ]
  ) {
    super();
    const [model, device, avg_fn, multi_avg_fn, use_buffers] = bindArguments("AveragedModel", SIGNATURE, given) as [
      M,
      Device | string | null,
      AvgFn | null,
      MultiAvgFn | null,
      boolean,
    ];
    if (avg_fn !== null && multi_avg_fn !== null) throw new ValueError("Only one of avg_fn and multi_avg_fn should be provided");
    this.module = deepcopy(model);
    if (device !== null) this.module.to(device);
    this.n_averaged = ops.tensor(0, { dtype: int64, device: device ?? "cpu" });
    this.register_buffer("n_averaged", this.n_averaged);
    this.avg_fn = avg_fn;
    this.multi_avg_fn = multi_avg_fn;
    this.use_buffers = use_buffers;
  }

  forward(...args: unknown[]): unknown {
    return (this.module as unknown as (...args: unknown[]) => unknown)(...args);
  }

  private average(averaged: readonly Tensor[], current: readonly Tensor[]): void {
    if (this.multi_avg_fn !== null) {
      this.multi_avg_fn(averaged, current, this.n_averaged);
      return;
    }
    const average = this.avg_fn ?? get_swa_avg_fn();
    averaged.forEach((t, i) => t.copy_(average(t, current[i]!, this.n_averaged)));
  }

  /** Takes the model's parameters into the averages; the first time, they are the averages. */
  update_parameters(model: Module): void {
    no_grad(() => {
      const of = (m: Module): Tensor[] => [...m.parameters(), ...(this.use_buffers ? m.buffers() : [])].map((t) => t.detach());
      const averaged = of(this.module);
      const current = of(model).map((t, i) => t.to(averaged[i]!.device));
      // Where it cannot be read whether this is the first time, both are computed.
      const known = readable(this.n_averaged.device);
      const first = this.n_averaged.eq(0);
      const copy = known && Boolean(first.item_sync());
      if (copy) averaged.forEach((t, i) => t.copy_(current[i]!));
      else this.average(averaged, current);
      if (!known) averaged.forEach((t, i) => t.copy_(ops.where(first.to(t.device), current[i]!, t)));
      if (!this.use_buffers) {
        const buffers = model.buffers();
        this.module.buffers().forEach((b, i) => b.detach().copy_(buffers[i]!.detach().to(b.device)));
      }
      this.n_averaged.add_(1);
    });
  }
}

/** What has running statistics of batches. */
interface BatchNorm extends Module {
  running_mean: Tensor | null;
  momentum: number | null;
  reset_running_stats(): void;
}
const isBatchNorm = (m: Module): m is BatchNorm =>
  "reset_running_stats" in m && "num_features" in m && !m.constructor.name.includes("InstanceNorm");

/**
 * Makes the running statistics of batch norms anew: the plain mean over the batches of `loader`, by a forward pass of each. Of a batch that is a
 * list the first part is the input. Awaits loaders that give promises.
 */
export async function update_bn(
  loader: Iterable<unknown> | AsyncIterable<unknown>,
  model: Module,
  device: Device | string | null = null,
): Promise<void> {
  const norms = model.modules().filter(isBatchNorm);
  if (norms.length === 0) return;
  const momenta = norms.map((m) => m.momentum);
  for (const m of norms) {
    m.reset_running_stats();
    m.momentum = null;
  }
  const training = model.training;
  model.train();
  try {
    for await (const batch of loader) {
      let input = Array.isArray(batch) ? (batch as unknown[])[0] : batch;
      if (device !== null && input instanceof Tensor) input = input.to(device);
      no_grad(() => (model as unknown as (x: unknown) => unknown)(input));
    }
  } finally {
    norms.forEach((m, i) => {
      m.momentum = momenta[i]!;
    });
    model.train(training);
  }
}
