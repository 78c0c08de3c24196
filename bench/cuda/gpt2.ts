/** Training steps of GPT-2 124M: batches of 8 x 1024 tokens, AdamW, in float32 and under bf16 autocast; step by step, and as a CUDA graph. */

import * as torch from "kindling";
import { optim, type Tensor } from "kindling";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { profileOf } from "./profile.ts";
import { GPT2, GPT2_124M, stepFlops, type GPT2Config } from "./gpt2_model.ts";
import { whole } from "./values.ts";
import type { Precision, Prepared, Workload } from "./workload.ts";

interface Settings {
  readonly config: GPT2Config;
  readonly batch: number;
  readonly precision: Precision;
}

/** Steps whose losses are compared; a captured graph is used from the fourth on. */
const CHECKED = 10;
const BEFORE_GRAPH = 3;
/** Batches, one after another. */
const BATCHES = 4;

const SMALL: GPT2Config = { vocabulary: 64, context: 16, layers: 2, heads: 2, width: 32 };

class Trainer {
  readonly model: GPT2;
  readonly optimizer: optim.AdamW;
  readonly #batches: readonly (readonly [ids: Tensor, targets: Tensor])[];
  readonly #settings: Settings;
  readonly #device: string;
  #next = 0;

  constructor(settings: Settings, device: string, weights: Awaited<ReturnType<typeof torch.io.load_file>>) {
    this.#settings = settings;
    this.#device = device;
    const { config, batch } = settings;
    this.model = new GPT2(config).to(device);
    this.model.load_state_dict(weights);
    const parameters = this.model.parameters();
    this.optimizer = new optim.AdamW(
      [
        { params: parameters.filter((p) => p.ndim >= 2), weight_decay: 0.1 },
        { params: parameters.filter((p) => p.ndim < 2), weight_decay: 0 },
      ],
      { lr: 6e-4, betas: [0.9, 0.95] },
    );
    this.#batches = Array.from({ length: BATCHES }, (_, i) => {
      const ids = whole([batch, config.context + 1], config.vocabulary, 10 + i, device);
      return [ids.narrow(1, 0, config.context).contiguous(), ids.narrow(1, 1, config.context).contiguous()] as const;
    });
  }

  get batch(): readonly [ids: Tensor, targets: Tensor] {
    return this.#batches[this.#next++ % BATCHES]!;
  }

  /** Forward and backward; the gradients are new. */
  gradients(ids: Tensor, targets: Tensor): Tensor {
    this.model.zero_grad();
    const type = this.#device.startsWith("cuda") ? "cuda" : "cpu";
    const loss =
      this.#settings.precision === "bfloat16"
        ? torch.autocast(type, { dtype: torch.bfloat16 }, () => this.model(ids, targets))
        : this.model(ids, targets);
    loss.backward();
    return loss;
  }

  step(): Tensor {
    const loss = this.gradients(...this.batch);
    this.optimizer.step();
    return loss;
  }

  /** Forward and backward captured; the optimizer's step, whose number rises, stays outside. */
  capture(): { readonly step: () => Tensor; readonly close: () => void } {
    const [ids, targets] = this.#batches[0]!.map((t) => t.clone()) as [Tensor, Tensor];
    const graph = new torch.cuda.CUDAGraph();
    const loss = torch.cuda.graph(graph, () => this.gradients(ids, targets), this.#device);
    const step = (): Tensor => {
      const [x, y] = this.batch;
      ids.copy_(x);
      targets.copy_(y);
      graph.replay();
      this.optimizer.step();
      return loss;
    };
    return { step, close: () => graph.reset() };
  }
}

/** The weights that everybody starts from, in a file. */
class InitialWeights {
  #path: Promise<string> | null = null;
  constructor(private readonly config: GPT2Config) {}

  path(): Promise<string> {
    return (this.#path ??= this.#write());
  }

  async #write(): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), "kindling-gpt2-"));
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    torch.manual_seed(1337);
    const path = join(folder, "weights.safetensors");
    await torch.io.save_file(new GPT2(this.config).state_dict(), path);
    return path;
  }
}

async function prepare(settings: Settings, weights: InitialWeights, variant: string, device: string): Promise<Prepared> {
  const trainer = new Trainer(settings, device, await torch.io.load_file(await weights.path(), { device }));
  let step = (): Tensor => trainer.step();
  const run = variant === "scope" ? (): Tensor => torch.scope(step) : (): Tensor => step();
  const losses: number[] = [];
  let close: (() => void) | undefined;
  let first = 0;
  for (let i = 0; i < CHECKED; i++) {
    if (variant === "graph" && i === BEFORE_GRAPH) ({ step, close } = trainer.capture());
    const start = performance.now();
    losses.push(Number(await run().item()));
    if (i === 0) first = performance.now() - start;
  }
  return { run: () => void run(), first, losses, ...(close === undefined ? {} : { close }) };
}

/** Where a step's time goes, and what it takes. */
async function describe(settings: Settings, weights: InitialWeights, device: string): Promise<Record<string, unknown>> {
  const trainer = new Trainer(settings, device, await torch.io.load_file(await weights.path(), { device }));
  for (let i = 0; i < 2; i++) await trainer.step().item();
  return profileOf(device, async () => void (await trainer.step().item()));
}

const NAMES = { float32: "f32", tf32: "tf32", bfloat16: "bf16 autocast" } as const;

export function gpt2Workloads(smoke: boolean): Workload[] {
  const config = smoke ? SMALL : GPT2_124M;
  const batch = smoke ? 2 : 8;
  const weights = new InitialWeights(config);
  const precisions: readonly Precision[] = smoke ? ["float32", "bfloat16"] : ["bfloat16", "float32"];
  return precisions.map((precision) => {
    const settings: Settings = { config, batch, precision };
    return {
      suite: "gpt2",
      name: `GPT-2 ${smoke ? "in small" : "124M"}, ${NAMES[precision]}, step of ${batch} x ${config.context}`,
      spec: async () => ({
        kind: "gpt2",
        ...config,
        batch,
        precision,
        checked: CHECKED,
        batches: BATCHES,
        weights: await weights.path(),
      }),
      flops: stepFlops(config, batch, config.context),
      ceiling: precision,
      items: { unit: "tokens", count: batch * config.context },
      ours: ["eager", "scope", "graph"],
      peers: ["eager", "compile"],
      heavy: true,
      tolerance: precision === "bfloat16" ? 1e-2 : 1e-3,
      prepare: (variant, device) => prepare(settings, weights, variant, device),
      describe: (device) => describe(settings, weights, device),
    };
  });
}
