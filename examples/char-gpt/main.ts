/** The terminal program: learns to write TypeScript declarations from TypeScript's own, then writes some. */

import { SingleBar } from "cli-progress";
import * as torch from "kindling";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { Alphabet, plainText, sample, train } from "./train.ts";

const { values } = parseArgs({
  options: {
    device: { type: "string" },
    steps: { type: "string", default: "600" },
    threads: { type: "string" },
    seed: { type: "string", default: "0" },
    text: { type: "string" },
    prompt: { type: "string", default: "interface " },
    length: { type: "string", default: "600" },
  },
});

function whole(name: string, text: string, least: number): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < least) throw new Error(`--${name} must be a whole number of at least ${least}, got "${text}"`);
  return n;
}

const steps = whole("steps", values.steps, 1);
if (values.threads !== undefined) torch.set_num_threads(whole("threads", values.threads, 1));
if (values.device === "webgpu") await torch.webgpu.init();
const device = values.device ?? (await torch.accelerator());
const path = values.text ?? createRequire(import.meta.url).resolve("typescript/lib/lib.es5.d.ts");
const text = plainText(await readFile(path, "utf8"));
const alphabet = new Alphabet(text);
console.log(`Training on ${device}: ${text.length} characters of ${alphabet.characters.length} kinds, ${steps} steps`);

const bar = new SingleBar({
  format: "{bar} step {value}/{total} | loss {loss} | {speed} characters/s | ETA {eta_formatted}",
  barCompleteChar: "█",
  barIncompleteChar: "░",
  barsize: 24,
  noTTYOutput: true,
  notTTYSchedule: 10000,
});
const start = performance.now();
bar.start(steps, 0, { loss: "-", speed: "-" });
const model = await train(text, alphabet, device, {
  steps,
  seed: whole("seed", values.seed, 0),
  onStep(step, loss) {
    const speed = Math.round((step * 16 * 64 * 1000) / (performance.now() - start));
    bar.update(step, { loss: loss.toFixed(3), speed });
  },
});
bar.stop();

process.stdout.write(`\n${values.prompt}`);
for await (const c of sample(model, alphabet, values.prompt, whole("length", values.length, 0))) process.stdout.write(c);
process.stdout.write("\n");
