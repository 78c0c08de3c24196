/** Multi-head attention. */

import type { Device } from "../../core/device.ts";
import { bool, type DType } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import * as init from "../init.ts";
import { bind, F, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";
import { Linear } from "./linear.ts";

type MaskOption = Tensor | null;
export type AttentionOptions = Args<
  [
    { key_padding_mask?: MaskOption },
    { need_weights?: boolean },
    { attn_mask?: MaskOption },
    { average_attn_weights?: boolean },
    { is_causal?: boolean },
  ]
>;
type Bound = [MaskOption, boolean, MaskOption, boolean, boolean];
const FORWARD = "key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True, is_causal=False";

/** The output projection; its own class in PyTorch too, and in its printed form. */
export class NonDynamicallyQuantizableLinear extends Linear {}

export class MultiheadAttention extends Module {
  embed_dim: number;
  num_heads: number;
  dropout: number;
  batch_first: boolean;
  add_zero_attn: boolean;
  kdim: number;
  vdim: number;
  head_dim: number;
  /** One matrix for queries, keys and values where all have embed_dim features. */
  in_proj_weight: Parameter | null;
  q_proj_weight: Parameter | null;
  k_proj_weight: Parameter | null;
  v_proj_weight: Parameter | null;
  in_proj_bias: Parameter | null;
  bias_k: Parameter | null;
  bias_v: Parameter | null;
  out_proj: Linear;

  constructor(
    ...given: Args<
      [
        { embed_dim: number },
        { num_heads: number },
        { dropout?: number },
        { bias?: boolean },
        { add_bias_kv?: boolean },
        { add_zero_attn?: boolean },
        { kdim?: number | null },
        { vdim?: number | null },
        { batch_first?: boolean },
      ],
      Factory
    >
  ) {
    super();
    const [e, heads, dropout, bias, addBias, addZero, kdim, vdim, batchFirst, device, dtype] = bind<
      [number, number, number, boolean, boolean, boolean, number | null, number | null, boolean, Device | null, DType | null]
    >(
      "MultiheadAttention",
      "embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, kdim=None, vdim=None, batch_first=False, device=None, dtype=None",
      given,
    );
    if (!(e > 0) || !(heads > 0)) {
      throw new ValueError(`embed_dim and num_heads must be greater than 0, got embed_dim=${e} and num_heads=${heads} instead`);
    }
    if (e % heads !== 0) throw new ValueError(`embed_dim must be divisible by num_heads, got ${e} and ${heads}`);
    this.embed_dim = e;
    this.num_heads = heads;
    this.dropout = dropout;
    this.batch_first = batchFirst;
    this.add_zero_attn = addZero;
    this.kdim = kdim ?? e;
    this.vdim = vdim ?? e;
    this.head_dim = e / heads;
    const make = (...shape: number[]): Parameter => new Parameter(ops.empty(shape, { device, dtype }));
    const same = this.kdim === e && this.vdim === e;
    this.in_proj_weight = same ? make(3 * e, e) : null;
    this.q_proj_weight = same ? null : make(e, e);
    this.k_proj_weight = same ? null : make(e, this.kdim);
    this.v_proj_weight = same ? null : make(e, this.vdim);
    this.in_proj_bias = bias ? make(3 * e) : null;
    this.out_proj = new NonDynamicallyQuantizableLinear(e, e, { bias, device, dtype });
    this.bias_k = addBias ? make(1, 1, e) : null;
    this.bias_v = addBias ? make(1, 1, e) : null;
    this._reset_parameters();
  }

  _reset_parameters(): void {
    for (const w of [this.in_proj_weight, this.q_proj_weight, this.k_proj_weight, this.v_proj_weight]) {
      if (w !== null) init.xavier_uniform_(w);
    }
    if (this.in_proj_bias !== null) {
      init.zeros_(this.in_proj_bias);
      init.zeros_(this.out_proj.bias!);
    }
    if (this.bias_k !== null) init.xavier_normal_(this.bias_k);
    if (this.bias_v !== null) init.xavier_normal_(this.bias_v);
  }

  /** The attended values and, where asked for, the weights (averaged over the heads). */
  forward(query: Tensor, key: Tensor, value: Tensor, ...given: AttentionOptions): [output: Tensor, weights: Tensor | null] {
    const [keyPadding, needWeights, attnMask, average, isCausal] = bind<Bound>("MultiheadAttention", FORWARD, given);
    const batched = this.checkInputs(query, key, value);
    if (isCausal && attnMask === null) throw new RuntimeError("Need attn_mask if specifying the is_causal hint.");
    // From here on: [batch, length, features].
    const byBatch = (t: Tensor): Tensor => (batched ? (this.batch_first ? t : t.transpose(0, 1)) : t.unsqueeze(0));
    const self = query === key && key === value;
    const x = byBatch(query);
    const [batch, length] = x.shape as [number, number];
    const projected = self
      ? this.projectSelf(x)
      : this.project(x, key === query ? x : byBatch(key), value === key ? byBatch(key) : byBatch(value));
    const q = projected[0];
    let [, k, v] = projected;
    if (this.bias_k !== null) {
      k = ops.cat([k, this.bias_k.expand([batch, 1, this.embed_dim])], 1);
      v = ops.cat([v, this.bias_v!.expand([batch, 1, this.embed_dim])], 1);
    }
    if (this.add_zero_attn) {
      const zeros = ops.zeros([batch, 1, this.embed_dim], { dtype: k.dtype, device: k.device });
      k = ops.cat([k, zeros], 1);
      v = ops.cat([v, zeros], 1);
    }
    const heads = (t: Tensor): Tensor => t.reshape([batch, t.shape[1]!, this.num_heads, this.head_dim]).transpose(1, 2);
    const [qh, kh, vh] = [heads(q), heads(k), heads(v)];
    const causal = isCausal && keyPadding === null && !needWeights;
    const mask = causal ? null : this.mask(x, kh.shape[2]!, attnMask, keyPadding);
    const drop = this.training ? this.dropout : 0;

    let weights: Tensor | null = null;
    let attended: Tensor;
    if (needWeights) {
      const scores = qh.mul(1 / Math.sqrt(this.head_dim)).matmul(kh.transpose(2, 3));
      weights = F.softmax(mask === null ? scores : scores.add(mask.to(scores.dtype)), { dim: -1 }) as Tensor;
      if (drop > 0) weights = F.dropout(weights, drop, true) as Tensor;
      attended = weights.matmul(vh);
    } else {
      attended = F.scaled_dot_product_attention(qh, kh, vh, { attn_mask: mask, dropout_p: drop, is_causal: causal }) as Tensor;
    }
    const joined = attended.transpose(1, 2).reshape([batch, length, this.embed_dim]);
    let out = this.out_proj(joined);
    if (!batched) out = out.squeeze(0);
    else if (!this.batch_first) out = out.transpose(0, 1);
    if (weights !== null && average) weights = weights.mean({ dim: 1 });
    if (weights !== null && !batched) weights = weights.squeeze(0);
    return [out, weights];
  }

  private checkInputs(query: Tensor, key: Tensor, value: Tensor): boolean {
    const n = query.ndim;
    if (n !== 2 && n !== 3) {
      throw new RuntimeError(`query should be unbatched 2D or batched 3D tensor but received ${n}-D query tensor`);
    }
    if (key.ndim !== n || value.ndim !== n) {
      throw new RuntimeError(
        `For ${n === 3 ? "batched (3-D)" : "unbatched (2-D)"} \`query\`, expected \`key\` and \`value\` to be ${n}-D but found ${key.ndim}-D and ${value.ndim}-D tensors respectively`,
      );
    }
    if (query.shape.at(-1) !== this.embed_dim) {
      throw new RuntimeError(`was expecting embedding dimension of ${this.embed_dim}, but got ${query.shape.at(-1)}`);
    }
    if (!sameShape(key.shape.slice(0, -1), value.shape.slice(0, -1))) {
      throw new RuntimeError(
        `key's sequence and batch dims ${formatShape(key.shape.slice(0, -1))} do not match value's ${formatShape(value.shape.slice(0, -1))}`,
      );
    }
    return n === 3;
  }

  private projectSelf(x: Tensor): [Tensor, Tensor, Tensor] {
    if (this.in_proj_weight === null) return this.project(x, x, x);
    return (F.linear(x, this.in_proj_weight, this.in_proj_bias) as Tensor).chunk(3, -1) as [Tensor, Tensor, Tensor];
  }
  private project(q: Tensor, k: Tensor, v: Tensor): [Tensor, Tensor, Tensor] {
    const e = this.embed_dim;
    const weights = this.in_proj_weight?.split(e) ?? [this.q_proj_weight!, this.k_proj_weight!, this.v_proj_weight!];
    const biases = this.in_proj_bias?.split(e) ?? [null, null, null];
    return [q, k, v].map((x, i) => F.linear(x, weights[i], biases[i]) as Tensor) as [Tensor, Tensor, Tensor];
  }

  /** One mask to add to the scores, [batch or 1, heads or 1, length or 1, keys]. */
  private mask(x: Tensor, keys: number, attn: MaskOption, padding: MaskOption): Tensor | null {
    const [batch, length] = x.shape as [number, number];
    const added = Number(this.bias_k !== null) + Number(this.add_zero_attn);
    const widen = (m: Tensor): Tensor =>
      added === 0 ? m : ops.cat([m, ops.zeros([...m.shape.slice(0, -1), added], { dtype: m.dtype, device: m.device })], -1);
    let out: Tensor | null = null;
    if (attn !== null) {
      const source = keys - added;
      const wanted = attn.ndim === 3 ? [batch * this.num_heads, length, source] : [length, source];
      if ((attn.ndim !== 2 && attn.ndim !== 3) || !sameShape(attn.shape, wanted)) {
        throw new RuntimeError(
          `The shape of the ${attn.ndim}D attn_mask is ${formatShape(attn.shape)}, but should be ${formatShape(wanted)}.`,
        );
      }
      const m = widen(additive("attn_mask", attn, x.dtype));
      out = attn.ndim === 3 ? m.view([batch, this.num_heads, length, keys]) : m.view([1, 1, length, keys]);
    }
    if (padding !== null) {
      const wide = padding.ndim === 1 ? padding.unsqueeze(0) : padding;
      if (!sameShape(wide.shape, [batch, keys - added])) {
        throw new RuntimeError(
          `expecting key_padding_mask shape of ${formatShape([batch, keys - added])}, but got ${formatShape(wide.shape)}`,
        );
      }
      const p = widen(additive("key_padding_mask", wide, x.dtype)).view([batch, 1, 1, keys]);
      out = out === null ? p : out.add(p);
    }
    return out;
  }
}

/** A mask of booleans (true: not attended to) as one to add. */
export function additive(name: string, mask: Tensor, dtype: DType): Tensor {
  if (mask.dtype === bool) return ops.zeros(mask.shape, { dtype, device: mask.device }).masked_fill(mask, -Infinity);
  if (!mask.is_floating_point())
    throw new RuntimeError(`only bool and floating types of ${name} are supported, got ${mask.dtype}`);
  return mask;
}
