/** matmul: operands of any strides; bias, alpha and beta are applied where the sums are stored. */

import type { View } from "../../ts/core/device.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { NotImplementedError } from "../../ts/core/errors.ts";
import type { BufferVar, KernelBuilder, V } from "../builder.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import type { MatrixFormat } from "../ir.ts";
import { type GemmShape, planGemm } from "../plan_matmul.ts";
import { planMatrix, planPipelined } from "../plan_matrix.ts";
import { roundTo } from "../scalar/convert.ts";
import { linearSide, type Side } from "./gemm.ts";
import { comingOf, type MatrixOperand } from "./gemm_matrix.ts";
import { type FinishBatch, PlanCache, runGemm } from "./gemm_run.ts";
import { elemsOf, matrixFormat } from "./matrix_tiles.ts";

/** An operand: stride of its lines (rows of a, columns of b), of its steps (along k), of the batch. */
interface Operand {
  readonly view: View;
  readonly line: number;
  readonly step: number;
  readonly batch: number;
  /** Which of them can be read as vectors of four. */
  readonly vector: "lines" | "steps" | "none";
}

/** A product in the terms of the template. The smaller dimension may have become m: then the output is written transposed. */
interface Product {
  readonly shape: GemmShape;
  readonly a: Operand;
  readonly b: Operand;
  readonly out: { readonly view: View; readonly batch: number; readonly row: number; readonly column: number };
  readonly bias: { readonly view: View; readonly batch: number; readonly row: number; readonly column: number } | null;
}

function operandOf(view: View, line: number, shape: { lines: number; k: number }): Operand {
  const { strides, offset, shape: dims } = view;
  const [batch, ls, ss] = [dims[0] === 1 ? 0 : strides[0]!, strides[line]!, strides[3 - line]!];
  const aligned = (other: number, count: number): boolean => [offset, batch, other, count].every((x) => x % 4 === 0);
  const vector = ls === 1 && aligned(ss, shape.lines) ? "lines" : ss === 1 && aligned(ls, shape.k) ? "steps" : "none";
  return { view, line: ls, step: ss, batch, vector };
}

/** Batches that walk on through the rows of a are more rows. */
function joinBatch(view: View, rows: number): View | null {
  const [B, m, n] = view.shape as [number, number, number];
  const [sb, sm, sn] = view.strides as [number, number, number];
  if (m !== rows && m !== 1) return null;
  if (B > 1 && rows > 1 && sb !== sm * rows) return null;
  return { ...view, shape: [1, B * m, n], strides: [0, rows > 1 ? sm : sb, sn] };
}

function productOf(inputs: readonly View[], out: View): Product {
  let [a, b, bias] = inputs as [View, View, View | undefined];
  let [batch, m] = out.shape as [number, number];
  const [n, k] = [out.shape[2]!, a.shape[2]!];
  if (batch > 1 && (b.shape[0] === 1 || b.strides[0] === 0)) {
    const joined = joinBatch(a, m);
    const joinedBias = bias === undefined ? undefined : joinBatch(bias, m);
    if (joined !== null && joinedBias !== null) {
      [a, bias, m, batch] = [joined, joinedBias, batch * m, 1];
      b = { ...b, shape: [1, k, n], strides: [0, b.strides[1]!, b.strides[2]!] };
    }
  }
  const at = (view: View | undefined): Product["bias"] =>
    view === undefined
      ? null
      : {
          view,
          batch: view.shape[0] === 1 ? 0 : view.strides[0]!,
          row: view.shape[1] === 1 ? 0 : view.strides[1]!,
          column: view.shape[2] === 1 ? 0 : view.strides[2]!,
        };
  const place = { view: out, batch: m * n, row: n, column: 1 };
  const first = operandOf(a, 1, { lines: m, k });
  const second = operandOf(b, 2, { lines: n, k });
  const shape = { batch, m, n, k };
  const product: Product = { shape, a: first, b: second, out: place, bias: at(bias) };
  if (n >= m || n > 8) return product;
  // Thin columns become thin rows.
  const turned = <T extends { row: number; column: number }>(x: T): T => ({ ...x, row: x.column, column: x.row });
  return {
    ...product,
    shape: { batch, m: n, n: m, k },
    a: second,
    b: first,
    out: turned(place),
    bias: product.bias && turned(product.bias),
  };
}

/** How the template reads a strided operand. */
function stridedSide(k: KernelBuilder, name: string, buffer: BufferVar, operand: Operand, batch: V): Side {
  const stride = (of: "line" | "step"): V => (operand[of] === 1 ? k.u32(1) : k.param(`${name}_${of}`, "u32"));
  const base = k.param(`${name}_offset`, "u32").add(batch.mul(k.param(`${name}_batch`, "u32")));
  const side = linearSide(k, base, stride("line"), stride("step"), (at) => buffer.load(at));
  if (buffer.param.lanes === 1) return side;
  const loadQuad: Side["load"] = ([p], [q]) => buffer.load(p!.add(q!).shr(2));
  return { ...side, ...(operand.vector === "lines" ? { loadLines: loadQuad } : { loadSteps: loadQuad }) };
}

function sideParams(name: string, { view, line, step, batch }: Operand): Record<string, number> {
  return {
    [`${name}_offset`]: view.offset,
    [`${name}_line`]: line,
    [`${name}_step`]: step,
    [`${name}_batch`]: batch,
  };
}

/** What becomes of a sum: alpha, beta times what was there, bias; rounded as the dtype is stored. */
function finisher(
  k: KernelBuilder,
  context: GpuContext,
  { dtype, bias, beta, pairs }: { dtype: DType; bias: boolean; beta: boolean; pairs: boolean },
): FinishBatch {
  const { elem, value } = context.layout(dtype);
  const biasBuffer = !bias ? null : k.input("bias", elem);
  const out = k.output("out", elem, pairs ? 2 : 1);
  const param = (name: string, of: string): V => k.param(`${name}_${of}`, "u32");
  // Where halves exist in memory the store rounds.
  const rounded = (x: V): V => (context.caps.wide && (elem === "f16" || elem === "bf16") ? x : roundTo(k, x, dtype));
  const places = bias ? ["out", "bias"] : ["out"];
  return (batch) => {
    const bases = places.map((name) => param(name, "offset").add(batch.mul(param(name, "batch"))));
    return {
      row: (row) => places.map((name, i) => bases[i]!.add(row.mul(param(name, "row")))),
      column: (column) => places.map((name) => column.mul(param(name, "column"))),
      store(row, column, sum) {
        const [at, biasAt] = row.map((x, i) => x.add(column[i]!));
        let result = sum.mul(k.param("alpha", value));
        if (beta) result = result.add(out.load(at!).mul(k.param("beta", value)));
        if (biasBuffer !== null) result = result.add(biasBuffer.load(biasAt!));
        out.store(at!, rounded(result));
      },
      ...(pairs ? { storePair } : {}),
    };
    function storePair(row: readonly V[], columns: readonly (readonly V[])[], sums: readonly [V, V]): void {
      const at = row[0]!.add(columns[0]![0]!).div(2);
      let results = sums.map((sum) => sum.mul(k.param("alpha", value)));
      if (beta) {
        const before = k.lanes(out.load(at));
        results = results.map((x, i) => x.add(before[i]!.mul(k.param("beta", value))));
      }
      if (biasBuffer !== null) results = results.map((x, i) => x.add(biasBuffer.load(row[1]!.add(columns[i]![1]!))));
      out.store(at, k.vector(results));
    }
  };
}

function placeParams(name: string, place: NonNullable<Product["bias"]> | null): Record<string, number> {
  if (place === null) return {};
  return {
    [`${name}_offset`]: place.view.offset,
    [`${name}_batch`]: place.batch,
    [`${name}_row`]: place.row,
    [`${name}_column`]: place.column,
  };
}

/** How an operand gets to matrix units: by copies as wide as its alignment allows. */
function matrixOperand(context: GpuContext, format: MatrixFormat, operand: Operand, lines: number): MatrixOperand {
  const { view, line, step, batch } = operand;
  const along = step === 1 ? "steps" : line === 1 || line < step ? "lines" : "steps";
  const other = along === "steps" ? line : step;
  const size = format === "tf32" ? 4 : 2;
  const fits = (bytes: number): boolean => [view.offset, batch, other].every((x) => (x * size) % bytes === 0);
  const side = along === "steps" ? step : line;
  const bytes = !context.caps.asyncCopy || side !== 1 ? 0 : (([16, 8, 4] as const).find(fits) ?? 0);
  // A copy of lines may not begin before the first.
  const ragged = along === "lines" && bytes > 0 && (lines * size) % bytes !== 0;
  return { along, bytes, ragged };
}

export const lowerMatmul: GpuLowering<"matmul"> = (spec, context) => {
  const { dtype } = spec;
  if (dtype.name === "bool") throw new NotImplementedError("matmul: no kernel for bool; convert to float32 or int32");
  const { value } = context.layout(dtype);
  const scalar = (x: number): number | bigint => (value === "i64" ? BigInt(Math.trunc(x)) : x);
  const plans = new PlanCache();
  return (inputs, outputs, params) => {
    if (outputs[0]!.shape.includes(0)) return;
    const { shape, a, b, bias, out } = productOf(inputs, outputs[0]!);
    const alongK = b.step === 1;
    const format = matrixFormat(context.caps, dtype, params.tf32);
    // In full precision f32 comes the same way.
    const way = format ?? (dtype.name === "float32" ? "tf32" : null);
    const matrix = way && {
      format: way,
      a: matrixOperand(context, way, a, shape.m),
      b: matrixOperand(context, way, b, shape.n),
    };
    const coming = matrix === null ? "gathered" : comingOf(matrix);
    const kind = `${alongK}/${format ?? ""}/${coming}`;
    const plan = plans.find(shape, kind, () => {
      const { caps } = context;
      const special = format ? planMatrix(caps, shape, format, coming) : way && planPipelined(caps, shape);
      return special ?? planGemm(caps, shape, alongK, true);
    });
    const copied = plan.form === "matrix" || plan.form === "pipelined";
    // Vectors go where a kernel reads them whole.
    const wanted = plan.form === "tiled" ? "lines" : plan.form === "thin" && a.vector === b.vector ? "steps" : "never";
    const lanes = [a.vector === wanted ? 4 : 1, b.vector === wanted ? 4 : 1] as const;
    const beta = params.beta !== 0;
    runGemm(context, {
      name: "matmul",
      sidesKey: [a, b].map(({ line, step }) => `${line === 1 ? "l" : ""}${step === 1 ? "s" : ""}`).join("-"),
      finishKey: `${bias !== null}/${beta}`,
      dtype,
      shape,
      plan,
      operands: [a.view, b.view],
      lanes: copied ? [1, 1] : lanes,
      ...(copied ? { elems: elemsOf(way!), matrix: matrix! } : {}),
      pairs: out.column === 1 && [out.view.offset, out.batch, out.row, shape.n].every((x) => x % 2 === 0),
      sides: (k, buffers, batch) => ({
        a: stridedSide(k, "a", buffers[0], a, batch),
        b: stridedSide(k, "b", buffers[1], b, batch),
      }),
      finish: (k, pairs) => finisher(k, context, { dtype, bias: bias !== null, beta, pairs }),
      targets: bias === null ? [out.view] : [bias.view, out.view],
      params: {
        ...sideParams("a", a),
        ...sideParams("b", b),
        ...placeParams("out", out),
        ...placeParams("bias", bias),
        alpha: scalar(params.alpha),
        beta: scalar(params.beta),
      },
    });
  };
};
