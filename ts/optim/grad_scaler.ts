/** `torch.amp.GradScaler`: losses scaled up, so that small gradients survive float16, and gradients scaled back before the step. */

import type { Device } from "../core/device.ts";
import { float16, float32 } from "../core/dtype.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { keep } from "../engine/memory.ts";
import { type Args, bindArguments, describe, parseSignature } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import type { Optimizer } from "./optimizer.ts";

/** What happened to an optimizer since the last `update`. */
interface Progress {
  stage: "ready" | "unscaled" | "stepped";
  /** Per device, whether its gradients were all finite: not read yet. */
  finite: Tensor[];
  /** Null: not known yet. */
  foundInf: boolean | null;
}

export interface GradScalerState {
  readonly scale: number;
  readonly growth_factor: number;
  readonly backoff_factor: number;
  readonly growth_interval: number;
  readonly _growth_tracker: number;
}

type GradScalerArgs = Args<
  [
    { device?: string },
    { init_scale?: number },
    { growth_factor?: number },
    { backoff_factor?: number },
    { growth_interval?: number },
    { enabled?: boolean },
  ]
>;
const SIGNATURE = parseSignature(
  "device='cuda', init_scale=65536.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000, enabled=True",
);

/** Tensors, and lists of such. */
type Nested = Tensor | readonly Nested[];

function scaleOf(given: unknown): number {
  if (typeof given === "number") return given;
  if (given instanceof Tensor && given.dtype === float32 && given.numel() === 1 && !given.requires_grad) {
    return Number(given.item_sync());
  }
  throw new TypeError(
    `update: new_scale should be a number or a float32 tensor of one element that does not require grad, got ${given instanceof Tensor ? `a tensor of ${given.dtype}, shape [${given.shape.join(", ")}]` : describe(given)}`,
  );
}

/**
 * Scales losses for training in float16, with PyTorch's defaults: by 65,536 at first; half of that after a step whose gradients were not
 * finite, which is left out; twice as much after 2,000 good steps on end. Whether gradients are finite is a value, so `step` is awaited:
 *
 *     const scaler = new torch.amp.GradScaler("cuda");
 *     optimizer.zero_grad();
 *     const loss = torch.autocast("cuda", () => criterion(model(x), y));
 *     scaler.scale(loss).backward();
 *     await scaler.step(optimizer);
 *     scaler.update();
 */
export class GradScaler {
  readonly #enabled: boolean;
  #scale: number;
  #growthFactor: number;
  #backoffFactor: number;
  #growthInterval: number;
  #growthTracker = 0;
  /** Whether `scale` has been called. */
  #used = false;
  /** The scale as a tensor, by device. */
  readonly #tensors = new Map<Device, Tensor>();
  #progress = new Map<Optimizer, Progress>();

  constructor(...given: GradScalerArgs) {
    const [, scale, growth, backoff, interval, enabled] = bindArguments("GradScaler", SIGNATURE, given) as [
      string,
      number,
      number,
      number,
      number,
      boolean,
    ];
    if (enabled && !(growth > 1)) throw new ValueError(`GradScaler: growth_factor must be greater than 1, got ${growth}`);
    if (enabled && !(backoff < 1)) throw new ValueError(`GradScaler: backoff_factor must be less than 1, got ${backoff}`);
    this.#enabled = enabled;
    this.#scale = Math.fround(scale);
    this.#growthFactor = growth;
    this.#backoffFactor = backoff;
    this.#growthInterval = interval;
  }

  /** The outputs (a loss, or lists of tensors) times the scale; as they are where the scaler is not enabled. */
  scale<T extends Nested>(outputs: T): T {
    if (!this.#enabled) return outputs;
    this.#used = true;
    const apply = (value: Nested): Nested => {
      if (value instanceof Tensor) return value.mul(this.#tensorOn(value.device));
      if (Array.isArray(value)) return value.map(apply);
      throw new ValueError(`scale: expected a Tensor or an array of Tensors, got ${describe(value)}`);
    };
    return apply(outputs) as T;
  }

  /** float32, not a number: a loss of float16 becomes float32, which has room for the product. */
  #tensorOn(device: Device): Tensor {
    let scale = this.#tensors.get(device);
    if (scale === undefined) {
      scale = keep(ops.tensor(this.#scale, { dtype: float32, device }));
      this.#tensors.set(device, scale);
    }
    return scale;
  }

  /**
   * Divides the gradients of an optimizer's parameters by the scale, in place. `step` does it where it has not been done; call it to see or
   * change the real gradients before (to clip them, say). Once for each step.
   */
  unscale_(optimizer: Optimizer): void {
    if (!this.#enabled) return;
    this.#checkUsed("unscale_");
    const progress = this.#progressOf(optimizer);
    if (progress.stage === "unscaled") {
      throw new RuntimeError("unscale_() has already been called on this optimizer since the last update().");
    }
    if (progress.stage === "stepped") throw new RuntimeError("unscale_() is being called after step().");
    const grads = optimizer.param_groups.flatMap(({ params }) => params.map((p) => p._grad).filter((g) => g !== null));
    if (grads.some((g) => g.dtype === float16)) {
      throw new ValueError(
        "Attempting to unscale FP16 gradients. Keep the parameters in float32 and use torch.autocast for the forward pass.",
      );
    }
    no_grad(() => {
      const byDevice = new Map<Device, Tensor[]>();
      for (const g of grads) {
        const finite = g.isfinite().all();
        const list = byDevice.get(g.device);
        if (list === undefined) byDevice.set(g.device, [finite]);
        else list.push(finite);
        g.mul_(Math.fround(1 / this.#scale));
      }
      progress.finite = [...byDevice.values()].map((list) => keep(ops.stack(list).all()));
    });
    progress.stage = "unscaled";
  }

  /**
   * `optimizer.step()`, after `unscale_`, unless a gradient is not finite. Resolves to what the optimizer's step returns, null where it was left
   * out. On devices whose values can be read at once (cpu, cuda) all of it has happened when this returns.
   */
  async step(optimizer: Optimizer, ...args: unknown[]): Promise<unknown> {
    const run = (): unknown => (optimizer.step as (...args: unknown[]) => unknown).apply(optimizer, args);
    if (!this.#enabled) return run();
    if (args.some((a) => typeof a === "function")) {
      throw new RuntimeError("Closure use is not currently supported if GradScaler is enabled.");
    }
    this.#checkUsed("step");
    const progress = this.#progressOf(optimizer);
    if (progress.stage === "stepped") throw new RuntimeError("step() has already been called since the last update().");
    if (progress.stage === "ready") this.unscale_(optimizer);
    if (progress.finite.length === 0) throw new RuntimeError("step: No inf checks were recorded for this optimizer.");
    progress.stage = "stepped";
    if (!this.#readNow(progress)) {
      const finite = await Promise.all(progress.finite.map((t) => t.item()));
      progress.foundInf = finite.some((x) => !x);
    }
    return progress.foundInf === true ? null : run();
  }

  /** Reads whether gradients were finite, where that needs no waiting. */
  #readNow(progress: Progress): boolean {
    if (progress.foundInf === null && progress.finite.every((t) => t.device.caps.readSync)) {
      progress.foundInf = progress.finite.some((t) => !t.item_sync());
    }
    return progress.foundInf !== null;
  }

  /** The scale of the next step: after what the steps since the last `update` have met, or `new_scale` (also as a tensor of one float32). */
  update(new_scale: number | Tensor | null = null): void {
    if (!this.#enabled) return;
    this.#checkUsed("update");
    if (new_scale !== null) this.#setScale(scaleOf(new_scale));
    else {
      const all = [...this.#progress.values()].filter(({ stage }) => stage !== "ready");
      if (all.length === 0) throw new RuntimeError("update: No inf checks were recorded prior to update.");
      if (!all.every((progress) => this.#readNow(progress))) {
        throw new RuntimeError(
          "update: it is not known yet whether the gradients were finite: `await scaler.step(optimizer)` first",
        );
      }
      if (all.some(({ foundInf }) => foundInf === true)) {
        this.#setScale(this.#scale * this.#backoffFactor);
        this.#growthTracker = 0;
      } else if (++this.#growthTracker === this.#growthInterval) {
        const larger = Math.fround(this.#scale * this.#growthFactor);
        if (Number.isFinite(larger)) this.#setScale(larger);
        this.#growthTracker = 0;
      }
    }
    this.#progress = new Map();
  }

  #setScale(scale: number): void {
    const next = Math.fround(scale);
    if (next !== this.#scale) this.#tensors.clear();
    this.#scale = next;
  }

  #progressOf(optimizer: Optimizer): Progress {
    let progress = this.#progress.get(optimizer);
    if (progress === undefined) this.#progress.set(optimizer, (progress = { stage: "ready", finite: [], foundInf: null }));
    return progress;
  }

  #checkUsed(what: string): void {
    if (!this.#used) {
      throw new RuntimeError(
        `Attempted ${what} before any scaling: call scaler.scale(loss) earlier in the iteration, and backward() on what it returns.`,
      );
    }
  }

  /** The scale now; 1 where the scaler is not enabled. */
  get_scale(): number {
    return this.#enabled ? this.#scale : 1;
  }
  get_growth_factor(): number {
    return this.#growthFactor;
  }
  set_growth_factor(new_factor: number): void {
    this.#growthFactor = new_factor;
  }
  get_backoff_factor(): number {
    return this.#backoffFactor;
  }
  set_backoff_factor(new_factor: number): void {
    this.#backoffFactor = new_factor;
  }
  get_growth_interval(): number {
    return this.#growthInterval;
  }
  set_growth_interval(new_interval: number): void {
    this.#growthInterval = new_interval;
  }
  is_enabled(): boolean {
    return this.#enabled;
  }

  /** PyTorch's entries; empty where the scaler is not enabled. To be called after `update`. */
  state_dict(): GradScalerState | Record<string, never> {
    if (!this.#enabled) return {};
    return {
      scale: this.#scale,
      growth_factor: this.#growthFactor,
      backoff_factor: this.#backoffFactor,
      growth_interval: this.#growthInterval,
      _growth_tracker: this.#growthTracker,
    };
  }
  load_state_dict(state_dict: GradScalerState | Record<string, never>): void {
    if (!this.#enabled) return;
    if (Object.keys(state_dict).length === 0) {
      throw new RuntimeError(
        "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.",
      );
    }
    const state = state_dict as GradScalerState;
    this.#setScale(state.scale);
    this.#growthFactor = state.growth_factor;
    this.#backoffFactor = state.backoff_factor;
    this.#growthInterval = state.growth_interval;
    this.#growthTracker = state._growth_tracker;
  }
}
