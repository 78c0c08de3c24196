/** Learning-rate schedules over 50 steps. */

import { compareNumbers } from "../compare.ts";
import type { Json, JsonObject } from "../corpus.ts";
import { Failure } from "../outcome.ts";
import { make, send, settings, type Env, type Thing } from "./common.ts";
import { formula } from "./formula.ts";

/** Plain float64 arithmetic; two ways of writing one formula differ by a few roundings. */
const TOLERANCE = [1e-13, 1e-11] as const;

interface ScheduleCase {
  readonly scheduler: string;
  readonly options: JsonObject;
  readonly initial_lr: readonly number[];
  readonly initial_momentum?: number;
  readonly lr: readonly (readonly number[])[];
  readonly momentum?: readonly (number | readonly number[])[];
  readonly metrics?: readonly number[];
}

interface Group {
  readonly lr: number;
  readonly momentum: number;
}

export async function runSchedule(env: Env, c: ScheduleCase): Promise<void> {
  const groups = c.initial_lr.map((lr) => ({ params: [parameter(env)], lr }));
  const momentum = c.initial_momentum === undefined ? {} : { momentum: c.initial_momentum };
  const optimizer = make(env, "optim.SGD", [groups, { lr: c.initial_lr[0], ...momentum }]);
  const scheduler = makeScheduler(env, optimizer, c.scheduler, c.options);
  for (let step = 0; step < c.lr.length; step++) {
    const now = optimizer.param_groups as readonly Group[];
    now.forEach((group, i) => {
      expectNumber(Number(group.lr), c.lr[step][i], `lr of group ${i} at step ${step}`);
      const wanted = c.momentum?.[step];
      if (wanted === undefined) return;
      expectNumber(
        Number(group.momentum),
        typeof wanted === "number" ? wanted : wanted[i],
        `momentum of group ${i} at step ${step}`,
      );
    });
    await send(optimizer, "step");
    if (c.metrics === undefined) send(scheduler, "step");
    else send(scheduler, "step", c.metrics[step]);
  }
}

function expectNumber(got: number, want: number, what: string): void {
  const problem = compareNumbers(got, want, TOLERANCE);
  if (problem !== null) throw new Failure(`${what}: ${problem}`);
}

function parameter({ session }: Env): unknown {
  const t = session.tensor({ dtype: "float32", shape: [1], data: new Float32Array(1) });
  return session.method(t, "requires_grad_");
}

/** A scheduler by name; the parts of a compound one are made of the same optimiser. */
export function makeScheduler(env: Env, optimizer: Thing, name: string, options: JsonObject): Thing {
  const { schedulers, ...rest } = options;
  const own: Record<string, unknown> = settings(env).record(rest);
  for (const key of ["lr_lambda"]) if (rest[key] !== undefined) own[key] = lambdas(rest[key]);
  const path = name === "SWALR" ? "optim.swa_utils.SWALR" : `optim.lr_scheduler.${name}`;
  if (schedulers === undefined) return make(env, path, [optimizer], own);
  const parts = (schedulers as unknown as [string, JsonObject][]).map(([part, opts]) =>
    makeScheduler(env, optimizer, part, opts),
  );
  return name === "ChainedScheduler"
    ? make(env, path, [parts], own)
    : make(env, path, [optimizer], { schedulers: parts, ...own });
}

function lambdas(text: Json): unknown {
  if (Array.isArray(text)) return text.map(lambdas);
  const value = formula(String(text));
  return (step: number) => value({ step, epoch: step });
}
