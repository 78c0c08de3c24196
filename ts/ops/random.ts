/** New tensors of random numbers. */

import type { Device } from "../core/device.ts";
import { float32, float64, get_default_dtype, int64, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { readable } from "../engine/blocking.ts";
import { type Args, describe } from "../engine/signature.ts";
import { checkSize, finish, place, type TensorOptions } from "./creation.ts";
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
import { somewhere } from "./domain.ts";
import type { Generator } from "./generator.ts";
import { searchsorted } from "./sorting.ts";

type Place = Device | string | null;

export interface RandomOptions extends TensorOptions {
  generator?: Generator | null;
}
type SizeArgs = [size: Shape, options?: RandomOptions] | number[] | [...number[], RandomOptions];
type RandOp = Op<SizeArgs, Tensor>;
const SIZE = "*size, generator=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False";

export const rand: RandOp = composite(
  "rand",
  SIZE,
  {
    doc: "Uniform in [0, 1).",
  },
  (size: Shape, generator: Stream, dtype: DType | null, device: Place, rg: boolean) => {
    const type = dtype ?? get_default_dtype();
    checkFloating("rand", type);
    return finish(draw("uniform", checkSize("rand", size), type, place(device), 0, 1, generator), rg);
  },
);

export const randn: RandOp = composite(
  "randn",
  SIZE,
  {
    doc: "From the standard normal distribution.",
  },
  (size: Shape, generator: Stream, dtype: DType | null, device: Place, rg: boolean) => {
    const type = dtype ?? get_default_dtype();
    checkFloating("randn", type);
    return finish(draw("normal", checkSize("randn", size), type, place(device), 0, 1, generator), rg);
  },
);

type LikeOp = Op<[input: Tensor, options?: RandomOptions], Tensor>;
const LIKE = "input, *, dtype=None, device=None, requires_grad=False, generator=None, memory_format=None, layout=None";

function likeOp(name: string, distribution: Distribution, doc: string): LikeOp {
  return composite(
    name,
    LIKE,
    { doc, method: false },
    (input: Tensor, dtype: DType | null, device: Place, rg: boolean, generator: Stream) => {
      const type = dtype ?? input.dtype;
      checkFloating(name, type);
      return finish(draw(distribution, input.shape, type, device === null ? input.device : place(device), 0, 1, generator), rg);
    },
  );
}
export const rand_like: LikeOp = likeOp("rand_like", "uniform", "Uniform in [0, 1), in input's shape.");
export const randn_like: LikeOp = likeOp("randn_like", "normal", "From the standard normal distribution, in input's shape.");

/** The first of two bounds may be left out; a bound that stands alone is the upper one. */
function bounds(op: string, low: number | null, high: number | null, dtype: DType): [from: number, to: number] {
  const [from, to] = low === null || high === null ? [0, high ?? low] : [low, high];
  if (to === null) throw new TypeError(`${op}: missing required argument 'high'`);
  checkRange(op, from, to, dtype);
  return [from, to];
}

type RandintOp = Op<
  | [options: RandomOptions & { low?: number; high: number; size: Shape }]
  | [high: number, size: Shape, options?: RandomOptions]
  | [high: number, options: RandomOptions & { size: Shape }]
  | [low: number, high: number, options: RandomOptions & { size: Shape }]
  | [low: number, high: number, size: Shape, options?: RandomOptions],
  Tensor
>;

export const randint: RandintOp = composite(
  "randint",
  "low=None, high=None, size=None, *, generator=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False",
  { doc: "Whole numbers from low (0) up to but not including high.", kinds: { high: "long or list" } },
  (
    low: number | null,
    high: number | Shape | null,
    size: Shape | null,
    generator: Stream,
    dtype: DType | null,
    device: Place,
    rg: boolean,
  ) => {
    const [bound, shape] = Array.isArray(high) ? [null, high as Shape] : [high as number | null, size];
    const [from, to] = bounds("randint", low, bound, dtype ?? int64);
    if (shape === null) throw new TypeError("randint: missing required argument 'size'");
    return finish(draw("random_int", checkSize("randint", shape), dtype ?? int64, place(device), from, to, generator), rg);
  },
);

type RandintLikeOp = Op<
  | [input: Tensor, options: RandomOptions & { low?: number; high: number }]
  | [input: Tensor, high: number, options?: RandomOptions]
  | [input: Tensor, low: number, high: number, options?: RandomOptions],
  Tensor
>;

export const randint_like: RandintLikeOp = composite(
  "randint_like",
  "input, low=None, high=None, *, dtype=None, device=None, requires_grad=False, generator=None, memory_format=None, layout=None",
  { doc: "randint in input's shape and dtype.", method: false },
  (
    input: Tensor,
    low: number | null,
    high: number | null,
    dtype: DType | null,
    device: Place,
    rg: boolean,
    generator: Stream,
  ) => {
    const [from, to] = bounds("randint_like", low, high, dtype ?? input.dtype);
    const on = device === null ? input.device : place(device);
    return finish(draw("random_int", input.shape, dtype ?? input.dtype, on, from, to, generator), rg);
  },
);

type RandpermOp = Op<[...Args<[{ n: number }], RandomOptions>], Tensor>;

export const randperm: RandpermOp = composite(
  "randperm",
  "n, *, generator=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False",
  { doc: "The numbers 0 to n - 1 in random order." },
  (n: number, generator: Stream, dtype: DType | null, device: Place, rg: boolean) => {
    if (!Number.isInteger(n)) throw new TypeError(`randperm: n must be a whole number, got ${describe(n)}`);
    if (n < 0) throw new RuntimeError(`randperm: n must be non-negative, got ${n}`);
    return finish(draw("randperm", [n], dtype ?? int64, place(device), 0, 0, generator), rg);
  },
);

type NormalOp = Op<
  | [...Args<[{ mean: Parameter }, { std?: Parameter }], { generator?: Generator | null }>]
  | [...Args<[{ mean: number }, { std: number }, { size: Shape }], RandomOptions>],
  Tensor
>;

export const normal: NormalOp = defineOp(
  "normal",
  "mean=0, std=1, size=None, *, generator=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False",
  {
    doc: "From normal distributions; mean and std may be tensors.",
    forward(
      _ctx,
      mean: Parameter,
      std: Parameter,
      size: Shape | null,
      generator: Stream,
      dtype: DType | null,
      device: Place,
      rg: boolean,
    ) {
      if (!(std instanceof Tensor)) checkStd("normal", Number(std));
      else if (somewhere(std, (x) => x.ge(0).logical_not()))
        throw new RuntimeError("normal: expects all elements of std >= 0.0, but some are less");
      const like = mean instanceof Tensor ? mean : std instanceof Tensor ? std : null;
      if (like === null) {
        const type = dtype ?? get_default_dtype();
        return finish(
          draw("normal", checkSize("normal", size ?? []), type, place(device), Number(mean), Number(std), generator),
          rg,
        );
      }
      if (!(std instanceof Tensor)) {
        const noise = draw("normal", like.shape, like.dtype, like.device, 0, Number(std), generator);
        return noise.add(mean as Tensor);
      }
      const shape = mean instanceof Tensor ? broadcastOf(mean, std) : std.shape;
      const noise = draw("normal", shape, like.dtype, like.device, 0, 1, generator);
      return noise.mul(std).add(mean instanceof Tensor ? mean : Number(mean));
    },
  },
);

function broadcastOf(a: Tensor, b: Tensor): Shape {
  return a.shape.length === 0 && b.shape.length === 0 ? [] : a.add(b).shape;
}

type BernoulliOp = Op<[input: Tensor, ...Args<[{ p?: number | null }], { generator?: Generator | null }>], Tensor, "method">;

export const bernoulli: BernoulliOp = defineOp("bernoulli", "input, p=None, *, generator=None", {
  doc: "1 with probability input (or p, in input's shape), else 0.",
  forward(_ctx, input: Tensor, p: number | null, generator: Stream) {
    if (p !== null) {
      checkProbability("bernoulli", Number(p));
      return draw("bernoulli", input.shape, input.dtype, input.device, Number(p), 0, generator);
    }
    checkFloating("bernoulli", input.dtype);
    checkProbabilities("bernoulli", input);
    return draw("bernoulli", input.shape, input.dtype, input.device, 0, 0, generator, [input]);
  },
  backward: (_ctx, g: Tensor) => [g.mul(0)],
});

type FromInputs = Op<[input: Tensor, ...Args<[], { generator?: Generator | null }>], Tensor>;

export const poisson: FromInputs = defineOp("poisson", "input, generator=None", {
  doc: "From Poisson distributions of these rates.",
  method: false,
  forward(_ctx, input: Tensor, generator: Stream) {
    checkFloating("poisson", input.dtype);
    if (somewhere(input, (x) => x.ge(0).logical_not()))
      throw new RuntimeError("poisson: expects rates of at least 0, but the input has others");
    return draw("poisson", input.shape, input.dtype, input.device, 0, 0, generator, [input]);
  },
  backward: (_ctx, g: Tensor) => [g.mul(0)],
});

type BinomialOp = Op<[count: Tensor, ...Args<[{ prob: Tensor }, { generator?: Generator | null }]>], Tensor>;

export const binomial: BinomialOp = defineOp("binomial", "count, prob, generator=None", {
  doc: "From binomial distributions of these counts and probabilities.",
  forward(_ctx, count: Tensor, prob: Tensor, generator: Stream) {
    const shape = broadcastOf(count, prob);
    const inputs = [count.expand(shape), prob.expand(shape)];
    return draw("binomial", shape, count.dtype, count.device, 0, 0, generator, inputs);
  },
});

/** Gamma-distributed numbers of these shapes and scale 1; its gradient is left to torch.distributions. */
export const _standard_gamma: FromInputs = defineOp("_standard_gamma", "input, generator=None", {
  doc: "From gamma distributions of these concentrations and rate 1.",
  method: false,
  forward(_ctx, input: Tensor, generator: Stream) {
    return draw("standard_gamma", input.shape, input.dtype, input.device, 0, 0, generator, [input]);
  },
});

type MultinomialOp = Op<
  [input: Tensor, ...Args<[{ num_samples: number }, { replacement?: boolean }], { generator?: Generator | null }>],
  Tensor,
  "method"
>;

export const multinomial: MultinomialOp = defineOp("multinomial", "input, num_samples, replacement=False, *, generator=None", {
  doc: "num_samples positions per row, with probabilities proportional to the row's values.",
  forward(_ctx, input: Tensor, num_samples: number, replacement: boolean, generator: Stream) {
    const n = input.shape.at(-1) ?? 0;
    if (input.ndim < 1 || input.ndim > 2) {
      throw new RuntimeError(`multinomial: prob_dist must be 1 or 2 dim, got shape ${formatShape(input.shape)}`);
    }
    if (!input.dtype.is_floating_point) {
      throw new RuntimeError(`multinomial: only supports floating-point dtypes for input, got: ${input.dtype}`);
    }
    if (!(num_samples > 0)) throw new RuntimeError(`multinomial: cannot sample n_sample <= 0 samples, got ${num_samples}`);
    if (!replacement && num_samples > n) {
      throw new RuntimeError(
        `multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement (${num_samples} of ${n})`,
      );
    }
    if (readable(input.device)) checkWeights(input, replacement && num_samples > 1);
    if (!replacement || num_samples === 1) {
      // The greatest of p / Exp(1) is distributed as p; the greatest few are a draw without replacement.
      const noise = draw("exponential", input.shape, input.dtype, input.device, 1, 0, generator);
      const scores = input.div(noise);
      return num_samples === 1 ? scores.argmax(-1, true) : scores.topk(num_samples).indices;
    }
    const cumulative = input.cumsum(-1);
    const total = cumulative.slice(-1, n - 1);
    const shape = [...input.shape.slice(0, -1), num_samples];
    const fine = input.device.caps.float64 ? float64 : float32;
    const uniform = draw("uniform", shape, fine, input.device, 0, 1, generator);
    const at = searchsorted(cumulative.div(total).to(fine), uniform);
    return at.clamp({ max: n - 1 });
  },
});

function checkWeights(input: Tensor, replacement: boolean): void {
  const values = input.data_sync() as ArrayLike<number>;
  const n = input.shape.at(-1)!;
  const what = replacement
    ? "invalid multinomial distribution (encountering probability entry < 0, infinity or NaN)"
    : "probability tensor contains either `inf`, `nan` or element < 0";
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const p = values[i]!;
    if (!(p >= 0 && p < Infinity)) throw new RuntimeError(`multinomial: ${what}: got ${p}`);
    sum = i % n === 0 ? p : sum + p;
    if (i % n === n - 1 && sum <= 0)
      throw new RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)");
  }
}
