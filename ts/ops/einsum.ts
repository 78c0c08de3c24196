/** Einstein summation: pairwise contractions, each one batched matrix product, in a greedy order of least cost. */

import type { DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, numelOf } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";

/** A tensor whose dimensions carry labels, one each. */
interface Labelled {
  readonly tensor: Tensor;
  readonly labels: readonly string[];
}

type EinsumOp = Op<[equation: string, ...operands: readonly Tensor[]] | [equation: string, operands: readonly Tensor[]], Tensor>;

export const einsum: EinsumOp = composite(
  "einsum",
  "equation, *operands",
  {
    doc: "Sums products over the labels that the output lacks: einsum('bij,bjk->bik', a, b).",
  },
  (equation: string, operands: readonly Tensor[]) => {
    const { inputs, output } = parse(equation, operands);
    const size = new Map<string, number>();
    inputs.forEach((labels, i) => {
      const { shape } = operands[i]!;
      labels.forEach((l, d) => {
        const known = size.get(l) ?? 1;
        if (known !== 1 && shape[d] !== 1 && shape[d] !== known) {
          throw new RuntimeError(
            `einsum(): subscript ${l} has size ${shape[d]} for operand ${i} which does not broadcast with previously seen size ${known}`,
          );
        }
        size.set(l, Math.max(known, shape[d]!) === 1 ? Math.min(known, shape[d]!) : shape[d] === 1 ? known : shape[d]!);
      });
    });
    for (const l of output) {
      if (!size.has(l))
        throw new RuntimeError(`einsum(): output subscript ${l} does not appear in the equation for any input operand`);
    }
    let terms = inputs.map((labels, i) => diagonals(operands[i]!, labels));
    while (terms.length > 1) {
      const [i, j] = cheapestPair(terms, size);
      const rest = terms.filter((_, k) => k !== i && k !== j);
      const needed = new Set([...output, ...rest.flatMap((t) => t.labels)]);
      terms = [...rest, contract(terms[i]!, terms[j]!, needed)];
    }
    return arrange(terms[0]!, output, size);
  },
);

function parse(equation: string, operands: readonly Tensor[]): { inputs: string[][]; output: string[] } {
  if (typeof equation !== "string") throw new TypeError("einsum(): the first argument must be the equation, a string");
  if (operands.length === 0) throw new RuntimeError("einsum(): must provide at least one operand");
  const text = equation.replaceAll(" ", "");
  const [left, right, ...more] = text.split("->");
  const parts = left!.split(",");
  if (more.length > 0) throw new RuntimeError(`einsum(): more than one "->" in '${equation}'`);
  if (parts.length !== operands.length) {
    throw new RuntimeError(
      `einsum(): ${parts.length > operands.length ? "fewer operands were provided than specified in the equation" : "more operands were provided than specified in the equation"} (${operands.length} for '${equation}')`,
    );
  }
  let widest = 0;
  const split = parts.map((part, i) => {
    const letters = subscripts(part);
    const named = letters.filter((l) => l !== "...").length;
    const t = operands[i]!;
    if (!(t instanceof Tensor)) throw new TypeError(`einsum(): operand ${i} must be a Tensor`);
    const spare = t.ndim - named;
    if (spare < 0 || (spare > 0 && !letters.includes("..."))) {
      throw new RuntimeError(
        `einsum(): the number of subscripts in the equation (${named}) ${spare > 0 ? "is not equal to" : "is more than"} the number of dimensions (${t.ndim}) for operand ${i}`,
      );
    }
    if (letters.includes("...")) widest = Math.max(widest, spare);
    return { letters, spare };
  });
  // The ellipsis' dimensions are labelled from the right: ".0" is the last.
  const expand = (letters: string[], spare: number): string[] =>
    letters.flatMap((l) => (l === "..." ? Array.from({ length: spare }, (_, d) => `.${spare - 1 - d}`) : [l]));
  const inputs = split.map(({ letters, spare }) => expand(letters, spare));
  if (right !== undefined) {
    const letters = subscripts(right);
    const output = expand(letters, widest);
    if (new Set(output).size !== output.length)
      throw new RuntimeError(`einsum(): output subscript appears more than once in '${equation}'`);
    return { inputs, output };
  }
  const count = new Map<string, number>();
  for (const l of inputs.flat()) count.set(l, (count.get(l) ?? 0) + 1);
  const once = [...count.keys()].filter((l) => !l.startsWith(".") && count.get(l) === 1).sort();
  return { inputs, output: [...expand(["..."], widest), ...once] };
}

function subscripts(part: string): string[] {
  const letters = part.match(/\.\.\.|./g) ?? [];
  for (const l of letters) {
    if (!/^(\.\.\.|[a-zA-Z])$/.test(l))
      throw new RuntimeError(`einsum(): invalid subscript given: '${l}', subscripts must be in [a-zA-Z]`);
  }
  if (letters.filter((l) => l === "...").length > 1) throw new RuntimeError("einsum(): found '...' more than once in a term");
  return letters;
}

/** A repeated label means the diagonal. */
function diagonals(t: Tensor, labels: readonly string[]): Labelled {
  let tensor = t;
  const left = [...labels];
  for (let i = 0; i < left.length; i++) {
    for (let j = left.indexOf(left[i]!, i + 1); j > 0; j = left.indexOf(left[i]!, i + 1)) {
      if (tensor.shape[i] !== tensor.shape[j]) {
        throw new RuntimeError(
          `einsum(): subscript ${left[i]} is repeated but its sizes ${formatShape([tensor.shape[i]!, tensor.shape[j]!])} differ`,
        );
      }
      tensor = tensor.diagonal(0, i, j).movedim(-1, i);
      left.splice(j, 1);
    }
  }
  return { tensor, labels: left };
}

function cheapestPair(terms: readonly Labelled[], size: ReadonlyMap<string, number>): [number, number] {
  let best: [number, number] = [0, 1];
  let least = Infinity;
  for (let i = 0; i < terms.length; i++) {
    for (let j = i + 1; j < terms.length; j++) {
      const labels = new Set([...terms[i]!.labels, ...terms[j]!.labels]);
      let cost = 1;
      for (const l of labels) cost *= size.get(l)!;
      if (cost < least) {
        least = cost;
        best = [i, j];
      }
    }
  }
  return best;
}

/** One product: shared labels that are needed later become the batch, other shared ones are summed. */
function contract(a: Labelled, b: Labelled, needed: ReadonlySet<string>): Labelled {
  const left = sumUnused(a, b, needed);
  const right = sumUnused(b, a, needed);
  const both = left.labels.filter((l) => right.labels.includes(l));
  // A size-1 dimension against a longer one broadcasts; it cannot be contracted as it is.
  const dimOf = (t: Labelled, l: string): number => t.tensor.shape[t.labels.indexOf(l)]!;
  const batch = both.filter((l) => needed.has(l));
  const inner = both.filter((l) => !needed.has(l));
  const freeA = left.labels.filter((l) => !both.includes(l));
  const freeB = right.labels.filter((l) => !both.includes(l));
  const full = (l: string): number => Math.max(both.includes(l) ? Math.max(dimOf(left, l), dimOf(right, l)) : 0, 0);
  const bring = (t: Labelled, order: readonly string[]): Tensor => {
    const p = t.tensor.permute(order.map((l) => t.labels.indexOf(l)));
    return p.expand(
      order.map((l, d) => (both.includes(l) && full(l) !== p.shape[d] && p.shape[d] === 1 ? full(l) : p.shape[d]!)),
    );
  };
  const x = bring(left, [...batch, ...freeA, ...inner]);
  const y = bring(right, [...batch, ...inner, ...freeB]);
  const nb = batch.length;
  const sizes = {
    batch: x.shape.slice(0, nb),
    a: x.shape.slice(nb, nb + freeA.length),
    inner: x.shape.slice(nb + freeA.length),
    b: y.shape.slice(nb + inner.length),
  };
  const [B, M, K, N] = [numelOf(sizes.batch), numelOf(sizes.a), numelOf(sizes.inner), numelOf(sizes.b)];
  const out =
    inner.length === 0 && (freeA.length === 0 || freeB.length === 0)
      ? x.reshape([B, M, 1]).mul(y.reshape([B, 1, N]))
      : x.reshape([B, M, K]).bmm(y.reshape([B, K, N]));
  return { tensor: out.reshape([...sizes.batch, ...sizes.a, ...sizes.b]), labels: [...batch, ...freeA, ...freeB] };
}

/** Sums what only this term has and nobody needs. */
function sumUnused(t: Labelled, other: Labelled, needed: ReadonlySet<string>, dtype: DType | null = t.tensor.dtype): Labelled {
  const dims = t.labels.map((_, d) => d).filter((d) => !needed.has(t.labels[d]!) && !other.labels.includes(t.labels[d]!));
  if (dims.length === 0) return t;
  return { tensor: t.tensor.sum(dims, { dtype }), labels: t.labels.filter((_, d) => !dims.includes(d)) };
}

function arrange(t: Labelled, output: readonly string[], size: ReadonlyMap<string, number>): Tensor {
  const kept = sumUnused(t, { tensor: t.tensor, labels: [] }, new Set(output), null);
  const order = output.map((l) => kept.labels.indexOf(l));
  const out = kept.tensor.permute(order);
  return out.expand(output.map((l, d) => (out.shape[d] === 1 ? size.get(l)! : out.shape[d]!)));
}
