/** Modules without their initialisation. */

import { withoutInit } from "../initialising.ts";
import type { Module } from "../module.ts";

/** A module whose parameters have been given memory but no values, and nothing drawn, for values that are loaded at once. */
export function skip_init<M extends Module, A extends unknown[]>(module_cls: new (...args: A) => M, ...args: A): M {
  return withoutInit(() => new module_cls(...args));
}
