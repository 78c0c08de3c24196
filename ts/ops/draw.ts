/** How ops draw random numbers, and what they demand of distributions' parameters. */

import { activeLevels, randomnessOfExamples, withLevels } from "../core/batch_mode.ts";
import type { Device } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { strideOf } from "../engine/hidden.ts";
import { conceal, reveal } from "../engine/reveal.ts";
import { empty, run } from "../engine/run.ts";
import type { RandomSpec } from "../kernel/spec.ts";
import { beyondUnit, limitsOf, somewhere } from "./domain.ts";
import { default_generator, type Generator } from "./generator.ts";

export type Distribution = RandomSpec["distribution"];
/** A parameter of a distribution. */
export type Parameter = number | Tensor;
/** Null: the default generator of the device. */
export type Stream = Generator | null;

/** A new tensor of draws. Within vmap, as its `randomness` says. */
export function draw(
  distribution: Distribution,
  shape: Shape,
  dtype: DType,
  device: Device,
  a: number | bigint,
  b: number | bigint,
  generator: Stream,
  inputs: readonly Tensor[] = [],
): Tensor {
  const levels = activeLevels();
  const level = levels.at(-1);
  const examples = randomnessOfExamples();
  if (examples === "error") throw new RuntimeError(NOT_RANDOM);
  if (examples === "same") throw new RuntimeError(NOT_SAME);
  if (level !== undefined) {
    const outside = <T>(fn: () => T): T => withLevels(levels.slice(0, -1), fn);
    const mapped = inputs.some((t) => strideOf(t, level) !== null);
    if (level.randomness === "error") throw new RuntimeError(NOT_RANDOM);
    if (level.randomness === "same") {
      if (mapped) throw new RuntimeError(NOT_SAME);
      return outside(() => draw(distribution, shape, dtype, device, a, b, generator, inputs));
    }
    const whole = inputs.map((t) => reveal(t, level));
    return conceal(
      outside(() => draw(distribution, [level.size, ...shape], dtype, device, a, b, generator, whole)),
      level,
    );
  }
  if (generator !== null && typeOf(generator.device) !== device.type) {
    throw new RuntimeError(`Expected a '${device.type}' device type for generator but found '${typeOf(generator.device)}'`);
  }
  const out = empty(shape, dtype, device);
  if (out.numel() === 0) return out;
  const state = (generator ?? default_generator(device))._state;
  run({ kind: "random", distribution, dtype }, inputs, [out], { a, b, generator: state });
  return out;
}

const typeOf = (device: Device | string): string => (typeof device === "string" ? device.split(":")[0]! : device.type);

const NOT_SAME = "vmap: Vmap does not currently support same randomness with a batched tensor input";
const NOT_RANDOM =
  "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform the randomness operation out of vmap";

export function checkFloating(op: string, dtype: DType): void {
  if (!dtype.is_floating_point) throw new RuntimeError(`${op}: not implemented for '${dtype}'; expected a floating-point dtype`);
}

/** Whole numbers in [from, to) as `dtype`. */
export function checkRange(op: string, from: number | bigint, to: number | bigint, dtype: DType): void {
  if (from >= to) throw new RuntimeError(`${op}: expects 'from' to be less than 'to', but got from=${from} >= to=${to}`);
  const [least, greatest] = limitsOf(dtype);
  if (from < least || from > greatest) throw new RuntimeError(`${op}: from is out of bounds for ${dtype}, got ${from}`);
  if (BigInt(to) - 1n > greatest) throw new RuntimeError(`${op}: to - 1 is out of bounds for ${dtype}, got to=${to}`);
}

export function checkStd(op: string, std: number): void {
  if (!(std >= 0)) throw new RuntimeError(`${op}: expects std >= 0.0, but found std ${std}`);
}

/** On the cpu. */
export function checkProbabilities(op: string, p: Tensor): void {
  if (!somewhere(p, beyondUnit)) return;
  throw new RuntimeError(`${op}: expects probabilities between 0 and 1, but the input has others`);
}

export function checkProbability(op: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new RuntimeError(`${op}: expects p to be in [0, 1], but got p=${p}`);
}
