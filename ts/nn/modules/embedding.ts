/** Lookup tables. */

import type { Device } from "../../core/device.ts";
import type { DType } from "../../core/dtype.ts";
import { ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import * as init from "../init.ts";
import { bind, F, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";
import { repr, reprFloat } from "../repr.ts";

function paddingIndex(padding: number | null, n: number): number | null {
  if (padding === null) return null;
  if (padding >= n || padding < -n) throw new ValueError(`padding_idx must be within num_embeddings (${n}), got ${padding}`);
  return padding < 0 ? padding + n : padding;
}

abstract class Table extends Module {
  num_embeddings: number;
  embedding_dim: number;
  padding_idx: number | null;
  max_norm: number | null;
  norm_type: number;
  scale_grad_by_freq: boolean;
  sparse: boolean;
  weight: Parameter;

  constructor(
    n: number,
    dim: number,
    padding: number | null,
    max_norm: number | null,
    norm_type: number,
    scale: boolean,
    sparse: boolean,
    weight: Tensor | null,
    factory: Factory,
  ) {
    super();
    this.num_embeddings = n;
    this.embedding_dim = dim;
    this.padding_idx = paddingIndex(padding, n);
    this.max_norm = max_norm;
    this.norm_type = norm_type;
    this.scale_grad_by_freq = scale;
    this.sparse = sparse;
    if (weight !== null && (weight.shape[0] !== n || weight.shape[1] !== dim)) {
      throw new ValueError(`Shape of weight does not match num_embeddings and embedding_dim: ${repr(weight.shape)}`);
    }
    this.weight = new Parameter(weight ?? ops.empty([n, dim], factory));
    if (weight === null) this.reset_parameters();
  }
  reset_parameters(): void {
    init.normal_(this.weight);
    const row = this.padding_idx;
    if (row !== null) no_grad(() => this.weight.select(0, row).fill_(0));
  }
  /** The options that differ from their defaults, between what comes first and last. */
  protected describe(before: string | null, after: readonly string[]): string {
    const parts = [`${this.num_embeddings}, ${this.embedding_dim}`];
    if (before !== null) parts.push(before);
    if (this.max_norm !== null) parts.push(`max_norm=${reprFloat(this.max_norm)}`);
    if (this.norm_type !== 2) parts.push(`norm_type=${reprFloat(this.norm_type)}`);
    if (this.scale_grad_by_freq) parts.push("scale_grad_by_freq=True");
    return [...parts, ...after].join(", ");
  }
  protected get padding(): string | null {
    return this.padding_idx === null ? null : `padding_idx=${this.padding_idx}`;
  }
}

interface Pretrained {
  freeze?: boolean;
  padding_idx?: number | null;
  max_norm?: number | null;
  norm_type?: number;
  scale_grad_by_freq?: boolean;
  sparse?: boolean;
}

function pretrainedSize(embeddings: Tensor): [number, number] {
  if (embeddings.ndim === 2) return embeddings.shape as [number, number];
  throw new ValueError(
    `from_pretrained: Embeddings parameter is expected to be 2-dimensional, got ${embeddings.ndim}-dimensional`,
  );
}

type EmbeddingArgs = Args<
  [
    { num_embeddings: number },
    { embedding_dim: number },
    { padding_idx?: number | null },
    { max_norm?: number | null },
    { norm_type?: number },
    { scale_grad_by_freq?: boolean },
    { sparse?: boolean },
    { _weight?: Tensor | null },
    { _freeze?: boolean },
  ],
  Factory
>;

export class Embedding extends Table {
  constructor(...given: EmbeddingArgs) {
    const [n, dim, padding, max, type, scale, sparse, weight, freeze, device, dtype] = bind<
      [
        number,
        number,
        number | null,
        number | null,
        number,
        boolean,
        boolean,
        Tensor | null,
        boolean,
        Device | null,
        DType | null,
      ]
    >(
      "Embedding",
      "num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False, _weight=None, _freeze=False, device=None, dtype=None",
      given,
    );
    super(n, dim, padding, max, type, scale, sparse, weight, { device, dtype });
    if (freeze) this.weight.requires_grad_(false);
  }
  forward(input: Tensor): Tensor {
    return F.embedding(
      input,
      this.weight,
      this.padding_idx,
      this.max_norm,
      this.norm_type,
      this.scale_grad_by_freq,
      this.sparse,
    ) as Tensor;
  }
  override extra_repr(): string {
    return this.describe(this.padding, this.sparse ? ["sparse=True"] : []);
  }
  /** A table of given rows, frozen unless asked otherwise. */
  static from_pretrained(embeddings: Tensor, options: Pretrained = {}): Embedding {
    const { freeze = true, ...rest } = options;
    const [n, dim] = pretrainedSize(embeddings);
    return new this(n, dim, { ...rest, _weight: embeddings, _freeze: freeze });
  }
}

type Mode = "sum" | "mean" | "max";
type BagArgs = Args<
  [
    { num_embeddings: number },
    { embedding_dim: number },
    { max_norm?: number | null },
    { norm_type?: number },
    { scale_grad_by_freq?: boolean },
    { mode?: Mode },
    { sparse?: boolean },
    { _weight?: Tensor | null },
    { include_last_offset?: boolean },
    { padding_idx?: number | null },
  ],
  Factory
>;

/** Sums, means or maxima of rows by bags of indices. */
export class EmbeddingBag extends Table {
  mode: Mode;
  include_last_offset: boolean;

  constructor(...given: BagArgs) {
    const [n, dim, max, type, scale, mode, sparse, weight, last, padding, device, dtype] = bind<
      [
        number,
        number,
        number | null,
        number,
        boolean,
        Mode,
        boolean,
        Tensor | null,
        boolean,
        number | null,
        Device | null,
        DType | null,
      ]
    >(
      "EmbeddingBag",
      "num_embeddings, embedding_dim, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode='mean', sparse=False, _weight=None, include_last_offset=False, padding_idx=None, device=None, dtype=None",
      given,
    );
    super(n, dim, padding, max, type, scale, sparse, weight, { device, dtype });
    this.mode = mode;
    this.include_last_offset = last;
  }
  forward(input: Tensor, ...given: Args<[{ offsets?: Tensor | null }, { per_sample_weights?: Tensor | null }]>): Tensor {
    const [offsets, weights] = bind<[Tensor | null, Tensor | null]>(
      "EmbeddingBag",
      "offsets=None, per_sample_weights=None",
      given,
    );
    return F.embedding_bag(input, this.weight, {
      offsets,
      per_sample_weights: weights,
      max_norm: this.max_norm,
      norm_type: this.norm_type,
      scale_grad_by_freq: this.scale_grad_by_freq,
      mode: this.mode,
      sparse: this.sparse,
      include_last_offset: this.include_last_offset,
      padding_idx: this.padding_idx,
    }) as Tensor;
  }
  /** As Embedding's. */
  static from_pretrained(
    embeddings: Tensor,
    options: Pretrained & { mode?: Mode; include_last_offset?: boolean } = {},
  ): EmbeddingBag {
    const { freeze = true, ...rest } = options;
    const [n, dim] = pretrainedSize(embeddings);
    const bag = new this(n, dim, { ...rest, _weight: embeddings });
    if (freeze) bag.weight.requires_grad_(false);
    return bag;
  }
  override extra_repr(): string {
    return this.describe(null, [`mode=${repr(this.mode)}`, ...(this.padding === null ? [] : [this.padding])]);
  }
}
