/** From a graph's nodes to what is run: names checked, operators found, functions of the file unfolded. */

import * as torch from "../torch.ts";
import { Call, Scope, type Block, type Operator, type Prepared, type Value } from "./operators/context.ts";
import { OPERATORS } from "./operators/index.ts";
import type { Attribute, FunctionProto, Graph, Model, Node } from "./schema.ts";
import { tensorOf } from "./tensors.ts";
import { bad } from "./wire.ts";

/** Nodes of a file with its functions unfolded; one that asks for more is hostile. */
const MOST_NODES = 200_000;
const MOST_NESTED = 32;

const OWN_DOMAINS = ["", "ai.onnx"];

/** What is the same for all graphs of a file. */
export class Preparation {
  readonly unknown = new Set<string>();
  private readonly functions = new Map<string, FunctionProto>();
  readonly opset: number;
  private nodes = 0;
  private depth = 0;

  constructor(model: Model) {
    const own = (model.opset_import ?? []).find((s) => OWN_DOMAINS.includes(s.domain ?? ""));
    this.opset = Number(own?.version ?? 1n);
    for (const f of model.functions ?? []) this.functions.set(`${f.domain ?? ""}::${f.name ?? ""}`, f);
  }

  /** Nodes in the file's order, which has to be one that can be run. `visible`: names from around. */
  prepare(nodes: readonly Node[], visible: Names, given: ReadonlyMap<string, Attribute> | null): Prepared[] {
    if (++this.depth > MOST_NESTED) throw bad(`graphs and functions are nested more than ${MOST_NESTED} deep`);
    const out = nodes.map((node, i) => this.node(node, i, visible, given));
    this.depth--;
    return out;
  }

  private node(node: Node, index: number, visible: Names, given: ReadonlyMap<string, Attribute> | null): Prepared {
    if (++this.nodes > MOST_NODES) throw bad(`more than ${MOST_NODES} nodes`);
    const type = node.op_type ?? "";
    const title = `${type} node ${node.name === undefined || node.name === "" ? `#${index}` : `'${node.name}'`}`;
    const attributes = new Map<string, Attribute>();
    for (const a of node.attribute ?? []) {
      const value = a.ref_attr_name === undefined || a.ref_attr_name === "" ? a : given?.get(a.ref_attr_name);
      if (value !== undefined) attributes.set(a.name ?? "", value);
    }
    const inputs = node.input ?? [];
    for (const name of inputs) {
      if (name !== "" && !visible.has(name)) throw bad(`${title} uses '${name}', which nothing before it computes`);
    }
    const blocks = new Map<string, Block>();
    for (const [name, a] of attributes) if (a.g !== undefined) blocks.set(name, this.block(a.g, visible));
    const outputs = node.output ?? [];
    for (const name of outputs) visible.add(name);
    const run = this.operator(node, type, attributes);
    return { opset: this.opset, node, title, inputs, outputs, attributes, blocks, run, last: [], memory: {} };
  }

  private operator(node: Node, type: string, attributes: ReadonlyMap<string, Attribute>): Operator {
    const domain = node.domain ?? "";
    const own = this.functions.get(`${domain}::${type}`);
    if (own !== undefined) return this.unfolded(own, attributes);
    if (OWN_DOMAINS.includes(domain) && Object.hasOwn(OPERATORS, type)) return OPERATORS[type]!;
    this.unknown.add(OWN_DOMAINS.includes(domain) ? type : `${domain}::${type}`);
    return () => null;
  }

  /** A function of the file, as an operator. */
  private unfolded(f: FunctionProto, attributes: ReadonlyMap<string, Attribute>): Operator {
    const all = new Map((f.attribute_proto ?? []).map((a) => [a.name ?? "", a]));
    for (const [name, a] of attributes) all.set(name, a);
    const inputs = f.input ?? [];
    const nodes = this.prepare(f.node ?? [], new Names(inputs, null), all);
    const outputs = f.output ?? [];
    markLast(nodes, outputs);
    return (call) => {
      const scope = new Scope(null);
      inputs.forEach((name, i) => scope.values.set(name, call.value(i)));
      runNodes(nodes, scope);
      return outputs.map((name) => scope.get(name));
    };
  }

  private block(graph: Graph, visible: Names): Block {
    const inputs = (graph.input ?? []).map((v) => v.name ?? "");
    const constants = new Map((graph.initializer ?? []).map((t) => [t.name ?? "", tensorOf(t, `initializer '${t.name ?? ""}'`)]));
    const names = new Names([...inputs, ...constants.keys()], visible);
    const nodes = this.prepare(graph.node ?? [], names, null);
    const outputs = (graph.output ?? []).map((v) => v.name ?? "");
    for (const name of outputs) if (!names.has(name)) throw bad(`the graph has no value '${name}', which it is to give`);
    markLast(nodes, outputs);
    return {
      inputs,
      run(values, outer) {
        const scope = new Scope(outer);
        for (const [name, t] of constants) scope.values.set(name, t);
        inputs.forEach((name, i) => scope.values.set(name, values[i] ?? null));
        runNodes(nodes, scope);
        return outputs.map((name) => scope.get(name));
      },
    };
  }
}

/** Names that can be seen. */
export class Names {
  private readonly own: Set<string>;
  constructor(
    names: Iterable<string>,
    private readonly outer: Names | null,
  ) {
    this.own = new Set(names);
  }
  has(name: string): boolean {
    return this.own.has(name) || this.outer?.has(name) === true;
  }
  add(name: string): void {
    this.own.add(name);
  }
}

/** Notes after which node each value is wanted no more. Graphs within nodes may use what lies around them. */
export function markLast(nodes: readonly Prepared[], outputs: readonly string[]): void {
  const seen = new Set(outputs);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    const used = [...node.inputs, ...[...node.attributes.values()].flatMap((a) => (a.g === undefined ? [] : namesIn(a.g)))];
    for (const name of [...used, ...node.outputs]) {
      if (name === "" || seen.has(name)) continue;
      seen.add(name);
      node.last.push(name);
    }
  }
}

function namesIn(graph: Graph): string[] {
  return (graph.node ?? [])
    .flatMap((n) => [...(n.input ?? []), ...(n.attribute ?? []).flatMap((a) => (a.g === undefined ? [] : namesIn(a.g)))])
    .concat((graph.output ?? []).map((v) => v.name ?? ""));
}

export function runNodes(nodes: readonly Prepared[], scope: Scope): void {
  for (const node of nodes) {
    const inputs = node.inputs.map((name): Value => (name === "" ? null : scope.get(name)));
    const result = node.run(new Call(node, inputs, scope));
    const values = Array.isArray(result) ? result : [result];
    node.outputs.forEach((name, i) => {
      if (name === "") return;
      if (values[i] === undefined)
        throw new torch.NotImplementedError(
          `onnx: ${node.title} has ${node.outputs.length} outputs; ${values.length} are supported`,
        );
      scope.values.set(name, values[i]);
    });
    for (const name of node.last) scope.values.delete(name);
  }
}
