/** Whole training runs of a Sequential. */

import { compareNumbers } from "../compare.ts";
import type { JsonObject } from "../corpus.ts";
import { Failure, part } from "../outcome.ts";
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
  settings,
  type Env,
  type Layer,
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
  await part("state after the run", () => expectState(env, model, c.state_after, (want) => relativeToLargest(want, RELATIVE)));
  send(model, "eval");
  // Of the first batch.
  const output = await noGrad(env, () => forward(model, [rows(x, 0)]));
  const want = tensors.get(c.eval_output.tensor);
  await expectTensor(session, output, want, "output in eval mode", relativeToLargest(want, RELATIVE));
}
