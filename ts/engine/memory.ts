/**
 * Memory by hand, for those who want it: scopes that free what was made in them, `dispose()` and `using`, and a report of live memory by the
 * place in the program that made it. Nobody needs any of this to keep a training loop flat.
 */

import type { Storage } from "../core/storage.ts";
import { storageObserver } from "../core/storage.ts";
import { Tensor, type GraphNode } from "../core/tensor.ts";

/** Storages made in the open scopes, innermost last. */
const scopes: Storage[][] = [];
/** Live storages and where they were made, while that is being recorded. */
let history: Map<string, { ref: WeakRef<Storage> }[]> | null = null;

function observe(): void {
  storageObserver.created =
    scopes.length === 0 && history === null
      ? null
      : (storage) => {
          scopes.at(-1)?.push(storage);
          if (history !== null) {
            const site = callSite();
            const list = history.get(site);
            if (list === undefined) history.set(site, [{ ref: new WeakRef(storage) }]);
            else list.push({ ref: new WeakRef(storage) });
          }
        };
}

/**
 * Runs `fn` and frees, at its end, the memory of all tensors made in it but: those in its result (in arrays and plain objects too) with what
 * their graph has saved, gradients, parameters and optimizer state, and what `keep` was told. `fn` may be async.
 */
export function scope<T>(fn: () => T): T {
  const made: Storage[] = [];
  scopes.push(made);
  observe();
  const close = (result: unknown): void => {
    scopes.splice(scopes.indexOf(made), 1);
    observe();
    const kept = new Set<Storage>();
    reach(result, kept, new Set());
    for (const storage of kept) storage.materialize();
    for (const storage of made) {
      if (!kept.has(storage) && !storage.kept) storage.dispose();
      else scopes.at(-1)?.push(storage);
    }
  };
  let result: T;
  try {
    result = fn();
  } catch (error) {
    close(null);
    throw error;
  }
  if (result instanceof Promise) {
    return result.then(
      (value: unknown) => {
        close(value);
        return value;
      },
      (error: unknown) => {
        close(null);
        throw error;
      },
    ) as T;
  }
  close(result);
  return result;
}

/** Lets tensors outlive the scope they were made in. Returns its argument. */
export function keep<T>(value: T): T {
  const found = new Set<Storage>();
  reach(value, found, new Set());
  for (const storage of found) storage.kept = true;
  return value;
}

/** All storages that a value needs: tensors in it, and what their graph has saved. */
function reach(value: unknown, found: Set<Storage>, nodes: Set<GraphNode>): void {
  if (value instanceof Tensor) {
    found.add(value._storage);
    if (value._grad !== null) found.add(value._grad._storage);
    reachGraph(value.grad_fn, found, nodes);
  } else if (Array.isArray(value) || value instanceof Set) for (const v of value) reach(v, found, nodes);
  else if (value instanceof Map) for (const v of value.values()) reach(v, found, nodes);
  else if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const v of Object.values(value)) reach(v, found, nodes);
  }
}

function reachGraph(root: GraphNode | null, found: Set<Storage>, nodes: Set<GraphNode>): void {
  const stack = root === null ? [] : [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (nodes.has(node)) continue;
    nodes.add(node);
    for (const t of node.savedTensors?.() ?? []) if (t !== null) found.add(t._storage);
    for (const edge of node.edges) if (edge !== null) stack.push(edge.node);
  }
}

export interface MemorySite {
  /** File, line and function of the call that made the tensors. */
  readonly site: string;
  readonly tensors: number;
  readonly bytes: number;
}

/** From now on remembers where tensors are made (slow), or stops to. */
export function record_memory_history(enabled = true): void {
  history = enabled ? new Map<string, { ref: WeakRef<Storage> }[]>() : null;
  observe();
}

/** Memory that is live now, by the place that made it, most first: since `record_memory_history`. Dead tensors do not count. */
export function memory_report(): MemorySite[] {
  if (history === null) return [];
  const device = [...history.values()].flat().find(({ ref }) => ref.deref() !== undefined);
  device?.ref.deref()?.device.memoryStats(); // collects garbage
  const sites: MemorySite[] = [];
  for (const [site, list] of history) {
    const live = list.map(({ ref }) => ref.deref()).filter((s) => s?.buffer);
    const bytes = live.reduce((n, s) => n + s!.size * s!.dtype.itemsize, 0);
    if (bytes > 0) sites.push({ site, tensors: live.length, bytes });
  }
  return sites.sort((a, b) => b.bytes - a.bytes);
}

/** The nearest caller outside this library's ops and engine. */
function callSite(): string {
  const lines = (new Error().stack ?? "").split("\n").slice(3);
  const own = /[/\\](?:ts[/\\](?:core|kernel|engine|ops|autograd|nn|optim)|dist)[/\\]/;
  return (lines.find((l) => !own.test(l) && !l.includes("<anonymous>")) ?? lines.at(-1) ?? "unknown").trim().replace(/^at /, "");
}

declare module "../core/tensor.ts" {
  interface Tensor {
    /** Frees the memory now, for all views of it. Using the tensor afterwards is an error. */
    dispose(): void;
    [Symbol.dispose](): void;
  }
}

Object.assign(Tensor.prototype, {
  dispose(this: Tensor) {
    this._storage.dispose();
  },
  [Symbol.dispose ?? Symbol.for("Symbol.dispose")](this: Tensor) {
    this._storage.dispose();
  },
});
