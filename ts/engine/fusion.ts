/**
 * Deferred pointwise fusion. A map's result stays a pending node over its inputs until something needs its bytes; then the whole
 * DAG below it runs as one kernel. Rules:
 * - a pending input of the same shape is inlined, anything else is read from memory through its strides;
 * - an inlined node that something else also wants (another pending consumer, a saved tensor) is written as a further output;
 * - a DAG that would exceed the device's caps is computed first;
 * - a node reads the bytes that its inputs had when it was made: in-place writes go to a copy while `buffer.readers > 0`.
 */

import type { Device, Kernel, View } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import { broadcastStrides, contiguousStrides, numelOf, sameShape, type Shape } from "../core/shape.ts";
import { Storage, type Pending } from "../core/storage.ts";
import { Tensor } from "../core/tensor.ts";
import { load, scalar, type Expr } from "../kernel/expr.ts";
import type { MapSpec } from "../kernel/spec.ts";
import { onWhole, sizesOf } from "./hidden.ts";

/** One op's scalar expression for given dtypes: `load(i)` is argument i, scalar slots follow in order. */
export interface Template {
  readonly id: number;
  readonly expr: Expr;
  readonly args: number;
  readonly scalars: number;
  /** Scalar ops in it, for the size cap. */
  readonly ops: number;
  /** Depends on where in the result it is. */
  readonly positional: boolean;
}

let nextTemplate = 0;

export function makeTemplate(expr: Expr, args: number, scalars: number): Template {
  return { id: nextTemplate++, expr, args, scalars, ops: countOps(expr, new Set()), positional: isPositional(expr, new Set()) };
}

function isPositional(x: Expr, seen: Set<Expr>): boolean {
  if (seen.has(x)) return false;
  seen.add(x);
  if (x.kind === "cast") return isPositional(x.arg, seen);
  return x.kind === "index" || (x.kind === "op" && x.args.some((a) => isPositional(a, seen)));
}

function countOps(x: Expr, seen: Set<Expr>): number {
  if (seen.has(x)) return 0;
  seen.add(x);
  if (x.kind === "cast") return 1 + countOps(x.arg, seen);
  if (x.kind === "op") return x.args.reduce((n, a) => n + countOps(a, seen), 1);
  return 0;
}

/** A graph that is being captured on a device. What was deferred before belongs outside of it: a replay would compute it again. */
export interface Capture {
  readonly device: Device;
  /** Storages with a lesser serial number were there before. */
  readonly since: number;
  /** Has the device carry out what `work` asks for now, and not capture it. */
  readonly outside: (work: () => void) => void;
  /** What is deferred meanwhile. */
  readonly deferred: WeakRef<Storage>[];
}

let capturing: Capture | null = null;

/** @internal */
export function setCapture(capture: Capture | null): void {
  capturing = capture;
}

let tracing = false;

/** @internal Deferred maps made in `work` are looked at only, never computed: they are of any size, and no capture's business. */
export function whileTracing<T>(work: () => T): T {
  const before = tracing;
  tracing = true;
  try {
    return work();
  } finally {
    tracing = before;
  }
}

function precedesCapture({ device, storage }: MapNode): boolean {
  return capturing !== null && device === capturing.device && storage.serial < capturing.since;
}

const NO_ARGS: readonly Arg[] = [];
type Arg = MapNode | View;

export class MapNode implements Pending {
  uses = 0;
  /** Pending nodes that read this one; once it is computed they count as readers of its buffer. */
  consumers = 0;
  /** Saved for backward. */
  kept = false;
  /** Set once computed. */
  view: View | null = null;
  /** Scratch of the walk that collects a DAG. */
  mark = 0;
  internal = 0;
  slot = 0;
  readonly storage: Storage;

  constructor(
    readonly template: Template,
    public args: readonly Arg[],
    public scalars: readonly (number | bigint)[],
    readonly shape: Shape,
    readonly strides: Shape,
    readonly device: Device,
    /** Upper bounds over the whole DAG. */
    readonly ops: number,
    readonly leaves: number,
  ) {
    this.storage = new Storage(device, template.expr.dtype, numelOf(shape), null);
    this.storage.pending = this;
    if (capturing?.device === device && !tracing) capturing.deferred.push(new WeakRef(this.storage));
  }

  materialize(): void {
    if (this.view !== null) return;
    if (tracing) throw new RuntimeError("internal: a formula that is traced may consist of pointwise operations only");
    if (!precedesCapture(this)) return this.compute();
    const capture = capturing!;
    capturing = null;
    try {
      capture.outside(() => this.compute());
    } finally {
      capturing = capture;
    }
  }

  private compute(): void {
    const { maxMapBuffers } = this.device.caps;
    let dag = collect(this);
    let wanted = wantedElsewhere(dag, this);
    // What does not fit into one kernel is computed first, from the bottom.
    while (wanted.length > 0 && dag.views.length + 1 + wanted.length > maxMapBuffers) {
      wanted[0]!.materialize();
      dag = collect(this);
      wanted = wantedElsewhere(dag, this);
    }
    dag.outputs.push(...wanted);
    const outputs = dag.outputs.map((node) => node.allocate());
    if (this.storage.size > 0) {
      let key = dag.key;
      for (const node of dag.outputs) key += `>${node.slot}`;
      const kernel = mapKernel(this.device, key, dag);
      this.device.run(kernel, dag.views, outputs, { scalars: dag.scalars });
    }
    dag.outputs.forEach((node, i) => node.resolve(outputs[i]!));
  }

  private allocate(): View {
    const { size, dtype } = this.storage;
    const buffer = this.device.alloc(size * dtype.itemsize, dtype);
    return { buffer, dtype, shape: this.shape, strides: this.strides, offset: 0 };
  }

  private resolve(view: View): void {
    this.view = view;
    view.buffer.readers += this.consumers;
    this.storage.buffer = view.buffer;
    this.storage.pending = null;
    this.abandon();
  }

  /** Lets go of the inputs: the value has been computed, or written elsewhere and is wanted no more. */
  abandon(): void {
    for (const a of this.args) {
      if (!(a instanceof MapNode)) a.buffer.readers--;
      else {
        a.consumers--;
        if (a.view !== null) a.view.buffer.readers--;
      }
    }
    this.args = NO_ARGS;
  }
}

/** A DAG of pending nodes in evaluation order, with what it reads. */
export interface Dag {
  readonly nodes: MapNode[];
  readonly outputs: MapNode[];
  readonly views: View[];
  readonly scalars: (number | bigint)[];
  /** Structure: equal keys mean equal kernels. */
  key: string;
}

/** Inlined nodes whose values something outside of the kernel needs as well. */
function wantedElsewhere({ nodes }: Dag, root: MapNode): MapNode[] {
  return nodes.filter((node) => node.uses > node.internal && node !== root);
}

let epoch = 0;

/** @internal Collects what `root` is made of; shared by map and reduce. */
export function collect(root: MapNode): Dag {
  return collectAll([root], []);
}

/** @internal The DAG of several roots. `views`: leaves that it begins with, so that their numbers are known. */
export function collectAll(roots: readonly MapNode[], views: View[]): Dag {
  const dag: Dag = { nodes: [], outputs: [...roots], views, scalars: [], key: "" };
  epoch++;
  for (const root of roots) if (root.mark !== epoch) visit(root, dag);
  return dag;
}

function visit(node: MapNode, dag: Dag): void {
  node.mark = epoch;
  node.internal = 0;
  let refs = "";
  for (const a of node.args) {
    if (a instanceof MapNode) {
      if (a.view !== null) refs += `,${leafSlot(a.view, dag)}`;
      else {
        if (a.mark !== epoch) visit(a, dag);
        a.internal++;
        refs += `,n${a.slot}`;
      }
    } else refs += `,${leafSlot(a, dag)}`;
  }
  for (const s of node.scalars) dag.scalars.push(s);
  node.slot = dag.nodes.length;
  dag.nodes.push(node);
  dag.key += `${node.template.id}${refs};`;
}

function leafSlot(view: View, dag: Dag): number {
  const { views } = dag;
  for (let i = 0; i < views.length; i++) {
    const v = views[i]!;
    if (
      v === view ||
      (v.buffer === view.buffer && v.offset === view.offset && v.dtype === view.dtype && sameShape(v.strides, view.strides))
    ) {
      return i;
    }
  }
  views.push(view);
  return views.length - 1;
}

/** @internal The expressions of all nodes, by slot, with loads and scalar slots renumbered for the whole DAG. */
export function expressions(dag: Dag): Expr[] {
  const exprs: Expr[] = [];
  let slot = 0;
  for (const node of dag.nodes) {
    const args = node.args.map((a) => {
      if (a instanceof MapNode && a.view === null) return exprs[a.slot]!;
      const view = a instanceof MapNode ? a.view! : a;
      return load(leafSlot(view, dag), view.dtype);
    });
    exprs.push(substitute(node.template.expr, args, slot, new Map()));
    slot += node.template.scalars;
  }
  return exprs;
}

function substitute(x: Expr, args: readonly Expr[], firstSlot: number, done: Map<Expr, Expr>): Expr {
  const known = done.get(x);
  if (known !== undefined) return known;
  let y: Expr;
  if (x.kind === "load") y = args[x.input]!;
  else if (x.kind === "scalar") y = scalar(firstSlot + x.slot, x.dtype);
  else if (x.kind === "cast") y = { ...x, arg: substitute(x.arg, args, firstSlot, done) };
  else if (x.kind === "op") y = { ...x, args: x.args.map((a) => substitute(a, args, firstSlot, done)) };
  else y = x;
  done.set(x, y);
  return y;
}

const mapKernels = new WeakMap<Device, Map<string, Kernel>>();

/** @internal The cache of kernels by structural key. */
export function cachedKernel(device: Device, key: string, prepare: () => Kernel): Kernel {
  let kernels = mapKernels.get(device);
  if (kernels === undefined) mapKernels.set(device, (kernels = new Map<string, Kernel>()));
  let kernel = kernels.get(key);
  if (kernel === undefined) kernels.set(key, (kernel = prepare()));
  return kernel;
}

function mapKernel(device: Device, key: string, dag: Dag): Kernel {
  // Load dtypes are fixed by the templates, so the key need not repeat them.
  return cachedKernel(device, key, () => {
    const exprs = expressions(dag);
    const spec: MapSpec = {
      kind: "map",
      inputs: dag.views.map((v) => v.dtype),
      scalars: dag.scalars.length,
      outputs: dag.outputs.map((n) => exprs[n.slot]!),
    };
    return device.prepare(spec);
  });
}

/** A tensor of this pending value. */
function tensorOf(node: MapNode): Tensor {
  return new Tensor(node.storage.dtype, node.shape, node.strides, 0, node.storage);
}

let lastShape: Shape = [];
let lastStrides: Shape = [];

/** Asks for `template` over `inputs` broadcast to `shape`. */
export function deferMap(
  template: Template,
  inputs: readonly Tensor[],
  scalars: readonly (number | bigint)[],
  shape: Shape,
  device: Device,
): Tensor {
  for (let i = 0; i < inputs.length; i++) {
    if (inputs[i]!._batch === null) continue;
    // Positions count within one example; only the parity of the place in pairs is asked for, which a batch does not change.
    return onWhole(
      inputs,
      (whole, levels) => deferMap(template, whole, scalars, [...sizesOf(levels), ...shape], device),
      shape.length,
    );
  }
  const { caps } = device;
  let ops = template.ops;
  let leaves = 0;
  const args: Arg[] = [];
  for (let i = 0; i < inputs.length; i++) {
    const a = capture(inputs[i]!, shape);
    args.push(a);
    if (a instanceof MapNode) {
      ops += a.ops;
      leaves += a.leaves;
    } else leaves++;
  }
  if (!tracing && (ops > caps.maxMapOps || leaves > caps.maxMapInputs)) {
    // Computing the pending inputs turns each into one leaf.
    ops = template.ops;
    leaves = 0;
    for (let i = 0; i < args.length; i++) {
      const a = args[i]!;
      leaves++;
      if (a instanceof MapNode) {
        a.uses--;
        a.consumers--;
        a.materialize();
        args[i] = capture(inputs[i]!, shape);
      }
    }
  }
  // Results of one shape share their strides, so that "is it whole" is one comparison.
  if (shape !== lastShape && !sameShape(shape, lastShape)) {
    lastShape = shape;
    lastStrides = contiguousStrides(shape);
  }
  return tensorOf(new MapNode(template, args, scalars, lastShape, lastStrides, device, ops, leaves));
}

function capture(t: Tensor, shape: Shape): Arg {
  const pending = t._storage.pending;
  if (pending !== null) {
    if (pending instanceof MapNode && showsAll(t, pending) && sameShape(t.shape, shape) && !precedesCapture(pending)) {
      pending.uses++;
      pending.consumers++;
      return pending;
    }
    pending.materialize();
  }
  const buffer = t._storage.buffer!;
  buffer.readers++;
  return { buffer, dtype: t.dtype, shape, strides: broadcastStrides(t.shape, t._strides, shape), offset: t._offset };
}

function showsAll(t: Tensor, node: MapNode): boolean {
  return (
    (t._strides === node.strides && t.shape === node.shape && t._offset === 0) || (t._isWhole() && sameShape(t.shape, node.shape))
  );
}

/** @internal The pending node that `t` shows in full and that nothing else wants yet, for fusing into a consumer. */
export function fusible(t: Tensor): MapNode | null {
  const p = t._storage.pending;
  return p instanceof MapNode && p.uses === 0 && showsAll(t, p) && !precedesCapture(p) ? p : null;
}

/** Says that `t`'s value will be wanted later (saved for backward), so that fusing writes it as well. */
export function keep(t: Tensor): void {
  const p = t._storage.pending;
  if (p === null) return;
  p.uses++;
  if (p instanceof MapNode) p.kept = true;
}
