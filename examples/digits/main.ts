/** The terminal program: trains, tests, saves, loads back and shows. */

import { SingleBar } from "cli-progress";
import * as torch from "kindling";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { DigitsNet } from "./model.ts";
import { classify, confusion, parseDigits, train } from "./train.ts";

const { values } = parseArgs({
  options: {
    device: { type: "string" },
    epochs: { type: "string", default: "30" },
    threads: { type: "string" },
    seed: { type: "string", default: "0" },
    out: { type: "string", default: "model.safetensors" },
  },
});

function whole(name: string, text: string, least: number): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < least) throw new Error(`--${name} must be a whole number of at least ${least}, got "${text}"`);
  return n;
}

const epochs = whole("epochs", values.epochs, 1);
const seed = whole("seed", values.seed, 0);
if (values.threads !== undefined) torch.set_num_threads(whole("threads", values.threads, 1));
if (values.device === "webgpu") await torch.webgpu.init();
const device = values.device ?? (await torch.accelerator());

const csv = gunzipSync(await readFile(new URL("./digits.csv.gz", import.meta.url))).toString();
const data = parseDigits(csv, device);
console.log(
  `Training on ${device} (${torch.get_num_threads()} threads): ${data.train.images.size(0)} images, ${epochs} epochs, seed ${seed}`,
);

const bar = new SingleBar({
  format: "{bar} epoch {epoch} | loss {loss} | accuracy {accuracy} | {speed} images/s | ETA {eta_formatted}",
  barCompleteChar: "█",
  barIncompleteChar: "░",
  barsize: 24,
  noTTYOutput: true,
  notTTYSchedule: 5000,
});
const start = performance.now();
let began = false;
const model = await train(data.train, {
  epochs,
  seed,
  onProgress({ epoch, images, total, loss, accuracy }) {
    const payload = {
      epoch: `${epoch}/${epochs}`,
      loss: loss.toFixed(4),
      accuracy: `${(accuracy * 100).toFixed(1)}%`,
      speed: Math.round((images / (performance.now() - start)) * 1000),
    };
    if (!began) bar.start(total, images, payload);
    began = true;
    bar.update(images, payload);
  },
});
bar.stop();
const seconds = (performance.now() - start) / 1000;

const table = await confusion(model, data.test);
const right = table.reduce((n, row, i) => n + row[i]!, 0);
const count = data.test.images.size(0);
console.log(
  `\nTrained in ${seconds.toFixed(1)} s. Test accuracy: ${((100 * right) / count).toFixed(1)}% (${right} of ${count})\n`,
);
console.log("Confusion (row: true digit, column: guess)");
console.log(`     ${table.map((_, i) => String(i).padStart(4)).join("")}`);
table.forEach((row, i) => console.log(`  ${i}: ${row.map((n) => (n === 0 ? "   ·" : String(n).padStart(4))).join("")}`));

await torch.io.save_file(model.state_dict(), values.out);
const loaded = new DigitsNet().to(device);
loaded.load_state_dict(await torch.io.load_file(values.out));
console.log(`\nSaved ${values.out} and loaded it back. Some test images and what it says:\n`);

const shown = [3, 71, 142, 213, 290, 355].filter((i) => i < count);
const samples = data.test.images.index(torch.tensor(shown, { device }));
const guesses = (await classify(loaded, samples).tolist()) as number[];
const pixels = (await samples.squeeze(1).tolist()) as number[][][];
const labels = (await data.test.labels.index(torch.tensor(shown, { device })).tolist()) as number[];
const shades = " ░▒▓█";
const shade = (v: number): string => shades[Math.min(4, Math.floor(v * 5))]!.repeat(2);
for (let row = 0; row < 8; row++) console.log(`  ${pixels.map((image) => image[row]!.map(shade).join("")).join("  ")}`);
console.log(`  ${guesses.map((g, i) => `${g} ${g === labels[i] ? "✓" : `✗ (${labels[i]})`}`.padEnd(18)).join("")}`);
