/** L-BFGS: a quasi-Newton method that calls its closure several times a step. */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { enable_grad, no_grad } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { readable } from "../engine/blocking.ts";
import { keep } from "../engine/memory.ts";
import { parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import {
  checkCommon,
  Optimizer,
  optimizerArguments,
  type OptimizerStateDict,
  type ParamGroup,
  type ParamsInput,
  type Rate,
} from "./optimizer.ts";

export interface LBFGSOptions {
  lr: number;
  max_iter: number;
  max_eval: number | null;
  tolerance_grad: number;
  tolerance_change: number;
  history_size: number;
  line_search_fn: "strong_wolfe" | null;
}

const SIGNATURE = parseSignature(
  "params, lr=1, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=100, line_search_fn=None",
);

/** What a step leaves for the next, under PyTorch's names. */
interface State {
  func_evals: number;
  n_iter: number;
  d: Tensor;
  t: number;
  /** Differences of gradients, of positions, and the reciprocals of their products. */
  old_dirs: Tensor[];
  old_stps: Tensor[];
  ro: Tensor[];
  H_diag: Tensor | number;
  prev_flat_grad: Tensor;
  prev_loss: number;
}

/** A point on a line: step, value, gradient, and slope along the line. */
interface Point {
  readonly t: number;
  readonly f: number;
  readonly g: Tensor;
  readonly slope: number;
}

/** A computation that asks on its way: for the number in a tensor, or for what the closure returns. */
type Search<T> = Generator<Tensor | (() => unknown), T, unknown>;

function* numberOf(x: Tensor): Search<number> {
  return (yield x) as number;
}
function* largest(x: Tensor): Search<number> {
  return x.numel() === 0 ? 0 : yield* numberOf(x.abs().max() as Tensor);
}
function* valueOf(loss: unknown): Search<number> {
  return typeof loss === "number" ? loss : yield* numberOf(loss as Tensor);
}

/** Answers at once. */
function atOnce<T>(search: Search<T>): T {
  let next = search.next();
  while (next.done !== true) {
    const asked = next.value;
    const answer = asked instanceof Tensor ? Number(asked.item_sync()) : enable_grad(asked);
    if (answer instanceof Promise) {
      throw new TypeError("LBFGS: the closure returned a promise; compute the loss at once, or call `await step_async(closure)`");
    }
    next = search.next(answer);
  }
  return next.value;
}

/** Waits for the answers; gradients are recorded or not as the caller has it in between. */
async function inTime<T>(search: Search<T>): Promise<T> {
  let next = no_grad(() => search.next());
  while (next.done !== true) {
    const asked = next.value;
    const answer: unknown = asked instanceof Tensor ? Number(await asked.item()) : await enable_grad(asked);
    next = no_grad(() => search.next(answer));
  }
  return next.value;
}

/**
 * All parameters in one group; `step` needs a closure that clears the gradients, computes the loss and calls backward. It reads losses
 * and slopes on its way: where that takes an await (webgpu), it is `await step_async(closure)`.
 */
export class LBFGS extends Optimizer {
  declare param_groups: (ParamGroup & LBFGSOptions)[];

  constructor(
    ...args: [
      params: ParamsInput,
      ...Args<
        [
          { lr?: Rate },
          { max_iter?: number },
          { max_eval?: number | null },
          { tolerance_grad?: number },
          { tolerance_change?: number },
          { history_size?: number },
          { line_search_fn?: "strong_wolfe" | null },
        ]
      >,
    ]
  ) {
    const [params, defaults] = optimizerArguments<LBFGSOptions>("LBFGS", SIGNATURE, args);
    checkCommon(defaults);
    defaults.max_eval ??= Math.floor((defaults.max_iter * 5) / 4);
    super(params, defaults);
    if (this.param_groups.length !== 1) {
      throw new ValueError("LBFGS doesn't support per-parameter options (parameter groups)");
    }
  }

  private get params(): readonly Tensor[] {
    return this.param_groups[0]!.params;
  }
  private flatGradient(): Tensor {
    return ops.cat(this.params.map((p) => (p.grad === null ? ops.zeros_like(p) : p.grad).reshape(-1)));
  }
  private move(t: number, direction: Tensor): void {
    let at = 0;
    for (const p of this.params) {
      p.add_(direction.narrow(0, at, p.numel()).view_as(p), { alpha: t });
      at += p.numel();
    }
  }

  override step(): null;
  override step<L>(closure: () => L): L;
  override step<L>(closure?: (() => L) | null): L | null {
    const evaluate = checkClosure(closure);
    const { device } = this.params[0]!;
    if (!readable(device)) {
      throw new RuntimeError(
        `LBFGS: step reads losses on its way, which on ${device.type} takes an await; call \`await optimizer.step_async(closure)\``,
      );
    }
    return this.hooked([closure], () => no_grad(() => atOnce(this.search(evaluate)) as L));
  }

  /** `step` on any device: values are waited for. The closure may be asynchronous. Parameters must be left alone until it is done. */
  async step_async<L>(closure: () => L | Promise<L>): Promise<L> {
    const evaluate = checkClosure(closure);
    return await this.hookedAsync([closure], () => inTime(this.search(evaluate)) as Promise<L>);
  }

  private *search(evaluate: () => unknown): Search<unknown> {
    const group = this.param_groups[0]!;
    const { max_iter, tolerance_grad, tolerance_change, history_size, line_search_fn } = group;
    const lr = typeof group.lr === "number" ? group.lr : yield* numberOf(group.lr);
    if (line_search_fn !== null && line_search_fn !== "strong_wolfe") {
      throw new RuntimeError("LBFGS: only 'strong_wolfe' is supported as line_search_fn");
    }
    const state = this.stateOf<Partial<State> & Pick<State, "func_evals" | "n_iter">>(this.params[0]!, () => ({
      func_evals: 0,
      n_iter: 0,
    }));
    const first = yield evaluate;
    let loss = yield* valueOf(first);
    let evals = 1;
    state.func_evals++;
    let grad = this.flatGradient();
    if ((yield* largest(grad)) <= tolerance_grad) return first;

    let { d, t = 0 } = state;
    let previous = state.prev_flat_grad;
    let previousLoss = state.prev_loss ?? loss;
    for (let n = 1; n <= max_iter; n++) {
      state.n_iter++;
      if (state.n_iter === 1) {
        Object.assign(state, { old_dirs: [], old_stps: [], ro: [], H_diag: 1 });
        d = grad.neg();
      } else {
        yield* remember(state as State, grad.sub(previous!), d!.mul(t), history_size);
        d = directionOf(state as State, grad);
      }
      previous = grad.clone();
      previousLoss = loss;
      t = state.n_iter === 1 ? Math.min(1, 1 / (yield* numberOf(grad.abs().sum()))) * lr : lr;
      const slope = yield* numberOf(grad.dot(d));
      if (slope > -tolerance_change) break;

      let used = 0;
      let flat = false;
      if (line_search_fn !== null) {
        const start = this.params.map((p) => p.clone());
        const direction = d;
        const probe = function* (this: LBFGS, step: number): Search<Point> {
          this.move(step, direction);
          const f = yield* valueOf(yield evaluate);
          const g = this.flatGradient();
          this.params.forEach((p, i) => p.copy_(start[i]!));
          used++;
          return { t: step, f, g, slope: yield* numberOf(g.dot(direction)) };
        }.bind(this);
        const from = { t: 0, f: loss, g: grad, slope };
        const found = yield* strongWolfe(probe, t, from, yield* largest(d), tolerance_change);
        ({ t, f: loss, g: grad } = found);
        this.move(t, d);
        flat = (yield* largest(grad)) <= tolerance_grad;
      } else {
        this.move(t, d);
        if (n !== max_iter) {
          loss = yield* valueOf(yield evaluate);
          grad = this.flatGradient();
          flat = (yield* largest(grad)) <= tolerance_grad;
          used = 1;
        }
      }
      evals += used;
      state.func_evals += used;
      if (evals >= group.max_eval! || flat) break;
      if ((yield* largest(d.mul(t))) <= tolerance_change || Math.abs(loss - previousLoss) < tolerance_change) break;
    }
    Object.assign(state, { d, t, prev_flat_grad: previous, prev_loss: previousLoss });
    keep(state);
    return first;
  }

  protected override updateGroup(): void {
    throw new RuntimeError("LBFGS: step needs a closure");
  }

  /** Its numbers stay numbers, as in PyTorch. */
  protected override saved(): OptimizerStateDict {
    const { param_groups, state } = super.saved();
    for (const key of Object.keys(state)) state[Number(key)] = { ...this.state.get(this.params[0]!) };
    return { state, param_groups };
  }
  protected override restore(state_dict: Parameters<Optimizer["load_state_dict"]>[0]): void {
    super.restore(state_dict);
    const state = this.state.get(this.params[0]!) as State | undefined;
    if (state?.old_dirs === undefined) return;
    const { old_dirs, old_stps, ro } = state;
    Object.assign(state, keep({ old_dirs: copies(old_dirs), old_stps: copies(old_stps), ro: copies(ro) }));
  }
}

function checkClosure<L>(closure: (() => L) | null | undefined): () => L {
  if (closure !== undefined && closure !== null) return closure;
  throw new RuntimeError("LBFGS: step needs a closure that clears the gradients, computes the loss and calls backward");
}

const copies = (list: readonly Tensor[]): Tensor[] => list.map((t) => t.clone());

function* remember(state: State, y: Tensor, s: Tensor, most: number): Search<void> {
  const ys = y.dot(s);
  if (!((yield* numberOf(ys)) > 1e-10)) return;
  const { old_dirs, old_stps, ro } = state;
  if (old_dirs.length === most) for (const list of [old_dirs, old_stps, ro]) list.shift();
  old_dirs.push(y);
  old_stps.push(s);
  ro.push(ys.reciprocal());
  state.H_diag = ys.div(y.dot(y));
}

/** The approximate inverse Hessian times the gradient, turned round, by the two loops over what is remembered. */
function directionOf({ old_dirs, old_stps, ro, H_diag }: State, grad: Tensor): Tensor {
  let q = grad.neg();
  const al: Tensor[] = [];
  for (let i = old_dirs.length - 1; i >= 0; i--) {
    al[i] = old_stps[i]!.dot(q).mul(ro[i]!);
    q = q.sub(old_dirs[i]!.mul(al[i]!));
  }
  let r = q.mul(H_diag);
  for (let i = 0; i < old_dirs.length; i++) {
    const be = old_dirs[i]!.dot(r).mul(ro[i]!);
    r = r.add(old_stps[i]!.mul(al[i]!.sub(be)));
  }
  return r;
}

/** The minimum of the cubic through two points with their slopes, within bounds. */
function cubicMinimum(a: Point, b: Point, bounds?: readonly [number, number]): number {
  const [low, high] = bounds ?? (a.t <= b.t ? [a.t, b.t] : [b.t, a.t]);
  const d1 = a.slope + b.slope - (3 * (a.f - b.f)) / (a.t - b.t);
  const square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (low + high) / 2;
  const d2 = Math.sqrt(square);
  const [p, q] = a.t <= b.t ? [a, b] : [b, a];
  const at = q.t - (q.t - p.t) * ((q.slope + d2 - d1) / (q.slope - p.slope + 2 * d2));
  return Math.min(Math.max(at, low), high);
}

const C1 = 1e-4;
const C2 = 0.9;
const MOST = 25;

/** A step along a line that satisfies the strong Wolfe conditions: first a bracket is found, then it is narrowed. */
function* strongWolfe(
  probe: (t: number) => Search<Point>,
  first: number,
  start: Point,
  size: number,
  tolerance: number,
): Search<Point> {
  const tooHigh = (p: Point): boolean => p.f > start.f + C1 * p.t * start.slope;
  const flatEnough = (p: Point): boolean => Math.abs(p.slope) <= -C2 * start.slope;
  let last = start;
  let now = yield* probe(first);
  let bracket: [Point, Point] | null = null;
  let n = 0;
  for (; n < MOST && bracket === null;) {
    if (tooHigh(now) || (n > 1 && now.f >= last.f)) bracket = [last, now];
    else if (flatEnough(now)) return now;
    else if (now.slope >= 0) bracket = [last, now];
    else {
      const bounds = [now.t + 0.01 * (now.t - last.t), now.t * 10] as const;
      const next = cubicMinimum(last, now, bounds);
      last = now;
      now = yield* probe(next);
      n++;
    }
  }
  bracket ??= [start, now];

  let low = bracket[0].f <= bracket[1].f ? 0 : 1;
  let stuck = false;
  while (n < MOST) {
    const [least, most] = [Math.min(bracket[0].t, bracket[1].t), Math.max(bracket[0].t, bracket[1].t)];
    if ((most - least) * size < tolerance) break;
    let t = cubicMinimum(bracket[0], bracket[1]);
    // Too near an end twice, or outside: a tenth of the way in.
    const margin = 0.1 * (most - least);
    if (Math.min(most - t, t - least) < margin) {
      if (stuck || t >= most || t <= least) {
        t = Math.abs(t - most) < Math.abs(t - least) ? most - margin : least + margin;
        stuck = false;
      } else stuck = true;
    } else stuck = false;
    now = yield* probe(t);
    n++;
    if (tooHigh(now) || now.f >= bracket[low]!.f) {
      bracket[1 - low] = now;
      low = bracket[0].f <= bracket[1].f ? 0 : 1;
      continue;
    }
    if (flatEnough(now)) return now;
    if (now.slope * (bracket[1 - low]!.t - bracket[low]!.t) >= 0) bracket[1 - low] = bracket[low]!;
    bracket[low] = now;
  }
  return bracket[low]!;
}
