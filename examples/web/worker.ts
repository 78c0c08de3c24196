/** The page's worker: all computing happens here, so that the page itself never waits. */

import * as torch from "kindling";
import { DigitsJob } from "./digits_job.ts";
import { environment } from "./environment.ts";
import { GptJob } from "./gpt_job.ts";
import type { JobHooks } from "./job.ts";
import type { FailureKind, FromWorker, ToWorker, TrainSettings } from "./protocol.ts";
import { RunControl, StepClock, Stopped, turn } from "./run_control.ts";

/** Milliseconds between two reports: more often than that nobody can see. */
const REPORT_EVERY = 50;

/** Characters that may be written between two steps of training. */
const WRITE_BETWEEN_STEPS = 8;

/** What a worker's global object has; the types of the page's window say otherwise. */
interface WorkerScope {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}
const scope = globalThis as unknown as WorkerScope;
const post = (message: FromWorker): void => scope.postMessage(message);

const digits = new DigitsJob();
const gpt = new GptJob();
let control: RunControl | undefined;
let sampling: RunControl | undefined;

function kindOf(error: unknown): FailureKind {
  if (error instanceof torch.OutOfMemoryError) return "out-of-memory";
  if (error instanceof torch.DeviceLostError) return "device-lost";
  if (error instanceof Error && /is not available|no adapter/i.test(error.message)) return "no-device";
  return "other";
}
function fail(error: unknown, training: boolean, kind = kindOf(error)): void {
  if (kind === "device-lost") for (const job of [digits, gpt]) job.forget();
  post({ type: "failed", kind, message: error instanceof Error ? error.message : String(error), training });
}

/** Hooks that gather steps and report them now and then. */
function reporting(run: RunControl): JobHooks & { flush(): void } {
  const clock = new StepClock();
  let [steps, losses, accuracies]: [number[], number[], number[]] = [[], [], []];
  let reported = -Infinity;
  let place = "";
  const flush = (): void => {
    if (steps.length === 0) return;
    const { stepsPerSecond, seconds } = clock;
    post({ type: "steps", report: { steps, losses, accuracies, stepsPerSecond, seconds, where: place } });
    [steps, losses, accuracies] = [[], [], []];
    reported = performance.now();
  };
  return {
    flush,
    started(totalSteps, parameters) {
      post({ type: "started", totalSteps, parameters, threads: torch.get_num_threads() });
      clock.start();
    },
    async step(step, loss, accuracy, where) {
      clock.step();
      place = where;
      steps.push(step);
      losses.push(loss);
      if (accuracy !== undefined) accuracies.push(accuracy);
      if (performance.now() - reported >= REPORT_EVERY) flush();
      for (let i = 1; i < WRITE_BETWEEN_STEPS && sampling !== undefined; i++) await turn();
      await run.checkpoint(() => {
        flush();
        post({ type: "paused" });
      });
      clock.start();
    },
    evaluated(evaluation) {
      flush();
      post({ type: "evaluated", evaluation });
    },
  };
}

async function train(settings: TrainSettings): Promise<void> {
  const run = (control = new RunControl());
  const hooks = reporting(run);
  try {
    torch.set_num_threads(settings.threads);
    if (settings.device === "webgpu") await torch.webgpu.init(); // anew after it was lost
    await (settings.model === "digits" ? digits : gpt).train(settings, hooks);
    hooks.flush();
    post({ type: "finished" });
  } catch (error) {
    hooks.flush();
    if (error instanceof Stopped) post({ type: "stopped" });
    else fail(error, true);
  } finally {
    if (control === run) control = undefined;
  }
}

async function sample(prompt: string, length: number, temperature: number): Promise<void> {
  sampling?.stop();
  const run = (sampling = new RunControl());
  const begin = performance.now();
  try {
    let text = "";
    let reported = 0;
    for await (const piece of gpt.sample(prompt, length, temperature)) {
      text += piece;
      if (performance.now() - reported > 16) {
        post({ type: "text", text });
        text = "";
        reported = performance.now();
      }
      await run.checkpoint();
    }
    post({ type: "text", text });
  } catch (error) {
    if (!(error instanceof Stopped)) fail(error, false, kindOf(error) === "other" ? "sampling" : undefined);
  }
  if (sampling === run) {
    sampling = undefined;
    post({ type: "sampled", seconds: (performance.now() - begin) / 1000 });
  }
}

/** The last drawing that waits to be classified: those before it are of no interest any more. */
let drawing: { pixels: Float32Array; serial: number } | undefined;
let classifying = false;
async function classify(): Promise<void> {
  if (classifying) return;
  classifying = true;
  try {
    while (drawing !== undefined) {
      const { pixels, serial } = drawing;
      drawing = undefined;
      post({ type: "probabilities", values: await digits.probabilities(pixels), serial, trained: digits.trained });
      await turn();
    }
  } catch (error) {
    fail(error, false);
  } finally {
    classifying = false;
  }
}

async function receive(message: ToWorker): Promise<void> {
  switch (message.type) {
    case "train":
      return train(message.settings);
    case "pause":
      return control?.pause();
    case "resume":
      control?.resume();
      return post({ type: "resumed" });
    case "stop":
      return control?.stop();
    case "classify":
      drawing = message;
      return classify();
    case "example":
      return post({ type: "example", ...(await digits.example()) });
    case "sample":
      return sample(message.prompt, message.length, message.temperature);
    case "stop-sampling":
      return sampling?.stop();
  }
}

globalThis.addEventListener("unhandledrejection", ({ reason }) => fail(reason, false));
scope.onmessage = ({ data }) => void receive(data).catch((error: unknown) => fail(error, false));
post({ type: "ready", environment: await environment() });
