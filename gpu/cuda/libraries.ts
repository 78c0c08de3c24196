/**
 * NVIDIA's libraries in place of our own kernels: products by cuBLASLt, convolutions by cuDNN, where they are there and faster. Which one it is
 * for products of about a shape is found out by trying when the first of them comes up, and then stays. Results do not depend on it but
 * for rounding, and both give the same bits every time.
 */

import type { View } from "../../ts/core/device.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { settings } from "../../ts/core/settings.ts";
import type { ConvSpec, KernelSpec, MatmulSpec } from "../../ts/kernel/spec.ts";
import type { GpuContext, LoweredRun } from "../context.ts";
import type { Run } from "../device.ts";
import { ELEM_BYTES } from "../ir.ts";
import type { GpuMemory } from "../memory.ts";
import type { LibraryType, NativeLibraries } from "./addon.ts";
import { addBias, type ConvProblem, convProblem } from "./library_conv.ts";
import { type MatmulProblem, matmulProblem } from "./library_matmul.ts";

/** Where an operand begins. */
export interface Place {
  readonly memory: GpuMemory;
  readonly byte: number;
}

export interface MatmulPlaces {
  readonly a: Place;
  readonly b: Place;
  readonly d: Place;
  readonly bias: Place | null;
  readonly workspace: Place | null;
}

/** What this folder's device gives the libraries: their calls in the order of its queue. */
export interface LibraryQueue {
  /** cuBLASLt, or null where it is not there. The first call starts it, which takes a while. */
  readonly cublasLt: NativeLibraries | null;
  /** The same of cuDNN. */
  readonly cudnn: NativeLibraries | null;
  /** While a graph is captured nothing can be timed. */
  readonly capturing: boolean;
  matmul(plan: number, places: MatmulPlaces, alpha: number, beta: number): void;
  conv(plan: number, first: Place, second: Place, result: Place, workspace: Place | null): void;
  /** Milliseconds that the GPU takes for what `run` asks for. Waits for it. */
  time(run: () => void): number;
  /** The same, of calls of libraries only. Null where one of them fails. */
  timeCalls(run: () => void): number | null;
  /** Plans get new numbers. */
  forgetPlans(): void;
}

/** Multiply-adds under which a launch costs more than any choice can save. */
const LEAST_WORK = 1 << 21;
const MATMUL_WORKSPACE = 32 << 20;
const CONV_WORKSPACE = 256 << 20;
/** Of the library's algorithms, how many are timed. */
const MATMUL_CANDIDATES = 3;
const CONV_CANDIDATES = 8;
/** Plans that are kept at most, and shapes whose outcome is. */
const MOST_PLANS = 4096;
const MOST_DECISIONS = 4096;
/** One run follows another so often when it is timed. */
const REPEATS = 3;
/** What takes so many times as long as the best at its first run is not timed further. */
const HOPELESS = 4;

const TYPES = new Map<string, LibraryType>([
  ["float16", "f16"],
  ["bfloat16", "bf16"],
  ["float32", "f32"],
  ["float64", "f64"],
]);

export function libraryType(dtype: DType): LibraryType | null {
  return TYPES.get(dtype.name) ?? null;
}

interface Plan {
  readonly plan: number;
  readonly workspace: number;
}

/** A way to compute a result: a call of a library, and kernels that finish it. */
interface Way {
  readonly call: () => void;
  readonly finish: (() => void) | null;
}

/** What was faster for shapes of a class: our kernel, or the library's candidate for one exact shape (its first for the others). */
interface Decision {
  readonly exact: string;
  readonly candidate: number | "own";
}

/** Plans and decisions of one device. */
export class LibraryChoices {
  readonly #queue: LibraryQueue;
  readonly #plans = new Map<string, Plan | null>();
  readonly #decisions = new Map<string, Decision>();
  /** Shapes that were timed so far. */
  timed = 0;

  constructor(queue: LibraryQueue) {
    this.#queue = queue;
  }

  plan(key: string, make: () => Plan | null): Plan | null {
    let plan = this.#plans.get(key);
    if (plan === undefined) {
      if (this.#plans.size >= MOST_PLANS && !this.#queue.capturing) {
        this.#plans.clear();
        this.#queue.forgetPlans();
      }
      this.#plans.set(key, (plan = make()));
    }
    return plan;
  }

  /** Runs what is fastest for this class of shapes, after finding out if need be. `way`: the library's candidates in turn, null after the last. */
  runFastest(kind: string, exact: string, own: () => void, way: (candidate: number) => Way | null, candidates: number): void {
    const known = this.#decisions.get(kind);
    if (known !== undefined) {
      if (known.candidate === "own") return own();
      return this.runLibrary(own, () => way(known.exact === exact ? (known.candidate as number) : 0));
    }
    if (this.#queue.capturing) return this.runLibrary(own, () => way(0));
    if (this.#decisions.size >= MOST_DECISIONS) this.#decisions.clear();
    const [candidate, run] = this.#fastest(own, way, candidates);
    this.#decisions.set(kind, { exact, candidate });
    run();
  }

  runLibrary(own: () => void, way: () => Way | null): void {
    const found = way();
    if (found === null) return own();
    found.call();
    found.finish?.();
  }

  #fastest(
    own: () => void,
    way: (candidate: number) => Way | null,
    candidates: number,
  ): [candidate: number | "own", run: () => void] {
    const ways: Way[] = [];
    for (let i = 0; i < candidates; i++) {
      const next = way(i);
      if (next === null) break;
      ways.push(next);
    }
    if (ways.length === 0) return ["own", own];
    this.timed++;
    let best: { ms: number; candidate: number | "own"; run: () => void } = {
      ms: this.#time((run) => this.#queue.time(run), own, Infinity) ?? Infinity,
      candidate: "own",
      run: own,
    };
    ways.forEach(({ call, finish }, candidate) => {
      let ms = this.#time((run) => this.#queue.timeCalls(run), call, best.ms);
      if (ms === null) return;
      if (finish !== null) ms += this.#time((run) => this.#queue.time(run), finish, Infinity) ?? 0;
      if (ms >= best.ms) return;
      const run = (): void => {
        call();
        finish?.();
      };
      best = { ms, candidate, run };
    });
    return [best.candidate, best.run];
  }

  /** Milliseconds of one run among several. The first run, which may load or compile something, does not count. */
  #time(measure: (run: () => void) => number | null, run: () => void, best: number): number | null {
    const first = measure(run);
    if (first === null || first > best * HOPELESS * REPEATS) return first;
    const again = measure(run);
    if (again === null || again > best * HOPELESS) return again;
    const all = measure(() => {
      for (let i = 0; i < REPEATS; i++) run();
    });
    return all === null ? null : all / REPEATS;
  }
}

/** To a quarter of an octave. */
const about = (size: number): number => Math.round(Math.log2(size) * 4);

/** The same spec, computed by a library where that is possible and faster (or wanted: `torch.backends`). */
export function withLibraries(
  spec: KernelSpec,
  context: GpuContext,
  own: Run,
  queue: LibraryQueue,
  choices: LibraryChoices,
): Run {
  if (spec.kind === "matmul") return withMatmul(spec, context, own as LoweredRun<"matmul">, queue, choices) as Run;
  if (spec.kind === "conv") return withConv(spec, context, own as LoweredRun<"conv">, queue, choices) as Run;
  return own;
}

function withMatmul(
  spec: MatmulSpec,
  context: GpuContext,
  own: LoweredRun<"matmul">,
  queue: LibraryQueue,
  choices: LibraryChoices,
): LoweredRun<"matmul"> {
  const type = libraryType(spec.dtype);
  if (type === null) return own;
  const places = new Places(context, spec.dtype);
  return (inputs, outputs, params) => {
    const mine = (): void => own(inputs, outputs, params);
    const { blasLibrary } = settings;
    const [batch, m, n] = outputs[0]!.shape as [number, number, number];
    const k = inputs[0]!.shape[2]!;
    const work = batch * m * n * k;
    if (blasLibrary === "kindling" || work < (blasLibrary === "default" ? LEAST_WORK : 1)) return mine();
    const { cublasLt } = queue;
    if (cublasLt === null) return mine();
    const tf32 = type === "f32" && params.tf32 === true;
    const problem = matmulProblem(inputs, outputs[0]!);
    if (problem === null) return mine();
    const [a, b] = [places.of(problem.a), places.of(problem.b)];
    const d = places.of(outputs[0]!);
    const bias = problem.bias === null ? null : places.of(problem.bias);
    const alignment = places.alignment([a, b, d, bias]);
    const key = `${type}${tf32 ? "t" : ""}/${keyOf(problem)}/${alignment}`;
    const way = (candidate: number): Way | null => {
      const { a: _a, b: _b, bias: _bias, ...sizes } = problem;
      const options = { ...sizes, type, tf32, bias: bias !== null, alignment, workspaceLimit: MATMUL_WORKSPACE, candidate };
      const found = choices.plan(`matmul/${key}/${candidate}`, () => cublasLt.matmulPlan(options));
      if (found === null) return null;
      const workspace = places.workspace(found.workspace);
      return {
        call: () => queue.matmul(found.plan, { a, b, d, bias, workspace }, params.alpha, params.beta),
        finish: null,
      };
    };
    // With beta the result is an operand: it cannot be computed several times.
    if (blasLibrary === "cublaslt" || params.beta !== 0) return choices.runLibrary(mine, () => way(0));
    const { m: rows, n: columns, k: steps, batch: entries, transA, transB } = problem;
    const shape = [rows, columns, steps, entries].map(about).join();
    const kind = `matmul/${type}${tf32 ? "t" : ""}/${shape}/${transA}${transB}${bias !== null}/${alignment % 16 === 0}`;
    choices.runFastest(kind, key, mine, way, MATMUL_CANDIDATES);
  };
}

function keyOf({ m, n, k, batch, transA, transB, lda, ldb, strideA, strideB, bias }: MatmulProblem): string {
  return `${m},${n},${k},${batch},${transA},${transB},${lda},${ldb},${strideA},${strideB},${bias !== null}`;
}

function withConv(
  spec: ConvSpec,
  context: GpuContext,
  own: LoweredRun<"conv">,
  queue: LibraryQueue,
  choices: LibraryChoices,
): LoweredRun<"conv"> {
  const type = libraryType(spec.dtype);
  if (type === null) return own;
  const places = new Places(context, spec.dtype);
  return (inputs, outputs, params) => {
    const mine = (): void => own(inputs, outputs, params);
    const { cudnnEnabled, cudnnBenchmark, cudnnDeterministic } = settings;
    if (!cudnnEnabled) return mine();
    const problem = convProblem(spec.mode, inputs, outputs[0]!, params);
    if (problem.work < LEAST_WORK) return mine();
    const { cudnn } = queue;
    if (cudnn === null) return mine();
    const tf32 = type === "f32" && params.tf32 === true;
    const [first, second] = [places.of(inputs[0]!), places.of(inputs[1]!)];
    const result = places.of(outputs[0]!);
    if (places.alignment([first, second, result]) < 16) return mine();
    const key = `${spec.mode}/${type}${tf32 ? "t" : ""}/${convKey(problem)}`;
    const finish = spec.bias ? (): void => addBias(context, spec.dtype, outputs[0]!, inputs[2]!) : null;
    const way = (candidate: number): Way | null => {
      const { work: _work, ...sizes } = problem;
      const options = { ...sizes, type, tf32, workspaceLimit: CONV_WORKSPACE, candidate };
      const found = choices.plan(`conv/${key}/${candidate}`, () => cudnn.convPlan(options));
      if (found === null) return null;
      const workspace = places.workspace(found.workspace);
      return { call: () => queue.conv(found.plan, first, second, result, workspace), finish };
    };
    if (cudnnDeterministic) return choices.runLibrary(mine, () => way(0));
    const candidates = cudnnBenchmark ? CONV_CANDIDATES : 1;
    choices.runFastest(`conv/${key}/${candidates}`, key, mine, way, candidates);
  };
}

function convKey({ input, weight, output, stride, padding, dilation, groups }: ConvProblem): string {
  return [input, weight, output, stride, padding, dilation].map((list) => list.join("x")).join() + `,${groups}`;
}

/** Device memory as the libraries get it. */
class Places {
  readonly #context: GpuContext;
  readonly #unit: number;

  constructor(context: GpuContext, dtype: DType) {
    this.#context = context;
    this.#unit = ELEM_BYTES[context.layout(dtype).elem];
  }

  of(view: View): Place {
    return { memory: this.#context.memoryOf(view) as GpuMemory, byte: view.offset * this.#unit };
  }

  /** The largest power of two up to 256 that divides all addresses. Memory begins at multiples of 256. */
  alignment(places: readonly (Place | null)[]): number {
    let bits = 256;
    for (const place of places) if (place !== null) bits |= place.byte & 255;
    return bits & -bits;
  }

  workspace(bytes: number): Place | null {
    if (bytes === 0) return null;
    const temporary = this.#context.temporary(Math.ceil(bytes / 4), "u32");
    return { memory: this.#context.memoryOf(temporary) as GpuMemory, byte: 0 };
  }
}
