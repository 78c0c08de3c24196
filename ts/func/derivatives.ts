/**
 * `torch.func`'s derivatives. A transform gives the function inputs of its own: parts of the caller's graph where the caller wants a
 * gradient, too, else fresh leaves. So transforms nest, in each other and in plain autograd.
 */

import type { Randomness } from "../core/batch_mode.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import { enable_grad, is_grad_enabled } from "../core/grad_mode.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { grad as gradientsOf } from "../autograd/backward.ts";
import { reachesOut, watched } from "../autograd/reach.ts";
import { bindArguments, describe, parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { fillTree, leavesOf, mapTree, tensorsOf, type Func } from "./tree.ts";
import { vmap } from "./vmap.ts";

export type ArgNums = number | readonly number[];
/** `T`: the form of the result, that of the arguments (or outputs) concerned. */
export type Transformed<T> = (...args: unknown[]) => T;

type Options = Args<[{ argnums?: ArgNums }, { has_aux?: boolean }]>;
const SIGNATURE = parseSignature("argnums=0, has_aux=False");

/** One evaluation of a function whose inputs are watched. */
interface Run {
  readonly output: unknown;
  readonly outputs: readonly Tensor[];
  readonly aux: unknown;
  /** What the function was given instead of the arguments concerned, and its tensors. */
  readonly own: readonly Tensor[];
  /** Whether anything outside of it may want gradients of what comes of it. */
  readonly open: boolean;
}

function run(
  name: string,
  func: Func,
  args: readonly unknown[],
  argnums: ArgNums,
  hasAux: boolean,
  more: readonly Tensor[] = [],
): Run {
  if (typeof func !== "function") throw new TypeError(`${name}: expected a function, got ${describe(func)}`);
  const tracked = is_grad_enabled();
  const given = [...args];
  const own: Tensor[] = [];
  for (const n of positions(name, argnums, args.length)) {
    given[n] = mapTree(args[n], (leaf) => {
      if (!(leaf instanceof Tensor)) return leaf;
      const mine = watched(leaf, tracked);
      own.push(mine);
      return mine;
    });
  }
  let output: unknown = func(...given);
  let aux: unknown = null;
  if (hasAux) {
    if (!Array.isArray(output) || output.length !== 2) {
      throw new RuntimeError(`${name}: output of function should be a tuple: (output, aux) if has_aux is True`);
    }
    [output, aux] = output as [unknown, unknown];
  }
  const outputs = tensorsOf(output);
  if (outputs.length !== leavesOf(output).length) {
    const other = leavesOf(output).find((leaf) => !(leaf instanceof Tensor));
    throw new RuntimeError(`${name}: Expected the function to return only tensors, got unsupported type ${describe(other)}`);
  }
  return { output, outputs, aux, own, open: tracked && reachesOut([...outputs, ...more], own) };
}

/** Positions counted from the front. */
function positions(name: string, argnums: ArgNums, n: number): number[] {
  const list = typeof argnums === "number" ? [argnums] : [...argnums];
  if (list.length === 0) throw new RuntimeError(`${name}: argnums must not be empty`);
  const found = list.map((i) => {
    if (!Number.isInteger(i)) throw new RuntimeError(`${name}: argnums must be int or tuple of ints, got ${String(i)}`);
    if (i < -n || i >= n) throw new RuntimeError(`${name}: Got argnum=${i}, but only ${n} positional inputs`);
    return i < 0 ? i + n : i;
  });
  if (new Set(found).size !== found.length)
    throw new RuntimeError(`${name}: argnums elements must be unique, got ${String(list)}`);
  return found;
}

/** Gradients, zeros where there is none. `create`: they can be differentiated again. */
function pull(outputs: readonly Tensor[], inputs: readonly Tensor[], vectors: readonly Tensor[], create: boolean): Tensor[] {
  const used = outputs.map((t, i) => [t, vectors[i]!] as const).filter(([t]) => t.requires_grad);
  const wanted = inputs.filter((t) => t.requires_grad);
  const options = { grad_outputs: used.map(([, v]) => v), create_graph: create, retain_graph: true, allow_unused: true };
  const outs = used.map(([t]) => t);
  const found = used.length === 0 || wanted.length === 0 ? [] : gradientsOf(outs, wanted, options);
  return inputs.map((t) => {
    const g = t.requires_grad ? found[wanted.indexOf(t)] : null;
    return g ?? ops.zeros_like(t);
  });
}

const settle = <T>(tree: T, open: boolean): T =>
  open ? tree : (mapTree(tree, (leaf) => (leaf instanceof Tensor ? leaf.detach() : leaf)) as T);

/** Results for the arguments concerned in the form in which these came. */
function shaped(args: readonly unknown[], argnums: ArgNums, values: readonly unknown[]): unknown {
  const at = positions("argnums", argnums, args.length);
  const concerned = at.map((n) => args[n]);
  const filled = fillTree(concerned, values) as unknown[];
  return typeof argnums === "number" ? filled[0] : filled;
}

function bindOptions(name: string, given: readonly unknown[]): [ArgNums, boolean] {
  return bindArguments(name, SIGNATURE, given) as [ArgNums, boolean];
}

function valueAndGradient(name: string, func: Func, argnums: ArgNums, hasAux: boolean, args: readonly unknown[]): unknown[] {
  const tracked = is_grad_enabled();
  return enable_grad(() => {
    const { output, own, open, aux } = run(name, func, args, argnums, hasAux);
    if (!(output instanceof Tensor)) {
      throw new RuntimeError(`${name}: Expected f(*args) to return a single tensor, got ${describe(output)}`);
    }
    if (output.ndim !== 0) {
      throw new RuntimeError(
        `${name}: Expected f(*args) to return a scalar tensor, got tensor with ${output.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?`,
      );
    }
    if (!output.dtype.is_floating_point) {
      throw new RuntimeError(`${name}: Expected f(*args) to return a tensor of floating point dtype, got ${output.dtype}`);
    }
    const outer = open && tracked;
    const gradients = settle(pull([output], own, [ops.ones_like(output)], outer), outer);
    return [shaped(args, argnums, gradients), settle(output, outer), settle(aux, outer)];
  });
}

/** The gradient of a function of one value for the arguments at `argnums`; with `has_aux`, [gradient, aux]. */
export function grad<T = Tensor>(func: Func, ...given: Options): Transformed<T> {
  const [argnums, hasAux] = bindOptions("grad", given);
  return (...args) => {
    const [gradient, , aux] = valueAndGradient("grad", func, argnums, hasAux, args);
    return (hasAux ? [gradient, aux] : gradient) as T;
  };
}

/** [gradient, value]; with `has_aux`, [gradient, [value, aux]]. */
export function grad_and_value<T = [Tensor, Tensor]>(func: Func, ...given: Options): Transformed<T> {
  const [argnums, hasAux] = bindOptions("grad_and_value", given);
  return (...args) => {
    const [gradient, value, aux] = valueAndGradient("grad_and_value", func, argnums, hasAux, args);
    return [gradient, hasAux ? [value, aux] : value] as T;
  };
}

function checkLike(name: string, what: string, given: readonly Tensor[], like: readonly Tensor[]): void {
  if (given.length !== like.length) throw new RuntimeError(`${name}: expected ${like.length} ${what}, got ${given.length}`);
  given.forEach((t, i) => {
    if (sameShape(t.shape, like[i]!.shape)) return;
    throw new RuntimeError(`${name}: ${what} ${i} has shape ${formatShape(t.shape)}, expected ${formatShape(like[i]!.shape)}`);
  });
}

const everything = (args: readonly unknown[]): number[] => args.map((_, i) => i);

/** Takes cotangents of a function's outputs back to its inputs: an array of gradients, of each input one; of a single input, with its form. */
export type Pullback = (...cotangents: unknown[]) => unknown[];

/** `[output, pullback]`; with `{ has_aux: true }` at the end, `[output, pullback, aux]`. */
export function vjp(func: Func, ...primals: unknown[]): [output: unknown, pullback: Pullback, aux?: unknown] {
  const hasAux = takeAux(primals);
  const tracked = is_grad_enabled();
  return enable_grad(() => {
    const { output, outputs, own, aux, open } = run("vjp", func, primals, everything(primals), hasAux);
    const pullback: Pullback = (...cotangents) => {
      const vectors = tensorsOf(cotangents);
      checkLike("vjp", "cotangents", vectors, outputs);
      const outer = tracked && is_grad_enabled() && (open || reachesOut(vectors, own));
      return enable_grad(() => fillTree(primals, settle(pull(outputs, own, vectors, outer), outer)) as unknown[]);
    };
    const result = settle(output, open);
    return hasAux ? [result, pullback, settle(aux, open)] : [result, pullback];
  });
}

/** Whether the last argument is `{ has_aux }`, which it takes off. */
function takeAux(args: unknown[]): boolean {
  const last = args.at(-1);
  if (typeof last !== "object" || last === null || !("has_aux" in last) || Object.keys(last).length !== 1) return false;
  args.pop();
  return Boolean(last.has_aux);
}

/** The linear map of tangents of a run: a gradient is linear in its cotangents u; the derivative of that, by u, is the map forwards. */
function forwardMap({ outputs, own }: Run, create: boolean): (tangents: readonly Tensor[]) => Tensor[] {
  const u = outputs.map((t) => ops.zeros_like(t).requires_grad_(t.dtype.differentiable));
  const back = pull(outputs, own, u, true);
  return (tangents) => pull(back, u, tangents, create);
}

/** `[output, its derivative in the direction of tangents]`; with has_aux, aux comes third. */
export function jvp(
  func: Func,
  primals: readonly unknown[],
  tangents: readonly unknown[],
  options: { strict?: boolean; has_aux?: boolean } = {},
): [output: unknown, tangent: unknown, aux?: unknown] {
  if (!Array.isArray(primals) || primals.length === 0)
    throw new RuntimeError("jvp: primals must be an array of at least one input");
  if (!Array.isArray(tangents)) throw new RuntimeError("jvp: tangents must be an array, in the form of primals");
  const hasAux = options.has_aux ?? false;
  const directions = tensorsOf(tangents);
  return withGrad(is_grad_enabled(), (tracked) => {
    const result = run("jvp", func, primals, everything(primals), hasAux, directions);
    checkLike("jvp", "tangents", directions, result.own);
    const open = tracked && result.open;
    const { output, outputs, aux } = result;
    if (options.strict === true && outputs.some((t) => !t.requires_grad)) {
      throw new RuntimeError("jvp: an output of the function does not depend on its inputs, which strict does not allow");
    }
    const moved = settle(forwardMap(result, open)(directions), open);
    const pair: [unknown, unknown] = [settle(output, open), fillTree(output, moved)];
    return hasAux ? [...pair, settle(aux, open)] : pair;
  });
}

function withGrad<T>(tracked: boolean, fn: (tracked: boolean) => T): T {
  return enable_grad(() => fn(tracked));
}

/** `[output, jvp_fn]`: the function's value, and its derivative as a function of tangents. */
export function linearize(func: Func, ...primals: unknown[]): [output: unknown, jvp_fn: (...tangents: unknown[]) => unknown] {
  return enable_grad(() => {
    const result = run("linearize", func, primals, everything(primals), false);
    const map = forwardMap(result, false);
    const forward = (...tangents: unknown[]): unknown => {
      const directions = tensorsOf(tangents);
      checkLike("linearize", "tangents", directions, result.own);
      return enable_grad(() => fillTree(result.output, settle(map(directions), false)));
    };
    return [settle(result.output, false), forward];
  });
}

const emptyLike = (t: Tensor, shape: readonly number[]): Tensor => ops.zeros(shape, { dtype: t.dtype, device: t.device });

/** What `fn` makes of the unit vectors of t's shape, all at once (or `chunk` at a time): their dimension at `dim`. */
function overBasis(t: Tensor, fn: (v: Tensor) => Tensor[], dim: number, { chunk, randomness }: Batches): Tensor[] {
  const n = t.numel();
  const basis = ops.eye(n, { dtype: t.dtype, device: t.device }).reshape([n, ...t.shape]);
  return vmap<Tensor[]>(fn, { out_dims: dim, chunk_size: chunk, randomness })(basis);
}

interface Batches {
  readonly chunk: number | null;
  readonly randomness: Randomness;
}

/** For each output, its Jacobians by the arguments concerned. */
type Rows = (run: Run, create: boolean, batches: Batches) => Tensor[][];

/** Row by row: a gradient for each element of the outputs. */
const byRows: Rows = ({ outputs, own }, create, batches) =>
  outputs.map((out) => {
    const shapes = own.map((x) => [...out.shape, ...x.shape]);
    if (out.numel() === 0) return shapes.map((shape) => emptyLike(out, shape));
    return overBasis(out, (v) => pull([out], own, [v], create), 0, batches).map((rows, j) => rows.reshape(shapes[j]!));
  });

/** Column by column: a derivative for each element of the inputs. */
const byColumns: Rows = (result, create, batches) => {
  const { outputs, own } = result;
  const map = forwardMap(result, create);
  const columns = own.map((x, j) => {
    if (x.numel() === 0) return [];
    return overBasis(x, (v) => map(own.map((other, k) => (k === j ? v : ops.zeros_like(other)))), -1, batches);
  });
  return outputs.map((out, i) =>
    own.map((x, j) => {
      const shape = [...out.shape, ...x.shape];
      return columns[j]![i]?.reshape(shape) ?? emptyLike(out, shape);
    }),
  );
};

function jacobian<T>(name: string, func: Func, rows: Rows, argnums: ArgNums, hasAux: boolean, batches: Batches): Transformed<T> {
  if (batches.chunk !== null && !(batches.chunk > 0)) {
    throw new ValueError(`${name}: \`chunk_size\` should be greater than 0, got ${batches.chunk}`);
  }
  return (...args) =>
    withGrad(is_grad_enabled(), (tracked) => {
      const result = run(name, func, args, argnums, hasAux);
      const open = tracked && result.open;
      const each = rows(result, open, batches).map((row) => shaped(args, argnums, settle(row, open)));
      const whole = fillTree(result.output, each);
      return (hasAux ? [whole, settle(result.aux, open)] : whole) as T;
    });
}

type JacobianOptions = Args<[{ argnums?: ArgNums }], { has_aux?: boolean; chunk_size?: number | null }>;

/**
 * The Jacobian, by reverse mode: for outputs of few elements. In the form of the output, and in that of the arguments concerned. All rows are
 * computed at once, or `chunk_size` at a time.
 */
export function jacrev<T = Tensor>(func: Func, ...given: JacobianOptions): Transformed<T> {
  const signature = parseSignature("argnums=0, *, has_aux=False, chunk_size=None");
  const [argnums, hasAux, chunk] = bindArguments("jacrev", signature, given) as [ArgNums, boolean, number | null];
  return jacobian("jacrev", func, byRows, argnums, hasAux, { chunk, randomness: "different" });
}

/** The Jacobian, by forward mode: for inputs of few elements. All columns are computed at once, or `chunk_size` at a time. */
export function jacfwd<T = Tensor>(
  func: Func,
  ...given: Args<[{ argnums?: ArgNums }, { has_aux?: boolean }], { chunk_size?: number | null; randomness?: Randomness }>
): Transformed<T> {
  const signature = parseSignature("argnums=0, has_aux=False, *, chunk_size=None, randomness='error'");
  const bound = bindArguments("jacfwd", signature, given) as [ArgNums, boolean, number | null, Randomness];
  const [argnums, hasAux, chunk, randomness] = bound;
  return jacobian("jacfwd", func, byColumns, argnums, hasAux, { chunk, randomness });
}

/** Second derivatives: forward over reverse. */
export function hessian<T = Tensor>(func: Func, ...given: Args<[{ argnums?: ArgNums }]>): Transformed<T> {
  const [argnums] = bindArguments("hessian", parseSignature("argnums=0"), given) as [ArgNums];
  return jacfwd<T>(jacrev(func, argnums), argnums);
}
