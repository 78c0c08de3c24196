/**
 * In which precision ops run under autocast: PyTorch's lists (its autocast op reference, and aten/src/ATen/autocast_mode.h), by the names of our
 * ops. What is in no list runs in the types that it gets. webgpu follows cuda.
 *
 * lower: floating arguments in the region's lower precision.
 * float32: floating arguments in float32.
 * float32_result: the result, and the computation, in float32 unless the caller asks for a dtype.
 * promote: all floating arguments in the widest type among them.
 * as_is: one kernel in PyTorch, a formula of other ops here: those do not count.
 * banned: an error.
 */
export type AutocastPolicy = "lower" | "float32" | "float32_result" | "promote" | "as_is" | "banned";

/** A policy, or one by the arguments. Null: none. */
export type AutocastRule = AutocastPolicy | ((args: readonly unknown[]) => AutocastPolicy | null);

export type AutocastList = ReadonlyMap<string, AutocastRule>;

function listOf(
  rules: Readonly<Partial<Record<AutocastPolicy, string>>>,
  special: Readonly<Record<string, AutocastRule>>,
): AutocastList {
  const list = new Map<string, AutocastRule>();
  for (const [policy, names] of Object.entries(rules)) {
    for (const name of names.split(/\s+/)) if (name !== "") list.set(name, policy as AutocastPolicy);
  }
  for (const [name, rule] of Object.entries(special)) list.set(name, rule);
  return list;
}

/** Resizing by averages is pooling, which is in no list. */
const resizing: AutocastRule = ([, , , mode]) => (mode === "area" ? null : "float32");
/** reflection_pad1d and 2d, replication_pad1d to 3d: not the other ways to pad. */
const padding: AutocastRule = ([, pad, mode]) =>
  mode === "replicate" || (mode === "reflect" && (pad as unknown[]).length <= 4) ? "float32" : null;

export const CUDA_LIST = listOf(
  {
    lower: `conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d prelu addmm addmv addr matmul einsum mm mv vecdot linear
      addbmm baddbmm bmm multi_dot scaled_dot_product_attention`,
    float32: `acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow __rpow__ __rdiv__ softplus layer_norm
      native_layer_norm group_norm cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss cross_entropy hinge_embedding_loss kl_div
      l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss
      multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest upsample_bilinear`,
    float32_result: `prod softmax log_softmax cumprod cumsum vector_norm matrix_norm sum norm`,
    promote: `addcdiv addcmul atan2 bilinear cross dot vdot grid_sample index_put tensordot scatter_add`,
    as_is: "nansum nanmean",
    banned: "binary_cross_entropy",
  },
  { interpolate: resizing, upsample: resizing },
);

export const CPU_LIST = listOf(
  {
    lower: `conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d bmm mm vecdot baddbmm addmm addbmm linear matmul prelu
      scaled_dot_product_attention`,
    float32: `avg_pool3d binary_cross_entropy grid_sample prod quantile nanquantile cdist trace max_pool3d max_unpool1d max_unpool2d max_unpool3d
      adaptive_avg_pool3d adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d mse_loss cosine_embedding_loss nll_loss
      hinge_embedding_loss poisson_nll_loss smooth_l1_loss cross_entropy l1_loss huber_loss margin_ranking_loss soft_margin_loss
      triplet_margin_loss multi_margin_loss multilabel_margin_loss ctc_loss kl_div binary_cross_entropy_with_logits stft fft ifft fft2 ifft2
      fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn hfft ihfft`,
    promote: "stack cat index_copy",
    as_is: "mv addmv addr dot vdot bilinear",
  },
  { pad: padding },
);
