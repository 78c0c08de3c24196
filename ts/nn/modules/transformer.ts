/** Transformers as in "Attention Is All You Need". */

import type { Device } from "../../core/device.ts";
import { get_default_dtype, type DType } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import { ModuleList } from "../containers.ts";
import { deepcopy } from "../copy.ts";
import * as init from "../init.ts";
import { bind, F, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { MultiheadAttention } from "./attention.ts";
import { Linear } from "./linear.ts";
import { LayerNorm } from "./norm.ts";
import { Dropout } from "./shape.ts";

type Activation = "relu" | "gelu" | ((x: Tensor) => Tensor);
type Mask = Tensor | null;

type LayerArgs = Args<
  [
    { d_model: number },
    { nhead: number },
    { dim_feedforward?: number },
    { dropout?: number },
    { activation?: Activation },
    { layer_norm_eps?: number },
    { batch_first?: boolean },
    { norm_first?: boolean },
    { bias?: boolean },
  ],
  Factory
>;
type LayerBound = [number, number, number, number, Activation, number, boolean, boolean, boolean, Device | null, DType | null];
const LAYER =
  "d_model, nhead, dim_feedforward=2048, dropout=0.1, activation='relu', layer_norm_eps=1e-5, batch_first=False, norm_first=False, bias=True, device=None, dtype=None";

function activationOf(given: Activation): (x: Tensor) => Tensor {
  if (typeof given === "function") return given;
  if (given === "relu") return (x) => F.relu(x) as Tensor;
  if (given === "gelu") return (x) => F.gelu(x) as Tensor;
  throw new RuntimeError(`activation should be relu/gelu, not ${String(given)}`);
}

interface EncoderLayerOptions {
  src_mask?: Mask;
  src_key_padding_mask?: Mask;
  is_causal?: boolean;
}
type EncoderLayerForward = Args<[{ src_mask?: Mask }, { src_key_padding_mask?: Mask }, { is_causal?: boolean }]>;

export class TransformerEncoderLayer extends Module {
  self_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm_first: boolean;
  norm1: LayerNorm;
  norm2: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  activation: (x: Tensor) => Tensor;

  constructor(...given: LayerArgs) {
    super();
    const [d, heads, feedforward, p, activation, eps, batch_first, normFirst, bias, device, dtype] = bind<LayerBound>(
      "TransformerEncoderLayer",
      LAYER,
      given,
    );
    const factory = { device, dtype };
    this.self_attn = new MultiheadAttention(d, heads, { dropout: p, bias, batch_first, ...factory });
    this.linear1 = new Linear(d, feedforward, { bias, ...factory });
    this.dropout = new Dropout(p);
    this.linear2 = new Linear(feedforward, d, { bias, ...factory });
    this.norm_first = normFirst;
    this.norm1 = new LayerNorm(d, { eps, bias, ...factory });
    this.norm2 = new LayerNorm(d, { eps, bias, ...factory });
    this.dropout1 = new Dropout(p);
    this.dropout2 = new Dropout(p);
    this.activation = activationOf(activation);
  }
  forward(src: Tensor, ...given: EncoderLayerForward): Tensor {
    const [mask, padding, causal] = bind<[Mask, Mask, boolean]>(
      "TransformerEncoderLayer",
      "src_mask=None, src_key_padding_mask=None, is_causal=False",
      given,
    );
    const attend = (x: Tensor): Tensor => {
      const options = { attn_mask: mask, key_padding_mask: padding, need_weights: false, is_causal: causal };
      return this.dropout1(this.self_attn(x, x, x, options)[0]);
    };
    const feed = (x: Tensor): Tensor => this.dropout2(this.linear2(this.dropout(this.activation(this.linear1(x)))));
    if (this.norm_first) {
      const x = src.add(attend(this.norm1(src)));
      return x.add(feed(this.norm2(x)));
    }
    const x = this.norm1(src.add(attend(src)));
    return this.norm2(x.add(feed(x)));
  }
}

type DecoderForward = Args<
  [
    { tgt_mask?: Mask },
    { memory_mask?: Mask },
    { tgt_key_padding_mask?: Mask },
    { memory_key_padding_mask?: Mask },
    { tgt_is_causal?: boolean | null },
    { memory_is_causal?: boolean },
  ]
>;
type DecoderBound = [Mask, Mask, Mask, Mask, boolean | null, boolean];
const DECODER =
  "tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None, tgt_is_causal=None, memory_is_causal=False";

export class TransformerDecoderLayer extends Module {
  self_attn: MultiheadAttention;
  multihead_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm_first: boolean;
  norm1: LayerNorm;
  norm2: LayerNorm;
  norm3: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  dropout3: Dropout;
  activation: (x: Tensor) => Tensor;

  constructor(...given: LayerArgs) {
    super();
    const [d, heads, feedforward, p, activation, eps, batch_first, normFirst, bias, device, dtype] = bind<LayerBound>(
      "TransformerDecoderLayer",
      LAYER,
      given,
    );
    const factory = { device, dtype };
    this.self_attn = new MultiheadAttention(d, heads, { dropout: p, bias, batch_first, ...factory });
    this.multihead_attn = new MultiheadAttention(d, heads, { dropout: p, bias, batch_first, ...factory });
    this.linear1 = new Linear(d, feedforward, { bias, ...factory });
    this.dropout = new Dropout(p);
    this.linear2 = new Linear(feedforward, d, { bias, ...factory });
    this.norm_first = normFirst;
    this.norm1 = new LayerNorm(d, { eps, bias, ...factory });
    this.norm2 = new LayerNorm(d, { eps, bias, ...factory });
    this.norm3 = new LayerNorm(d, { eps, bias, ...factory });
    this.dropout1 = new Dropout(p);
    this.dropout2 = new Dropout(p);
    this.dropout3 = new Dropout(p);
    this.activation = activationOf(activation);
  }
  forward(tgt: Tensor, memory: Tensor, ...given: DecoderForward): Tensor {
    const [tgtMask, memoryMask, tgtPadding, memoryPadding, tgtCausal, memoryCausal] = bind<DecoderBound>(
      "TransformerDecoderLayer",
      DECODER,
      given,
    );
    const attend = (x: Tensor): Tensor => {
      const options = { attn_mask: tgtMask, key_padding_mask: tgtPadding, need_weights: false, is_causal: tgtCausal ?? false };
      return this.dropout1(this.self_attn(x, x, x, options)[0]);
    };
    const cross = (x: Tensor): Tensor => {
      const options = {
        attn_mask: memoryMask,
        key_padding_mask: memoryPadding,
        need_weights: false,
        is_causal: memoryCausal,
      };
      return this.dropout2(this.multihead_attn(x, memory, memory, options)[0]);
    };
    const feed = (x: Tensor): Tensor => this.dropout3(this.linear2(this.dropout(this.activation(this.linear1(x)))));
    let x = tgt;
    if (this.norm_first) {
      x = x.add(attend(this.norm1(x)));
      x = x.add(cross(this.norm2(x)));
      return x.add(feed(this.norm3(x)));
    }
    x = this.norm1(x.add(attend(x)));
    x = this.norm2(x.add(cross(x)));
    return this.norm3(x.add(feed(x)));
  }
}

/** `n` layers like `layer`, with its values. */
function copies<T extends Module>(layer: T, n: number): T[] {
  return Array.from({ length: n }, () => deepcopy(layer));
}

interface EncoderNorm {
  norm?: Module | null;
}

export class TransformerEncoder extends Module {
  layers: ModuleList<TransformerEncoderLayer>;
  num_layers: number;
  norm: Module | null;

  constructor(
    ...given: Args<
      [
        { encoder_layer: TransformerEncoderLayer },
        { num_layers: number },
        EncoderNorm,
        { enable_nested_tensor?: boolean },
        { mask_check?: boolean },
      ]
    >
  ) {
    super();
    const [layer, n, norm] = bind<[TransformerEncoderLayer, number, Module | null, boolean, boolean]>(
      "TransformerEncoder",
      "encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True",
      given,
    );
    this.layers = new ModuleList(copies(layer, n));
    this.num_layers = n;
    this.norm = norm;
  }
  forward(
    src: Tensor,
    ...given: Args<[{ mask?: Mask }, { src_key_padding_mask?: Mask }, { is_causal?: boolean | null }]>
  ): Tensor {
    const [mask, padding, causal] = bind<[Mask, Mask, boolean | null]>(
      "TransformerEncoder",
      "mask=None, src_key_padding_mask=None, is_causal=None",
      given,
    );
    const options: EncoderLayerOptions = { src_mask: mask, src_key_padding_mask: padding, is_causal: causal ?? false };
    let x = src;
    for (const layer of this.layers) x = layer(x, options);
    return this.norm === null ? x : (this.norm(x) as Tensor);
  }
}

export class TransformerDecoder extends Module {
  layers: ModuleList<TransformerDecoderLayer>;
  num_layers: number;
  norm: Module | null;

  constructor(...given: Args<[{ decoder_layer: TransformerDecoderLayer }, { num_layers: number }, EncoderNorm]>) {
    super();
    const [layer, n, norm] = bind<[TransformerDecoderLayer, number, Module | null]>(
      "TransformerDecoder",
      "decoder_layer, num_layers, norm=None",
      given,
    );
    this.layers = new ModuleList(copies(layer, n));
    this.num_layers = n;
    this.norm = norm;
  }
  forward(tgt: Tensor, memory: Tensor, ...given: DecoderForward): Tensor {
    const [tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, tgt_is_causal, memory_is_causal] =
      bind<DecoderBound>("TransformerDecoder", DECODER, given);
    const masks = { tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask };
    let x = tgt;
    for (const layer of this.layers) {
      x = layer(x, memory, { ...masks, tgt_is_causal: tgt_is_causal ?? false, memory_is_causal });
    }
    return this.norm === null ? x : (this.norm(x) as Tensor);
  }
}

type TransformerArgs = Args<
  [
    { d_model?: number },
    { nhead?: number },
    { num_encoder_layers?: number },
    { num_decoder_layers?: number },
    { dim_feedforward?: number },
    { dropout?: number },
    { activation?: Activation },
    { custom_encoder?: Module | null },
    { custom_decoder?: Module | null },
    { layer_norm_eps?: number },
    { batch_first?: boolean },
    { norm_first?: boolean },
    { bias?: boolean },
  ],
  Factory
>;
type TransformerForward = Args<
  [
    { src_mask?: Mask },
    { tgt_mask?: Mask },
    { memory_mask?: Mask },
    { src_key_padding_mask?: Mask },
    { tgt_key_padding_mask?: Mask },
    { memory_key_padding_mask?: Mask },
    { src_is_causal?: boolean | null },
    { tgt_is_causal?: boolean | null },
    { memory_is_causal?: boolean },
  ]
>;

export class Transformer extends Module {
  encoder: Module;
  decoder: Module;
  d_model: number;
  nhead: number;
  batch_first: boolean;

  constructor(...given: TransformerArgs) {
    super();
    const [d, heads, encoders, decoders, dim_feedforward, dropout, activation, customEncoder, customDecoder, ...rest] = bind<
      [
        number,
        number,
        number,
        number,
        number,
        number,
        Activation,
        Module | null,
        Module | null,
        number,
        boolean,
        boolean,
        boolean,
        Device | null,
        DType | null,
      ]
    >(
      "Transformer",
      "d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048, dropout=0.1, activation='relu', custom_encoder=None, custom_decoder=None, layer_norm_eps=1e-5, batch_first=False, norm_first=False, bias=True, device=None, dtype=None",
      given,
    );
    const [layer_norm_eps, batch_first, norm_first, bias, device, dtype] = rest;
    const factory = { device, dtype };
    const layer = { dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, ...factory };
    const norm = (): LayerNorm => new LayerNorm(d, { eps: layer_norm_eps, bias, ...factory });
    this.encoder = customEncoder ?? new TransformerEncoder(new TransformerEncoderLayer(d, heads, layer), encoders, norm());
    this.decoder = customDecoder ?? new TransformerDecoder(new TransformerDecoderLayer(d, heads, layer), decoders, norm());
    for (const p of this.parameters()) if (p.ndim > 1) init.xavier_uniform_(p);
    this.d_model = d;
    this.nhead = heads;
    this.batch_first = batch_first;
  }
  forward(src: Tensor, tgt: Tensor, ...given: TransformerForward): Tensor {
    const [src_mask, tgt_mask, memory_mask, srcPadding, tgtPadding, memoryPadding, srcCausal, tgtCausal, memoryCausal] = bind<
      [Mask, Mask, Mask, Mask, Mask, Mask, boolean | null, boolean | null, boolean]
    >(
      "Transformer",
      "src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None, memory_is_causal=False",
      given,
    );
    const batched = src.ndim === 3;
    const at = batched && this.batch_first ? 0 : 1;
    if (batched && src.shape[at] !== tgt.shape[at]) throw new RuntimeError("the batch number of src and tgt must be equal");
    if (src.shape.at(-1) !== this.d_model || tgt.shape.at(-1) !== this.d_model) {
      throw new RuntimeError("the feature number of src and tgt must be equal to d_model");
    }
    const memory = this.encoder(src, { mask: src_mask, src_key_padding_mask: srcPadding, is_causal: srcCausal }) as Tensor;
    return this.decoder(tgt, memory, {
      tgt_mask,
      memory_mask,
      tgt_key_padding_mask: tgtPadding,
      memory_key_padding_mask: memoryPadding,
      tgt_is_causal: tgtCausal,
      memory_is_causal: memoryCausal,
    }) as Tensor;
  }
  /** -inf above the diagonal: no position sees a later one. */
  static generate_square_subsequent_mask(sz: number, { device, dtype }: Factory = {}): Tensor {
    const type = dtype ?? get_default_dtype();
    return ops.triu(ops.full([sz, sz], -Infinity, { dtype: type, device: device ?? null }), 1);
  }
}
