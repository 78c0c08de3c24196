/**
 * Batched tensors (`torch.vmap`). A tensor within a mapped function has the shape of one example; the batch is a hidden dimension, one per level of
 * vmap, that its memory has besides: strides and offset are those of the first example. So views of it need to know nothing of batches.
 */

export type Randomness = "error" | "different" | "same";

let serial = 0;

/** One running `vmap`. */
export class BatchLevel {
  /** Outer levels have lesser numbers. */
  readonly order = serial++;
  constructor(
    readonly size: number,
    readonly randomness: Randomness,
  ) {}
}

/** A dimension that the shape does not show. */
export interface HiddenDim {
  readonly level: BatchLevel;
  readonly stride: number;
}

export type BatchLevels = readonly BatchLevel[];
const NONE: BatchLevels = [];

let active: BatchLevels = NONE;
let everUsed = false;

/** The levels that the running code is in, outer ones first. */
export function activeLevels(): BatchLevels {
  return active;
}

/** Whether any tensor can have hidden dimensions: what costs something is skipped until then. */
export function batchingUsed(): boolean {
  return everUsed;
}

/** Runs `fn` within these levels instead. */
export function withLevels<T>(levels: BatchLevels, fn: () => T): T {
  const previous = active;
  active = levels;
  everUsed ||= levels.length > 0;
  try {
    return fn();
  } finally {
    active = previous;
  }
}

/** Both, in order. */
export function joinLevels(a: BatchLevels, b: BatchLevels): BatchLevels {
  if (a === b || b.length === 0) return a;
  if (a.length === 0) return b;
  const more = b.filter((level) => !a.includes(level));
  return more.length === 0 ? a : [...a, ...more].sort((x, y) => x.order - y.order);
}

let examples: Randomness | null = null;

/** How the examples that are run one after the other may draw; null: none are. */
export function randomnessOfExamples(): Randomness | null {
  return examples;
}

/** Runs examples of a level one after the other: within, its dimension is gone, but not what it says of draws. */
export function withoutBatchOf<T>(level: BatchLevel, fn: () => T): T {
  if (!active.includes(level)) return fn();
  const previous = examples;
  if (examples === null || examples === "different") examples = level.randomness;
  try {
    return withLevels(
      active.filter((l) => l !== level),
      fn,
    );
  } finally {
    examples = previous;
  }
}
