/** Rules of linear algebra for vmap's batches (see engine/batching.ts): one more leading dimension. */

import { sameShape } from "../../core/shape.ts";
import { BatchedAccess, Tensor } from "../../core/tensor.ts";
import { batchRule, type BatchCall } from "../../engine/batching.ts";
import { named } from "../../engine/define.ts";
import { padded } from "../batching.ts";

type Values = readonly unknown[];

/** The op on tensors with the batch in front; their other leading dimensions are lined up: those before the last 2, or `cores` of an argument. */
function onAll(call: BatchCall, args: Values, cores: readonly number[]): unknown {
  const core = (i: number): number => cores[i] ?? 2;
  const rank = Math.max(...args.map((a, i) => (a instanceof Tensor ? a.ndim - core(i) : 0)));
  return call.op(...args.map((a, i) => (a instanceof Tensor ? padded(call.lift(a), rank + core(i)) : a)));
}
function leading(...cores: number[]) {
  return (call: BatchCall, ...args: Values): unknown => call.lower(onAll(call, args, cores));
}

/** Several results by name; an empty vector among them stands for what was not asked for, in each example. */
function several(call: BatchCall, names: readonly string[], results: readonly Tensor[]): Tensor[] {
  const none = (t: Tensor): Tensor => (t.ndim === 1 && t.numel() === 0 ? t.new_zeros([call.size, 0]) : t);
  const of = results as unknown as Record<string, Tensor>;
  return call.lower(
    named(
      names,
      names.map((name) => none(of[name]!)),
    ),
  );
}

const DECOMPOSITIONS =
  "det slogdet svd svdvals eigh eigvalsh qr cholesky cholesky_ex inv inv_ex lu_factor lu_factor_ex matrix_exp"
    .concat(" matrix_power solve_triangular ldl_factor ldl_factor_ex eig eigvals cond")
    .split(" ")
    .map((name) => `linalg.${name}`);
batchRule([...DECOMPOSITIONS, "lu", "cholesky", "cholesky_solve", "geqrf"], leading(), "composite");
batchRule(["linalg.det", "linalg.det_backward", "linalg.matrix_exp", "linalg.qr", "linalg.svd", "linalg.eigh"], leading());
batchRule(["linalg.solve_triangular", "cholesky_solve", "geqrf"], leading());
batchRule("linalg.ldl_solve", leading(2, 1));
batchRule("linalg.lu_solve", leading(2, 1), "composite");
batchRule("linalg.householder_product", leading(2, 1), "composite");
batchRule("ormqr", leading(2, 1, 2), "composite");
batchRule(["linalg.pinv", "linalg.matrix_rank"], leading(2, 0, 0, 0, 0), "composite");
batchRule(
  ["linalg.lu", "lu_unpack"],
  (call, ...args: unknown[]) => several(call, ["P", "L", "U"], onAll(call, args, [2, 1]) as Tensor[]),
  "composite",
);
// Its pivots have been read; they are the same for all examples.
batchRule("linalg.lu_solve", (call, LU: Tensor, pivots: Int32Array, ...rest: unknown[]) => {
  const all = new Int32Array(call.size * pivots.length);
  for (let i = 0; i < call.size; i++) all.set(pivots, i * pivots.length);
  return call.lower(onAll(call, [LU, all, ...rest], []));
});
// Their infos are left beside the result: for what calls them with a batch.
const WITH_INFOS = ["cholesky_ex", "ldl_factor_ex", "lu_factor_ex", "solve", "slogdet", "lstsq"];
batchRule(
  WITH_INFOS.map((name) => `linalg.${name}`),
  ({ name }) => {
    throw new BatchedAccess(`internal: ${name} was given a batched tensor`);
  },
);

/** Whether B is a vector for each matrix of A. */
const isVector = (A: Tensor, B: Tensor): boolean => B.ndim === A.ndim - 1 && sameShape(B.shape, A.shape.slice(0, -1));

batchRule(
  ["linalg.solve", "linalg.solve_ex"],
  (call, A: Tensor, B: Tensor, ...rest: unknown[]) => {
    const vector = B.ndim === 1 || isVector(A, B);
    const out = leading()(call, A, vector ? B.unsqueeze(-1) : B, ...rest);
    if (!vector) return out;
    if (out instanceof Tensor) return out.squeeze(-1);
    const [result, info] = out as [Tensor, Tensor];
    return named(["result", "info"], [result.squeeze(-1), info]);
  },
  "composite",
);
const LEAST_SQUARES = ["solution", "residuals", "rank", "singular_values"];
batchRule(
  "linalg.lstsq",
  (call, A: Tensor, B: Tensor, ...rest: unknown[]) => {
    const vector = isVector(A, B);
    const out = several(call, LEAST_SQUARES, onAll(call, [A, vector ? B.unsqueeze(-1) : B, ...rest], []) as Tensor[]);
    return vector ? named(LEAST_SQUARES, [out[0]!.squeeze(-1), ...out.slice(1)]) : out;
  },
  "composite",
);
