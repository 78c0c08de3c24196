/** GPT-2 as nanoGPT has it: learned positions, norms before, exact GELU, the embedding's weight as the output's. Names of weights as in pytorch.py. */

import * as torch from "kindling";
import { nn, type Tensor } from "kindling";

const F = nn.functional;

export interface GPT2Config {
  readonly vocabulary: number;
  /** Longest sequence it sees. */
  readonly context: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
}

export const GPT2_124M: GPT2Config = { vocabulary: 50304, context: 1024, layers: 12, heads: 12, width: 768 };

class Attention extends nn.Module {
  c_attn: nn.Linear;
  c_proj: nn.Linear;
  heads: number;

  constructor({ width, heads }: GPT2Config) {
    super();
    this.c_attn = new nn.Linear(width, 3 * width);
    this.c_proj = new nn.Linear(width, width);
    this.heads = heads;
  }

  forward(x: Tensor): Tensor {
    const [b, t, c] = x.shape as [number, number, number];
    const parts = this.c_attn(x).split(c, 2);
    const [q, k, v] = parts.map((p) => p.view(b, t, this.heads, c / this.heads).transpose(1, 2)) as [Tensor, Tensor, Tensor];
    const y = F.scaled_dot_product_attention(q, k, v, { is_causal: true });
    return this.c_proj(y.transpose(1, 2).contiguous().view(b, t, c));
  }
}

class MLP extends nn.Module {
  c_fc: nn.Linear;
  c_proj: nn.Linear;

  constructor({ width }: GPT2Config) {
    super();
    this.c_fc = new nn.Linear(width, 4 * width);
    this.c_proj = new nn.Linear(4 * width, width);
  }

  forward(x: Tensor): Tensor {
    return this.c_proj(F.gelu(this.c_fc(x)));
  }
}

class Block extends nn.Module {
  ln_1: nn.LayerNorm;
  attn: Attention;
  ln_2: nn.LayerNorm;
  mlp: MLP;

  constructor(config: GPT2Config) {
    super();
    this.ln_1 = new nn.LayerNorm(config.width);
    this.attn = new Attention(config);
    this.ln_2 = new nn.LayerNorm(config.width);
    this.mlp = new MLP(config);
  }

  forward(x: Tensor): Tensor {
    x = x.add(this.attn(this.ln_1(x)));
    return x.add(this.mlp(this.ln_2(x)));
  }
}

export class GPT2 extends nn.Module {
  wte: nn.Embedding;
  wpe: nn.Embedding;
  h: nn.ModuleList<Block>;
  ln_f: nn.LayerNorm;
  config: GPT2Config;

  constructor(config: GPT2Config) {
    super();
    this.config = config;
    this.wte = new nn.Embedding(config.vocabulary, config.width);
    this.wpe = new nn.Embedding(config.context, config.width);
    this.h = new nn.ModuleList(Array.from({ length: config.layers }, () => new Block(config)));
    this.ln_f = new nn.LayerNorm(config.width);
    this.apply((m) => {
      if (m instanceof nn.Linear || m instanceof nn.Embedding) nn.init.normal_(m.weight, 0, 0.02);
      if (m instanceof nn.Linear && m.bias !== null) nn.init.zeros_(m.bias);
    });
    for (const [name, p] of this.named_parameters()) {
      if (name.endsWith("c_proj.weight")) nn.init.normal_(p, 0, 0.02 / Math.sqrt(2 * config.layers));
    }
  }

  /** Tokens [b, t] and the ones that follow them → the mean loss. */
  forward(ids: Tensor, targets: Tensor): Tensor {
    const positions = torch.arange(ids.size(1), { device: ids.device });
    let x = this.wte(ids).add(this.wpe(positions));
    for (const block of this.h) x = block(x);
    const logits = F.linear(this.ln_f(x), this.wte.weight);
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten());
  }
}

/** Floating-point operations of a training step: what products and attention take, forward once and backward twice. */
export function stepFlops({ vocabulary, layers, width }: GPT2Config, batch: number, length: number): number {
  const tokens = batch * length;
  const weights = layers * 12 * width ** 2 + vocabulary * width;
  // Half of the attention's products are masked away.
  return 3 * tokens * (2 * weights + (layers * 4 * width * length) / 2);
}
