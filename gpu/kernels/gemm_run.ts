/** Launches of the product template: in one pass, or in parts of k whose sums a second pass adds in their order. */

import type { DType } from "../../ts/core/dtype.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { Bindable, GpuContext } from "../context.ts";
import type { Elem } from "../ir.ts";
import { gridGroups, workgroupSize } from "../plan.ts";
import { type GemmPlan, type GemmShape, stepsOfPart } from "../plan_matmul.ts";
import { coordinatesOf } from "./common.ts";
import { buildGemm, type Finish, type Gemm, gemmGroups, gemmKey, gemmParams, type Side } from "./gemm.ts";
import { buildMatrixGemm, matrixKey, type MatrixOperands } from "./gemm_matrix.ts";
import { buildPipelinedGemm } from "./gemm_pipelined.ts";

/** The stores of a batch entry's sums. */
export type FinishBatch = (batch: V) => Finish;

export interface GemmRun {
  readonly name: string;
  /** What `sides` and `finish` look at, each. */
  readonly sidesKey: string;
  readonly finishKey: string;
  readonly dtype: DType;
  readonly shape: GemmShape;
  readonly plan: GemmPlan;
  /** Operands a and b, and how many elements a load of each may take. */
  readonly operands: readonly [Bindable, Bindable];
  readonly lanes: readonly [1 | 4, 1 | 4];
  /** How they lie in memory; default: as the dtype. */
  readonly elems?: readonly [Elem, Elem];
  readonly reach?: Gemm["reach"];
  sides(k: KernelBuilder, buffers: readonly [BufferVar, BufferVar], batch: V): { readonly a: Side; readonly b: Side };
  /** How the operands get to workgroup memory, where the plan is for matrix units or pipelined. */
  readonly matrix?: MatrixOperands;
  /** Whether two columns, the first of them even, lie side by side and aligned in the output. */
  readonly pairs?: boolean;
  /** Declares its buffers, which `targets` binds. `pairs`: it is to store two columns at once. */
  finish(k: KernelBuilder, pairs: boolean): FinishBatch;
  readonly targets: readonly Bindable[];
  readonly params: Readonly<Record<string, number | bigint>>;
}

export function runGemm(context: GpuContext, run: GemmRun): void {
  const { name, dtype, shape, plan, operands, lanes } = run;
  const { elem, value } = context.layout(dtype);
  const { elems = [elem, elem] as const, reach } = run;
  const exact = shape.k % plan.depth === 0;
  const split = plan.splits > 1;
  const size = shape.batch * shape.m * shape.n;
  const partElem = value as Elem; // as the sums are in registers
  const matrix = plan.form === "matrix" || plan.form === "pipelined" ? run.matrix! : null;
  const pairs = matrix !== null && (split ? shape.n % 2 === 0 : run.pairs === true);
  const operandsKey = matrix === null ? lanes.join("") : `${matrixKey(matrix)}/${pairs}`;
  const key = `${name}/${dtype}/${gemmKey(plan, exact)}/${operandsKey}/${elems.join("")}/${run.sidesKey}/${split ? "" : run.finishKey}`;
  const program = context.program(key, () => {
    const k = new KernelBuilder(name, plan.threads);
    const buffers = [k.input("a", elems[0], lanes[0]), k.input("b", elems[1], lanes[1])] as const;
    const finish = split ? storeParts(k, k.output("parts", partElem, pairs ? 2 : 1)) : run.finish(k, pairs);
    const gemm: Gemm = {
      scalar: value,
      plan,
      exact,
      sides: (batch) => run.sides(k, buffers, batch),
      ...(reach === undefined ? {} : { reach }),
      finish,
    };
    if (matrix === null) buildGemm(k, gemm);
    else if (plan.form === "matrix") buildMatrixGemm(k, gemm, matrix, buffers);
    else buildPipelinedGemm(k, gemm, matrix, buffers);
    return k.build();
  });
  const params = { ...run.params, ...gemmParams(plan, shape, stepsOfPart(plan, shape.k)), size };
  const groups = gemmGroups(plan, shape);
  const work = size * shape.k;
  if (!split) return context.launch(program, { buffers: [...operands, ...run.targets], params, groups, work });

  const parts = context.temporary(size * plan.splits, partElem);
  context.launch(program, { buffers: [...operands, parts], params, groups, work });
  const threads = workgroupSize(context.caps, 64);
  const fold = context.program(`${name}_fold/${dtype}/${run.finishKey}`, () => {
    const k = new KernelBuilder(`${name}_fold`, threads);
    const input = k.input("parts", partElem);
    const finish = run.finish(k, false);
    const all = k.param("size", "u32");
    k.gridStride(all, (i) => {
      const sum = k.var(k.const(0, value));
      k.for(0, k.param("splits", "u32"), 1, (part) => sum.set(sum.get().add(input.load(part.mul(all).add(i)))));
      const [batch, row, column] = coordinatesOf(i, [k.u32(0), k.param("m", "u32"), k.param("n", "u32")]) as [V, V, V];
      const { row: rowState, column: columnState, store } = finish(batch);
      store(rowState(row), columnState(column), sum.get());
    });
    return k.build();
  });
  context.launch(fold, { buffers: [parts, ...run.targets], params, groups: gridGroups(size, threads) });
}

/** Stores a pair at the sum of two places, to a buffer of pairs. */
export const storePairAt =
  (k: KernelBuilder, target: BufferVar): NonNullable<Finish["storePair"]> =>
  ([row], [column], sums) =>
    target.store(row!.add(column![0]!).div(2), k.vector(sums));

function storeParts(k: KernelBuilder, parts: BufferVar): Gemm["finish"] {
  const [all, m, n] = ["size", "m", "n"].map((name) => k.param(name, "u32")) as [V, V, V];
  return (batch, part) => {
    const first = part.mul(all).add(batch.mul(m).mul(n));
    return {
      row: (row) => [first.add(row.mul(n))],
      column: (column) => [column],
      store: ([row], [column], sum) => parts.store(row!.add(column!), sum),
      ...(parts.param.lanes === 1 ? {} : { storePair: storePairAt(k, parts) }),
    };
  };
}

/** Plans by shape: they are asked for at every run. */
export class PlanCache {
  readonly #plans = new Map<string, GemmPlan>();
  find({ batch, m, n, k }: GemmShape, kind: string, make: () => GemmPlan): GemmPlan {
    const key = `${batch},${m},${n},${k},${kind}`;
    let plan = this.#plans.get(key);
    if (plan === undefined) {
      if (this.#plans.size > 1000) this.#plans.clear(); // shapes without end
      this.#plans.set(key, (plan = make()));
    }
    return plan;
  }
}
