/** `onnx.export`: runs a model, watches the ops, and writes them as ONNX. */

import * as torch from "../torch.ts";
import type { Tensor } from "../torch.ts";
import { TABLE } from "./convert/index.ts";
import { Arg, differs, Emitter, merged, Sym, type Dim, type Val } from "./emit.ts";
import type { Model, ValueInfo } from "./schema.ts";
import { ELEMENT } from "./tensors.ts";
import { Recorder, type Trace, type TracedCall } from "./trace.ts";
import { encodeModel } from "./wire.ts";

/** In which mode a model is exported; as PyTorch's enum. */
export enum TrainingMode {
  EVAL = 0,
  PRESERVE = 1,
  TRAINING = 2,
}

/** Names of axes that may have any size, by the name of an input or output: `{ x: { 0: "batch" } }` or `{ x: [0] }`. */
export type DynamicAxes = Readonly<Record<string, Readonly<Record<number, string>> | readonly number[]>>;

export interface ExportOptions {
  /** Names of the inputs in order; the rest are called `input`, `input_1` and so on. */
  readonly input_names?: readonly string[] | null;
  readonly output_names?: readonly string[] | null;
  /** Axes that may have any size. An axis that is not named is fixed to the example's size. */
  readonly dynamic_axes?: DynamicAxes | null;
  /** ONNX's operator set: 14 to 21. Default: 17. */
  readonly opset_version?: number | null;
  /** Default: EVAL. */
  readonly training?: TrainingMode;
  /** Whether initializers of parameters have the names of state_dict (default), or names of no meaning. */
  readonly keep_initializer_names?: boolean;
  /** Whether what depends on no input and no weight is computed now. Default: true. */
  readonly do_constant_folding?: boolean;
}

interface Axis {
  readonly input: number;
  readonly dim: number;
  readonly name: string;
}

/**
 * Writes a model as an ONNX file and returns its bytes; where `f` (a path in Node, a file URL or a stream) is given, writes them there, too.
 * `args` are the tensors to call the model with, in order. The model is called at least twice, with sizes of the dynamic axes and values of the
 * inputs that differ, so that what depends on them is not taken for a constant.
 *
 * Throws NotImplementedError where an op has no form in ONNX (the error names all of them), or where the model does different things
 * for different sizes.
 *
 *     const bytes = await onnx.export_(model, [images], null, { dynamic_axes: { input: { 0: "batch" } } });
 */
export async function export_(
  model: torch.nn.Module,
  args: Tensor | readonly Tensor[],
  f: torch.io.Writable | null = null,
  options: ExportOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const inputs = args instanceof torch.Tensor ? [args] : [...args];
  if (!(model instanceof torch.nn.Module)) throw new TypeError("onnx.export: expected an nn.Module as the model");
  if (inputs.length === 0 || inputs.some((t) => !(t instanceof torch.Tensor))) {
    throw new TypeError("onnx.export: args has to be a tensor or a list of tensors");
  }
  const opset = options.opset_version ?? 17;
  if (!(Number.isInteger(opset) && opset >= 14 && opset <= 21)) {
    throw new torch.ValueError(`onnx.export: opset_version has to be one of 14 to 21, got ${String(opset)}`);
  }
  const names = inputs.map((_, i) => options.input_names?.[i] ?? (i === 0 ? "input" : `input_${i}`));
  const axes = axesOf(names, inputs, options.dynamic_axes ?? {});
  const traces = traceAll(model, inputs, names, axes, options);
  const emitter = new Emitter(opset, options.keep_initializer_names ?? true);
  const taken = traces[0]!.outputs.length;
  const outputNames = Array.from(
    { length: taken },
    (_, i) => options.output_names?.[i] ?? (taken === 1 ? "output" : `output_${i}`),
  );
  for (const name of [...names, ...outputNames]) emitter.reserve(name);

  const inputInfos = names.map((name, i) => {
    const arg = new Arg(traces.map((t) => t.inputs[i]!));
    emitter.bind(arg, { name, dtype: arg.dtype, shape: arg.shape });
    const dims = arg.shape.map((d, k) => (d instanceof Sym ? axes.find((a) => a.input === i && a.dim === k)!.name : d));
    return infoOf(name, arg.dtype, dims);
  });
  const unsupported = new Set<string>();
  const folding = options.do_constant_folding ?? true;
  convertCalls(
    emitter,
    traces.map((t) => t.calls),
    unsupported,
    folding,
  );
  if (unsupported.size > 0) {
    throw new torch.NotImplementedError(
      `onnx.export: these ops have no form in ONNX's operator set ${opset}: ${[...unsupported].sort().join(", ")}`,
    );
  }
  const outputs = outputNames.map((name, i) => {
    const value: Val = emitter.use(new Arg(traces.map((t) => t.outputs[i]!)));
    const known = value.shape.map((d) => (d instanceof Sym ? nameOf(d, traces, axes) : d));
    return {
      name,
      value,
      info: infoOf(
        name,
        value.dtype,
        known.map((d, k) => d ?? dynamicName(options, name, k)),
      ),
    };
  });
  await checkConstants(emitter);
  const graph = await emitter.graph("main_graph", inputInfos, outputs);
  const file: Model = {
    ir_version: BigInt(opset >= 21 ? 10 : opset >= 19 ? 9 : 8),
    producer_name: "kindling",
    graph,
    opset_import: [{ domain: "", version: BigInt(opset) }],
  };
  const bytes = encodeModel(file);
  if (f !== null) await torch.io.write_bytes(f, bytes);
  return bytes;
}

function dynamicName(options: ExportOptions, output: string, dim: number): string {
  const given = options.dynamic_axes?.[output];
  const name = given === undefined || Array.isArray(given) ? undefined : (given as Readonly<Record<number, string>>)[dim];
  return name ?? `${output}_dim_${dim}`;
}

function infoOf(name: string, dtype: torch.DType, dims: readonly (number | string)[]): ValueInfo {
  const elem_type = BigInt(ELEMENT.get(dtype) ?? 0);
  const dim = dims.map((d) => (typeof d === "number" ? { dim_value: BigInt(d) } : { dim_param: d }));
  return { name, type: { tensor_type: { elem_type, shape: { dim } } } };
}

/** The dynamic axis that a size is. */
function nameOf(d: Sym, traces: readonly Trace[], axes: readonly Axis[]): string | null {
  const same = (a: Axis): boolean => d.values.every((v, k) => v === traces[k]!.inputs[a.input]!.shape[a.dim]);
  return axes.find(same)?.name ?? null;
}

function axesOf(names: readonly string[], inputs: readonly Tensor[], given: DynamicAxes): Axis[] {
  return names.flatMap((name, input) => {
    const own = given[name] ?? {};
    const pairs = Array.isArray(own)
      ? own.map((d: number) => [d, `${name}_dynamic_axes_${d + 1}`] as const)
      : Object.entries(own as Record<number, string>);
    const rank = inputs[input]!.ndim;
    return pairs.map(([d, axis]) => {
      const dim = Number(d) < 0 ? Number(d) + rank : Number(d);
      if (!(dim >= 0 && dim < rank))
        throw new torch.IndexError(`onnx.export: dynamic_axes names axis ${d} of '${name}', which has ${rank}`);
      return { input, dim, name: axis };
    });
  });
}

/** Sizes to try for an axis of size n, by how much they differ; the first two at which the model runs are taken. */
const STEPS = [1, 2, 3, 4, -1, -2, -3, 8, -4, 5, 6];

function traceAll(
  model: torch.nn.Module,
  inputs: readonly Tensor[],
  names: readonly string[],
  axes: readonly Axis[],
  options: ExportOptions,
): Trace[] {
  const modes = model.modules().map((m) => [m, m.training] as const);
  const mode = options.training ?? TrainingMode.EVAL;
  if (mode !== TrainingMode.PRESERVE) model.train(mode === TrainingMode.TRAINING);
  try {
    const run = (list: readonly Tensor[]): Trace => trace(model, list, names);
    const first = run(inputs);
    const symbols = [...new Set(axes.map((a) => a.name))];
    const sized = (sizes: ReadonlyMap<string, number>): Tensor[] =>
      inputs.map((t, i) =>
        axes.filter((a) => a.input === i).reduce((x, a) => resized(x, a.dim, sizes.get(a.name) ?? x.shape[a.dim]!), t),
      );
    if (symbols.length === 0) return [first, run(inputs.map(perturbed))];
    const base = new Map(symbols.map((s) => [s, sizeOf(inputs, axes, s)]));
    const chosen = symbols.map((s, k) => {
      const found: number[] = [];
      let problem: unknown = null;
      for (const step of [...STEPS.slice(k % 3), ...STEPS.slice(0, k % 3)]) {
        const size = base.get(s)! + step;
        if (size < 2 || found.length === 2) continue;
        try {
          torch.overrides.unobserved(() => torch.no_grad(() => model(...sized(new Map([...base, [s, size]])))));
          found.push(size);
        } catch (error) {
          problem ??= error;
        }
      }
      if (found.length < 2) {
        throw new torch.RuntimeError(
          `onnx.export: the axis '${s}' is to be dynamic, but the model runs only with size ${base.get(s)}`,
          { cause: problem },
        );
      }
      return found;
    });
    // A size of 1 broadcasts, which no other does: the example's own is traced only where it says something.
    const others = [0, 1].map((k) => run(sized(new Map(symbols.map((s, i) => [s, chosen[i]![k]!]))).map(perturbed)));
    return [...base.values()].includes(1) ? others : [first, ...others];
  } finally {
    for (const [m, training] of modes) m.training = training;
  }
}

function sizeOf(inputs: readonly Tensor[], axes: readonly Axis[], symbol: string): number {
  const sizes = axes.filter((a) => a.name === symbol).map((a) => inputs[a.input]!.shape[a.dim]!);
  if (sizes.some((n) => n !== sizes[0]))
    throw new torch.ValueError(`onnx.export: the axis '${symbol}' has sizes ${sizes.join(" and ")} in the example`);
  return sizes[0]!;
}

/** Another size of a dimension, of the values that are there: indices stay valid. */
function resized(x: Tensor, dim: number, size: number): Tensor {
  const n = x.shape[dim]!;
  if (n === size) return x;
  const at = Array.from({ length: size }, (_, i) => i % Math.max(n, 1));
  return x.index_select(dim, torch.tensor(at, { dtype: torch.int64, device: x.device }));
}

/** Other values: a constant that follows them was none. */
function perturbed(x: Tensor): Tensor {
  if (x.is_floating_point()) return x.mul(0.75).add(0.0625);
  return x.ndim === 0 ? x : x.flip(x.shape.map((_, d) => d));
}

function trace(model: torch.nn.Module, inputs: readonly Tensor[], names: readonly string[]): Trace {
  const recorder = new Recorder([...model.named_parameters(), ...model.named_buffers()]);
  const copies = torch.no_grad(() => inputs.map((t) => t.detach().clone()));
  const refs = copies.map((t, i) => recorder.input(t, names[i]!));
  const { type } = inputs[0]!.device;
  const result: unknown = torch.no_grad(() =>
    torch.autocast(type, { enabled: false }, () => torch.overrides.observe_ops(recorder, () => model(...copies) as unknown)),
  );
  return { calls: recorder.calls, inputs: refs, outputs: tensorsIn(result).map((t) => recorder.ref(t)) };
}

function tensorsIn(x: unknown): Tensor[] {
  if (x instanceof torch.Tensor) return [x];
  if (Array.isArray(x)) return x.flatMap(tensorsIn);
  if (x === null || x === undefined) return [];
  if (typeof x === "object") return Object.values(x).flatMap(tensorsIn);
  throw new TypeError(`onnx.export: the model gives ${typeof x}; expected tensors, or lists or objects of them`);
}

function argsIn(x: unknown): Arg[] {
  if (x instanceof Arg) return [x];
  return Array.isArray(x) ? x.flatMap(argsIn) : [];
}

/** The same calls of all traces. */
function convertCalls(g: Emitter, lists: readonly (readonly TracedCall[])[], unsupported: Set<string>, folding: boolean): void {
  const [first, ...others] = lists;
  if (others.some((l) => l.length !== first!.length || l.some((c, i) => c.op.name !== first![i]!.op.name))) {
    throw differs("what the model calls");
  }
  first!.forEach((_, i) =>
    convertCall(
      g,
      lists.map((l) => l[i]!),
      unsupported,
      folding,
    ),
  );
}

function convertCall(g: Emitter, calls: readonly TracedCall[], unsupported: Set<string>, folding: boolean): void {
  const { op } = calls[0]!;
  const outputs = argsIn(
    merged(
      calls.map((c) => c.results),
      `the result of ${op.name}`,
    ),
  );
  // Nothing new: a number, or a tensor that was there.
  if (outputs.every((o) => g.isBound(o)) && calls[0]!.children.length === 0) return;
  if (outputs.length > 0 && outputs.every((o) => g.isBound(o))) return;
  const fixed = outputs.every((o) => g.isConstant(o) && o.shape.every((d: Dim) => typeof d === "number"));
  if (folding && outputs.length > 0 && fixed) return;
  const convert = Object.hasOwn(TABLE, op.name) ? TABLE[op.name]! : null;
  if (convert !== null && outputs.length > 0) {
    const args: Record<string, unknown> = {};
    op.signature.names.forEach((name, i) => {
      args[name] = merged(
        calls.map((c) => c.args[i]),
        `the argument ${name} of ${op.name}`,
      );
    });
    const result = convert(g, args, outputs);
    if (result !== null) {
      const values = Array.isArray(result) ? result : [result];
      outputs.forEach((o, i) => {
        // Views and copies are the values that they show.
        if (!g.isBound(o)) g.bind(o, values[i]!);
      });
      return;
    }
  }
  if (op.kind === "composite" && calls[0]!.children.length > 0) {
    convertCalls(
      g,
      calls.map((c) => c.children),
      unsupported,
      folding,
    );
    if (outputs.every((o) => g.isBound(o) || g.isConstant(o))) return;
  }
  if (outputs.length > 0) {
    unsupported.add(op.name);
    // Whatever needs it is looked at all the same, so that one error names all.
    for (const o of outputs) if (!g.isBound(o)) g.bind(o, { name: "", dtype: o.dtype, shape: o.shape });
  }
}

async function checkConstants(g: Emitter): Promise<void> {
  for (const { tensors, what } of g.checks) {
    const [first, ...others] = await Promise.all(tensors.map((t) => t.data()));
    for (const other of others) if (other.some((v, i) => !Object.is(v, first![i]))) throw differs(what);
  }
}
