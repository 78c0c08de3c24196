/** The training panel: progress, figures, curves. It remembers one run for each model. */

import { Chart, Smooth, type Curve } from "./charts.ts";
import { byId, create, decimal, duration, percent, speed, whole } from "./dom.ts";
import type { Evaluation, ModelName, StepReport } from "./protocol.ts";

/** Everything that is shown of a run. */
class Run {
  readonly losses: { step: number; loss: number; smooth: number }[] = [];
  readonly accuracies: { step: number; accuracy: number }[] = [];
  readonly evaluations: Evaluation[] = [];
  readonly smooth = new Smooth();
  totalSteps = 0;
  parameters = 0;
  last: StepReport | undefined;
}

const enum LossCurve {
  Raw,
  Smooth,
  HeldOut,
}
const enum AccuracyCurve {
  Training,
  Test,
}

const LOSS_CURVES: readonly Curve[] = [
  { label: "each step", color: "--loss-raw", width: 1 },
  { label: "mean", color: "--loss", width: 2 },
  { label: "held out", color: "--good", width: 2, sparse: true },
];
const ACCURACY_CURVES: readonly Curve[] = [
  { label: "training", color: "--good-raw", width: 1.5 },
  { label: "test", color: "--good", width: 2, sparse: true },
];

/** Shows the values that a chart tells, with the curves' colours. */
function readoutIn(id: string, curves: readonly Curve[], format: (value: number) => string) {
  const place = byId(id, HTMLElement);
  return (step: number | undefined, values: readonly (number | null)[]): void => {
    const keys = curves.flatMap(({ label, color }, i) => {
      const value = values[i];
      if (value == null) return [];
      const key = create("span", "key", `${label} ${format(value)}`);
      key.style.setProperty("--key", `var(${color})`);
      return [key];
    });
    if (step !== undefined && keys.length > 0) keys.unshift(create("span", "", `step ${whole(step)}`));
    place.replaceChildren(...keys);
  };
}

export class TrainingView {
  readonly #runs: Record<ModelName, Run> = { digits: new Run(), gpt: new Run() };
  #model: ModelName = "digits";
  readonly #progress = byId("progress", HTMLProgressElement);
  readonly #loss: Chart;
  readonly #accuracy: Chart;

  constructor() {
    this.#loss = new Chart(byId("loss-chart", HTMLElement), {
      curves: LOSS_CURVES,
      format: (value) => String(Number(value.toPrecision(3))),
      readout: readoutIn("loss-readout", LOSS_CURVES, decimal),
    });
    this.#accuracy = new Chart(byId("accuracy-chart", HTMLElement), {
      curves: ACCURACY_CURVES,
      format: (value) => `${Math.round(value * 100)} %`,
      range: [0, 1],
      readout: readoutIn("accuracy-readout", ACCURACY_CURVES, percent),
    });
    this.#figures();
  }

  /** Shows another model's last run. */
  show(model: ModelName): void {
    this.#model = model;
    const run = this.#runs[model];
    this.#loss.clear();
    this.#accuracy.clear();
    for (const point of run.losses) this.#addLoss(point);
    for (const { step, accuracy } of run.accuracies) this.#accuracy.add(AccuracyCurve.Training, step, accuracy);
    for (const evaluation of run.evaluations) this.#addEvaluation(evaluation);
    this.#figures();
  }

  /** A new run of the model that is shown. */
  begin(totalSteps: number, parameters: number): void {
    this.#runs[this.#model] = Object.assign(new Run(), { totalSteps, parameters });
    this.show(this.#model);
  }

  steps(report: StepReport): void {
    const run = this.#runs[this.#model];
    report.steps.forEach((step, i) => {
      const loss = report.losses[i]!;
      const point = { step, loss, smooth: run.smooth.next(loss) };
      run.losses.push(point);
      this.#addLoss(point);
      const accuracy = report.accuracies[i];
      if (accuracy === undefined) return;
      run.accuracies.push({ step, accuracy });
      this.#accuracy.add(AccuracyCurve.Training, step, accuracy);
    });
    run.last = report;
    this.#figures();
  }

  evaluated(evaluation: Evaluation): void {
    this.#runs[this.#model].evaluations.push(evaluation);
    this.#addEvaluation(evaluation);
    this.#figures();
  }

  /** What the page is doing, in a few words. */
  status(text: string): void {
    byId("status", HTMLElement).textContent = text;
  }

  #addLoss({ step, loss, smooth }: { step: number; loss: number; smooth: number }): void {
    this.#loss.add(LossCurve.Raw, step, loss);
    this.#loss.add(LossCurve.Smooth, step, smooth);
  }
  #addEvaluation({ step, loss, accuracy }: Evaluation): void {
    this.#accuracy.add(AccuracyCurve.Test, step, accuracy);
    if (loss !== undefined) this.#loss.add(LossCurve.HeldOut, step, loss);
  }

  #figures(): void {
    const { last, losses, evaluations, totalSteps, parameters } = this.#runs[this.#model];
    const text = (id: string, value: string): void => void (byId(id, HTMLElement).textContent = value);
    const step = losses.at(-1)?.step ?? 0;
    const accuracy = evaluations.at(-1)?.accuracy ?? last?.accuracies.at(-1);
    this.#progress.value = totalSteps === 0 ? 0 : step / totalSteps;
    text("where", last?.where ?? "");
    const left = last === undefined ? NaN : (totalSteps - step) / last.stepsPerSecond;
    text("eta", last === undefined ? "" : step < totalSteps ? `${duration(left)} left` : `${duration(last.seconds)} of training`);
    text("tile-loss", losses.length === 0 ? "–" : decimal(losses.at(-1)!.smooth));
    text(
      "tile-accuracy-label",
      this.#model === "gpt" ? "Next character right" : evaluations.length > 0 ? "Test accuracy" : "Accuracy",
    );
    text("tile-accuracy", accuracy === undefined ? "–" : percent(accuracy));
    text("tile-speed", last === undefined ? "–" : speed(last.stepsPerSecond));
    text("tile-parameters", parameters === 0 ? "–" : whole(parameters));
  }
}
