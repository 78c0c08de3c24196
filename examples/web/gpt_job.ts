/** The char-gpt example in the worker: the very network, training and sampling of `npm start -- char-gpt`. */

import * as torch from "kindling";
import sourceUrl from "typescript/lib/lib.es5.d.ts?url";
import { CharGPT } from "../char-gpt/model.ts";
import { Alphabet, evaluate, plainText, sample, smallConfig, train } from "../char-gpt/train.ts";
import type { Job, JobHooks } from "./job.ts";
import { loadText } from "./load_text.ts";
import type { TrainSettings } from "./protocol.ts";

/** Steps between two evaluations, and their size in windows. */
const EVALUATE_EVERY = 20;
const EVALUATE_WINDOWS = 16;

interface Corpus {
  readonly alphabet: Alphabet;
  readonly training: string;
  readonly heldOut: string;
}

export class GptJob implements Job {
  #corpus: Promise<Corpus> | undefined;
  #model: CharGPT | undefined;

  async train(settings: TrainSettings, hooks: JobHooks): Promise<void> {
    const { device, length: steps, batchSize, learningRate, seed } = settings;
    const { alphabet, training, heldOut } = await this.#text();
    torch.manual_seed(seed);
    const model = new CharGPT(smallConfig(alphabet.characters.length));
    this.#model = model;
    const parameters = [...model.parameters()].reduce((sum, p) => sum + p.numel(), 0);
    hooks.started(steps, parameters);
    await train(training, alphabet, device, {
      steps,
      seed,
      batchSize,
      learningRate,
      model,
      onStep: async (step, loss) => {
        if (step === 1 || step % EVALUATE_EVERY === 0 || step === steps) {
          hooks.evaluated({ step, ...(await evaluate(model, alphabet, heldOut, EVALUATE_WINDOWS)) });
        }
        await hooks.step(step, loss, undefined, `step ${step} of ${steps}`);
      },
    });
  }

  forget(): void {
    this.#model = undefined;
  }

  /** Goes on from the prompt, character by character. Before any training it writes noise. */
  async *sample(prompt: string, length: number, temperature: number): AsyncGenerator<string> {
    const { alphabet } = await this.#text();
    this.#model ??= new CharGPT(smallConfig(alphabet.characters.length));
    yield* sample(this.#model, alphabet, prompt, length, temperature);
  }

  #text(): Promise<Corpus> {
    this.#corpus ??= loadText(sourceUrl).then((source) => {
      const text = plainText(source);
      const cut = Math.floor(text.length * 0.95);
      return { alphabet: new Alphabet(text), training: text.slice(0, cut), heldOut: text.slice(cut) };
    });
    this.#corpus.catch(() => (this.#corpus = undefined)); // the next try asks again
    return this.#corpus;
  }
}
