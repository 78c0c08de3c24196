/** `torch.utils.checkpoint`: less memory for more work. */

import { RuntimeError } from "../core/errors.ts";
import { autocastState, enterAutocast } from "../core/autocast_mode.ts";
import { enable_grad, is_grad_enabled } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { default_generator } from "../ops/generator.ts";
import { get_default_device } from "../ops/devices.ts";
import type { Device } from "../core/device.ts";
import { isOptions } from "../engine/signature.ts";
import { saved_tensors_hooks } from "./saved_hooks.ts";

export interface CheckpointOptions {
  /** Only false exists here: the way that PyTorch recommends. */
  use_reentrant?: false | null;
  /** Whether the second run draws the same random numbers as the first. */
  preserve_rng_state?: boolean;
}

const OPTIONS = ["use_reentrant", "preserve_rng_state"];

function isCheckpointOptions(x: unknown): x is CheckpointOptions {
  return isOptions(x) && Object.keys(x).length > 0 && Object.keys(x).every((key) => OPTIONS.includes(key));
}

/**
 * `fn(...args)`, of which nothing is kept for backward but the arguments: backward runs `fn` once more and takes from that run
 * what it needs. `fn` must do the same both times, and must not be asynchronous.
 */
export function checkpoint<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  ...given: [...args: A] | [...args: A, options: CheckpointOptions]
): R {
  const last = given.at(-1);
  const options = isCheckpointOptions(last) ? last : {};
  const args = (options === last ? given.slice(0, -1) : given) as unknown as A;
  const { preserve_rng_state = true } = options;
  if (!is_grad_enabled()) return fn(...args);
  const random = preserve_rng_state ? snapshotRandom(args) : null;
  const state = autocastState();
  const versions = args.map((a) => (a instanceof Tensor ? a._version : 0));
  let saved = 0;
  let stored = new Map<number, Tensor>();

  const recompute = (): void => {
    args.forEach((a, i) => {
      if (a instanceof Tensor && a._version !== versions[i]) {
        throw new RuntimeError(
          `checkpoint: argument ${i} has been modified by an inplace operation since forward; it is at version ${a._version}, expected version ${versions[i]}`,
        );
      }
    });
    const again = new Map<number, Tensor>();
    let n = 0;
    const run = (): unknown =>
      saved_tensors_hooks(
        (t) => {
          // A handle of its own outside the graph, so that the second run's graph can go at once.
          again.set(n++, t.detach());
          return null;
        },
        () => {
          throw new RuntimeError("checkpoint: the second run of a checkpointed function must not call backward");
        },
        () => enable_grad(() => fn(...args)),
      );
    const leave = enterAutocast(state);
    try {
      if (random === null) run();
      else random.replay(run);
    } finally {
      leave();
    }
    if (n !== saved) {
      throw new RuntimeError(
        `checkpoint: a different number of tensors was saved during the original forward (${saved}) and recomputation (${n}); the function must do the same both times`,
      );
    }
    stored = again;
  };

  return saved_tensors_hooks(
    () => saved++,
    (index: number) => {
      if (!stored.has(index)) recompute();
      const t = stored.get(index)!;
      stored.delete(index);
      return t;
    },
    () => fn(...args),
  );
}

/** The state of the random streams now, and a way to run with it again. */
function snapshotRandom(args: readonly unknown[]): { replay(run: () => void): void } {
  const devices = new Set<Device>([get_default_device()]);
  for (const a of args) if (a instanceof Tensor) devices.add(a.device);
  const states = [...devices].map((d) => {
    const state = default_generator(d)._state;
    return { state, before: structuredClone(state) };
  });
  return {
    replay(run) {
      const now = states.map(({ state }) => structuredClone(state));
      for (const { state, before } of states) Object.assign(state, structuredClone(before));
      try {
        run();
      } finally {
        states.forEach(({ state }, i) => Object.assign(state, now[i]));
      }
    },
  };
}

/** Runs the functions of a sequence in `segments` parts, each under `checkpoint` but the last. */
export function checkpoint_sequential(
  functions: Iterable<(x: Tensor) => Tensor>,
  segments: number,
  input: Tensor,
  options: CheckpointOptions = {},
): Tensor {
  const list = [...functions];
  const size = Math.floor(list.length / segments);
  const part =
    (from: number, to: number) =>
    (x: Tensor): Tensor =>
      list.slice(from, to).reduce((value, f) => f(value), x);
  let x = input;
  let at = 0;
  for (let i = 0; i < segments - 1; i++, at += size)
    x = checkpoint(part(at, at + size), x, { preserve_rng_state: true, ...options });
  return part(at, list.length)(x);
}
