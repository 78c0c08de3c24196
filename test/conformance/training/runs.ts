/** Whole training runs of a Sequential. */

import { compareNumbers, type Closeness } from "../compare.ts";
import type { JsonObject } from "../corpus.ts";
import { Failure, part } from "../outcome.ts";
import type { Stored } from "../safetensors.ts";
import type { Callable, TensorLike } from "../session.ts";
import { expectTensor } from "../values.ts";
import {
  expectState,
  forward,
  loadState,
  make,
  makeModule,
  makeSequential,
  noGrad,
  numberOf,
  parametersOf,
  relativeToLargest,
  send,
  stateOf,
  settings,
  type Env,
  type Layer,
  type Thing,
} from "./common.ts";
import { makeScheduler } from "./schedules.ts";

/** What the corpus asks for: runs drift with rounding. */
const RELATIVE = 1e-3;

interface RunCase {
  readonly layers: readonly Layer[];
  readonly loss: string;
  readonly optimiser: string;
  readonly options: JsonObject;
  readonly batch: number;
  readonly steps: number;
  readonly accumulate: number;
  readonly clip_grad_norm?: number;
  readonly schedule?: readonly [string, JsonObject];
  readonly state_dict: JsonObject;
  readonly x: { readonly tensor: string };
  readonly y: { readonly tensor: string };
  readonly losses: readonly number[];
  readonly state_after: JsonObject;
  readonly eval_output: { readonly tensor: string };
}

export async function runTraining(env: Env, c: RunCase): Promise<void> {
  const { session, tensors } = env;
  const model = makeSequential(env, c.layers);
  loadState(env, model, c.state_dict);
  send(model, "train");
  const criterion = makeModule(env, c.loss);
  const params = [...parametersOf(model).values()];
  const optimizer = make(env, `optim.${c.optimiser}`, [params], settings(env).record(c.options));
  const scheduler = c.schedule === undefined ? null : makeScheduler(env, optimizer, c.schedule[0], c.schedule[1]);
  const [x, y] = [c.x, c.y].map(({ tensor }) => session.tensor(tensors.get(tensor)));
  const batches = x.shape[0] / c.batch;
  const rows = (t: TensorLike, batch: number): unknown => session.method(t, "narrow", [0, (batch % batches) * c.batch, c.batch]);

  for (let step = 0; step < c.steps; step++) {
    send(optimizer, "zero_grad");
    let total = 0;
    for (let i = 0; i < c.accumulate; i++) {
      const batch = step * c.accumulate + i;
      const output = await forward(model, [rows(x, batch)]);
      const loss = (await forward(criterion, [output, rows(y, batch)])) as TensorLike;
      const share = (c.accumulate === 1 ? loss : session.method(loss, "div", [c.accumulate])) as TensorLike;
      (share.backward as Callable).call(share);
      total += await numberOf(env, share);
    }
    const problem = compareNumbers(total, c.losses[step], [1e-6, RELATIVE]);
    if (problem !== null) throw new Failure(`loss before step ${step}: ${problem}`);
    if (c.clip_grad_norm !== undefined) session.call("nn.utils.clip_grad_norm_", [params, c.clip_grad_norm]);
    await send(optimizer, "step");
    if (scheduler !== null) send(scheduler, "step");
  }
  await part("state after the run", () => expectAfter(env, model, c.state_after));
  send(model, "eval");
  // Of the first batch.
  const output = await noGrad(env, () => forward(model, [rows(x, 0)]));
  const want = tensors.get(c.eval_output.tensor);
  await expectTensor(session, output, want, "output in eval mode", relativeToLargest(want, RELATIVE));
}

/**
 * The keys' bias in attention has no gradient but rounding (it adds the same to all scores of a row), which an adaptive optimiser turns
 * into steps of full size in random directions: its third of `in_proj_bias` is free.
 */
async function expectAfter(env: Env, model: Thing, wanted: JsonObject): Promise<void> {
  const close = (want: Stored): Closeness => relativeToLargest(want, RELATIVE);
  const free = (name: string): boolean => name.endsWith("in_proj_bias");
  const rest = Object.fromEntries(Object.entries(wanted).filter(([name]) => !free(name)));
  await expectState(env, model, rest, close, false);
  const state = stateOf(model);
  const extra = [...state.keys()].filter((name) => !(name in wanted));
  if (extra.length > 0) throw new Failure(`the state_dict has too much: ${extra.join(", ")}`);
  for (const [name, value] of Object.entries(wanted).filter(([name]) => free(name))) {
    const want = env.tensors.get((value as { tensor: string }).tensor);
    const third = want.shape[0] / 3;
    for (const [what, start] of [
      ["queries", 0],
      ["values", 2 * third],
    ] as const) {
      const got = env.session.method(state.get(name)!, "narrow", [0, start, third]) as TensorLike;
      const data = want.data.slice(start, start + third) as Stored["data"];
      await expectTensor(env.session, got, { ...want, shape: [third], data }, `${name}, ${what}`, close(want));
    }
  }
}
