/** Autocast: what happens between an op's call and its computation in a region of `torch.autocast`. One place for all ops: `makeOp` asks here. */

import {
  autocastCache,
  autocastMode,
  autocastsOn,
  enterAutocast,
  get_autocast_dtype,
  is_autocast_cache_enabled,
  setAutocastMask,
  withAutocast,
} from "../core/autocast_mode.ts";
import type { DeviceType } from "../core/device.ts";
import { bfloat16, type DType, float16, float32, float64 } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled, withMode } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { type AutocastPolicy, type AutocastRule, CPU_LIST, CUDA_LIST } from "./autocast_lists.ts";
import { recordedCast } from "./node.ts";
import { bindArguments, isOptions, type Signature } from "./signature.ts";

export interface AutocastOptions {
  /** The lower precision: float16 or bfloat16. Default: `torch.get_autocast_dtype(device_type)`. */
  readonly dtype?: DType | null;
  /** False: no autocast within, also inside of another region. */
  readonly enabled?: boolean;
  /** Whether a weight is cast once for the whole region. Default: as outside. */
  readonly cache_enabled?: boolean | null;
}

/**
 * Runs `fn` with mixed precision on tensors of a device type: products, convolutions and attention in `dtype`, what needs range or exactness
 * (softmax, losses, norms, exp, log, pow, sums) in float32, by PyTorch's lists; all else in the types that come. Parameters stay in float32,
 * and so do their gradients. As PyTorch's `with torch.autocast(...)`; `fn` may be async. Leave backward outside.
 *
 *     const loss = torch.autocast("cuda", { dtype: torch.bfloat16 }, () => criterion(model(x), y));
 *     loss.backward();
 */
export function autocast<T>(device_type: DeviceType, fn: () => T): T;
export function autocast<T>(device_type: DeviceType, options: AutocastOptions, fn: () => T): T;
export function autocast<T>(device_type: DeviceType, given: AutocastOptions | (() => T), body?: () => T): T {
  const options = typeof given === "function" ? {} : given;
  const fn = typeof given === "function" ? given : body;
  if (typeof fn !== "function") {
    throw new TypeError(`autocast: expected a function to run as the last argument, as in autocast("${device_type}", () => ...)`);
  }
  const dtype = options.dtype ?? get_autocast_dtype(device_type);
  let enabled = options.enabled ?? true;
  if (enabled && dtype !== float16 && dtype !== bfloat16) {
    console.warn(`autocast: expected dtype torch.float16 or torch.bfloat16, got ${dtype}: autocast is off in this region`);
    enabled = false;
  }
  const cached = options.cache_enabled ?? is_autocast_cache_enabled();
  return withMode(() => enterAutocast(withAutocast(device_type, enabled, dtype, cached)), fn);
}

type AnyFunction = (...args: unknown[]) => unknown;

/** `fn`, the call of an op, as it is under autocast; itself where no list names the op. */
export function withAutocastPolicy(name: string, signature: Signature, fn: AnyFunction): AnyFunction {
  const [cpu, cuda] = [CPU_LIST.get(name), CUDA_LIST.get(name)];
  if (cpu === undefined && cuda === undefined) return fn;
  return (...given) => {
    if (autocastMode.mask === 0) return fn(...given);
    const type = deviceOf(given);
    const rule = type === null ? undefined : type === "cpu" ? cpu : cuda;
    const policy = rule === undefined ? null : policyOf(rule, name, signature, given);
    return policy === null ? fn(...given) : callBy(policy, type!, name, signature, given, fn);
  };
}

/** Runs `fn` with autocast off, for what must compute in the types that it has: backward, in-place ops. */
export function withoutAutocast<T>(fn: () => T): T {
  if (autocastMode.mask === 0) return fn();
  const mask = setAutocastMask(0);
  try {
    return fn();
  } finally {
    setAutocastMask(mask);
  }
}

/**
 * `t` as cuda's and webgpu's ops for lower precision get it: for what is one of them in PyTorch and a program of many here (recurrent networks,
 * which PyTorch's autocast for the cpu leaves to the ops that they are made of).
 */
export function autocastLower(t: Tensor): Tensor {
  const { type } = t.device;
  if (autocastMode.mask === 0 || type === "cpu" || !autocastsOn(type) || !isEligible(t, type)) return t;
  const dtype = get_autocast_dtype(type);
  return t.dtype === dtype ? t : castOf(t, dtype);
}

function policyOf(rule: AutocastRule, name: string, signature: Signature, given: readonly unknown[]): AutocastPolicy | null {
  return typeof rule === "string" ? rule : rule(bindArguments(name, signature, given));
}

function callBy(
  policy: AutocastPolicy,
  type: DeviceType,
  name: string,
  signature: Signature,
  given: readonly unknown[],
  fn: AnyFunction,
): unknown {
  let args = given;
  switch (policy) {
    case "lower":
      args = castAll(given, type, get_autocast_dtype(type));
      break;
    case "float32":
      args = castAll(given, type, float32);
      break;
    case "float32_result":
      if (!signature.names.includes("dtype")) args = castAll(given, type, float32);
      else if (isEligible(firstArgument(signature, given), type)) args = withDtype(signature, given);
      break;
    case "promote":
      args = castAll(given, type, widest(given, type));
      break;
    case "as_is":
      break;
    case "banned":
      throw new RuntimeError(
        `${name} is unsafe to autocast: its gradient overflows in lower precision. Use binary_cross_entropy_with_logits (BCEWithLogitsLoss), which joins it with the sigmoid before it, or call it within autocast("${type}", { enabled: false }, ...) on float32 tensors.`,
      );
  }
  return withoutAutocast(() => fn(...args));
}

/** Calls `visit` with every tensor among arguments, their lists, and the options. */
function eachTensor(value: unknown, visit: (t: Tensor) => void): void {
  if (value instanceof Tensor) visit(value);
  else if (Array.isArray(value)) for (const v of value) eachTensor(v, visit);
  else if (isOptions(value)) for (const v of Object.values(value)) eachTensor(v, visit);
}

/** The type of the first device among the arguments' on which autocast is on. */
function deviceOf(given: readonly unknown[]): DeviceType | null {
  let found: DeviceType | null = null;
  eachTensor(given, (t) => {
    if (found === null && autocastsOn(t.device.type)) found = t.device.type;
  });
  return found;
}

function isEligible(t: unknown, type: DeviceType): t is Tensor {
  return t instanceof Tensor && t.dtype.is_floating_point && t.dtype !== float64 && t.device.type === type;
}

function widest(given: readonly unknown[], type: DeviceType): DType {
  const lower = get_autocast_dtype(type);
  let dtype = lower;
  eachTensor(given, (t) => {
    if (isEligible(t, type) && t.dtype !== lower) dtype = float32;
  });
  return dtype;
}

function castAll(given: readonly unknown[], type: DeviceType, dtype: DType): unknown[] {
  const convert = (value: unknown): unknown => {
    if (value instanceof Tensor) return isEligible(value, type) && value.dtype !== dtype ? castOf(value, dtype) : value;
    if (Array.isArray(value)) return value.some((v) => v instanceof Tensor) ? value.map(convert) : value;
    if (isOptions(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, convert(v)]));
    return value;
  };
  return given.map(convert);
}

function firstArgument({ names }: Signature, given: readonly unknown[]): unknown {
  const first = given[0];
  return isOptions(first) ? first[names[0]!] : first;
}

/** The arguments with dtype float32 where none is given. */
function withDtype({ names }: Signature, given: readonly unknown[]): unknown[] {
  const args = [...given];
  const at = names.indexOf("dtype");
  const last = args.length - 1;
  const options = isOptions(args[last]) ? args[last] : null;
  if (at < (options === null ? args.length : last)) args[at] ??= float32;
  else if (options === null) args.push({ dtype: float32 });
  else args[last] = { ...options, dtype: options.dtype ?? float32 };
  return args;
}

/** A weight in lower precision. It is good while the weight is what it was, for calls that want a graph, or for calls that want none. */
interface Cast {
  readonly value: Tensor;
  readonly version: number;
  readonly graph: boolean;
}

/** `t` in `dtype`, recorded. Weights are cast once in a region. */
function castOf(t: Tensor, dtype: DType): Tensor {
  const weight = t.dtype === float32 && dtype !== float32 && t._view === null && t.requires_grad && t.is_leaf;
  const cache = weight ? autocastCache() : null;
  if (cache === null) return recordedCast(t, dtype);
  const { version } = t._storage;
  const graph = is_grad_enabled();
  const known = cache.get(t) as Cast | undefined;
  if (known?.value.dtype === dtype && known.version === version && known.graph === graph && !known.value._storage.disposed) {
    return known.value;
  }
  const value = recordedCast(t, dtype);
  cache.set(t, { value, version, graph } satisfies Cast);
  return value;
}
