/**
 * `torch.vmap`: a function of one example as a function of a batch. It runs once, on tensors that have the shape of one example and the memory of
 * all (core/batch_mode.ts), so that each op runs once for the whole batch.
 */

import { activeLevels, BatchLevel, type Randomness, withLevels } from "../core/batch_mode.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { strideOf } from "../engine/hidden.ts";
import { conceal, reveal } from "../engine/reveal.ts";
import { bindArguments, describe, parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { forkStreams } from "../ops/generator.ts";
import { fillTree, leavesOf, mapTree, spread, tensorsOf, type Func } from "./tree.ts";

/** A dimension per tensor, null for those that are the same for all examples; may stop at any level of nesting. */
export type Dims = number | null | readonly Dims[] | { readonly [key: string]: Dims };

const SIGNATURE = parseSignature("in_dims=0, out_dims=0, randomness='error', *, chunk_size=None");

/**
 * Maps `func` over dimension `in_dims` of its arguments (null: the same for all); results get the mapped dimension at `out_dims`. Both take a nested form of arrays and
 * objects, as arguments and results have. `randomness`: whether draws within are an error, "different" for each example, or the "same".
 * `chunk_size`: how many examples run at once, all by default. Ops without a batching rule run once for each example, with one warning.
 *
 * Throws ValueError where dims do not fit the arguments or results, RuntimeError for draws and for values that depend on the example
 * (`item_sync`, shapes of `nonzero`).
 */
export function vmap<T = Tensor>(
  func: Func,
  ...given: Args<[{ in_dims?: Dims }, { out_dims?: Dims }, { randomness?: Randomness }], { chunk_size?: number | null }>
): (...args: unknown[]) => T {
  if (typeof func !== "function") throw new TypeError(`vmap: expected a function, got ${describe(func)}`);
  const [inDims, outDims, randomness, chunk] = bindArguments("vmap", SIGNATURE, given) as [Dims, Dims, Randomness, number | null];
  if (!["error", "different", "same"].includes(randomness)) {
    throw new RuntimeError(`Only allowed values for randomness are 'error', 'different', or 'same'. Got ${randomness}`);
  }
  if (chunk !== null && !(chunk > 0)) {
    throw new ValueError(`vmap: chunk_size should be null or greater than 0. (got ${chunk})`);
  }
  return (...args) => {
    const dims = inputDims(inDims, args);
    const leaves = leavesOf(args);
    const size = batchSize(leaves, dims);
    if (chunk === null || chunk >= size) return mapped(func, args, dims, size, outDims, randomness) as T;
    const results: unknown[] = [];
    const places: number[] = [];
    for (let from = 0; from < size; from += chunk) {
      const n = Math.min(chunk, size - from);
      let i = 0;
      const part = mapTree(args, (leaf) => {
        const dim = dims[i++]!;
        return dim === null ? leaf : (leaf as Tensor).narrow(dim, from, n);
      }) as unknown[];
      const run = (): unknown => mapped(func, part, dims, n, outDims, randomness, places);
      // The same draws in every chunk.
      results.push(randomness === "same" && from + n < size ? forkStreams(run, null) : run());
    }
    const lists = results.map(tensorsOf);
    const whole = lists[0]!.map((_, k) =>
      places[k]! < 0
        ? lists[0]![k]
        : ops.cat(
            lists.map((list) => list[k]!),
            places[k],
          ),
    );
    return fillTree(results[0], whole) as T;
  };
}

/** `places` receives where the mapped dimension of each result lies, -1: nowhere. */
function mapped(
  func: Func,
  args: readonly unknown[],
  dims: readonly (number | null)[],
  size: number,
  outDims: Dims,
  randomness: Randomness,
  places: number[] = [],
): unknown {
  const level = new BatchLevel(size, randomness);
  return withLevels([...activeLevels(), level], () => {
    let i = 0;
    const examples = mapTree(args, (leaf) => {
      const dim = dims[i++]!;
      return dim === null ? leaf : asView(leaf as Tensor, conceal(leaf as Tensor, level, dim));
    }) as unknown[];
    const result: unknown = func(...examples);
    const where = outputDims(outDims, result);
    return fillTree(
      result,
      tensorsOf(result).map((t, k) => {
        const dim = where[k];
        if (dim === null || dim === undefined) {
          if (strideOf(t, level) !== null) {
            throw new ValueError(
              "vmap: `out_dims` of null was given for an output that differs from example to example; give an integer dimension",
            );
          }
          places[k] = -1;
          return t;
        }
        const at = outDim(dim as number, t);
        places[k] = at;
        const whole = reveal(t, level);
        return at === 0 ? whole : whole.movedim(0, at);
      }),
    );
  });
}

/** In-place ops on an example write to the memory that the caller gave. */
function asView(whole: Tensor, example: Tensor): Tensor {
  const base = whole._view?.base ?? whole;
  example._view = { base, graphVersion: base._graphVersion };
  return example;
}

/** The dimension of each leaf, counted from the front. */
function inputDims(inDims: Dims, args: readonly unknown[]): (number | null)[] {
  if (args.length === 0)
    throw new ValueError(
      "vmap: got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no inputs",
    );
  const complain = (): Error =>
    new ValueError(
      `vmap: in_dims is not compatible with the structure of inputs. in_dims has structure ${JSON.stringify(inDims)}, inputs are ${args.map(describe).join(", ")}`,
    );
  const dims = spread(Array.isArray(inDims) ? inDims : args.map(() => inDims), args, complain);
  const leaves = leavesOf(args);
  return dims.map((dim, i) => {
    const leaf = leaves[i];
    if (dim === null || dim === undefined) return null;
    if (typeof dim !== "number" || !Number.isInteger(dim)) {
      throw new ValueError(
        `vmap: Got in_dim=${String(dim)} for an input, but in_dim must be either an integer dimension or null`,
      );
    }
    if (!(leaf instanceof Tensor)) {
      throw new ValueError(
        `vmap: Got in_dim=${dim} for an input but the input is of type ${describe(leaf)}. We cannot vmap over non-Tensor arguments, please use null as the respective in_dim`,
      );
    }
    if (dim < -leaf.ndim || dim >= leaf.ndim) {
      throw new ValueError(
        `vmap: Got in_dim=${dim} for some input, but that input is a Tensor of dimensionality ${leaf.ndim} so expected in_dim to satisfy -${leaf.ndim} <= in_dim < ${leaf.ndim}`,
      );
    }
    return dim < 0 ? dim + leaf.ndim : dim;
  });
}

function batchSize(leaves: readonly unknown[], dims: readonly (number | null)[]): number {
  const sizes = leaves.flatMap((leaf, i) => (dims[i] === null ? [] : [(leaf as Tensor).shape[dims[i]!]!]));
  if (sizes.length === 0) {
    throw new ValueError("vmap: at least one of in_dims must be an integer: there is no dimension to map over");
  }
  if (sizes.some((n) => n !== sizes[0])) {
    throw new ValueError(
      `vmap: Expected all tensors to have the same size in the mapped dimension, got sizes [${sizes.join(", ")}] for the mapped dimension`,
    );
  }
  return sizes[0]!;
}

/** Where each tensor of a result goes. */
function outputDims(outDims: Dims, result: unknown): unknown[] {
  for (const leaf of leavesOf(result)) {
    if (!(leaf instanceof Tensor))
      throw new ValueError(`vmap: the function must only return Tensors, got type ${describe(leaf)}`);
  }
  return spread(
    outDims,
    result,
    () => new ValueError(`vmap: out_dims ${JSON.stringify(outDims)} is not compatible with the structure of the outputs`),
  );
}

function outDim(dim: number, t: Tensor): number {
  const n = t.ndim + 1;
  if (dim < -n || dim >= n)
    throw new ValueError(`vmap: out_dim ${dim} is out of range for an output of ${n} dimensions, the mapped one included`);
  return dim < 0 ? dim + n : dim;
}
