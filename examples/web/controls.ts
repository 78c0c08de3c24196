/** The set-up panel: which model, which device, which settings, and the buttons. */

import { byId } from "./dom.ts";
import type { DeviceName, Environment, ModelName, TrainSettings } from "./protocol.ts";

export type RunState = "starting" | "idle" | "running" | "paused" | "stopping";

interface Preset {
  readonly lengthLabel: string;
  readonly length: number;
  readonly maxLength: number;
  readonly learningRate: number;
  readonly batchSize: number;
}
const PRESETS: Readonly<Record<ModelName, Preset>> = {
  digits: { lengthLabel: "Epochs", length: 15, maxLength: 1000, learningRate: 3e-3, batchSize: 64 },
  gpt: { lengthLabel: "Steps", length: 300, maxLength: 100_000, learningRate: 1e-3, batchSize: 16 },
};

export interface ControlEvents {
  train(settings: TrainSettings): void;
  pause(): void;
  resume(): void;
  stop(): void;
  modelChosen(model: ModelName): void;
}

export class Controls {
  readonly #form = byId("setup", HTMLFormElement);
  readonly #settings = byId("settings", HTMLFieldSetElement);
  readonly #length = byId("length", HTMLInputElement);
  readonly #learningRate = byId("learning-rate", HTMLInputElement);
  readonly #batchSize = byId("batch-size", HTMLInputElement);
  readonly #seed = byId("seed", HTMLInputElement);
  readonly #threads = byId("threads", HTMLInputElement);
  readonly #train = byId("train", HTMLButtonElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #models: HTMLInputElement[];
  readonly #devices: HTMLInputElement[];
  #environment: Environment | undefined;
  #state: RunState = "starting";
  /** What was typed for the model that is not shown now. */
  readonly #typed = new Map<ModelName, readonly string[]>();
  #model: ModelName = "digits";

  constructor(events: ControlEvents) {
    const radios = (name: string): HTMLInputElement[] => [
      ...this.#form.querySelectorAll<HTMLInputElement>(`input[name="${name}"]`),
    ];
    this.#models = radios("model");
    this.#devices = radios("device");
    limit(this.#learningRate, "0.000001", "1", "any");
    limit(this.#batchSize, "1", "1024", "1");
    limit(this.#seed, "0", "4294967295", "1");
    this.#seed.value = "0";
    this.#showModel();
    for (const radio of this.#models) {
      radio.addEventListener("change", () => {
        this.#showModel();
        events.modelChosen(this.#model);
      });
    }
    for (const radio of this.#devices) radio.addEventListener("change", () => this.#showDevice());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#state === "idle") events.train(this.settings);
      else if (this.#state === "running") events.pause();
      else if (this.#state === "paused") events.resume();
    });
    this.#stop.addEventListener("click", () => events.stop());
    // A browser may restore an earlier choice of radio buttons when the page is loaded again.
    addEventListener("pageshow", () => {
      if (this.#chosenModel() === this.#model) return;
      this.#showModel();
      events.modelChosen(this.#model);
    });
  }

  get model(): ModelName {
    return this.#model;
  }
  get device(): DeviceName {
    return (this.#devices.find((radio) => radio.checked)?.value ?? "cpu") as DeviceName;
  }
  get settings(): TrainSettings {
    return {
      model: this.#model,
      device: this.device,
      length: this.#length.valueAsNumber,
      batchSize: this.#batchSize.valueAsNumber,
      learningRate: this.#learningRate.valueAsNumber,
      seed: this.#seed.valueAsNumber,
      threads: this.#threads.valueAsNumber,
    };
  }

  set environment(environment: Environment) {
    const first = this.#environment === undefined;
    this.#environment = environment;
    limit(this.#threads, "1", String(environment.maxThreads), "1");
    this.#threads.value = String(Math.min(environment.threads, environment.maxThreads));
    for (const radio of this.#devices) {
      const state = environment.devices.find((device) => device.name === radio.value);
      radio.disabled = state?.available !== true;
      if (first) radio.checked = radio.value === environment.best;
    }
    if (!this.#devices.some((radio) => radio.checked && !radio.disabled)) this.choose("cpu");
    this.#showDevice();
  }

  choose(device: DeviceName): void {
    for (const radio of this.#devices) radio.checked = radio.value === device;
    this.#showDevice();
  }

  set state(state: RunState) {
    this.#state = state;
    const busy = state !== "idle" && state !== "starting";
    for (const radio of this.#models) radio.disabled = busy;
    byId("devices", HTMLFieldSetElement).disabled = busy;
    this.#settings.disabled = busy;
    this.#train.disabled = state === "starting" || state === "stopping";
    this.#train.textContent = { starting: "Train", idle: "Train", running: "Pause", paused: "Resume", stopping: "Stopping …" }[
      state
    ];
    this.#stop.disabled = state !== "running" && state !== "paused";
  }

  #chosenModel(): ModelName {
    return (this.#models.find((radio) => radio.checked)?.value ?? "digits") as ModelName;
  }

  #showModel(): void {
    const inputs = [this.#length, this.#learningRate, this.#batchSize];
    if (this.#length.value !== "") {
      this.#typed.set(
        this.#model,
        inputs.map((input) => input.value),
      );
    }
    this.#model = this.#chosenModel();
    const { lengthLabel, length, maxLength, learningRate, batchSize } = PRESETS[this.#model];
    byId("length-label", HTMLElement).textContent = lengthLabel;
    limit(this.#length, "1", String(maxLength), "1");
    const values = this.#typed.get(this.#model) ?? [length, learningRate, batchSize].map(String);
    inputs.forEach((input, i) => (input.value = values[i]!));
  }

  #showDevice(): void {
    const environment = this.#environment;
    if (environment === undefined) return;
    byId("threads-field", HTMLElement).hidden = this.device !== "cpu";
    const chosen = environment.devices.find((device) => device.name === this.device);
    const missing = environment.devices.filter((device) => !device.available);
    const parts = [
      chosen && chosen.name !== "cpu" ? `Adapter: ${chosen.detail}.` : "",
      ...missing.map((device) => `No ${title(device.name)}: ${device.detail}.`),
      environment.isolated || this.device !== "cpu" ? "" : "One thread: this page is not cross-origin isolated.",
    ];
    byId("device-note", HTMLElement).textContent = parts.filter((part) => part !== "").join(" ");
  }
}

/** A device's name as people write it. */
export const title = (name: DeviceName): string => ({ cpu: "CPU", webgpu: "WebGPU", cuda: "CUDA" })[name];

function limit(input: HTMLInputElement, min: string, max: string, step: string): void {
  Object.assign(input, { min, max, step, required: true });
}
