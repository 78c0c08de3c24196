/** Text, the training loop and sampling: the same in Node and in browsers. */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { CharGPT, type GPTConfig } from "./model.ts";

const F = nn.functional;

/** Source code as the network learns it: plain ASCII without comments and empty lines keeps the alphabet small. */
export function plainText(source: string): string {
  return source
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/[^\n -~]/g, "")
    .replace(/\n\s*\n+/g, "\n");
}

/** Characters and their numbers. */
export class Alphabet {
  readonly characters: readonly string[];
  private readonly numbers: ReadonlyMap<string, number>;

  constructor(text: string) {
    this.characters = [...new Set(text)].sort();
    this.numbers = new Map(this.characters.map((c, i) => [c, i]));
  }
  encode(text: string): number[] {
    return [...text].map((c) => {
      const n = this.numbers.get(c);
      if (n === undefined) throw new Error(`the character ${JSON.stringify(c)} does not occur in the training text`);
      return n;
    });
  }
  decode(ids: readonly number[]): string {
    return ids.map((i) => this.characters[i]).join("");
  }
}

/** The size that the example trains: 4 layers, 128 wide. */
export function smallConfig(vocabulary: number, dropout = 0): GPTConfig {
  return { vocabulary, context: 64, layers: 4, heads: 4, width: 128, dropout };
}

/** `count` random windows of the text and, one character on, their targets: two [count, context]. */
export function batchOf(ids: Tensor, count: number, context: number): [Tensor, Tensor] {
  const starts = torch.randint(0, ids.size(0) - context - 1, [count, 1]).to(ids.device);
  const at = starts.add(torch.arange(context, { device: ids.device }));
  return [ids.index(at), ids.index(at.add(1))];
}

export interface Settings {
  readonly steps: number;
  readonly seed: number;
  readonly batchSize?: number;
  /** Of the first step; it falls to zero along a cosine. */
  readonly learningRate?: number;
  /** The network to train; a new one, made from the seed, where there is none. */
  readonly model?: CharGPT;
  readonly onStep?: (step: number, loss: number) => void | Promise<void>;
}

export async function train(text: string, alphabet: Alphabet, device: string, settings: Settings): Promise<CharGPT> {
  const { steps, seed, batchSize = 16, learningRate = 1e-3, onStep } = settings;
  torch.manual_seed(seed);
  const model = (settings.model ?? new CharGPT(smallConfig(alphabet.characters.length))).to(device);
  const ids = torch.tensor(alphabet.encode(text), { dtype: torch.int64, device });
  const optimizer = new optim.AdamW(model.parameters(), { lr: learningRate, weight_decay: 0.1 });
  const scheduler = new optim.lr_scheduler.CosineAnnealingLR(optimizer, steps);
  for (let step = 1; step <= steps; step++) {
    const [x, y] = batchOf(ids, batchSize, model.config.context);
    optimizer.zero_grad();
    const loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten());
    loss.backward();
    nn.utils.clip_grad_norm_(model.parameters(), 1);
    optimizer.step();
    scheduler.step();
    await onStep?.(step, Number(await loss.item()));
  }
  return model;
}

/** Loss, and share of the right next characters, on `count` windows of a text that the network was not trained on. */
export async function evaluate(
  model: CharGPT,
  alphabet: Alphabet,
  text: string,
  count: number,
): Promise<{ loss: number; accuracy: number }> {
  const { device } = model.head.weight;
  const { context } = model.config;
  const stride = Math.floor((text.length - context - 1) / count);
  if (stride < 1) throw new Error(`${count} windows of ${context} characters need a longer text than ${text.length} characters`);
  const ids = torch.tensor(alphabet.encode(text), { dtype: torch.int64, device });
  const at = torch.arange(count, { device }).mul(stride).view(count, 1).add(torch.arange(context, { device }));
  const targets = ids.index(at.add(1)).flatten();
  const logits = inEval(model, () => model(ids.index(at)).flatten(0, 1));
  const right = logits.argmax(1).eq(targets).sum();
  return {
    loss: Number(await F.cross_entropy(logits, targets).item()),
    accuracy: Number(await right.item()) / (count * context),
  };
}

/** Runs `f` without dropout and gradients; a training that goes on beside it does not notice. */
function inEval(model: CharGPT, f: () => Tensor): Tensor {
  const { training } = model;
  model.eval();
  try {
    return torch.no_grad(f);
  } finally {
    model.train(training);
  }
}

/** Goes on from `prompt`, one character at a time. */
export async function* sample(
  model: CharGPT,
  alphabet: Alphabet,
  prompt: string,
  length: number,
  temperature = 0.8,
): AsyncGenerator<string> {
  const { device } = model.head.weight;
  const ids = alphabet.encode(prompt);
  if (ids.length === 0) throw new Error("the prompt is empty: it must have at least one character");
  for (let i = 0; i < length; i++) {
    const window = torch.tensor([ids.slice(-model.config.context)], { dtype: torch.int64, device });
    const next = inEval(model, () => {
      const logits = model(window).select(1, -1).div(temperature);
      return torch.multinomial(F.softmax(logits, -1), 1);
    });
    const id = Number(await next.item());
    ids.push(id);
    yield alphabet.decode([id]);
  }
}
