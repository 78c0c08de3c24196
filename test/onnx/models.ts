/** Small models of the kinds that people export. */

import * as torch from "kindling";
import { nn, type Tensor } from "kindling";

const F = nn.functional;

class ResidualBlock extends nn.Module {
  conv1 = new nn.Conv2d(3, 6, 3, { stride: 2, padding: 1, bias: false });
  bn1 = new nn.BatchNorm2d(6);
  conv2 = new nn.Conv2d(6, 6, 3, { padding: "same" });
  bn2 = new nn.BatchNorm2d(6);
  down = new nn.Sequential(new nn.Conv2d(3, 6, 1, { stride: 2 }), new nn.BatchNorm2d(6));
  act = new nn.ReLU({ inplace: true });
  pool = new nn.MaxPool2d(2);
  fc = new nn.Linear(6, 4);
  forward(x: Tensor): Tensor {
    let y = this.act(this.bn1(this.conv1(x)));
    y = this.bn2(this.conv2(y)).add_(this.down(x));
    y = F.adaptive_avg_pool2d(this.pool(F.relu(y)), 1);
    return F.softmax(this.fc(F.dropout(y.flatten(1), 0.5, this.training)), 1);
  }
}

class Up extends nn.Module {
  norm = new nn.GroupNorm(2, 4);
  up = new nn.ConvTranspose2d(4, 2, 2, { stride: 2 });
  inorm = new nn.InstanceNorm2d(2, { affine: true });
  prelu = new nn.PReLU(2);
  forward(x: Tensor): Tensor[] {
    const y = this.prelu(this.inorm(this.up(this.norm(x))));
    const [h, w] = [y.shape[2]!, y.shape[3]!];
    const z = F.interpolate(x, { size: [h, w], mode: "bilinear", align_corners: false });
    return [
      torch.cat([y, z], 1),
      F.interpolate(x, { scale_factor: 2, mode: "nearest" }),
      F.pad(F.hardswish(x), [1, 2, 0, 1]),
      F.gelu(x).chunk(2, 1)[1]!,
      F.avg_pool2d(x, 3, 2, 1),
    ];
  }
}

class Block extends nn.Module {
  ln1 = new nn.LayerNorm(8);
  qkv = new nn.Linear(8, 24);
  proj = new nn.Linear(8, 8);
  ln2 = new nn.LayerNorm(8);
  mlp = new nn.Sequential(new nn.Linear(8, 16), new nn.GELU(), new nn.Linear(16, 8));
  forward(x: Tensor): Tensor {
    const [n, t, d] = x.shape as [number, number, number];
    const [q, k, v] = this.qkv(this.ln1(x))
      .chunk(3, 2)
      .map((p) => p.view(n, t, 2, d / 2).transpose(1, 2)) as [Tensor, Tensor, Tensor];
    const y = F.scaled_dot_product_attention(q, k, v, { is_causal: true });
    const z = x.add(this.proj(y.transpose(1, 2).reshape(n, t, d)));
    return z.add(this.mlp(this.ln2(z)));
  }
}

class GPT extends nn.Module {
  tok = new nn.Embedding(13, 8);
  pos = new nn.Embedding(9, 8);
  blocks = new nn.ModuleList([new Block(), new Block()]);
  ln = new nn.LayerNorm(8);
  forward(i: Tensor): Tensor {
    const t = i.shape[1]!;
    if (t > 9) throw new torch.ValueError(`a context of 9, got ${t}`);
    let x = this.tok(i).add(this.pos(torch.arange(t)));
    for (const b of this.blocks) x = (b as Block)(x);
    return this.ln(x).matmul(this.tok.weight.t());
  }
}

class Masked extends nn.Module {
  mask: Tensor;
  lin = new nn.Linear(5, 5);
  constructor() {
    super();
    this.mask = torch.ones([9, 9]).tril();
    this.register_buffer("mask", this.mask);
  }
  forward(x: Tensor): Tensor {
    const t = x.shape[1]!;
    const scores = this.lin(x).matmul(x.transpose(1, 2));
    const hidden = scores.masked_fill(this.mask.slice(0, 0, t).slice(1, 0, t).eq(0), -Infinity);
    const out = torch.softmax(hidden, -1).matmul(x).clone();
    out.select(1, 0).fill_(1);
    return torch.cat([out.mean(1), x.amax(1), torch.zeros([x.shape[0]!, 2])], 1);
  }
}

class Recurrent extends nn.Module {
  rnn: nn.Module;
  fc: nn.Linear;
  constructor(kind: "LSTM" | "GRU" | "RNN", layers: number, bidirectional: boolean) {
    super();
    this.rnn = new nn[kind]({ input_size: 4, hidden_size: 5, num_layers: layers, bidirectional, batch_first: true });
    this.fc = new nn.Linear(bidirectional ? 10 : 5, 3);
  }
  forward(x: Tensor): Tensor[] {
    const [y, state] = this.rnn(x) as [Tensor, Tensor | Tensor[]];
    return [this.fc(y), ...(Array.isArray(state) ? state : [state])];
  }
}

class Arithmetic extends nn.Module {
  forward(x: Tensor, i: Tensor): Tensor[] {
    const n = x.shape[0]!;
    const y = x.clone();
    y.index_put_([new torch.Slice(1, null), 0], 2);
    return [
      x.add(1).mul(2).sub(0.5).div(3).pow(2),
      torch.where(x.gt(0), x, x.neg().sqrt()),
      x.clamp(-0.5, 0.5).floor().fmod(2),
      x.remainder(0.3),
      i.floor_divide(2).add(i.remainder(3)),
      x.topk(2, 1)[0],
      x.argmax(1),
      x.gather(1, i),
      x.cumsum(1),
      x.std({ dim: 1 }),
      torch.stack([x, x.exp()], 1).permute(1, 0, 2),
      x.reshape(n * 2, -1),
      x.flip(1).repeat(1, 2),
      y,
      x.unbind(1)[2]!,
      x.split([1, 3], 1)[1]!,
      x.norm({ dim: 1 }),
      x.gt(0).logical_and(x.lt(1)).sum(1),
      torch.einsum("ij,kj->ik", x, x),
      F.silu(x).log1p(),
      F.normalize(x, { dim: 1 }),
      x.index(i.select(1, 0)),
      torch.arange(n).to(torch.float32).mul(2),
      torch.full([n, 2], 0.25).triu(),
      F.log_softmax(x, 1),
      x.expand(2, -1, -1).max(2)[0],
    ];
  }
}

export interface Case {
  readonly name: string;
  readonly model: nn.Module;
  readonly inputs: Tensor[];
  /** The same with other sizes of the dynamic axes. */
  readonly others: Tensor[];
  readonly axes: Readonly<Record<string, Readonly<Record<number, string>>>>;
}

/** Batch norms with statistics that are not those of a new one. */
function used(model: nn.Module): nn.Module {
  for (const [name, b] of model.named_buffers()) {
    if (name.endsWith("running_mean")) b.normal_(0, 0.3);
    if (name.endsWith("running_var")) b.uniform_(0.5, 2);
  }
  return model;
}

export function cases(): Case[] {
  torch.manual_seed(3);
  const batch = { 0: "n" };
  const sequence = { 0: "n", 1: "t" };
  const ids = (n: number, t: number, top: number): Tensor => torch.randint(0, top, [n, t]);
  const one = (name: string, model: nn.Module, input: Tensor, other: Tensor, axes: Readonly<Record<number, string>>): Case => ({
    name,
    model: used(model),
    inputs: [input],
    others: [other],
    axes: { input: axes },
  });
  const layer = new nn.TransformerEncoderLayer(8, 2, 16, { batch_first: true });
  return [
    one("resnet block", new ResidualBlock(), torch.randn(2, 3, 8, 8), torch.randn(5, 3, 8, 8), batch),
    one("up", new Up(), torch.randn(2, 4, 5, 6), torch.randn(3, 4, 7, 4), { 0: "n", 2: "h", 3: "w" }),
    one("gpt", new GPT(), ids(2, 6, 13), ids(3, 9, 13), sequence),
    one("masked", new Masked(), torch.randn(2, 4, 5), torch.randn(3, 7, 5), sequence),
    one("lstm", new Recurrent("LSTM", 2, true), torch.randn(2, 3, 4), torch.randn(4, 6, 4), sequence),
    one("gru", new Recurrent("GRU", 1, false), torch.randn(2, 3, 4), torch.randn(4, 6, 4), sequence),
    one("rnn", new Recurrent("RNN", 1, true), torch.randn(2, 3, 4), torch.randn(1, 6, 4), sequence),
    one("transformer encoder", new nn.TransformerEncoder(layer, 2), torch.randn(2, 3, 8), torch.randn(3, 6, 8), sequence),
    {
      name: "arithmetic",
      model: new Arithmetic(),
      inputs: [torch.randn(3, 4), ids(3, 2, 3)],
      others: [torch.randn(6, 4), ids(6, 2, 3)],
      axes: { input: batch, input_1: batch },
    },
  ];
}
