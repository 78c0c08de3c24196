/** Operations of the corpus under vmap: one call for a batch must give what a call for each example gives, gradients included. */

import * as torch from "kindling";
import type { Tensor } from "kindling";
import { callMethod, isInPlace, type CallKind } from "../conformance/call.ts";
import { readJson, readTensors, type Corpus, type Json, type JsonObject } from "../conformance/corpus.ts";
import { Decoder, dtypesIn, withOptions } from "../conformance/decode.ts";
import { Session, type Namespace, type TensorLike } from "../conformance/session.ts";

interface Case {
  readonly id: number | string;
  readonly args: readonly Json[];
  readonly kwargs: JsonObject;
  readonly random?: boolean;
  readonly uninitialised?: boolean;
  readonly grads?: unknown;
}
interface Manifest {
  readonly op: string;
  readonly call: CallKind;
  readonly method?: string;
  readonly tensors: string;
  readonly cases: readonly Case[];
  readonly ambiguous?: string;
}
interface Entry {
  readonly file: string;
}

/** Results whose size depends on values, or that are no tensors. */
const DYNAMIC = new Set(
  "nonzero argwhere masked_select unique unique_consecutive item tolist bincount nonzero_static histogramdd where equal is_same_size"
    .concat(" is_nonzero allclose is_floating_point is_complex numel size stride dim histogram histc corrcoef")
    .split(" "),
);

const EXAMPLES = 3;

/** Another example: the same values elsewhere, so that indices, probabilities and the like stay what they are. */
function variant(t: Tensor, i: number): Tensor {
  if (i === 0 || t.ndim === 0 || t.numel() === 0) return t;
  return t.roll(i, -1);
}

/** Tensors of a tree in order; null where it holds anything else. */
export function tensorsOf(x: unknown): Tensor[] | null {
  if (x instanceof torch.Tensor) return [x];
  if (!Array.isArray(x)) return null;
  const all = x.map(tensorsOf);
  return all.includes(null) ? null : (all as Tensor[][]).flat();
}

function replace(x: unknown, fn: (t: Tensor) => unknown): unknown {
  if (x instanceof torch.Tensor) return fn(x);
  if (Array.isArray(x)) return x.map((v) => replace(v, fn));
  if (typeof x === "object" && x !== null && Object.getPrototypeOf(x) === Object.prototype) {
    return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, replace(v, fn)]));
  }
  return x;
}

function closeTo(got: Tensor, want: Tensor, exact = true): string | null {
  if (got.shape.join() !== want.shape.join()) return `shape [${got.shape.join()}], expected [${want.shape.join()}]`;
  if (got.dtype !== want.dtype) return `dtype ${got.dtype}, expected ${want.dtype}`;
  const [a, b] = [got, want].map((t) => (t.dtype.is_complex ? torch.view_as_real(t.contiguous()) : t).detach().to(torch.float64));
  const narrow = want.dtype.is_floating_point && want.dtype.itemsize === 2;
  const [rtol, atol] = narrow ? [2e-2, 2e-2] : [1e-4, exact ? 1e-5 : 1e-4];
  return torch.allclose(a!, b!, { rtol, atol, equal_nan: true }) ? null : `values differ`;
}

export interface Finding {
  readonly op: string;
  readonly id: string;
  readonly what: string;
}

/** Which of the tensor arguments are mapped. */
const MODES: readonly (readonly [name: string, mapped: (i: number) => boolean])[] = [
  ["all", () => true],
  ["the first", (i) => i === 0],
  ["all but the first", (i) => i > 0],
];

/** A case of the corpus and its tensors, which `call` takes instead of its own. */
interface Decoded {
  readonly call: (own: readonly Tensor[]) => unknown;
  readonly leaves: Tensor[];
}
interface Sample {
  readonly op: string;
  readonly id: string;
  /** Whether PyTorch has gradients of it. */
  readonly grads: boolean;
  /** Null: nothing to map, or too much. Throws what the session cannot have. */
  readonly decode: (session: Session) => Decoded | null;
}

/** Up to `perOp` cases of each operation that `only` lets through. */
function* samplesOf(corpus: Corpus, perOp: number, only: (op: string) => boolean): Generator<Sample> {
  const index = readJson<{ ops: Record<string, Entry> }>(corpus, "index.json").ops;
  for (const [op, entry] of Object.entries(index)) {
    if (!only(op) || DYNAMIC.has(op.split(".").at(-1)!)) continue;
    const manifest = readJson<Manifest>(corpus, `${entry.file}.json`);
    if (manifest.call === "property" || isInPlace(manifest.method ?? op)) continue;
    const stored = readTensors(corpus, manifest.tensors);
    // The largest samples say no more than the others.
    const usable = manifest.cases.filter((c) => c.random !== true && c.uninitialised !== true);
    const step = Math.max(1, Math.floor(usable.length / perOp));
    for (const c of usable.filter((_, i) => i % step === 0).slice(0, perOp)) {
      const decode = (session: Session): Decoded | null => {
        session.require(dtypesIn([c.args, c.kwargs], stored));
        const decoder = new Decoder(session, stored, { grads: false });
        const given = [decoder.values(c.args), decoder.record(c.kwargs)];
        const leaves: Tensor[] = [];
        replace(given, (t) => leaves.push(t));
        if (leaves.length === 0 || leaves.some((t) => t.numel() > 20_000)) return null;
        const call = (own: readonly Tensor[]): unknown => {
          let i = 0;
          const [args, kwargs] = replace(given, () => own[i++]!) as [unknown[], Record<string, unknown>];
          if (manifest.call === "function") return session.call(manifest.method ?? op, withOptions(args, kwargs));
          return callMethod(session, args[0] as TensorLike, manifest.method ?? op, args.slice(1), kwargs);
        };
        return { call, leaves };
      };
      yield { op, id: String(c.id), grads: c.grads !== undefined && manifest.ambiguous === undefined, decode };
    }
  }
}

/** Runs up to `perOp` cases of each operation that `only` lets through. `ran` hears of each comparison. */
export async function vmapFindings(
  corpus: Corpus,
  perOp: number,
  only: (op: string) => boolean,
  ran: (op: string) => void = () => {},
): Promise<Finding[]> {
  const session = await Session.open(torch as unknown as Namespace, "cpu");
  const findings: Finding[] = [];
  for (const { op, id, grads, decode } of samplesOf(corpus, perOp, only)) {
    const decoded = decode(session);
    if (decoded === null) continue;
    const { call, leaves } = decoded;
    for (const [name, mapped] of MODES) {
      if (leaves.length === 1 && name !== "all") continue;
      const problem = compare(call, leaves, mapped, grads);
      if (problem === null) continue;
      ran(op);
      if (problem !== "") findings.push({ op, id: `${id}, ${name} mapped`, what: problem });
    }
  }
  return findings;
}

const waveLike = (t: Tensor): Tensor =>
  torch.arange(t.numel(), { dtype: torch.float32, device: t.device }).cos().reshape(t.shape).to(t.dtype);

/** What one call for a batch gives, and a batch of gradients of it; null where it gives no tensors. */
function batchResults(call: Decoded["call"], leaves: readonly Tensor[], grads: boolean): Tensor[] | null {
  const whole = leaves.map((t) => {
    const all = torch.stack(Array.from({ length: EXAMPLES }, (_, k) => variant(t, k)));
    return grads && t.dtype.differentiable ? all.detach().requires_grad_() : all;
  });
  const results = torch.vmap((...own: Tensor[]) => {
    const out = tensorsOf(call(own));
    if (out === null) throw new Error("no tensors");
    return out;
  })(...whole) as unknown as Tensor[];
  const inputs = whole.filter((t) => t.requires_grad);
  const used = results.filter((t) => t.requires_grad && t.numel() > 0);
  if (inputs.length === 0 || used.length === 0) return results;
  const pull = (...vectors: Tensor[]): Tensor[] =>
    torch.autograd
      .grad(used, inputs, { grad_outputs: vectors, retain_graph: true, allow_unused: true })
      .map((g, j) => g ?? torch.zeros_like(inputs[j]!));
  const one = used.map(waveLike);
  return [...results, ...pull(...one), ...torch.vmap<Tensor[]>(pull)(...one.map((v) => torch.stack([v, v.neg()])))];
}

/** Compares batches on a device with those on the cpu. What the cpu refuses or the device does not have is passed over. */
export async function vmapFindingsOn(
  device: string,
  corpus: Corpus,
  perOp: number,
  only: (op: string) => boolean,
  ran: (op: string) => void = () => {},
): Promise<Finding[]> {
  const namespace = torch as unknown as Namespace;
  const [here, there] = [await Session.open(namespace, "cpu"), await Session.open(namespace, device)];
  const findings: Finding[] = [];
  for (const { op, id, grads, decode } of samplesOf(corpus, perOp, only)) {
    let want: Tensor[] | null;
    let remote: Decoded | null;
    try {
      const local = decode(here);
      want = local === null ? null : batchResults(local.call, local.leaves, grads);
      remote = decode(there);
    } catch {
      continue;
    }
    if (want === null || remote === null) continue;
    try {
      ran(op);
      const { call, leaves } = remote;
      const got = await there.blocking(() => batchResults(call, leaves, grads));
      for (const [j, t] of (got ?? []).entries()) {
        const problem = closeTo(await t.detach().to_async("cpu"), want[j]!, false);
        if (problem !== null) findings.push({ op, id, what: `result ${j} of ${want.length}: ${problem}` });
      }
    } catch (error) {
      findings.push({ op, id, what: `throws ${String(error)}` });
    }
  }
  return findings;
}

/** A batch of two batches, the second in reverse. */
function nested(call: (own: readonly Tensor[]) => unknown, whole: readonly Tensor[], want: readonly Tensor[]): string | null {
  const twice = (t: Tensor): Tensor => torch.stack([t, t.flip(0)]).detach();
  let got: Tensor[];
  try {
    got = torch.vmap<Tensor[]>(torch.vmap((...own: Tensor[]) => tensorsOf(call(own))))(...whole.map(twice));
  } catch (error) {
    return `nested: throws ${String(error)}`;
  }
  for (const [j, t] of got.entries()) {
    const problem = closeTo(t, twice(want[j]!));
    if (problem !== null) return `nested: result ${j}: ${problem}`;
  }
  return null;
}

/** Backward of one call on two cotangents at once, as Jacobians are computed. */
function batchOfCotangents(
  call: (own: readonly Tensor[]) => unknown,
  leaves: readonly Tensor[],
  differentiable: (t: Tensor) => boolean,
): string | null {
  const own = leaves.map((t) => (differentiable(t) ? t.detach().clone().requires_grad_() : t.clone()));
  const inputs = own.filter((t) => t.requires_grad);
  const outputs = (tensorsOf(call(own)) ?? []).filter((t) => t.requires_grad && t.numel() > 0);
  if (inputs.length === 0 || outputs.length === 0) return null;
  const first = outputs.map((t) => torch.arange(t.numel(), { dtype: torch.float64 }).cos().reshape(t.shape).to(t.dtype));
  const both = first.map((v) => torch.stack([v, v.neg()]));
  const pull = (...vectors: Tensor[]): Tensor[] =>
    torch.autograd
      .grad(outputs, inputs, { grad_outputs: vectors, retain_graph: true, allow_unused: true })
      .map((g, j) => g ?? torch.zeros_like(inputs[j]!));
  let want: Tensor[];
  try {
    want = pull(...first);
  } catch {
    return null;
  }
  let got: Tensor[];
  try {
    got = torch.vmap<Tensor[]>(pull)(...both);
  } catch (error) {
    return `a batch of cotangents: throws ${String(error)}`;
  }
  for (const [j, t] of got.entries()) {
    const problem = closeTo(t, torch.stack([want[j]!, want[j]!.neg()]));
    if (problem !== null) return `a batch of cotangents: gradient ${j}: ${problem}`;
  }
  return null;
}

/** "": the same; null: calls for each example fail or give no tensors. */
function compare(
  call: (own: readonly Tensor[]) => unknown,
  leaves: readonly Tensor[],
  mapped: (i: number) => boolean,
  grads: boolean,
): string | null {
  const differentiable = (t: Tensor): boolean => grads && t.dtype.differentiable;
  const whole = leaves.map((t, i) => {
    const all = mapped(i) ? torch.stack(Array.from({ length: EXAMPLES }, (_, k) => variant(t, k))) : t.clone();
    return differentiable(t) ? all.detach().requires_grad_() : all;
  });
  let each: Tensor[][];
  try {
    each = Array.from({ length: EXAMPLES }, (_, k) => {
      const out = tensorsOf(call(whole.map((t, i) => (mapped(i) ? t.select(0, k).clone() : t))));
      if (out === null) throw new Error("no tensors");
      return out;
    });
  } catch {
    return null;
  }
  if (each.some((list) => list.some((t, j) => t.shape.join() !== each[0]![j]!.shape.join()))) return null;
  const want = each[0]!.map((_, j) => torch.stack(each.map((list) => list[j]!)));
  const dims = whole.map((_, i) => (mapped(i) ? 0 : null));
  let got: Tensor[];
  try {
    got = torch.vmap<Tensor[]>((...own: Tensor[]) => tensorsOf(call(own)), dims)(...whole);
  } catch (error) {
    if (/called random operation|got a batched tensor as input while/.test(String(error))) return null;
    return `throws ${String(error)}`;
  }
  for (const [j, t] of got.entries()) {
    const problem = closeTo(t, want[j]!);
    if (problem !== null) return `result ${j}: ${problem}`;
  }
  if (leaves.every((_, i) => mapped(i))) {
    const problem = nested(call, whole, want) ?? batchOfCotangents(call, leaves, differentiable);
    if (problem !== null) return problem;
  }
  const inputs = whole.filter((t) => t.requires_grad);
  const pull = (outputs: readonly Tensor[]): (Tensor | null)[] => {
    const used = outputs.filter((t) => t.requires_grad && t.numel() > 0);
    if (used.length === 0 || inputs.length === 0) return [];
    const cotangents = used.map((t) => torch.arange(t.numel(), { dtype: torch.float64 }).sin().reshape(t.shape).to(t.dtype));
    return torch.autograd.grad(used, inputs, { grad_outputs: cotangents, allow_unused: true });
  };
  let expected: (Tensor | null)[];
  try {
    expected = pull(want);
  } catch {
    return "";
  }
  let found: (Tensor | null)[];
  try {
    found = pull(got);
  } catch (error) {
    return `its gradient throws ${String(error)}`;
  }
  if (found.length !== expected.length) return "only one of the two has a gradient";
  for (const [j, g] of found.entries()) {
    const other = expected[j]!;
    if ((g === null) !== (other === null)) {
      if ((g ?? other)!.eq(0).all().item_sync()) continue;
      return `gradient ${j}: ${g === null ? "none" : "one"}, expected ${other === null ? "none" : "one"}`;
    }
    const problem = g === null ? null : closeTo(g, other!);
    if (problem !== null) return `gradient ${j}: ${problem}`;
  }
  return "";
}
