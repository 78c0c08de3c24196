/** Choices that an operation is free to make: signs of eigenvectors, a basis beyond the rank, which of equal values. */

import { elements, type Numbers, type Stored } from "./safetensors.ts";
import type { Pair } from "./values.ts";
import { sameShape } from "./compare.ts";

export interface Freedom {
  /** Outputs whose columns (or rows) have a free sign, one sign for line j of all of them. */
  readonly lines: readonly { readonly output: number; readonly columns: boolean }[];
  /** Lines beyond the rank are free. */
  readonly basis: boolean;
  /** Integer outputs are indices of an equal value: any of them. */
  readonly index: boolean;
}

/** Reads what a manifest says under `ambiguous`. */
export function readFreedom(text: string | undefined): Freedom {
  const lines: { output: number; columns: boolean }[] = [];
  for (const [, what, ...outputs] of (text ?? "").matchAll(/(columns|rows) of outputs? (\d+)(?: and (\d+))?/g)) {
    for (const output of outputs) {
      if (output !== undefined) lines.push({ output: Number(output), columns: what === "columns" });
    }
  }
  return { lines, basis: /beyond the rank/.test(text ?? ""), index: /which index/.test(text ?? "") };
}

/**
 * Makes the corpus's choices in a result, where it is one of those that are free; what is left is compared as ever. `byModulus`: outputs
 * to compare by absolute value; where the sign of whole lines is all that is free, the stricter comparison by lines stands for it.
 */
export function settle(
  pairs: readonly Pair[],
  freedom: Freedom,
  byModulus: readonly number[],
  source: Stored | null,
  dim: number,
): Pair[] {
  let settled = pairs.map((pair, i) => {
    const lines = freedom.lines.some(({ output }) => output === i) && pair.complex !== true;
    return byModulus.includes(i) && !lines ? { ...pair, got: moduli(pair.got, pair), want: moduli(pair.want, pair) } : pair;
  });
  if (freedom.lines.length > 0) settled = alignLines(settled, freedom);
  if (freedom.index && source !== null && settled.length > 1) settled = checkIndices(settled, source, dim);
  return settled;
}

function moduli(t: Stored, { complex }: Pair): Stored {
  if (!(t.data instanceof Float32Array || t.data instanceof Float64Array)) return t;
  if (complex !== true) return { ...t, data: t.data.map(Math.abs) as Numbers };
  const data = t.data.slice(0, t.data.length / 2);
  for (let i = 0; i < data.length; i++) data[i] = Math.hypot(t.data[2 * i], t.data[2 * i + 1]);
  return { ...t, shape: t.shape.slice(0, -1), data };
}

/** The matrix elements of line j, as positions in the data. */
function* lineOf(shape: readonly number[], batch: number, j: number, columns: boolean): Generator<number> {
  const [rows, cols] = shape.slice(-2);
  const base = batch * rows * cols;
  if (columns) for (let i = 0; i < rows; i++) yield base + i * cols + j;
  else for (let i = 0; i < cols; i++) yield base + j * cols + i;
}

function alignLines(pairs: readonly Pair[], { lines, basis }: Freedom): Pair[] {
  const usable = lines.filter(({ output }) => {
    const pair = pairs[output];
    return (
      pair !== undefined && pair.complex !== true && pair.want.shape.length >= 2 && sameShape(pair.got.shape, pair.want.shape)
    );
  });
  if (usable.length === 0) return [...pairs];
  const settled = pairs.map((pair) => ({ ...pair, got: { ...pair.got, data: pair.got.data.slice() as Numbers } }));
  const batches = elements(pairs[usable[0].output].want.shape.slice(0, -2));
  const count = (shape: readonly number[], columns: boolean) => shape.at(columns ? -1 : -2)!;
  const most = Math.max(...usable.map(({ output, columns }) => count(pairs[output].want.shape, columns)));
  for (let batch = 0; batch < batches; batch++) {
    const rank = basis ? rankOf(pairs, batch) : Infinity;
    for (let j = 0; j < most; j++) {
      let sign = 0;
      for (const { output, columns } of usable) {
        const { got, want } = settled[output];
        if (j >= count(want.shape, columns)) continue;
        const at = [...lineOf(want.shape, batch, j, columns)];
        if (sign === 0) sign = at.reduce((s, i) => s + Number(got.data[i]) * Number(want.data[i]), 0) < 0 ? -1 : 1;
        for (const i of at) got.data[i] = j >= rank ? want.data[i] : ((sign * Number(got.data[i])) as never);
      }
    }
  }
  return settled;
}

/** How many singular values of a batch are not zero; they are the output with one dimension less than the others. */
function rankOf(pairs: readonly Pair[], batch: number): number {
  const most = Math.max(...pairs.map(({ want }) => want.shape.length));
  const singular = pairs.find(({ want }) => want.shape.length === most - 1)?.want;
  if (singular === undefined) return Infinity;
  const n = singular.shape.at(-1)!;
  const values = Array.from(singular.data.slice(batch * n, (batch + 1) * n), Number);
  const least = 1e-5 * Math.max(0, ...values);
  return values.filter((x) => x > least).length;
}

/** Replaces an index that points at the right value by the corpus's. */
function checkIndices(pairs: readonly Pair[], source: Stored, dim: number): Pair[] {
  const [values, indices, ...rest] = pairs;
  const d = source.shape.length === 0 ? 0 : dim < 0 ? dim + source.shape.length : dim;
  const length = source.shape[d] ?? 1;
  const inner = elements(source.shape.slice(d + 1));
  // Several results along the dimension, as of topk.
  const { shape } = indices.want;
  const each = inner * (shape.length === source.shape.length ? (shape[d] ?? 1) : 1);
  const data = indices.got.data.slice() as Numbers;
  for (let i = 0; i < data.length; i++) {
    const index = Number(data[i]);
    if (index < 0 || index >= length) continue;
    const at = Math.floor(i / each) * length * inner + index * inner + (i % inner);
    if (Object.is(Number(source.data[at]), Number(values.want.data[i]))) data[i] = indices.want.data[i];
  }
  return [values, { ...indices, got: { ...indices.got, data } }, ...rest];
}
