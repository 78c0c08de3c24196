/**
 * KernelSpec: the closed union of what a device can be asked to compute. A spec holds structure only (dtypes, expressions,
 * modes) and is what kernels are cached by; shapes, strides, sizes and scalars come at run time as views and `Params[kind]`.
 *
 * Views: unless a kind says otherwise inputs may have any strides (also 0), outputs are written through their strides and
 * never overlap themselves. Outputs of non-map kinds are contiguous unless noted.
 */

import type { DType } from "../core/dtype.ts";
import type { Expr } from "./expr.ts";

/** Elementwise over one iteration space: every input view already has the outputs' shape (broadcast dims with stride 0). */
export interface MapSpec {
  readonly kind: "map";
  readonly inputs: readonly DType[];
  /** Number of run-time scalars. */
  readonly scalars: number;
  /** One expression per output; its dtype is the output's. Common subexpressions are shared objects. */
  readonly outputs: readonly Expr[];
}
export interface MapParams {
  /** Values of the scalar slots. A bigint only where the slot's dtype is int64. */
  readonly scalars: readonly (number | bigint)[];
}

/**
 * Folds `expr` over the last `reduced` dims of the inputs' common shape [kept..., reduced...]; the output has shape [kept...].
 * `sum`, `prod`, `max`, `min` (NaN propagates): output in expr.dtype (sum and prod of integers: int64).
 * `any`, `all`: output bool. `argmax`, `argmin`: int64 row-major position within the reduced dims, first on ties; NaN counts as
 * the greatest (argmax) or least (argmin). `max_arg`, `min_arg`: two outputs, value and position.
 * `welford`: two outputs, mean and sum of squared deviations M2 (for var and std), of floating expr.
 * float16 and bfloat16 accumulate in f32, float32 by blocked or pairwise sums. Empty: sum 0, prod 1, any false, all true.
 */
export type ReduceOp = "sum" | "prod" | "max" | "min" | "any" | "all" | "argmax" | "argmin" | "max_arg" | "min_arg" | "welford";
export interface ReduceSpec {
  readonly kind: "reduce";
  readonly op: ReduceOp;
  readonly inputs: readonly DType[];
  readonly scalars: number;
  readonly expr: Expr;
  /** Type of the first output. */
  readonly dtype: DType;
}
export interface ReduceParams {
  readonly reduced: number;
  readonly scalars: readonly (number | bigint)[];
}

/**
 * Inclusive scan along the last dim. `cummax`, `cummin`: two outputs, values and int64 positions (last of equals, NaN wins).
 * `logcumsumexp` is stable. Output dtype as given (cumsum and cumprod of integers: int64).
 */
export type ScanOp = "cumsum" | "cumprod" | "cummax" | "cummin" | "logcumsumexp";
export interface ScanSpec {
  readonly kind: "scan";
  readonly op: ScanOp;
  readonly input: DType;
  readonly dtype: DType;
}

/**
 * out[b, m, n] = beta * out + alpha * sum_k a[b, m, k] * b[b, k, n] (+ bias). Inputs: a [B, m, k], b [B, k, n], optional bias
 * broadcast to [B, m, n] (strides 0). Any strides. Output contiguous [B, m, n]. float16/bfloat16 accumulate in f32; integers wrap.
 */
export interface MatmulSpec {
  readonly kind: "matmul";
  readonly dtype: DType;
  readonly bias: boolean;
}
export interface MatmulParams {
  readonly alpha: number;
  readonly beta: number;
  /** float32: operands may be rounded to TF32 where that is faster. */
  readonly tf32?: boolean;
}

/**
 * Convolution over contiguous [N, C, D, H, W] (1d and 2d come with leading spatial dims of 1; `kernel` is the weight's last three dims).
 * forward: inputs x [N, Cin, ...], w [Cout, Cin/groups, ...], optional bias [Cout] → y. input_grad: inputs gy, w → gx (this is also
 * conv_transpose's forward). weight_grad: inputs gy, x → gw.
 */
export interface ConvSpec {
  readonly kind: "conv";
  readonly mode: "forward" | "input_grad" | "weight_grad";
  readonly dtype: DType;
  readonly bias: boolean;
}
export type Triple = readonly [number, number, number];
export interface ConvParams {
  readonly stride: Triple;
  readonly padding: Triple;
  readonly dilation: Triple;
  readonly groups: number;
  /** As in MatmulParams. */
  readonly tf32?: boolean;
}

/**
 * Pooling over contiguous [N, C, D, H, W], as conv for 1d and 2d.
 * max: x → y, int64 indices (flat within D*H*W). max_backward: gy, indices → gx. avg: x → y. avg_backward: gy → gx.
 * adaptive_max / adaptive_avg and their backwards take their sizes from the views.
 */
export interface PoolSpec {
  readonly kind: "pool";
  readonly mode:
    | "max"
    | "max_backward"
    | "avg"
    | "avg_backward"
    | "adaptive_max"
    | "adaptive_max_backward"
    | "adaptive_avg"
    | "adaptive_avg_backward";
  readonly dtype: DType;
}
export interface PoolParams {
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padding: Triple;
  readonly dilation: Triple;
  readonly count_include_pad: boolean;
  /** 0: none. */
  readonly divisor_override: number;
}

/**
 * Kernels that work on whole rows. All views contiguous, floating.
 * softmax, log_softmax: x [rows, n] → y. Their backwards: gy, y → gx.
 * layer_norm: x [rows, n], weight?, bias? [n] → y, mean [rows], rstd [rows] (`affine`: 0 none, 1 weight, 2 weight and bias).
 * layer_norm_backward: gy, x, mean, rstd, weight? → gx, gweight?, gbias? (the last two by `affine`).
 * rms_norm: x, weight? → y, rstd. rms_norm_backward: gy, x, rstd, weight? → gx, gweight?.
 * batch_norm_stats: x [N, C, S] → mean [C], var [C] (biased). batch_norm: x, mean, rstd [C], weight?, bias? → y.
 * batch_norm_backward: gy, x, mean, rstd, weight? → gx, gweight?, gbias? (params.flag: statistics came from this batch).
 * group_norm: x [N*G, C/G, S]-like [rows, channels, S], weight?, bias? [G*channels] → y, mean, rstd; group_norm_backward likewise.
 * cross_entropy: logits [rows, n], int64 target [rows] → losses [rows] (0 where target == params.ignore), lse [rows].
 * cross_entropy_backward: gloss [rows], logits, target, lse → glogits.
 * Statistics of float16 and bfloat16 rows are float32.
 */
export interface RowwiseSpec {
  readonly kind: "rowwise";
  readonly op:
    | "softmax"
    | "log_softmax"
    | "softmax_backward"
    | "log_softmax_backward"
    | "layer_norm"
    | "layer_norm_backward"
    | "rms_norm"
    | "rms_norm_backward"
    | "batch_norm_stats"
    | "batch_norm"
    | "batch_norm_backward"
    | "group_norm"
    | "group_norm_backward"
    | "cross_entropy"
    | "cross_entropy_backward";
  readonly dtype: DType;
  readonly affine: 0 | 1 | 2;
}
export interface RowwiseParams {
  readonly eps: number;
  /** group_norm: number of groups. */
  readonly groups: number;
  /** cross_entropy: the target that does not count. */
  readonly ignore: number;
  readonly flag: boolean;
}

/**
 * attention: q [B, L, E], k [B, S, E], v [B, S, Ev], optional additive mask broadcast to [B, L, S] → out [B, L, Ev], lse [B, L]
 * (float32 where the dtype is narrower).
 * Last dims have stride 1; the batch stride may be 0 (shared keys). attention_backward: gout, q, k, v, out, lse, mask? → gq, gk, gv.
 */
export interface AttentionSpec {
  readonly kind: "attention";
  readonly mode: "forward" | "backward";
  readonly dtype: DType;
  readonly mask: boolean;
}
export interface AttentionParams {
  readonly scale: number;
  readonly causal: boolean;
  /** As in MatmulParams. */
  readonly tf32?: boolean;
}

/**
 * Indexed reads: out[i...] = src[flat position]. Positions are counted as follows.
 * gather: src, index (int64) of the output's shape; out[..., i, ...] = src[..., index, ...] along params.dim (all views ndim equal).
 * index: advanced indexing. Inputs: src, then int64 index tensors, each broadcast to the output's shape; params.dims says which src
 * dimension each addresses; other src dims run with the output through `params.src_strides` (one per output dim, 0 where indexed).
 * An index out of range throws, naming params.name: a RuntimeError in mode gather, an IndexError in mode index, as PyTorch. What the
 * output then holds is undefined.
 */
export interface GatherSpec {
  readonly kind: "gather";
  readonly mode: "gather" | "index";
  readonly dtype: DType;
  /** Number of index tensors (mode index). */
  readonly indices: number;
}
export interface GatherParams {
  readonly name: string;
  readonly dim: number;
  readonly dims: readonly number[];
  readonly src_strides: readonly number[];
  /** Whether negative indices count from the end; by default in mode index they do, in mode gather they are out of range. */
  readonly wrap?: boolean;
}

/**
 * Indexed writes, the mirror of gather: output[0] (any strides) is updated in place from `value`, which has the index's shape.
 * Inputs: value, index... `reduce`: how a value meets what is there; "set" with repeated indices: the last in row-major order wins.
 * Deterministic for any number of threads. Positions and errors as in GatherSpec (with dst in the place of src), but nothing is
 * written when an index is out of range.
 * scatter_reduce's "mean" is built from add and a count.
 */
export interface ScatterSpec {
  readonly kind: "scatter";
  readonly mode: "scatter" | "index";
  readonly reduce: "set" | "add" | "mul" | "amax" | "amin";
  readonly dtype: DType;
  readonly indices: number;
}
export type ScatterParams = GatherParams;

/**
 * sort: x [rows, n] → values, int64 indices along the last dim; stable; NaN is greatest (last ascending, first descending).
 * topk: the params.k greatest (or least), sorted when asked. kthvalue: → value [rows], index [rows] of the k-th least (1-based).
 * Among equals the cpu picks the same indices as PyTorch.
 * median: lower median; NaN wins (params.ignoreNan: NaN does not count, all-NaN rows give NaN).
 * mode: most frequent, least value on ties, last index. nonzero: x flat contiguous → writes int64 coordinates; see NonzeroParams.
 * searchsorted: sequence [rows, n] (rows may be 1), values [rows, m] → int64 [rows, m]; params.right.
 */
export interface SortSpec {
  readonly kind: "sort";
  readonly mode: "sort" | "topk" | "kthvalue" | "median" | "mode" | "searchsorted";
  readonly dtype: DType;
}
export interface SortParams {
  readonly descending: boolean;
  readonly k: number;
  readonly sorted: boolean;
  readonly ignoreNan: boolean;
  readonly right: boolean;
}

/**
 * Positions of non-zero elements of x (any strides): first `count` → int64 [1]; then `write` → int64 [count, ndim].
 */
export interface NonzeroSpec {
  readonly kind: "nonzero";
  readonly mode: "count" | "write";
  readonly dtype: DType;
}

/**
 * Draws into the contiguous outputs. On cpu from PyTorch's mt19937 stream, whose state is `generator` (bytes as PyTorch orders
 * the draws); on GPU devices from Philox.
 * uniform [a, b), normal (mean a, std b), random_int (from a, to b; whole numbers), bernoulli (p = a, or inputs[0] per element),
 * exponential (lambd a), geometric (p a), cauchy (median a, sigma b), log_normal (mean a, std b), randperm (0..n-1), poisson
 * (inputs[0]), binomial (inputs[0] count, inputs[1] prob), standard_gamma (inputs[0] alpha); inputs have the output's shape.
 * multinomial is built from exponential.
 */
export interface RandomSpec {
  readonly kind: "random";
  readonly distribution:
    | "uniform"
    | "normal"
    | "random_int"
    | "bernoulli"
    | "exponential"
    | "geometric"
    | "cauchy"
    | "log_normal"
    | "randperm"
    | "poisson"
    | "binomial"
    | "standard_gamma";
  readonly dtype: DType;
}
export interface RandomParams {
  readonly a: number | bigint;
  readonly b: number | bigint;
  readonly generator: GeneratorState;
}
/** PyTorch's CPU generator: mt19937 and the second of the last pair of normals, which the next call takes. */
export interface MersenneTwister {
  readonly words: Uint32Array;
  /** 1 + the words left before the next twist. */
  left: number;
  next: number;
  normal: number | null;
}

/** A random stream: a buffer-free handle that the device keeps its state in. ts/kernel/generator.ts makes, saves and restores it. */
export interface GeneratorState {
  /** Seed of the stream, 64 bits. */
  seed: bigint;
  /** State of the cpu's generator; created from the seed on first use. */
  mt: MersenneTwister | null;
  /** Philox counter for GPU devices. */
  offset: number;
  /** Whether the cpu draws as GPU devices do. */
  philox: boolean;
}

/**
 * One optimizer step in place over one parameter: outputs[0] is the parameter, then its state; inputs[0] the gradient.
 * sgd: outputs p, momentum?; adam and adamw: outputs p, exp_avg, exp_avg_sq, max_exp_avg_sq?. All contiguous, of one floating dtype.
 * Several parameters at the same step may come in one launch: their gradients as inputs, their groups of outputs one after another.
 */
export interface OptimizerSpec {
  readonly kind: "optimizer";
  readonly op: "sgd" | "adam" | "adamw";
  readonly dtype: DType;
}
export interface OptimizerParams {
  readonly lr: number;
  readonly momentum: number;
  readonly dampening: number;
  readonly nesterov: boolean;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weight_decay: number;
  readonly maximize: boolean;
  /** 1-based step number (bias correction; sgd: the first step starts the momentum buffer). */
  readonly step: number;
}

/**
 * Elementwise steps in place over many tensors at once: per group one gradient (inputs) and the tensors that change (outputs, a group's one after
 * another). All of a group have as many elements; all are contiguous, of one floating dtype. `outputs` says what each of a group's tensors becomes:
 * load 0 is the gradient, load 1 + j the tensor j as it was.
 */
export interface UpdateSpec {
  readonly kind: "update";
  readonly dtype: DType;
  readonly scalars: number;
  readonly outputs: readonly Expr[];
  /** Whether a captured graph may repeat it: its scalars do not depend on the number of steps. */
  readonly repeats: boolean;
}
export type UpdateParams = MapParams;

export type KernelSpec =
  | MapSpec
  | ReduceSpec
  | ScanSpec
  | MatmulSpec
  | ConvSpec
  | PoolSpec
  | RowwiseSpec
  | AttentionSpec
  | GatherSpec
  | ScatterSpec
  | SortSpec
  | NonzeroSpec
  | RandomSpec
  | OptimizerSpec
  | UpdateSpec;

export type KernelKind = KernelSpec["kind"];

export interface ParamsOf {
  map: MapParams;
  reduce: ReduceParams;
  scan: null;
  matmul: MatmulParams;
  conv: ConvParams;
  pool: PoolParams;
  rowwise: RowwiseParams;
  attention: AttentionParams;
  gather: GatherParams;
  scatter: ScatterParams;
  sort: SortParams;
  nonzero: null;
  random: RandomParams;
  optimizer: OptimizerParams;
  update: UpdateParams;
}
