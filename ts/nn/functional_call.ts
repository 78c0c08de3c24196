/** Calls of modules with other parameters and buffers. */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { isOptions } from "../engine/signature.ts";
import type { Module } from "./module.ts";

export type State = Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>;
type Fields = Record<string, unknown>;

/** Where a parameter or buffer hangs. */
interface Place {
  readonly owner: Fields;
  readonly field: string;
  readonly value: Tensor;
}

/** All places by name, tied ones under each of their names. */
function placesOf(module: Module): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const [path, owner] of module.named_modules({ remove_duplicate: false })) {
    const prefix = path === "" ? "" : `${path}.`;
    for (const [field, value] of owner._own(Tensor)) {
      places.set(prefix + field, { owner: owner as unknown as Fields, field, value });
    }
  }
  return places;
}

/**
 * Calls a module with other tensors in the place of its parameters and buffers, by name. `kwargs` come last in the call.
 * Where the module uses one parameter under several names, one of them is enough (`tie_weights`). `strict`: all must be given, and no others.
 */
export function functional_call(
  module: Module,
  parameter_and_buffer_dicts: State | readonly State[],
  args: unknown = [],
  kwargs: Readonly<Record<string, unknown>> | null = null,
  { tie_weights = true, strict = false }: { tie_weights?: boolean; strict?: boolean } = {},
): unknown {
  const values = new Map<string, Tensor>();
  for (const state of Array.isArray(parameter_and_buffer_dicts)
    ? (parameter_and_buffer_dicts as State[])
    : [parameter_and_buffer_dicts as State]) {
    for (const [name, value] of state instanceof Map
      ? (state as Map<string, Tensor>)
      : Object.entries(state as Record<string, Tensor>)) {
      if (values.has(name)) throw new ValueError(`functional_call: ${name} appears in several of the dictionaries`);
      values.set(name, value);
    }
  }
  const places = placesOf(module);
  checkNames(values, places, strict, tie_weights);
  const replaced: Place[] = [];
  const put = (place: Place, value: Tensor): void => {
    replaced.push(place);
    place.owner[place.field] = value;
  };
  try {
    for (const [name, value] of values) {
      const place = places.get(name)!;
      if (tie_weights) {
        for (const [other, twin] of places) if (twin.value === place.value && !values.has(other)) put(twin, value);
      }
      put(place, value);
    }
    const list = Array.isArray(args) ? (args as unknown[]) : [args];
    const call = module as unknown as (...given: unknown[]) => unknown;
    return kwargs !== null && isOptions(kwargs) ? call(...list, kwargs) : call(...list);
  } finally {
    for (const { owner, field, value } of replaced.reverse()) owner[field] = value;
  }
}

function checkNames(
  values: ReadonlyMap<string, Tensor>,
  places: ReadonlyMap<string, Place>,
  strict: boolean,
  tied: boolean,
): void {
  for (const [name, value] of values) {
    if (!places.has(name))
      throw new RuntimeError(`functional_call: Unexpected key(s): "${name}". The module has ${[...places.keys()].join(", ")}`);
    if (!(value instanceof Tensor)) throw new TypeError(`functional_call: ${name} should be a Tensor`);
  }
  if (!strict) return;
  const given = new Set([...values.keys()].map((name) => places.get(name)!.value));
  const missing = [...places]
    .filter(([name, { value }]) => !values.has(name) && !(tied && given.has(value)))
    .map(([name]) => name);
  if (missing.length > 0) throw new RuntimeError(`functional_call: Missing key(s): ${missing.map((m) => `"${m}"`).join(", ")}`);
}
