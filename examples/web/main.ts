/** The page: joins the panels and the worker. */

import { Client } from "./client.ts";
import { Controls, title, type RunState } from "./controls.ts";
import { DigitsPanel } from "./digits_panel.ts";
import { byId } from "./dom.ts";
import { Banner, showMachine } from "./machine.ts";
import type { Environment, FromWorker, ModelName, TrainSettings } from "./protocol.ts";
import { TextPanel } from "./text_panel.ts";
import { TrainingView } from "./training_view.ts";

/** Milliseconds between two looks at the same drawing while the network learns. */
const LOOK_AGAIN = 250;

let environment: Environment | undefined;
let running: TrainSettings | undefined;
/** To be trained as soon as the new worker is there. */
let next: TrainSettings | undefined;
let looked = 0;

const client = new Client({ message: receive, crashed });
const post = client.post.bind(client);
const banner = new Banner();
const view = new TrainingView();
const digits = new DigitsPanel(post);
const text = new TextPanel(post);
const controls = new Controls({
  train,
  pause() {
    view.status("Pausing …");
    post({ type: "pause" });
  },
  resume: () => post({ type: "resume" }),
  stop() {
    setState("stopping", "Stopping …");
    post({ type: "stop" });
  },
  modelChosen,
});

function setState(state: RunState, status: string): void {
  controls.state = state;
  document.body.dataset["state"] = state; // for style and tests
  view.status(status);
}

function train(settings: TrainSettings): void {
  banner.hide();
  running = settings;
  setState("running", `Preparing on ${title(settings.device)} …`);
  post({ type: "train", settings });
}

function modelChosen(model: ModelName): void {
  view.show(model);
  byId("digits-panel", HTMLElement).hidden = model !== "digits";
  byId("gpt-panel", HTMLElement).hidden = model !== "gpt";
}

/** A fresh worker after an error; with settings it trains at once. */
function restart(settings?: TrainSettings): void {
  next = settings;
  text.reset();
  setState("starting", "Starting …");
  client.restart();
}

function crashed(reason: string): void {
  running = undefined;
  setState("starting", "Not running");
  banner.show("The worker stopped", reason, { label: "Start it again", run: () => restart() });
}

function failed({ kind, message, training }: Extract<FromWorker, { type: "failed" }>): void {
  if (kind === "sampling") return text.failed(message);
  const settings = running;
  if (training) {
    running = undefined;
    setState("idle", "Failed");
  }
  text.reset();
  const heading = {
    "device-lost": "The device was lost",
    "out-of-memory": "Out of memory",
    "no-device": "The device is not available",
    sampling: "It cannot write",
    other: training ? "The training failed" : "Something went wrong",
  }[kind];
  if (settings !== undefined && settings.device !== "cpu") {
    const onCpu = { ...settings, device: "cpu" as const };
    banner.show(heading, message, {
      label: "Train on the CPU instead",
      run() {
        controls.choose("cpu");
        restart(onCpu);
      },
    });
  } else if (kind === "device-lost") banner.show(heading, message, { label: "Start again", run: () => restart() });
  else banner.show(heading, message);
}

function receive(message: FromWorker): void {
  switch (message.type) {
    case "ready":
      environment = controls.environment = message.environment;
      showMachine(environment, environment.best, environment.threads);
      setState("idle", "Ready");
      if (next !== undefined) train(next);
      next = undefined;
      return;
    case "started":
      view.begin(message.totalSteps, message.parameters);
      setState("running", `Training on ${title(running?.device ?? "cpu")}`);
      if (environment) showMachine(environment, running?.device ?? "cpu", message.threads);
      return;
    case "steps":
      view.steps(message.report);
      if (running?.model === "digits" && performance.now() - looked > LOOK_AGAIN) {
        looked = performance.now();
        digits.refresh();
      }
      return;
    case "evaluated":
      return view.evaluated(message.evaluation);
    case "paused":
      return setState("paused", "Paused");
    case "resumed":
      return setState("running", `Training on ${title(running?.device ?? "cpu")}`);
    case "stopped":
    case "finished":
      running = undefined;
      setState("idle", message.type === "finished" ? "Trained" : "Stopped");
      return digits.refresh();
    case "probabilities":
      return digits.showProbabilities(message);
    case "example":
      return digits.showExample(message);
    case "text":
      return text.append(message.text);
    case "sampled":
      return text.finished(message.seconds);
    case "failed":
      return failed(message);
  }
}

modelChosen(controls.model);
setState("starting", "Starting …");
