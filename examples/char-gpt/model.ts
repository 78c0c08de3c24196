/** A small GPT over characters, written out: attention, MLP, residuals, tied to nothing but `kindling`. */

import * as torch from "kindling";
import { nn, type Tensor } from "kindling";

const F = nn.functional;

export interface GPTConfig {
  readonly vocabulary: number;
  /** Longest sequence it sees. */
  readonly context: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly dropout: number;
}

class SelfAttention extends nn.Module {
  qkv: nn.Linear;
  proj: nn.Linear;
  heads: number;
  dropout: number;

  constructor({ width, heads, dropout }: GPTConfig) {
    super();
    this.qkv = new nn.Linear(width, 3 * width);
    this.proj = new nn.Linear(width, width);
    this.heads = heads;
    this.dropout = dropout;
  }

  forward(x: Tensor): Tensor {
    const [b, t, c] = x.shape as [number, number, number];
    // [b, t, 3, heads, c / heads] → three of [b, heads, t, c / heads]
    const [q, k, v] = this.qkv(x)
      .view(b, t, 3, this.heads, c / this.heads)
      .permute(2, 0, 3, 1, 4)
      .unbind(0) as [Tensor, Tensor, Tensor];
    const dropout_p = this.training ? this.dropout : 0;
    const y = F.scaled_dot_product_attention(q, k, v, { is_causal: true, dropout_p });
    return this.proj(y.transpose(1, 2).reshape(b, t, c));
  }
}

class Block extends nn.Module {
  ln1: nn.LayerNorm;
  attention: SelfAttention;
  ln2: nn.LayerNorm;
  mlp: nn.Sequential;

  constructor(config: GPTConfig) {
    super();
    const { width, dropout } = config;
    this.ln1 = new nn.LayerNorm(width);
    this.attention = new SelfAttention(config);
    this.ln2 = new nn.LayerNorm(width);
    this.mlp = new nn.Sequential(
      new nn.Linear(width, 4 * width),
      new nn.GELU(),
      new nn.Linear(4 * width, width),
      new nn.Dropout(dropout),
    );
  }

  forward(x: Tensor): Tensor {
    x = x.add(this.attention(this.ln1(x)));
    return x.add(this.mlp(this.ln2(x)));
  }
}

export class CharGPT extends nn.Module {
  tokens: nn.Embedding;
  positions: nn.Embedding;
  blocks: nn.Sequential;
  norm: nn.LayerNorm;
  head: nn.Linear;
  config: GPTConfig;

  constructor(config: GPTConfig) {
    super();
    this.config = config;
    this.tokens = new nn.Embedding(config.vocabulary, config.width);
    this.positions = new nn.Embedding(config.context, config.width);
    this.blocks = new nn.Sequential(...Array.from({ length: config.layers }, () => new Block(config)));
    this.norm = new nn.LayerNorm(config.width);
    this.head = new nn.Linear(config.width, config.vocabulary, { bias: false });
    this.apply((m) => {
      if (m instanceof nn.Linear || m instanceof nn.Embedding) nn.init.normal_(m.weight, 0, 0.02);
      if (m instanceof nn.Linear && m.bias !== null) nn.init.zeros_(m.bias);
    });
  }

  /** Characters [b, t] → logits of the next one [b, t, vocabulary]. */
  forward(ids: Tensor): Tensor {
    const positions = torch.arange(ids.size(1), { device: ids.device });
    const x = this.tokens(ids).add(this.positions(positions));
    return this.head(this.norm(this.blocks(x)));
  }
}
