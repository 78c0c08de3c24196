/** Models in ONNX as modules of ours. */

import * as torch from "../torch.ts";
import type { DType, Tensor } from "../torch.ts";
import { Scope, type Prepared, type Value } from "./operators/context.ts";
import { markLast, Names, Preparation, runNodes } from "./prepare.ts";
import type { Graph, Model, ValueInfo } from "./schema.ts";
import { dtypeOf, tensorOf } from "./tensors.ts";
import { bad, decodeModel } from "./wire.ts";

/** What a model takes or gives: its name, its sizes (names where they may vary, null where nothing is said) and its dtype. */
export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly (number | string | null)[] | null;
  readonly dtype: DType | null;
}

/** Tensors in the order of the model's inputs, or by their names in one object. */
export type OnnxInputs = readonly (Tensor | null)[] | [Readonly<Record<string, Tensor>>];

/** Inputs by operator that are settings rather than weights. */
const SETTINGS: Readonly<Record<string, readonly number[]>> = {
  Clip: [1, 2],
  CumSum: [1],
  Dropout: [1, 2],
  OneHot: [1, 2],
  Pad: [1, 2],
  Pow: [1],
  Range: [0, 1, 2],
  Resize: [1, 2, 3],
  Upsample: [1],
  BatchNormalization: [3, 4],
};

/**
 * A model that was read from an ONNX file. Floating-point initializers are its parameters, under their own names in `state_dict`;
 * running statistics and other settings are buffers; integers are constants. It runs on the device that it is moved to, and can be trained: batch
 * norms go on using the statistics of the file, and dropout does nothing unless the file says so.
 */
export class OnnxModule extends torch.nn.Module {
  /** What it takes, in order. */
  readonly inputs!: readonly OnnxValue[];
  /** What it gives. */
  readonly outputs!: readonly OnnxValue[];
  /** The version of ONNX's operator set that it is written in. */
  readonly opset!: number;

  /** @internal */
  constructor(model: Model) {
    super();
    const { graph } = model;
    if (graph === undefined) throw bad("the file has no graph");
    const hide = (name: string, value: unknown): void => void Object.defineProperty(this, name, { value });
    const constants = new Map<string, Tensor>();
    const initializers = graph.initializer ?? [];
    if ((graph.sparse_initializer ?? []).length > 0) throw bad("sparse initializers are not supported");
    const named = new Set(initializers.map((t) => t.name ?? ""));
    const inputs = (graph.input ?? []).map(describe).filter((v) => !named.has(v.name));
    hide("inputs", inputs);
    hide("outputs", (graph.output ?? []).map(describe));

    const preparation = new Preparation(model);
    hide("opset", preparation.opset);
    const names = new Names([...named, ...inputs.map((v) => v.name)], null);
    const nodes = preparation.prepare(graph.node ?? [], names, null);
    if (preparation.unknown.size > 0) {
      throw new torch.NotImplementedError(
        `onnx.load: the model needs operators that are not supported: ${[...preparation.unknown].sort().join(", ")}`,
      );
    }
    for (const { name } of this.outputs) if (!names.has(name)) throw bad(`nothing computes the output '${name}'`);
    markLast(
      nodes,
      this.outputs.map((v) => v.name),
    );

    const settings = settingsOf(graph);
    const places = new Map<string, Place>();
    for (const proto of initializers) {
      const name = proto.name ?? "";
      const t = tensorOf(proto, `initializer '${name}'`);
      if (!t.is_floating_point()) constants.set(name, t);
      else places.set(name, place(this, name, t, t.ndim > 0 && !settings.has(name)));
    }
    hide("_constants", constants);
    hide("_places", places);
    hide("_nodes", nodes);
  }
  /** @internal */
  private readonly _constants!: ReadonlyMap<string, Tensor>;
  /** @internal */
  private readonly _places!: ReadonlyMap<string, Place>;
  /** @internal */
  private readonly _nodes!: readonly Prepared[];

  /**
   * Runs the model on tensors in the order of `inputs`, or by name in one object. The result is a tensor, or a list where there are several.
   * Throws TypeError where inputs are missing, NotImplementedError where a node asks for what is not supported.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- one tensor or several, as the file says
  forward(...given: OnnxInputs): any {
    const scope = new Scope(null);
    const [only] = given;
    const byName =
      given.length === 1 && only != null && !(only instanceof torch.Tensor) ? (only as Record<string, Tensor>) : null;
    const wanted = this.inputs.map((v) => v.name).join(", ");
    if (byName === null && given.length > this.inputs.length) {
      throw new TypeError(`onnx: the model takes ${this.inputs.length} inputs (${wanted}), got ${given.length}`);
    }
    for (const name of Object.keys(byName ?? {})) {
      if (!this.inputs.some((v) => v.name === name))
        throw new TypeError(`onnx: the model takes ${wanted}; there is no input '${name}'`);
    }
    this.inputs.forEach(({ name }, i) => {
      const value = byName === null ? (given as readonly (Tensor | null)[])[i] : byName[name];
      if (!(value instanceof torch.Tensor))
        throw new TypeError(`onnx: the model takes ${wanted}; '${name}' is missing or no tensor`);
      scope.values.set(name, value);
    });
    for (const [name, t] of this._constants) scope.values.set(name, t);
    for (const [name, { owner, key }] of this._places) scope.values.set(name, (owner as unknown as Record<string, Tensor>)[key]!);
    runNodes(this._nodes, scope);
    const results: Value[] = this.outputs.map((v) => scope.get(v.name));
    return results.length === 1 ? results[0] : results;
  }
}

interface Place {
  readonly owner: torch.nn.Module;
  readonly key: string;
}

function describe(info: ValueInfo): OnnxValue {
  const type = info.type?.tensor_type;
  const dims = type?.shape?.dim;
  const shape = dims?.map((d) =>
    d.dim_param !== undefined && d.dim_param !== "" ? d.dim_param : d.dim_value === undefined ? null : Number(d.dim_value),
  );
  const element = Number(type?.elem_type ?? 0n);
  return { name: info.name ?? "", shape: shape ?? null, dtype: element === 0 ? null : dtypeOf(element, `'${info.name ?? ""}'`) };
}

/** Initializers that are only settings of their nodes. */
function settingsOf(graph: Graph): Set<string> {
  const out = new Set<string>();
  const weights = new Set<string>();
  for (const node of graph.node ?? []) {
    const at = SETTINGS[node.op_type ?? ""] ?? [];
    (node.input ?? []).forEach((name, i) => (at.includes(i) ? out : weights).add(name));
  }
  return new Set([...out].filter((name) => !weights.has(name)));
}

/** Gives a tensor its place by its name's parts, so that state_dict has it under that name. */
function place(root: torch.nn.Module, name: string, t: Tensor, learned: boolean): Place {
  const parts = name.split(".").map((p) => (p === "" ? "_" : p));
  let owner = root;
  const fields = (m: torch.nn.Module): Record<string, unknown> => m as unknown as Record<string, unknown>;
  /** The part itself, or with a line behind it where something else has that name. */
  const free = (part: string): string => {
    let key = part;
    while (key in owner) key += "_";
    return key;
  };
  for (const part of parts.slice(0, -1)) {
    let key = part;
    while (key in owner && !(Object.hasOwn(owner, key) && fields(owner)[key] instanceof torch.nn.Module)) key += "_";
    if (!(key in owner)) owner.add_module(key, new torch.nn.Module());
    owner = fields(owner)[key] as torch.nn.Module;
  }
  const key = free(parts.at(-1)!);
  if (learned) owner.register_parameter(key, new torch.nn.Parameter(t));
  else owner.register_buffer(key, t);
  return { owner, key };
}

/**
 * A model from an ONNX file: bytes, a Blob, a Response, a path (Node) or a URL. Operator sets 7 to 22, the operators that PyTorch's exporters
 * write; the error for others names all of them (NotImplementedError). A damaged file is a FileFormatError. Weights in further files
 * (external data) are not supported.
 *
 *     const model = await onnx.load("resnet18.onnx");
 *     const logits = model(images);
 */
export async function load(from: torch.io.Readable): Promise<OnnxModule> {
  return new OnnxModule(decodeModel(await torch.io.read_bytes(from)));
}
