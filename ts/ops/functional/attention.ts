/** torch.nn.functional: attention. */

import { bool, float32 } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { matmulTf32 } from "../../core/settings.ts";
import { broadcastShapes, formatShape, numelOf, sameShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { contiguous, empty, run } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { where } from "../compare.ts";
import { ones, zeros } from "../creation.ts";
import { cat } from "../joining.ts";
import { dropout } from "./dropout.ts";
import { linear } from "./linear.ts";
import { constant_pad_nd } from "./padding.ts";
import { checkFloating } from "./shared.ts";
import { softmax } from "./softmax.ts";

/** Added to the scores where keys come after their query (the top-left corners of both aligned). */
function causalMask(like: Tensor, rows: number, columns: number): Tensor {
  const allowed = ones([rows, columns], { dtype: bool, device: like.device }).tril();
  return where(allowed, 0, -Infinity).to(like.dtype);
}

/** Softmax in which a row without any allowed key is 0, not NaN. */
function maskedSoftmax(scores: Tensor): Tensor {
  const p = softmax(scores, -1);
  const none = scores.detach().eq(-Infinity).all(-1, true);
  return where(none, 0, p);
}

type FlashOp = Op<[q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, scale: number, causal: boolean], Tensor>;

interface FlashState {
  readonly scale: number;
  readonly causal: boolean;
}

/** q [B, L, E], k [B, S, E], v [B, S, Ev], mask [B, L, S] or null → [B, L, Ev], without ever holding all scores. */
const flash_attention: FlashOp = defineOp("scaled_dot_product_attention", "q, k, v, mask, scale, causal", {
  doc: "",
  method: false,
  forward(ctx, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, scale: number, causal: boolean) {
    const [b, l] = q.shape as [number, number];
    const out = empty([b, l, v.shape[2]!], q.dtype, q.device);
    // Backward takes its exponential: rounded to a narrow type it would be off by a percent.
    const lse = empty([b, l], q.dtype.itemsize === 2 ? float32 : q.dtype, q.device);
    const inputs = [q, k, v].map(contiguous);
    if (mask !== null) inputs.push(mask);
    run({ kind: "attention", mode: "forward", dtype: q.dtype, mask: mask !== null }, inputs, [out, lse], {
      scale,
      causal,
      tf32: matmulTf32(),
    });
    ctx.save(q, k, v, mask, out, lse);
    ctx.state = { scale, causal } satisfies FlashState;
    return out;
  },
  backward(ctx, g: Tensor) {
    const [q, k, v, mask, out, lse] = ctx.saved() as [Tensor, Tensor, Tensor, Tensor | null, Tensor, Tensor];
    const { scale, causal } = ctx.state as FlashState;
    if (!is_grad_enabled()) {
      const grads = [q, k, v].map((t) => empty(t.shape, t.dtype, t.device));
      const inputs = [g, q, k, v, out].map(contiguous);
      inputs.push(lse);
      if (mask !== null) inputs.push(mask);
      run({ kind: "attention", mode: "backward", dtype: q.dtype, mask: mask !== null }, inputs, grads, {
        scale,
        causal,
        tf32: matmulTf32(),
      });
      return grads;
    }
    let scores = q.matmul(k.mT).mul(scale);
    if (mask !== null) scores = scores.add(mask);
    if (causal) scores = scores.add(causalMask(q, q.shape[1]!, k.shape[1]!));
    const p = maskedSoftmax(scores);
    const gp = g.matmul(v.mT);
    const gs = p.mul(gp.sub(gp.mul(p).sum(-1, true))).mul(scale);
    return [gs.matmul(k), gs.mT.matmul(q), p.mT.matmul(g)];
  },
});

type SdpaArgs = Args<
  [{ attn_mask?: Tensor | null }, { dropout_p?: number }, { is_causal?: boolean }],
  { scale?: number | null; enable_gqa?: boolean }
>;
type SdpaOp = Op<[query: Tensor, key: Tensor, value: Tensor, ...SdpaArgs], Tensor>;

export const scaled_dot_product_attention: SdpaOp = composite(
  "scaled_dot_product_attention",
  "query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False",
  {
    doc: "softmax(scale query keyᵀ + mask) value: [..., L, E], [..., S, E], [..., S, Ev] → [..., L, Ev]; scale 1 / √E by default.",
    method: false,
  },
  (
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | null,
    dropout_p: number,
    is_causal: boolean,
    scale: number | null,
    enable_gqa: boolean,
  ) => {
    const op = "scaled_dot_product_attention";
    checkOperands(op, query, key, value);
    if (attn_mask !== null && is_causal) {
      throw new RuntimeError(`${op}: explicit attn_mask should not be set when is_causal=True`);
    }
    if (attn_mask !== null && attn_mask.dtype !== bool && attn_mask.dtype !== query.dtype) {
      throw new RuntimeError(`${op}: expected attn_mask of bool or of query's dtype ${query.dtype}, got ${attn_mask.dtype}`);
    }
    let k = key;
    let v = value;
    if (enable_gqa) {
      const [hq, hk] = [query.shape.at(-3)!, key.shape.at(-3)!];
      if (query.ndim < 3 || hq % hk !== 0 || hq % value.shape.at(-3)! !== 0) {
        throw new RuntimeError(
          `${op}: the number of heads in key and value must divide the number of heads in query, got ${hk} and ${hq}`,
        );
      }
      k = key.repeat_interleave(hq / hk, -3);
      v = value.repeat_interleave(hq / value.shape.at(-3)!, -3);
    }
    const [l, s] = [query.shape.at(-2)!, k.shape.at(-2)!];
    const factor = scale ?? 1 / Math.sqrt(query.shape.at(-1)!);
    const mask = attn_mask?.dtype === bool ? where(attn_mask, 0, -Infinity).to(query.dtype) : attn_mask;
    let batch = broadcastShapes(op, query.shape.slice(0, -2), k.shape.slice(0, -2));
    batch = broadcastShapes(op, batch, v.shape.slice(0, -2));
    if (mask !== null) batch = broadcastShapes(op, batch, mask.shape.slice(0, -2));
    const wantsMaskGrad = mask !== null && mask.requires_grad && is_grad_enabled();
    if (dropout_p > 0 || wantsMaskGrad || numelOf(batch) * l * s * query.shape.at(-1)! * v.shape.at(-1)! === 0) {
      let scores = query.mul(factor).matmul(k.mT);
      if (mask !== null) scores = scores.add(mask);
      if (is_causal) scores = scores.add(causalMask(query, l, s));
      return dropout(maskedSoftmax(scores), dropout_p).matmul(v);
    }
    const size = numelOf(batch);
    const fold = (t: Tensor): Tensor => {
      const tail = t.shape.slice(-2);
      return (sameShape(t.shape.slice(0, -2), batch) ? t : t.expand([...batch, ...tail])).reshape([size, ...tail]);
    };
    const out = flash_attention(fold(query), fold(k), fold(v), foldMask(mask, batch, l, s), factor, is_causal);
    return out.reshape([...batch, l, v.shape.at(-1)!]);
  },
);

/** A mask as [B, L, S], repeated without a copy where one serves the whole batch. */
function foldMask(mask: Tensor | null, batch: readonly number[], l: number, s: number): Tensor | null {
  if (mask === null) return null;
  const size = numelOf(batch);
  const lead = mask.shape.slice(0, -2);
  if (numelOf(lead) === 1) return mask.reshape([1, ...mask.shape.slice(-2)]).expand([size, l, s]);
  return mask.expand([...batch, l, s]).reshape([size, l, s]);
}

function checkOperands(op: string, query: Tensor, key: Tensor, value: Tensor): void {
  checkTensor(op, "query", query);
  checkTensor(op, "key", key);
  checkTensor(op, "value", value);
  if (query.dtype !== key.dtype || query.dtype !== value.dtype) {
    throw new RuntimeError(
      `${op}: expected query, key and value to have the same dtype, but got ${query.dtype}, ${key.dtype} and ${value.dtype}`,
    );
  }
  checkFloating(op, query.dtype);
  const shapes = [query, key, value].map((t) => formatShape(t.shape)).join(", ");
  if (query.ndim < 2 || key.ndim < 2 || value.ndim < 2) {
    throw new RuntimeError(`${op}: expected query, key and value to be at least 2 dimensional, but got shapes ${shapes}`);
  }
  if (query.shape.at(-1) !== key.shape.at(-1) || key.shape.at(-2) !== value.shape.at(-2)) {
    throw new RuntimeError(
      `${op}: query and key must agree in their last dimension, key and value in the one before, but got shapes ${shapes}`,
    );
  }
}

// multi-head attention

interface MhaOptions {
  readonly training: boolean;
  readonly need_weights: boolean;
  readonly average_attn_weights: boolean;
  readonly is_causal: boolean;
}

type MhaArgs = Args<
  [
    { embed_dim_to_check: number },
    { num_heads: number },
    { in_proj_weight: Tensor | null },
    { in_proj_bias: Tensor | null },
    { bias_k: Tensor | null },
    { bias_v: Tensor | null },
    { add_zero_attn: boolean },
    { dropout_p: number },
    { out_proj_weight: Tensor },
    { out_proj_bias: Tensor | null },
    { training?: boolean },
    { key_padding_mask?: Tensor | null },
    { need_weights?: boolean },
    { attn_mask?: Tensor | null },
    { use_separate_proj_weight?: boolean },
    { q_proj_weight?: Tensor | null },
    { k_proj_weight?: Tensor | null },
    { v_proj_weight?: Tensor | null },
    { static_k?: Tensor | null },
    { static_v?: Tensor | null },
    { average_attn_weights?: boolean },
    { is_causal?: boolean },
  ]
>;
type MhaOp = Op<[query: Tensor, key: Tensor, value: Tensor, ...MhaArgs], [Tensor, Tensor | null]>;

/** A mask that is added: -inf where a bool mask is true. */
function additive(mask: Tensor | null, like: Tensor): Tensor | null {
  if (mask === null || mask.dtype !== bool) return mask;
  return where(mask, -Infinity, 0).to(like.dtype);
}

export const multi_head_attention_forward: MhaOp = composite(
  "multi_head_attention_forward",
  "query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None, need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True, is_causal=False",
  {
    doc: "What nn.MultiheadAttention computes: projections, attention per head, output projection; query [L, N, E] or [L, E].",
    method: false,
  },
  (
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: number,
    num_heads: number,
    in_proj_weight: Tensor | null,
    in_proj_bias: Tensor | null,
    bias_k: Tensor | null,
    bias_v: Tensor | null,
    add_zero_attn: boolean,
    dropout_p: number,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | null,
    training: boolean,
    key_padding_mask: Tensor | null,
    need_weights: boolean,
    attn_mask: Tensor | null,
    use_separate_proj_weight: boolean,
    q_proj_weight: Tensor | null,
    k_proj_weight: Tensor | null,
    v_proj_weight: Tensor | null,
    static_k: Tensor | null,
    static_v: Tensor | null,
    average_attn_weights: boolean,
    is_causal: boolean,
  ): [Tensor, Tensor | null] => {
    const op = "multi_head_attention_forward";
    const unbatched = query.ndim === 2;
    if (query.ndim !== 2 && query.ndim !== 3) {
      throw new RuntimeError(`${op}: query should be unbatched 2D or batched 3D, but got shape ${formatShape(query.shape)}`);
    }
    if (query.shape.at(-1) !== embed_dim) {
      throw new RuntimeError(`${op}: was expecting embedding dimension of ${embed_dim}, but got ${query.shape.at(-1)}`);
    }
    if (embed_dim % num_heads !== 0) {
      throw new RuntimeError(`${op}: embed_dim ${embed_dim} not divisible by num_heads ${num_heads}`);
    }
    if (is_causal && attn_mask === null) {
      throw new RuntimeError(`${op}: need attn_mask if specifying the is_causal hint.`);
    }
    const [q0, k0, v0] = unbatched ? [query, key, value].map((t) => t.unsqueeze(1)) : [query, key, value];
    let padding = additive(key_padding_mask, query);
    if (padding !== null && unbatched) padding = padding.unsqueeze(0);
    const [l, n] = q0!.shape as [number, number];
    const head = embed_dim / num_heads;
    const parts = in_proj_bias === null ? [null, null, null] : in_proj_bias.chunk(3);
    const weights = use_separate_proj_weight ? [q_proj_weight!, k_proj_weight!, v_proj_weight!] : in_proj_weight!.chunk(3, 0);
    let q: Tensor;
    let k: Tensor;
    let v: Tensor;
    if (!use_separate_proj_weight && query === key && key === value) {
      [q, k, v] = linear(q0!, in_proj_weight!, in_proj_bias).chunk(3, -1) as [Tensor, Tensor, Tensor];
    } else {
      [q, k, v] = [q0!, k0!, v0!].map((t, i) => linear(t, weights[i]!, parts[i] ?? null)) as [Tensor, Tensor, Tensor];
    }
    let mask = additive(attn_mask, query);
    if (mask?.ndim === 2) mask = mask.unsqueeze(0);
    /** One more key, which every query may look at. */
    const widen = (): void => {
      if (mask !== null) mask = constant_pad_nd(mask, [0, 1]);
      if (padding !== null) padding = constant_pad_nd(padding, [0, 1]);
    };
    if (bias_k !== null && bias_v !== null) {
      k = cat([k, bias_k.repeat([1, n, 1])]);
      v = cat([v, bias_v.repeat([1, n, 1])]);
      widen();
    }
    const heads = (t: Tensor): Tensor => t.reshape([t.shape[0]!, n * num_heads, head]).transpose(0, 1);
    q = heads(q);
    k = static_k ?? heads(k);
    v = static_v ?? heads(v);
    if (add_zero_attn) {
      const zero = zeros([n * num_heads, 1, head], { dtype: k.dtype, device: k.device });
      k = cat([k, zero], 1);
      v = cat([v, zero], 1);
      widen();
    }
    const s = k.shape[1]!;
    if (padding !== null) {
      const each = padding
        .reshape([n, 1, 1, s])
        .expand([n, num_heads, 1, s])
        .reshape([n * num_heads, 1, s]);
      mask = mask === null ? each : mask.add(each);
    }
    const options: MhaOptions = { training, need_weights, average_attn_weights, is_causal };
    const [mixed, weightsOut] = attend(q, k, v, mask, dropout_p, options);
    let out = linear(mixed.transpose(0, 1).reshape([l * n, embed_dim]), out_proj_weight, out_proj_bias);
    out = out.reshape([l, n, out.shape[1]!]);
    let seen: Tensor | null = null;
    if (weightsOut !== null) {
      seen = weightsOut.reshape([n, num_heads, l, s]);
      if (average_attn_weights) seen = seen.sum(1).div(num_heads);
      if (unbatched) seen = seen.squeeze(0);
    }
    return [unbatched ? out.squeeze(1) : out, seen];
  },
);

/** Attention of folded heads; the weights only where they are wanted. */
function attend(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | null,
  dropout_p: number,
  { training, need_weights }: MhaOptions,
): [Tensor, Tensor | null] {
  const p = training ? dropout_p : 0;
  if (!need_weights) return [scaled_dot_product_attention(q, k, v, mask, p), null];
  let scores = q.mul(1 / Math.sqrt(q.shape[2]!)).matmul(k.mT);
  if (mask !== null) scores = scores.add(mask.to(scores.dtype));
  const weights = dropout(softmax(scores, -1), p);
  return [weights.matmul(v), weights];
}
