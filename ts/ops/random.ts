/** Random numbers: generators, and tensors drawn from them. On cpu the streams are PyTorch's, bit for bit. */

import { activeLevels, randomnessOfExamples, withLevels } from "../core/batch_mode.ts";
import type { Device } from "../core/device.ts";
import { bool, float32, float64, get_default_dtype, int64, uint8, type DType, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { formatShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { onReplay, readable } from "../engine/blocking.ts";
import { strideOf } from "../engine/hidden.ts";
import { checkWritable, updateInPlace } from "../engine/inplace.ts";
import { conceal, reveal } from "../engine/reveal.ts";
import { empty, run } from "../engine/run.ts";
import { type Args, describe } from "../engine/signature.ts";
import { copyState, loadPhilox, loadState, makeGenerator, reseed, savePhilox, saveState } from "../kernel/generator.ts";
import type { GeneratorState, RandomSpec } from "../kernel/spec.ts";
import { checkSize, finish, fromBytes, place, type TensorOptions } from "./creation.ts";
import { get_default_device } from "./devices.ts";
import { searchsorted } from "./sorting.ts";

type Place = Device | string | null;
type Distribution = RandomSpec["distribution"];

/** PyTorch's seed of generators that nobody has seeded. */
const DEFAULT_SEED = 67280421310721n;

/** mt19937 is PyTorch's on the cpu; GPU devices have Philox, and the cpu where it is asked for. */
export type RandomAlgorithm = "mt19937" | "philox";

/**
 * A stream of random numbers of one's own. `algorithm: "philox"` on the cpu: the numbers that GPU devices draw from the same seed (whole and
 * uniform ones bit for bit, others to rounding).
 */
export class Generator {
  /** @internal */
  readonly _state: GeneratorState;

  constructor(
    readonly device: Device | string = "cpu",
    { algorithm = null }: { algorithm?: RandomAlgorithm | null } = {},
  ) {
    const onCpu = (typeof device === "string" ? device.split(":")[0] : device.type) === "cpu";
    if (algorithm !== null && algorithm !== "philox" && (algorithm !== "mt19937" || !onCpu)) {
      const known = onCpu ? "'mt19937' or 'philox'" : "'philox'";
      throw new RuntimeError(`Generator: algorithm must be ${known} on ${String(device)}, got '${String(algorithm)}'`);
    }
    this._state = makeGenerator(DEFAULT_SEED, algorithm === "philox" || !onCpu);
  }
  get algorithm(): RandomAlgorithm {
    return this._state.philox ? "philox" : "mt19937";
  }

  /** Starts the stream anew. */
  manual_seed(seed: number | bigint): this {
    reseed(this._state, toSeed(seed));
    return this;
  }
  /** Seeds from entropy and returns the seed. */
  seed(): bigint {
    const words = crypto.getRandomValues(new Uint32Array(2));
    const seed = (BigInt(words[0]! & 0x1fffff) << 32n) | BigInt(words[1]!);
    reseed(this._state, seed);
    return seed;
  }
  initial_seed(): bigint {
    return this._state.seed;
  }
  get_state(): Tensor {
    const bytes = this._state.philox ? savePhilox(this._state) : saveState(this._state);
    return fromBytes(bytes, [bytes.length], uint8, place("cpu"));
  }
  set_state(state: Tensor): this {
    if (state.dtype !== uint8) throw new RuntimeError(`set_state: expected a torch.uint8 tensor, got ${state.dtype}`);
    const load = this._state.philox ? loadPhilox : loadState;
    load(this._state, state.data_sync() as Uint8Array);
    return this;
  }
}

function toSeed(seed: number | bigint): bigint {
  if (typeof seed === "number" && !Number.isInteger(seed))
    throw new RuntimeError(`manual_seed: expected a whole number, got ${seed}`);
  const s = BigInt(seed);
  if (s < -(2n ** 63n) || s >= 2n ** 64n) throw new RuntimeError(`manual_seed: Overflow when unpacking long: ${s}`);
  return s;
}

let lastSeed = DEFAULT_SEED;
const defaults = new Map<Device, Generator>();

/** The generator that a device uses unless it is given one. */
export function default_generator(of: Device | string = get_default_device()): Generator {
  const device = place(of);
  let generator = defaults.get(device);
  if (generator === undefined) defaults.set(device, (generator = new Generator(device).manual_seed(lastSeed)));
  return generator;
}

onReplay(() => {
  const saved = [...defaults.values()].map(({ _state: state }) => ({ state, before: copyState(state) }));
  return () => {
    for (const { state, before } of saved) Object.assign(state, before);
  };
});

/**
 * @internal Runs `fn` and then puts the default streams (of the cpu, and of `devices`, which are all if null) back to where they were.
 * `fn` may be async.
 */
export function forkStreams<T>(fn: () => T, devices: readonly (Device | string)[] | null): T {
  const chosen = devices === null ? null : new Set([place("cpu"), ...devices.map(place)]);
  default_generator(place("cpu"));
  const saved = [...defaults]
    .filter(([device]) => chosen === null || chosen.has(device))
    .map(([, { _state: state }]) => ({ state, before: copyState(state) }));
  const known = new Set(defaults.keys());
  const back = (): void => {
    saved.forEach(({ state, before }) => Object.assign(state, before));
    if (chosen !== null) return;
    for (const [device, generator] of defaults) if (!known.has(device)) generator.manual_seed(generator.initial_seed());
  };
  let result: T;
  try {
    result = fn();
  } catch (error) {
    back();
    throw error;
  }
  if (result instanceof Promise) return result.finally(back) as T;
  back();
  return result;
}

/** @internal Which algorithm the cpu's default stream has from now on; it starts anew from its seed. */
export function setCpuAlgorithm(algorithm: RandomAlgorithm): void {
  const generator = default_generator(place("cpu"));
  const fresh = new Generator("cpu", { algorithm }).manual_seed(generator.initial_seed());
  Object.assign(generator._state, fresh._state);
}

/** Starts the streams of all devices anew. */
export function manual_seed(seed: number | bigint): Generator {
  lastSeed = toSeed(seed);
  for (const generator of defaults.values()) generator.manual_seed(lastSeed);
  return default_generator();
}
/** Seeds from entropy and returns the seed. */
export function seed(): bigint {
  const value = default_generator().seed();
  manual_seed(value);
  return value;
}
export function initial_seed(): bigint {
  return default_generator().initial_seed();
}
/** The cpu generator's state as bytes, in PyTorch's format. */
export function get_rng_state(): Tensor {
  return default_generator(place("cpu")).get_state();
}
export function set_rng_state(state: Tensor): void {
  default_generator(place("cpu")).set_state(state);
}

type Stream = Generator | null;

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
  const out = empty(shape, dtype, device);
  if (out.numel() === 0) return out;
  const state = (generator ?? default_generator(device))._state;
  run({ kind: "random", distribution, dtype }, inputs, [out], { a, b, generator: state });
  return out;
}

const NOT_SAME = "vmap: Vmap does not currently support same randomness with a batched tensor input";
const NOT_RANDOM =
  "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform the randomness operation out of vmap";

function checkFloating(op: string, dtype: DType): void {
  if (!dtype.is_floating_point) throw new RuntimeError(`${op}: not implemented for '${dtype}'; expected a floating-point dtype`);
}

// New tensors

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

function checkRange(op: string, from: number | bigint, to: number | bigint): void {
  if (from >= to) throw new RuntimeError(`${op}: expects 'from' to be less than 'to', but got from=${from} >= to=${to}`);
}

type RandintOp = Op<
  [high: number, size: Shape, options?: RandomOptions] | [low: number, high: number, size: Shape, options?: RandomOptions],
  Tensor
>;

export const randint: RandintOp = composite(
  "randint",
  "low, high=None, size=None, *, generator=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False",
  { doc: "Whole numbers from low (0) up to but not including high.", kinds: { high: "long or list" } },
  (
    low: number,
    high: number | Shape | null,
    size: Shape | null,
    generator: Stream,
    dtype: DType | null,
    device: Place,
    rg: boolean,
  ) => {
    const [from, to, shape] =
      high === null || typeof high === "object" ? [0, low, (high as Shape | null) ?? size] : [low, high, size];
    if (shape === null) throw new TypeError("randint: missing required argument 'size'");
    checkRange("randint", from, to);
    return finish(draw("random_int", checkSize("randint", shape), dtype ?? int64, place(device), from, to, generator), rg);
  },
);

type RandintLikeOp = Op<
  [input: Tensor, high: number, options?: RandomOptions] | [input: Tensor, low: number, high: number, options?: RandomOptions],
  Tensor
>;

export const randint_like: RandintLikeOp = composite(
  "randint_like",
  "input, low, high=None, *, dtype=None, device=None, requires_grad=False, generator=None, memory_format=None, layout=None",
  { doc: "randint in input's shape and dtype.", method: false },
  (input: Tensor, low: number, high: number | null, dtype: DType | null, device: Place, rg: boolean, generator: Stream) => {
    const [from, to] = high === null ? [0, low] : [low, high];
    checkRange("randint_like", from, to);
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

type Parameter = number | Tensor;
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

function checkStd(op: string, std: number): void {
  if (!(std >= 0)) throw new RuntimeError(`${op}: expects std >= 0.0, but found std ${std}`);
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
    checkDomain("bernoulli", input, "probabilities between 0 and 1", input.ge(0).logical_and(input.le(1)));
    return draw("bernoulli", input.shape, input.dtype, input.device, 0, 0, generator, [input]);
  },
  backward: (_ctx, g: Tensor) => [g.mul(0)],
});

/** On the cpu, where looking costs no waiting: whether `holds` is true everywhere. */
function checkDomain(op: string, input: Tensor, what: string, holds: Tensor): void {
  if (input.device.type !== "cpu" || input.numel() === 0 || holds.all().item_sync() === true) return;
  throw new RuntimeError(`${op}: expects ${what}, but the input has others`);
}

function checkProbability(op: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new RuntimeError(`${op}: expects p to be in [0, 1], but got p=${p}`);
}

type FromInputs = Op<[input: Tensor, ...Args<[], { generator?: Generator | null }>], Tensor>;

export const poisson: FromInputs = defineOp("poisson", "input, generator=None", {
  doc: "From Poisson distributions of these rates.",
  method: false,
  forward(_ctx, input: Tensor, generator: Stream) {
    checkFloating("poisson", input.dtype);
    checkDomain("poisson", input, "rates of at least 0", input.ge(0));
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
    if (readable(input.device)) checkProbabilities(input, replacement && num_samples > 1);
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

function checkProbabilities(input: Tensor, replacement: boolean): void {
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

// In place

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
  if (dtype === bool) return 2n;
  if (!dtype.is_floating_point) return dtype.is_signed ? 2n ** BigInt(dtype.itemsize * 8 - 1) : 256n;
  const digits = { float16: 11n, bfloat16: 8n, float32: 24n, float64: 53n }[dtype.name as "float32"];
  return 2n ** digits + 1n;
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
    checkRange("random_", a, b);
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
