/** What a model calls, as a tree: every op with the ops that it makes itself. Which of them become nodes is decided afterwards. */

import * as torch from "../torch.ts";
import type { DType, Tensor } from "../torch.ts";

type ObservedOp = torch.overrides.ObservedOp;
type OpObserver = torch.overrides.OpObserver;

/** A tensor of a trace. */
export interface Ref {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its values, where no input of the model has a part in them. */
  constant: Tensor | null;
  /** A parameter or buffer of the model, or an input. */
  readonly name: string | null;
}

/** One call of an op. Tensors in `args` and `results` are Refs. */
export interface TracedCall {
  readonly op: ObservedOp;
  readonly args: readonly unknown[];
  results: unknown;
  readonly children: TracedCall[];
}

export interface Trace {
  readonly calls: readonly TracedCall[];
  readonly inputs: readonly Ref[];
  readonly outputs: readonly Ref[];
}

const VIEW: ObservedOp = { name: "as_strided", kind: "view", signature: torch.as_strided.info.signature };
const WRITE: ObservedOp = { name: "as_strided_scatter", kind: "composite", signature: torch.as_strided_scatter.info.signature };

/** Numbers drawn by chance are no constants. */
const RANDOM =
  /^(rand|randn|randint|randperm|normal|bernoulli|multinomial|poisson|binomial|uniform|dropout|rrelu|gumbel_softmax)/;

export class Recorder implements OpObserver {
  private readonly refs = new WeakMap<Tensor, Ref>();
  /** All tensors of a storage that have been seen, for writes. */
  private readonly holders = new Map<unknown, Set<Tensor>>();
  private list: TracedCall[] = [];
  /** Within an op that runs kernels: what it does with its memory is its own business. */
  private inside = false;
  readonly calls = this.list;

  constructor(named: Iterable<readonly [string, Tensor]>) {
    for (const [name, t] of named) this.know(t, { dtype: t.dtype, shape: t.shape, constant: t, name });
  }

  private know(t: Tensor, ref: Ref): Ref {
    this.refs.set(t, ref);
    let set = this.holders.get(t._storage);
    if (set === undefined) this.holders.set(t._storage, (set = new Set()));
    set.add(t);
    return ref;
  }

  /** The Ref of a tensor; one that nothing observed made counts as a constant. */
  ref(t: Tensor): Ref {
    return this.refs.get(t) ?? this.know(t, { dtype: t.dtype, shape: t.shape, constant: t, name: null });
  }
  input(t: Tensor, name: string): Ref {
    return this.know(t, { dtype: t.dtype, shape: t.shape, constant: null, name });
  }

  private convert(x: unknown, made: ((t: Tensor) => Ref) | null): unknown {
    if (x instanceof torch.Tensor) return made === null ? this.ref(x) : (this.refs.get(x) ?? made(x));
    if (Array.isArray(x)) return x.map((y) => this.convert(y, made));
    return x;
  }

  call(op: ObservedOp, args: readonly unknown[], run: () => unknown): unknown {
    if (this.inside) return run();
    const call: TracedCall = { op, args: args.map((a) => this.convert(a, null)), results: null, children: [] };
    const around = this.list;
    around.push(call);
    this.list = call.children;
    this.inside = op.kind !== "composite";
    let result: unknown;
    try {
      result = run();
    } finally {
      this.list = around;
      this.inside = false;
    }
    const folded = !RANDOM.test(op.name) && refsIn(call.args).every((r) => r.constant !== null && r.name === null);
    call.results = this.convert(result, (t) =>
      this.know(t, { dtype: t.dtype, shape: t.shape, constant: folded ? t : null, name: null }),
    );
    return result;
  }

  write(target: Tensor, value: Tensor | null): void {
    const all = this.holders.get(target._storage);
    // Memory within an op that is not done yet.
    if (all === undefined) return;
    if (this.inside) {
      for (const t of all) this.know(t, { dtype: t.dtype, shape: t.shape, constant: null, name: null });
      return;
    }
    if (value === null) {
      throw new torch.NotImplementedError("onnx.export: the model writes into a tensor in a way that cannot be traced");
    }
    torch.overrides.unobserved(() => {
      // Constants that are about to change stay what they were to those who have used them.
      for (const t of all) {
        const ref = this.refs.get(t);
        if (ref?.constant === t && ref.name === null) ref.constant = t.clone();
      }
      const written = this.ref(value);
      const others = [...all].filter((t) => t !== target);
      this.know(target, written);
      if (others.length === 0) return;
      const whole = target._isWhole() ? target : others.find((t) => t._isWhole());
      if (whole === undefined)
        throw new torch.NotImplementedError("onnx.export: the model writes into a part of memory that no tensor has as a whole");
      let base = written;
      if (whole !== target) {
        base = { dtype: whole.dtype, shape: whole.shape, constant: null, name: null };
        const args = [this.ref(whole), written, target.shape, target.stride(), target.storage_offset()];
        this.list.push({ op: WRITE, args, results: base, children: [] });
        this.know(whole, base);
      }
      for (const t of others) {
        if (t === whole) continue;
        const ref: Ref = { dtype: t.dtype, shape: t.shape, constant: null, name: null };
        this.list.push({ op: VIEW, args: [base, t.shape, t.stride(), t.storage_offset()], results: ref, children: [] });
        this.know(t, ref);
      }
    });
  }
}

export function isRef(x: unknown): x is Ref {
  return typeof x === "object" && x !== null && "constant" in x && "dtype" in x;
}

export function refsIn(x: unknown): Ref[] {
  if (isRef(x)) return [x];
  return Array.isArray(x) ? x.flatMap(refsIn) : [];
}
