/** The digits example in the worker: the very network, data and training of `npm start`. */

import * as torch from "kindling";
import { DigitsNet } from "../digits/model.ts";
import { classify, parseDigits, probabilities, train, type Digits } from "../digits/train.ts";
import type { Job, JobHooks } from "./job.ts";
import { loadText } from "./load_text.ts";
import type { TrainSettings } from "./protocol.ts";

/** Share of right guesses. */
async function accuracyOn(model: DigitsNet, data: Digits): Promise<number> {
  const right = classify(model, data.images).eq(data.labels).sum();
  return Number(await right.item()) / data.images.size(0);
}

export class DigitsJob implements Job {
  #csv: Promise<string> | undefined;
  #model: DigitsNet | undefined;
  #device = "cpu";
  /** Whether the network has seen any data. */
  trained = false;

  async train(settings: TrainSettings, hooks: JobHooks): Promise<void> {
    const { device, length: epochs, batchSize, learningRate, seed } = settings;
    const data = parseDigits(await this.#text(), device);
    torch.manual_seed(seed);
    const model = new DigitsNet();
    this.#model = model;
    this.#device = device;
    this.trained = false;
    const count = data.train.images.size(0);
    const parameters = [...model.parameters()].reduce((sum, p) => sum + p.numel(), 0);
    hooks.started(Math.ceil(count / batchSize) * epochs, parameters);
    let step = 0;
    await train(data.train, {
      epochs,
      seed,
      batchSize,
      learningRate,
      model,
      onProgress: async ({ epoch, images, loss, accuracy }) => {
        this.trained = true;
        step++;
        if (images === epoch * count) hooks.evaluated({ step, accuracy: await accuracyOn(model, data.test) });
        await hooks.step(step, loss, accuracy, `epoch ${epoch} of ${epochs}`);
      },
    });
  }

  forget(): void {
    this.#model = undefined;
    this.#device = "cpu";
    this.trained = false;
  }

  /** Probabilities of the ten digits for an image [8, 8] of 0..1. Before any training they are those of a network of random weights. */
  async probabilities(pixels: Float32Array): Promise<number[]> {
    this.#model ??= new DigitsNet();
    const image = torch.tensor(pixels, { device: this.#device }).view(1, 1, 8, 8);
    return (await probabilities(this.#model, image).squeeze(0).tolist()) as number[];
  }

  /** A test image by chance, [8, 8] of 0..1, and what it shows. */
  async example(): Promise<{ pixels: Float32Array; label: number }> {
    const { test } = parseDigits(await this.#text(), "cpu");
    const i = Math.floor(Math.random() * test.images.size(0));
    return {
      pixels: Float32Array.from((await test.images.select(0, i).flatten().tolist()) as number[]),
      label: Number(await test.labels.select(0, i).item()),
    };
  }

  #text(): Promise<string> {
    this.#csv ??= loadText(new URL("../digits/digits.csv.gz", import.meta.url).href);
    this.#csv.catch(() => (this.#csv = undefined)); // the next try asks again
    return this.#csv;
  }
}
