/**
 * `torch.vmap`: a function of one example as a function of a batch. It runs once for each example, and the results are stacked: right for
 * every op, whatever it does with shapes, and differentiable.
 */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { bindArguments, describe, parseSignature, type Args } from "../engine/signature.ts";
import { copyState } from "../kernel/generator.ts";
import type { GeneratorState } from "../kernel/spec.ts";
import * as ops from "../ops/index.ts";
import { get_default_device } from "../ops/devices.ts";
import type { Func } from "./derivatives.ts";
import { fillTree, leavesOf, mapTree, spread, tensorsOf } from "./tree.ts";

/** A dimension per tensor, null for those that are the same for all examples; may stop at any level of nesting. */
export type Dims = number | null | readonly Dims[] | { readonly [key: string]: Dims };
type Randomness = "error" | "different" | "same";

const SIGNATURE = parseSignature("in_dims=0, out_dims=0, randomness='error', *, chunk_size=None");

const fingerprint = ({ seed, offset, mt }: GeneratorState): string =>
  [seed, offset, mt?.left, mt?.next, mt?.normal, mt?.words[0]].join();

/** Random streams of the devices concerned. */
class Streams {
  private readonly states: readonly GeneratorState[];
  private readonly saved: readonly GeneratorState[];
  constructor(tensors: readonly Tensor[]) {
    const devices = new Set(tensors.map((t) => t.device));
    this.states = [...devices, get_default_device()].map((d) => ops.default_generator(d)._state);
    this.saved = this.states.map(copyState);
  }
  rewind(): void {
    this.states.forEach((state, i) => Object.assign(state, copyState(this.saved[i]!)));
  }
  /** Whether somebody has drawn since. */
  moved(): boolean {
    return this.states.some((state, i) => fingerprint(state) !== fingerprint(this.saved[i]!));
  }
}

/** Maps `func` over a dimension of its arguments. Results are stacked along `out_dims`. */
export function vmap<T = Tensor>(
  func: Func,
  ...given: Args<[{ in_dims?: Dims }, { out_dims?: Dims }, { randomness?: Randomness }], { chunk_size?: number | null }>
): (...args: unknown[]) => T {
  if (typeof func !== "function") throw new TypeError(`vmap: expected a function, got ${describe(func)}`);
  const [inDims, outDims, randomness, chunk] = bindArguments("vmap", SIGNATURE, given) as [Dims, Dims, Randomness, number | null];
  if (!["error", "different", "same"].includes(randomness)) {
    throw new RuntimeError(`Only allowed values for randomness are 'error', 'different', or 'same'. Got ${randomness}`);
  }
  if (chunk !== null && !(chunk > 0)) throw new ValueError(`vmap: chunk_size should be null or greater than 0, got ${chunk}`);
  return (...args) => {
    const dims = inputDims(inDims, args);
    const leaves = leavesOf(args);
    const size = batchSize(leaves, dims);
    const example = (take: (t: Tensor, dim: number) => Tensor): unknown[] => {
      let i = 0;
      return mapTree(args, (leaf) => {
        const dim = dims[i++]!;
        return dim === null ? leaf : take(leaf as Tensor, dim);
      }) as unknown[];
    };
    if (size === 0) return nothing(func(...zeroExample(example)), outDims) as T;
    const streams = randomness === "different" ? null : new Streams(tensorsOf(args));
    const results: unknown[] = [];
    for (let n = 0; n < size; n++) {
      if (randomness === "same" && n > 0) streams!.rewind();
      results.push(func(...example((t, dim) => t.select(dim, n))));
      if (randomness === "error" && n === 0 && streams!.moved()) {
        throw new RuntimeError(
          "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform the randomness operation out of vmap",
        );
      }
    }
    return stacked(results, outDims) as T;
  };
}

function zeroExample(example: (take: (t: Tensor, dim: number) => Tensor) => unknown[]): unknown[] {
  return no_grad(() =>
    example((t, dim) =>
      ops.zeros(
        t.shape.filter((_, d) => d !== dim),
        { dtype: t.dtype, device: t.device },
      ),
    ),
  );
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

function stacked(results: readonly unknown[], outDims: Dims): unknown {
  const [first] = results;
  const dims = outputDims(outDims, first);
  const lists = results.map(tensorsOf);
  return fillTree(
    first,
    dims.map((dim, i) => {
      if (dim === null) return lists[0]![i];
      return ops.stack(
        lists.map((list) => list[i]!),
        outDim(dim as number, lists[0]![i]!),
      );
    }),
  );
}

function outDim(dim: number, t: Tensor): number {
  const n = t.ndim + 1;
  if (dim < -n || dim >= n)
    throw new ValueError(`vmap: out_dim ${dim} is out of range for an output of ${n} dimensions, the mapped one included`);
  return dim < 0 ? dim + n : dim;
}

/** The result for a batch of no examples, from that for one. */
function nothing(result: unknown, outDims: Dims): unknown {
  const dims = outputDims(outDims, result);
  const tensors = tensorsOf(result);
  return fillTree(
    result,
    tensors.map((t, i) => {
      if (dims[i] === null) return t;
      const at = outDim(dims[i] as number, t);
      const shape = [...t.shape.slice(0, at), 0, ...t.shape.slice(at)];
      return ops.zeros(shape, { dtype: t.dtype, device: t.device });
    }),
  );
}
