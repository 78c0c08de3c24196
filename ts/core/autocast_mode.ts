/** On which devices ops choose their precision themselves (`torch.autocast`). Module state, as grad mode. */

import type { DeviceType } from "./device.ts";
import { bfloat16, type DType, float16 } from "./dtype.ts";
import { RuntimeError } from "./errors.ts";

const TYPES: readonly DeviceType[] = ["cpu", "webgpu", "cuda"];
const DEFAULTS: readonly DType[] = [bfloat16, float16, float16];

/** @internal What is restored at the end of a region. */
export interface AutocastState {
  readonly mask: number;
  readonly dtypes: readonly DType[];
  readonly cache: boolean;
}

/** @internal Bit i of the mask: on for TYPES[i]. 0 is what every op asks for first. */
export const autocastMode = { mask: 0 };
let dtypes = DEFAULTS;
let cache = true;
/** How many regions we are in. */
let depth = 0;
/** Lower-precision copies of weights, which last until the end of the outermost region. */
const casts = new Map<object, unknown>();

function indexOf(op: string, device_type: string): number {
  const index = TYPES.indexOf(device_type as DeviceType);
  if (index < 0) throw new RuntimeError(`${op}: expected a device type, one of ${TYPES.join(", ")}, got '${device_type}'`);
  return index;
}

/** @internal Whether ops on tensors of this device type are to choose. */
export function autocastsOn(type: DeviceType): boolean {
  return (autocastMode.mask & (1 << TYPES.indexOf(type))) !== 0;
}
/** @internal Returns the previous mask. */
export function setAutocastMask(mask: number): number {
  const previous = autocastMode.mask;
  autocastMode.mask = mask;
  return previous;
}
/** @internal */
export function autocastState(): AutocastState {
  return { mask: autocastMode.mask, dtypes, cache };
}
/** @internal Begins a region. Returns what ends it. */
export function enterAutocast(state: AutocastState): () => void {
  const before = autocastState();
  apply(state);
  depth++;
  return () => {
    if (--depth === 0) casts.clear();
    apply(before);
  };
}
function apply(state: AutocastState): void {
  autocastMode.mask = state.mask;
  dtypes = state.dtypes;
  cache = state.cache;
}
/** @internal The state with a device type's autocast as given. */
export function withAutocast(device_type: string, enabled: boolean, dtype: DType, cached: boolean): AutocastState {
  const index = indexOf("autocast", device_type);
  const bit = 1 << index;
  return {
    mask: enabled ? autocastMode.mask | bit : autocastMode.mask & ~bit,
    dtypes: dtypes.with(index, dtype),
    cache: cached,
  };
}
/** @internal Where casts of weights are kept; null where that is off. */
export function autocastCache(): Map<object, unknown> | null {
  return cache && depth > 0 ? casts : null;
}

/** Whether autocast is on for a device type: PyTorch's default is "cuda", also in a region for the cpu. */
export function is_autocast_enabled(device_type = "cuda"): boolean {
  return (autocastMode.mask & (1 << indexOf("is_autocast_enabled", device_type))) !== 0;
}
/** Whether there is autocast for a device type; the device itself need not be there. */
export function is_autocast_available(device_type: string): boolean {
  return (TYPES as readonly string[]).includes(device_type);
}
/** The lower precision of regions that do not name one: bfloat16 on cpu, float16 elsewhere; within a region, its own. */
export function get_autocast_dtype(device_type: string): DType {
  return dtypes[indexOf("get_autocast_dtype", device_type)]!;
}
/** Whether casts of weights are kept until the end of the outermost region. */
export function is_autocast_cache_enabled(): boolean {
  return cache;
}
/** Forgets the lower-precision copies of weights. */
export function clear_autocast_cache(): void {
  casts.clear();
}
