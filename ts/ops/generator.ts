/** Generators of random numbers, and the default ones of devices. On cpu the streams are PyTorch's, bit for bit. */

import type { Device } from "../core/device.ts";
import { uint8 } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { withMode } from "../core/grad_mode.ts";
import type { Tensor } from "../core/tensor.ts";
import { onReplay } from "../engine/blocking.ts";
import { describe } from "../engine/signature.ts";
import { copyState, loadPhilox, loadState, makeGenerator, reseed, savePhilox, saveState } from "../kernel/generator.ts";
import type { GeneratorState } from "../kernel/spec.ts";
import { fromBytes, place } from "./creation.ts";
import { get_default_device } from "./devices.ts";

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
  if (typeof seed !== "number" && typeof seed !== "bigint")
    throw new TypeError(`manual_seed: expected a whole number, got ${describe(seed)}`);
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
  return withMode(() => back, fn);
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
