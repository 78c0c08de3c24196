/** From samples to a batch. */

import { bool, float64, FloatScalar, int64 } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import type { TypedArray } from "../ops/values.ts";

/** What `default_collate` makes of samples of type T. */
export type Collated<T> = T extends Tensor | number | bigint | boolean | FloatScalar | TypedArray
  ? Tensor
  : T extends string
    ? string[]
    : T extends ReadonlyMap<infer K, infer V>
      ? Map<K, Collated<V>>
      : T extends readonly unknown[] | object
        ? { -readonly [K in keyof T]: Collated<T[K]> }
        : unknown;

const isTyped = (x: unknown): x is TypedArray => ArrayBuffer.isView(x) && !(x instanceof DataView);
const isPlain = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null && [Object.prototype, null].includes(Object.getPrototypeOf(x) as null);

/**
 * Stacks tensors and typed arrays along a new first dimension, makes tensors of numbers (int64 when all are whole, else float64) and
 * booleans, lists of strings; of lists, objects and Maps it collates each part.
 */
export function default_collate<T>(batch: readonly T[]): Collated<T> {
  return collate(batch) as Collated<T>;
}

function collate(batch: readonly unknown[]): unknown {
  const [first] = batch;
  if (first instanceof Tensor) return ops.stack(batch as Tensor[]);
  if (isTyped(first)) return ops.stack((batch as TypedArray[]).map((a) => ops.tensor(a)));
  if (typeof first === "string") return [...batch];
  if (typeof first === "boolean") return ops.tensor(batch as boolean[], { dtype: bool });
  if (typeof first === "bigint") return ops.tensor(batch as bigint[], { dtype: int64 });
  if (typeof first === "number" || first instanceof FloatScalar) {
    const whole = batch.every((x) => typeof x === "number" && Number.isInteger(x));
    return ops.tensor(batch as number[], { dtype: whole ? int64 : float64 });
  }
  if (Array.isArray(first)) {
    const lists = batch as readonly (readonly unknown[])[];
    if (lists.some((l) => l.length !== first.length)) {
      throw new RuntimeError("each element in list of batch should be of equal size");
    }
    return first.map((_, i) => collate(lists.map((l) => l[i])));
  }
  if (first instanceof Map) {
    const maps = batch as readonly Map<unknown, unknown>[];
    return new Map([...first.keys()].map((key) => [key, collate(maps.map((m) => part(m.has(key), key, m.get(key))))]));
  }
  if (isPlain(first)) {
    const objects = batch as readonly Record<string, unknown>[];
    return Object.fromEntries(Object.keys(first).map((key) => [key, collate(objects.map((o) => part(key in o, key, o[key])))]));
  }
  throw new TypeError(
    `default_collate: batch must contain tensors, typed arrays, numbers, strings, objects, Maps or lists; found ${first === null ? "null" : typeof first}`,
  );
}

/** What a sample has under a key of the first one's. */
function part(has: boolean, key: unknown, value: unknown): unknown {
  if (!has) throw new RuntimeError(`default_collate: a sample lacks "${String(key)}", which the first one of the batch has`);
  return value;
}

/** A sample without a batch: typed arrays become tensors, all else stays. */
export function default_convert(data: unknown): unknown {
  if (isTyped(data)) return ops.tensor(data);
  if (Array.isArray(data)) return data.map(default_convert);
  if (data instanceof Map) return new Map([...data].map(([key, value]) => [key, default_convert(value)]));
  if (isPlain(data)) return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, default_convert(value)]));
  return data;
}
