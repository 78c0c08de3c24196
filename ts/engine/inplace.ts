/**
 * In-place forms. The op computes its result as always (deferred, recorded); then the result is written over the target's memory,
 * whose version rises, and the target takes the result's place in the graph. A view that is written to changes its base's history.
 */

import type { Buffer } from "../core/device.ts";
import { Category } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { formatShape, isContiguous, sameShape } from "../core/shape.ts";
import { BatchedAccess, type Tensor } from "../core/tensor.ts";
import { load } from "../kernel/expr.ts";
import { withoutAutocast } from "./autocast.ts";
import type { Op } from "./define.ts";
import { collect, deferMap, expressions, cachedKernel, fusible, makeTemplate, type MapNode, type Template } from "./fusion.ts";
import { levelsOf, strideOf, wholeOf } from "./hidden.ts";
import { record, recordedCast } from "./node.ts";
import { observing } from "./observe.ts";
import { pairsOf } from "./pairs.ts";
import { reveal } from "./reveal.ts";
import { alias, copyOf } from "./run.ts";

/** The in-place form of an op whose first argument and result have one shape. */
export function inplaceForm(op: Op<never[], Tensor>): (self: Tensor, ...args: unknown[]) => Tensor {
  const name = `${op.info.name}_`;
  const compute = op as unknown as (...args: unknown[]) => Tensor;
  // In the types that it has: autocast leaves in-place ops alone, as PyTorch's does.
  return (self, ...args) => updateInPlace(name, self, (old) => withoutAutocast(() => compute(old, ...args)));
}

/** Replaces `self`'s values by `compute(self)`. */
export function updateInPlace(name: string, self: Tensor, compute: (old: Tensor) => Tensor): Tensor {
  checkWritable(name, self);
  // With a graph, the op may save its input. It gets a deferred copy, which costs nothing unless it is really kept.
  const old = is_grad_enabled() ? snapshot(self) : null;
  const result = compute(old ?? self);
  if (result._batch !== null) checkBatch(name, self, result);
  if (!sameShape(result.shape, self.shape)) {
    throw new RuntimeError(
      `${name}: output with shape ${formatShape(self.shape)} doesn't match the broadcast shape ${formatShape(result.shape)}`,
    );
  }
  if (result.dtype.category > self.dtype.category && self.dtype.category < Category.floating) {
    throw new RuntimeError(`${name}: result type ${result.dtype} can't be cast to the desired output type ${self.dtype}`);
  }
  // Cast first, so that the graph knows of it.
  const value =
    result.dtype === self.dtype ? result : observing.by === null ? recordedCast(result, self.dtype) : result.to(self.dtype);
  writeInto(self, value, old);
  if (is_grad_enabled() && (value.requires_grad || self.grad_fn !== null)) adopt(self, value);
  return self;
}

/** What all examples share cannot take in what each has of its own. */
function checkBatch(name: string, self: Tensor, value: Tensor): void {
  if (levelsOf([value]).every((level) => strideOf(self, level) !== null)) return;
  throw new BatchedAccess(
    `vmap: ${name}(self, *extra_args) is not possible because there exists a Tensor \`other\` in extra_args that has more elements than \`self\`. This happened due to \`other\` being vmapped over but \`self\` not being vmapped over in a vmap. Please try to use out-of-place operators instead of ${name}, or make self by zeros_like, empty_like or new_zeros of a mapped tensor, so that it is mapped, too.`,
  );
}

/** Leaves that require grad, and views of them, must not change under a recorded graph. */
export function checkWritable(name: string, self: Tensor): void {
  if (self._inference && is_grad_enabled()) {
    throw new RuntimeError(`${name}: Inplace update to inference tensor outside InferenceMode is not allowed.`);
  }
  const shared = self._batch?.some(({ level, stride }) => stride === 0 && level.size > 1) ?? false;
  for (let d = shared ? -1 : 0; d < self.ndim; d++) {
    if (d < 0 || (self._strides[d] === 0 && self.shape[d]! > 1)) {
      throw new RuntimeError(
        `${name}: unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation.`,
      );
    }
  }
  if (!is_grad_enabled()) return;
  if (self._leafRequiresGrad) {
    throw new RuntimeError(`${name}: a leaf Variable that requires grad is being used in an in-place operation.`);
  }
  if (self._view !== null && self.requires_grad && self._view.base.is_leaf) {
    throw new RuntimeError(`${name}: a view of a leaf Variable that requires grad is being used in an in-place operation.`);
  }
}

/** The present value of `self` with its place in the graph, unaffected by later writes. */
function snapshot(self: Tensor): Tensor {
  const copy = copyOf(self, self.dtype);
  copy._leafRequiresGrad = self._leafRequiresGrad;
  copy._gradFn = self.grad_fn;
  copy._outputNr = self._outputNr;
  return copy;
}

/**
 * Overwrites `dst` (any strides) with `value` of its shape and dtype, and raises the version. `scratch`: a pending value that only
 * this call knows of, so that its reads of dst's memory need not be protected.
 */
export function writeInto(dst: Tensor, value: Tensor, scratch: Tensor | null = null): void {
  observing.by?.write(dst, value);
  if (dst.dtype.is_complex) return writeInto(pairsOf(dst), pairsOf(value), scratch);
  if (dst._batch !== null || value._batch !== null) {
    checkBatch("in-place op", dst, value);
    const levels = levelsOf([dst]);
    return writeInto(wholeOf(dst, levels, dst.ndim), copyOf(wholeOf(value, levels, dst.ndim, true), value.dtype), null);
  }
  const storage = dst._storage;
  const snapshot = scratch?._storage.pending as MapNode | null | undefined;
  storage.version++;
  if (dst.numel() === 0) return;
  let node = fusible(value);
  storage.materialize();
  let buffer = storage.buffer!;
  if (node !== null && node.view !== null) node = null; // computing dst's old value computed this too
  let own = 0;
  if (node !== null) {
    const verdict = hazards(node, dst, snapshot);
    if (verdict === null) node = null;
    else own = verdict;
  }
  if (node === null) {
    // By way of memory of its own.
    value = deferMap(identity(value), [value._storage.pending === null ? value : materialized(value)], [], dst.shape, dst.device);
    node = value._storage.pending as MapNode;
    own = hazards(node, dst, null) ?? 0;
  }
  const device = dst.device;
  if (buffer.readers > own) buffer = leaveToReaders(dst);
  const dag = collect(node);
  const kernel = cachedKernel(device, `${dag.key}>${node.slot}`, () =>
    device.prepare({
      kind: "map",
      inputs: dag.views.map((v) => v.dtype),
      scalars: dag.scalars.length,
      outputs: [expressions(dag)[node.slot]!],
    }),
  );
  const view = { buffer, dtype: dst.dtype, shape: dst.shape, strides: dst._strides, offset: dst._offset };
  device.run(kernel, dag.views, [view], { scalars: dag.scalars });
  node.abandon();
  // Where something still wants it, it has the old bytes for itself.
  if (snapshot?.kept === false && snapshot.consumers === 0) snapshot.abandon();
}

/** Deferred maps still want `t`'s old bytes: they keep the old buffer, and the storage goes on with a copy. */
function leaveToReaders({ _storage: storage, dtype: { real: dtype }, device }: Tensor): Buffer {
  const old = storage.buffer!;
  const buffer = device.alloc(old.nbytes, storage.dtype);
  const all = { buffer: old, dtype, shape: [storage.size], strides: [1], offset: 0 };
  const copy = cachedKernel(device, `copy|${dtype.code}`, () =>
    device.prepare({ kind: "map", inputs: [dtype], scalars: 0, outputs: [load(0, dtype)] }),
  );
  device.run(copy, [all], [{ ...all, buffer }], { scalars: [] });
  // Where an address matters (captured graphs), the storage keeps its own.
  device.exchange?.(old, buffer);
  storage.buffer = buffer;
  return buffer;
}

/** Before a kernel that writes to `t`'s memory itself: its value is computed, nobody else's pending reads are harmed, the version rises. */
export function prepareWrite(t: Tensor): void {
  observing.by?.write(t, null);
  const storage = t._storage;
  storage.version++;
  if (storage.materialize().readers > 0) leaveToReaders(t);
}

/** How many of the DAG's reads are of `dst`'s own memory; null when one of them is not element by element the written one. */
function hazards(node: MapNode, dst: Tensor, scratch: MapNode | null | undefined): number | null {
  const dag = collect(node);
  if (dag.nodes.some((n) => n !== node && n.uses > n.internal)) return null;
  let own = 0;
  for (const n of dag.nodes) {
    for (const a of n.args) {
      const view = "buffer" in a ? a : a.view;
      if (view === null || view.buffer !== dst._storage.buffer) continue;
      if (view.offset !== dst._offset || !sameShape(view.strides, dst._strides)) return null;
      if (n === node || n === scratch) own++;
    }
  }
  return own;
}

const identities = new Map<number, Template>();
function identity(t: Tensor): Template {
  let template = identities.get(t.dtype.code);
  if (template === undefined) identities.set(t.dtype.code, (template = makeTemplate(load(0, t.dtype), 1, 0)));
  return template;
}

function materialized(t: Tensor): Tensor {
  t._storage.materialize();
  return t;
}

/** `self` (whose memory now holds `value`) takes over `value`'s history. */
export function adopt(self: Tensor, value: Tensor): void {
  const view = self._view;
  if (view === null) {
    self._gradFn = value.grad_fn;
    self._outputNr = value._outputNr;
    // Views of it are now windows onto the new history.
    self._graphVersion++;
    return;
  }
  // base_new = base_old with this window replaced by value.
  const { base } = view;
  // Dimensions of a batch that the base shows and its view hides.
  for (const level of levelsOf([self])) {
    if (strideOf(base, level) !== null) continue;
    const whole = reveal(self, level);
    whole._view = view;
    return adopt(whole, reveal(value, level));
  }
  const { shape, _strides: strides, _offset: offset } = self;
  const before = alias(base, base.shape, base._strides, base._offset);
  before._leafRequiresGrad = base._leafRequiresGrad;
  before._gradFn = base._gradFn;
  before._outputNr = base._outputNr;
  if (!isContiguous(base.shape, base._strides)) {
    throw new RuntimeError(
      "an in-place operation on a view of a non-contiguous base cannot be differentiated; call contiguous() or clone() on the base first",
    );
  }
  const at = offset - base._offset;
  record(
    "CopySlices",
    [before, value],
    [base],
    ([g]) => {
      const full = g!.contiguous();
      const start = at + full._offset;
      const window = full.as_strided(shape, strides, start);
      return [full.as_strided_scatter(window.new_zeros(shape), shape, strides, start), window];
    },
    null,
  );
  base._graphVersion++;
}
