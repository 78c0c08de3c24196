/** matmul: operands of any strides; bias, alpha and beta are applied where the sums are stored. */

import type { View } from "../../ts/core/device.ts";
import { NotImplementedError } from "../../ts/core/errors.ts";
import type { DType } from "../../ts/core/dtype.ts";
import type { MatmulParams } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { Bindable, GpuContext, GpuLowering, Temporary } from "../context.ts";
import type { Elem } from "../ir.ts";
import { gridGroups, workgroupSize } from "../plan.ts";
import { type GemmPlan, type GemmShape, planGemm, stepsOfPart } from "../plan_matmul.ts";
import { roundTo } from "../scalar/convert.ts";
import { coordinatesOf } from "./common.ts";
import { buildGemm, type Gemm, gemmGroups, gemmKey, gemmParams, type Side } from "./gemm.ts";

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
  readonly params: MatmulParams;
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

function productOf(inputs: readonly View[], out: View, params: MatmulParams): Product {
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
  const product: Product = { shape, a: first, b: second, out: place, bias: at(bias), params };
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
  const quads = buffer.param.lanes === 4;
  const stride = (of: "line" | "step"): V => (operand[of] === 1 ? k.u32(1) : k.param(`${name}_${of}`, "u32"));
  const [line, step] = [stride("line"), stride("step")];
  const base = k.param(`${name}_offset`, "u32").add(batch.mul(k.param(`${name}_batch`, "u32")));
  const side = {
    line: (index: V) => [base.add(index.mul(line))],
    step: (at: V) => [at.mul(step)],
    walk(from: V) {
      const at = k.var(from.mul(step));
      return { now: () => [at.get()], next: () => at.set(at.get().add(step)) };
    },
  };
  const sum = ([p]: readonly V[], [q]: readonly V[]): V => p!.add(q!);
  const loadQuad = (p: readonly V[], q: readonly V[]): V => buffer.load(sum(p, q).shr(2));
  return {
    ...side,
    load: (p, q) => buffer.load(sum(p, q)),
    ...(!quads ? {} : operand.vector === "lines" ? { loadLines: loadQuad } : { loadSteps: loadQuad }),
  };
}

/** What a sum becomes before it is stored: alpha, beta times what was there, bias; rounded as the dtype is stored. */
interface Epilogue {
  readonly dtype: DType;
  readonly bias: Product["bias"];
  readonly beta: boolean;
}

function finisher(
  k: KernelBuilder,
  context: GpuContext,
  { dtype, bias, beta }: Epilogue,
): (batch: V, row: V, column: V, sum: V) => void {
  const { elem, value } = context.layout(dtype);
  const biasBuffer = bias === null ? null : k.input("bias", elem);
  const out = k.output("out", elem);
  const address = (name: string, batch: V, row: V, column: V): V => {
    const stride = (of: string): V => k.param(`${name}_${of}`, "u32");
    return stride("offset")
      .add(batch.mul(stride("batch")))
      .add(row.mul(stride("row")))
      .add(column.mul(stride("column")));
  };
  return (batch, row, column, sum) => {
    const at = address("out", batch, row, column);
    let result = sum.mul(k.param("alpha", value));
    if (beta) result = result.add(out.load(at).mul(k.param("beta", value)));
    if (biasBuffer !== null) result = result.add(biasBuffer.load(address("bias", batch, row, column)));
    out.store(at, roundTo(k, result, dtype));
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

/** Adds the parts of k in their order. */
function foldParts(
  context: GpuContext,
  dtype: DType,
  parts: Temporary,
  product: Product,
  epilogueParams: Record<string, number | bigint>,
  splits: number,
): void {
  const { shape, bias, params } = product;
  const threads = workgroupSize(context.caps, 64);
  const size = shape.batch * shape.m * shape.n;
  const beta = params.beta !== 0;
  const program = context.program(`matmul_fold/${dtype}/${bias !== null}/${beta}`, () => {
    const k = new KernelBuilder("matmul_fold", threads);
    const { value } = context.layout(dtype);
    const input = k.input("parts", parts.elem);
    const finish = finisher(k, context, { dtype, bias, beta });
    const count = k.param("splits", "u32");
    const all = k.param("size", "u32");
    k.gridStride(all, (i) => {
      const sum = k.var(k.const(0, value));
      k.for(0, count, 1, (part) => sum.set(sum.get().add(input.load(part.mul(all).add(i)))));
      const [batch, row, column] = coordinatesOf(i, [k.u32(0), k.param("m", "u32"), k.param("n", "u32")]) as [V, V, V];
      finish(batch, row, column, sum.get());
    });
    return k.build();
  });
  context.launch(program, {
    buffers: bias === null ? [parts, product.out.view] : [parts, bias.view, product.out.view],
    params: { ...epilogueParams, splits, size, m: shape.m, n: shape.n },
    groups: gridGroups(size, threads),
  });
}

function runProduct(context: GpuContext, dtype: DType, product: Product, plan: GemmPlan): void {
  const { shape, a, b, bias, params } = product;
  const { elem, value } = context.layout(dtype);
  const exact = shape.k % plan.depth === 0;
  const beta = params.beta !== 0;
  const split = plan.splits > 1;
  // Vectors go where a kernel reads them whole.
  const wanted = plan.form === "tiled" ? "lines" : plan.form === "thin" ? "steps" : "none";
  const both = plan.form !== "thin" || (a.vector === "steps" && b.vector === "steps");
  const vectorA = both && a.vector === wanted && wanted !== "none";
  const vectorB = both && b.vector === wanted && wanted !== "none";
  const units = [a, b].map(({ line, step }) => `${line === 1 ? "l" : ""}${step === 1 ? "s" : ""}`).join("-");
  const key = `matmul/${dtype}/${gemmKey(plan, exact)}/${vectorA}/${vectorB}/${units}/${bias !== null}/${beta}`;
  const size = shape.batch * shape.m * shape.n;
  const sumElem = value as Elem; // as the sums are in registers
  const program = context.program(key, () => {
    const k = new KernelBuilder("matmul", plan.threads);
    const bufferA = k.input("a", elem, vectorA ? 4 : 1);
    const bufferB = k.input("b", elem, vectorB ? 4 : 1);
    let finish: Gemm["finish"];
    if (split) {
      const parts = k.output("parts", sumElem);
      const [all, m, n] = ["size", "m", "n"].map((name) => k.param(name, "u32")) as [V, V, V];
      finish = (batch, part, row, column, sum) => parts.store(part.mul(all).add(batch.mul(m).add(row).mul(n)).add(column), sum);
    } else {
      const store = finisher(k, context, { dtype, bias, beta });
      finish = (batch, _, row, column, sum) => store(batch, row, column, sum);
    }
    buildGemm(k, {
      scalar: value,
      plan,
      exact,
      sides: (batch) => ({
        a: stridedSide(k, "a", bufferA, a, batch),
        b: stridedSide(k, "b", bufferB, b, batch),
      }),
      finish,
    });
    return k.build();
  });
  const side = (name: string, { view, line, step, batch }: Operand): Record<string, number> => ({
    [`${name}_offset`]: view.offset,
    [`${name}_line`]: line,
    [`${name}_step`]: step,
    [`${name}_batch`]: batch,
  });
  const scalar = (x: number): number | bigint => (value === "i64" ? BigInt(Math.trunc(x)) : x);
  const epilogueParams = {
    ...placeParams("out", product.out),
    ...placeParams("bias", bias),
    alpha: scalar(params.alpha),
    beta: scalar(params.beta),
  };
  const steps = stepsOfPart(plan, shape.k);
  const launchParams = { ...gemmParams(plan, shape, steps), ...side("a", a), ...side("b", b) };
  const groups = gemmGroups(plan, shape);
  if (!split) {
    const target: Bindable[] = bias === null ? [product.out.view] : [bias.view, product.out.view];
    context.launch(program, { buffers: [a.view, b.view, ...target], params: { ...launchParams, ...epilogueParams }, groups });
    return;
  }
  const parts = context.temporary(size * plan.splits, sumElem);
  context.launch(program, { buffers: [a.view, b.view, parts], params: { ...launchParams, size }, groups });
  foldParts(context, dtype, parts, product, epilogueParams, plan.splits);
}

export const lowerMatmul: GpuLowering<"matmul"> = (spec, context) => {
  const { dtype } = spec;
  if (dtype.name === "bool") throw new NotImplementedError("matmul: no kernel for bool; convert to float32 or int32");
  const plans = new Map<string, GemmPlan>();
  return (inputs, outputs, params) => {
    const out = outputs[0]!;
    if (out.shape.includes(0)) return;
    const product = productOf(inputs, out, params);
    const { batch, m, n, k } = product.shape;
    const alongK = product.b.step === 1;
    const key = `${batch},${m},${n},${k},${alongK}`;
    let plan = plans.get(key);
    if (plan === undefined) plans.set(key, (plan = planGemm(context.caps, product.shape, alongK, true)));
    runProduct(context, dtype, product, plan);
  };
};
