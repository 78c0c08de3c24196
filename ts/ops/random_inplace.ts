/** Random numbers written over a tensor's values. */

import { activeLevels } from "../core/batch_mode.ts";
import { bool, type DType, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { finfo } from "../core/numeric_limits.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { checkWritable, updateInPlace } from "../engine/inplace.ts";
import type { Args } from "../engine/signature.ts";
import {
  checkFloating,
  checkProbabilities,
  checkProbability,
  checkRange,
  checkStd,
  type Distribution,
  draw,
  type Parameter,
  type Stream,
} from "./draw.ts";
import { limitsOf } from "./domain.ts";
import type { Generator } from "./generator.ts";

type InPlaceOp<P extends readonly object[]> = Op<[self: Tensor, ...Args<P, { generator?: Generator | null }>], Tensor, "method">;

/** Overwrites self with draws. */
function redraw(
  name: string,
  self: Tensor,
  distribution: Distribution,
  a: number | bigint,
  b: number | bigint,
  g: Stream,
): Tensor {
  const fresh = (): Tensor => draw(distribution, self.shape, self.dtype, self.device, a, b, g);
  if (!self._isWhole() || activeLevels().length > 0 || (is_grad_enabled() && self.requires_grad))
    return updateInPlace(name, self, fresh);
  checkWritable(name, self);
  // All of the memory is new: the storage takes it over, and whoever still wants the old values keeps the old memory.
  const storage = self._storage;
  storage.materialize();
  storage.version++;
  storage.takeOver(fresh()._storage);
  return self;
}

export const uniform_: InPlaceOp<[{ from?: number }, { to?: number }]> = composite(
  "uniform_",
  "self, from=0, to=1, *, generator=None",
  {
    doc: "Uniform in [from, to).",
  },
  (self: Tensor, from: Scalar, to: Scalar, generator: Stream) => {
    checkFloating("uniform_", self.dtype);
    const [a, b] = [Number(from), Number(to)];
    const most = Number(limitsOf(self.dtype)[1]);
    for (const [name, x] of [["from", a] as const, ["to", b] as const]) {
      if (!(Math.abs(x) <= most)) throw new RuntimeError(`uniform_: ${name} is out of bounds for ${self.dtype}, got ${x}`);
    }
    if (b - a > most)
      throw new RuntimeError(`uniform_: expects to - from <= ${most}, the greatest ${self.dtype}, but got from=${a}, to=${b}`);
    if (!(a <= b)) throw new RuntimeError(`uniform_: expects to return a [from, to) range, but found from=${a} > to=${b}`);
    return redraw("uniform_", self, "uniform", a, b, generator);
  },
);

export const normal_: InPlaceOp<[{ mean?: number }, { std?: number }]> = composite(
  "normal_",
  "self, mean=0, std=1, *, generator=None",
  {
    doc: "From a normal distribution.",
  },
  (self: Tensor, mean: Scalar, std: Scalar, generator: Stream) => {
    checkFloating("normal_", self.dtype);
    checkStd("normal_", Number(std));
    return redraw("normal_", self, "normal", Number(mean), Number(std), generator);
  },
);

/** One more than the greatest whole number that random_() draws. */
function limitOf(dtype: DType): bigint {
  return BigInt(dtype.is_floating_point ? 2 / finfo(dtype).eps : limitsOf(dtype)[1]) + 1n;
}

export const random_: InPlaceOp<[{ from?: number | bigint }, { to?: number | bigint | null }]> = composite(
  "random_",
  "self, from=None, to=None, *, generator=None",
  {
    doc: "Whole numbers in [from, to); random_(to) starts at 0; without bounds, all that the dtype holds exactly.",
    complex: false,
  },
  (self: Tensor, from: number | bigint | null, to: number | bigint | null, generator: Stream) => {
    const [a, b] = to === null ? (from === null ? [0, limitOf(self.dtype)] : [0, from]) : [from ?? 0, to];
    checkRange("random_", a, b, self.dtype);
    return redraw("random_", self, "random_int", a, b, generator);
  },
);

export const bernoulli_: InPlaceOp<[{ p?: Parameter }]> = composite(
  "bernoulli_",
  "self, p=0.5, *, generator=None",
  {
    tensors: ["p"],
    doc: "1 with probability p, else 0.",
    complex: false,
  },
  (self: Tensor, p: Parameter, generator: Stream) => {
    if (!(p instanceof Tensor)) {
      checkProbability("bernoulli_", Number(p));
      return redraw("bernoulli_", self, "bernoulli", Number(p), 0, generator);
    }
    checkProbabilities("bernoulli_", p);
    const wide = p.expand(self.shape);
    return updateInPlace("bernoulli_", self, () =>
      draw("bernoulli", self.shape, self.dtype, self.device, 0, 0, generator, [wide]),
    );
  },
);

export const exponential_: InPlaceOp<[{ lambd?: number }]> = composite(
  "exponential_",
  "self, lambd=1, *, generator=None",
  {
    doc: "From an exponential distribution of rate lambd.",
  },
  (self: Tensor, lambd: Scalar, generator: Stream) => {
    checkFloating("exponential_", self.dtype);
    if (!(Number(lambd) > 0)) throw new RuntimeError(`exponential_: expects lambda > 0.0, but found lambda=${Number(lambd)}`);
    return redraw("exponential_", self, "exponential", Number(lambd), 0, generator);
  },
);

export const geometric_: InPlaceOp<[{ p: number }]> = composite(
  "geometric_",
  "self, p, *, generator=None",
  {
    doc: "Number of trials up to the first success, each of probability p.",
    complex: false,
  },
  (self: Tensor, p: Scalar, generator: Stream) => {
    if (self.dtype === bool) throw new RuntimeError(`geometric_: not implemented for '${self.dtype}'`);
    if (!(Number(p) > 0 && Number(p) < 1))
      throw new RuntimeError(`geometric_: expects p to be in (0, 1), but got p=${Number(p)}`);
    return redraw("geometric_", self, "geometric", Number(p), 0, generator);
  },
);

export const cauchy_: InPlaceOp<[{ median?: number }, { sigma?: number }]> = composite(
  "cauchy_",
  "self, median=0, sigma=1, *, generator=None",
  { doc: "From a Cauchy distribution." },
  (self: Tensor, median: Scalar, sigma: Scalar, generator: Stream) => {
    checkFloating("cauchy_", self.dtype);
    if (!(Number(sigma) > 0)) throw new RuntimeError(`cauchy_: expects sigma > 0.0, but found sigma=${Number(sigma)}`);
    return redraw("cauchy_", self, "cauchy", Number(median), Number(sigma), generator);
  },
);

export const log_normal_: InPlaceOp<[{ mean?: number }, { std?: number }]> = composite(
  "log_normal_",
  "self, mean=1, std=2, *, generator=None",
  { doc: "Exponentials of draws from a normal distribution." },
  (self: Tensor, mean: Scalar, std: Scalar, generator: Stream) => {
    checkFloating("log_normal_", self.dtype);
    if (!(Number(std) > 0)) throw new RuntimeError(`log_normal_: expects std > 0.0, but found std=${Number(std)}`);
    return redraw("log_normal_", self, "log_normal", Number(mean), Number(std), generator);
  },
);
