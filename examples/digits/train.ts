/** Data, augmentation and the training loop: the same in Node and in browsers. */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { DigitsNet } from "./model.ts";

const F = nn.functional;

export interface Digits {
  /** [N, 1, 8, 8], 0..1 */
  readonly images: Tensor;
  /** [N] int64 */
  readonly labels: Tensor;
}

/** Training and test images from the CSV: the last 360 rows are other writers' and test. */
export function parseDigits(csv: string, device: string): { train: Digits; test: Digits } {
  const rows = csv
    .trim()
    .split("\n")
    .map((line) => line.split(",").map(Number));
  const part = (from: number, to: number): Digits => {
    const slice = rows.slice(from, to);
    const pixels = Float32Array.from(slice.flatMap((r) => r.slice(0, 64)));
    return {
      images: torch.tensor(pixels, { device }).div(16).view(-1, 1, 8, 8),
      labels: torch.tensor(
        slice.map((r) => r[64]!),
        { dtype: torch.int64, device },
      ),
    };
  };
  return { train: part(0, rows.length - 360), test: part(rows.length - 360, rows.length) };
}

/** Each image moved by up to one pixel in both directions, zeros coming in. */
export function shifted(images: Tensor): Tensor {
  const n = images.size(0);
  const padded = F.pad(images, [1, 1, 1, 1]).view(n, 100);
  const by = torch.randint(0, 3, [2, n, 1]).to(images.device);
  const rows = torch.arange(8, { device: images.device }).mul(10).view(8, 1);
  const cells = rows.add(torch.arange(8, { device: images.device })).view(1, 64);
  const at = cells.add(by.select(0, 0).mul(10)).add(by.select(0, 1));
  return padded.gather(1, at).view(n, 1, 8, 8);
}

export interface Progress {
  readonly epoch: number;
  readonly epochs: number;
  /** Images seen so far, of all epochs. */
  readonly images: number;
  readonly total: number;
  readonly loss: number;
  /** Share of this epoch's training images that were right. */
  readonly accuracy: number;
}

export interface Settings {
  readonly epochs: number;
  readonly seed: number;
  readonly batchSize?: number;
  /** Of the first step; it falls to zero along a cosine. */
  readonly learningRate?: number;
  /** The network to train; a new one, made from the seed, where there is none. */
  readonly model?: DigitsNet;
  readonly onProgress?: (progress: Progress) => void | Promise<void>;
}

/** Trains a network on the device where the data are. */
export async function train(data: Digits, settings: Settings): Promise<DigitsNet> {
  const { epochs, seed, batchSize = 64, learningRate = 3e-3, onProgress } = settings;
  torch.manual_seed(seed);
  const model = (settings.model ?? new DigitsNet()).to(data.images.device);
  const loader = new torch.utils.data.DataLoader(new torch.utils.data.TensorDataset(data.images, data.labels), {
    batch_size: batchSize,
    shuffle: true,
  });
  const optimizer = new optim.AdamW(model.parameters(), { lr: learningRate, weight_decay: 0.02 });
  const steps = Math.ceil(data.images.size(0) / batchSize) * epochs;
  const scheduler = new optim.lr_scheduler.CosineAnnealingLR(optimizer, steps);
  const total = data.images.size(0) * epochs;
  let images = 0;
  for (let epoch = 1; epoch <= epochs; epoch++) {
    let right = 0;
    let seen = 0;
    for await (const [x, y] of loader) {
      optimizer.zero_grad();
      const logits = model(shifted(x));
      const loss = F.cross_entropy(logits, y, { label_smoothing: 0.05 });
      loss.backward();
      optimizer.step();
      scheduler.step();
      const batch = y.size(0);
      images += batch;
      seen += batch;
      right += Number(await logits.argmax(1).eq(y).sum().item());
      await onProgress?.({ epoch, epochs, images, total, loss: Number(await loss.item()), accuracy: right / seen });
    }
  }
  return model;
}

/** Logits [N, 10] for images [N, 1, 8, 8] without dropout; a training that goes on beside it does not notice. */
function evaluate(model: DigitsNet, images: Tensor): Tensor {
  const { training } = model;
  model.eval();
  try {
    return torch.no_grad(() => model(images));
  } finally {
    model.train(training);
  }
}

/** Guesses [N] for images [N, 1, 8, 8]. */
export function classify(model: DigitsNet, images: Tensor): Tensor {
  return evaluate(model, images).argmax(1);
}

/** How likely each digit is, [N, 10], for images [N, 1, 8, 8]. */
export function probabilities(model: DigitsNet, images: Tensor): Tensor {
  return F.softmax(evaluate(model, images), 1);
}

/** How often a digit (row) was taken for each digit (column). */
export async function confusion(model: DigitsNet, data: Digits): Promise<number[][]> {
  const guesses = (await classify(model, data.images).tolist()) as number[];
  const labels = (await data.labels.tolist()) as number[];
  const table = Array.from({ length: 10 }, () => new Array<number>(10).fill(0));
  labels.forEach((label, i) => table[label]![guesses[i]!]!++);
  return table;
}
