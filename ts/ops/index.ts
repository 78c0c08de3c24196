/** All ops, as they appear in `torch`. Families are modules; installing one gives Tensor its methods. */

import type { Methods } from "../engine/define.ts";
import * as aliases from "./aliases.ts";
import * as arithmetic from "./arithmetic.ts";
import "./batching.ts";
import "./linalg/batching.ts";
import * as bitwise from "./bitwise.ts";
import * as calculus from "./calculus.ts";
import * as casts from "./casts.ts";
import * as compare from "./compare.ts";
import * as complex from "./complex_parts.ts";
import "./complex/creation.ts";
import "./complex/elementwise.ts";
import "./complex/products.ts";
import "./complex/structure.ts";
import * as convert from "./convert.ts";
import * as creation from "./creation.ts";
import * as creation_more from "./creation_more.ts";
import * as decompositions from "./decompositions.ts";
import * as extrema from "./extrema.ts";
import * as extremes from "./extremes.ts";
import * as fft from "./fft/index.ts";
import * as short_time from "./fft/short_time.ts";
import * as fill from "./fill.ts";
import * as linalg from "./linalg.ts";
import * as einsum from "./einsum.ts";
import * as matmul from "./matmul.ts";
import * as matrix from "./matrix.ts";
import * as norms from "./norms.ts";
import * as masked from "./masked.ts";
import * as math from "./math.ts";
import * as math_binary from "./math_binary.ts";
import * as nn_native from "./nn_native.ts";
import * as operators from "./operators.ts";
import * as predicates from "./predicates.ts";
import * as index_along from "./index_along.ts";
import * as histogram from "./histogram.ts";
import * as indexing from "./indexing.ts";
import { install, installAliases } from "./install.ts";
import * as random from "./random.ts";
import * as random_inplace from "./random_inplace.ts";
import * as reduction from "./reduction.ts";
import * as scan from "./scan.ts";
import * as sorting from "./sorting.ts";
import * as segments from "./segments.ts";
import * as statistics from "./statistics.ts";
import * as unique from "./unique.ts";
import * as special from "./special.ts";
import * as gathering from "./gathering.ts";
import * as joining from "./joining.ts";
import * as repeating from "./repeating.ts";
import * as storage_ops from "./storage_ops.ts";
import * as triangles from "./triangles.ts";
import * as view_forms from "./view_forms.ts";
import * as window_functions from "./window_functions.ts";
import * as windows from "./windows.ts";
import * as views from "./views.ts";

declare module "../core/tensor.ts" {
  interface Tensor
    extends
      Methods<typeof aliases>,
      Methods<typeof arithmetic>,
      Methods<typeof bitwise>,
      Methods<typeof calculus>,
      Methods<typeof casts>,
      Methods<typeof compare>,
      Methods<typeof complex>,
      Methods<typeof convert>,
      Methods<typeof creation>,
      Methods<typeof creation_more>,
      Methods<typeof decompositions>,
      Methods<typeof extrema>,
      Methods<typeof extremes>,
      extremes.ExtremeMethods,
      Methods<typeof fill>,
      Methods<typeof math>,
      Methods<typeof matmul>,
      Methods<typeof matrix>,
      Methods<typeof norms>,
      Methods<typeof math_binary>,
      Methods<typeof nn_native>,
      Methods<typeof operators>,
      Methods<typeof predicates>,
      Methods<typeof random>,
      Methods<typeof random_inplace>,
      Methods<typeof reduction>,
      Methods<typeof scan>,
      Methods<typeof sorting>,
      sorting.MedianMethods,
      Methods<typeof short_time>,
      Methods<typeof statistics>,
      unique.UniqueMethods,
      Methods<Pick<typeof special, "i0">>,
      Methods<typeof gathering>,
      Methods<typeof index_along>,
      Methods<typeof histogram>,
      Methods<typeof indexing>,
      Methods<typeof joining>,
      Methods<typeof repeating>,
      Methods<typeof storage_ops>,
      Methods<typeof triangles>,
      Methods<typeof view_forms>,
      Methods<typeof window_functions>,
      Methods<typeof windows>,
      Methods<typeof views> {}
}

for (const family of [
  arithmetic,
  bitwise,
  calculus,
  compare,
  complex,
  convert,
  creation,
  creation_more,
  decompositions,
  extrema,
  extremes,
  fill,
  einsum,
  matmul,
  matrix,
  norms,
  math,
  math_binary,
  nn_native,
  predicates,
  random,
  random_inplace,
  reduction,
  scan,
  segments,
  short_time,
  sorting,
  statistics,
  unique,
  gathering,
  index_along,
  histogram,
  indexing,
  joining,
  repeating,
  storage_ops,
  triangles,
  view_forms,
  window_functions,
  windows,
  views,
])
  install(family);
installAliases(aliases);
for (const methods of [casts, operators]) install(methods, "Tensor");
install(masked, "masked");
install(special, "special");
install(fft, "fft");
install(linalg, "linalg");

export * from "./aliases.ts";
export * from "./arithmetic.ts";
export * from "./bitwise.ts";
export * from "./calculus.ts";
export * from "./compare.ts";
export * from "./complex_parts.ts";
export * from "./convert.ts";
export {
  arange,
  empty,
  empty_like,
  full,
  full_like,
  new_full,
  new_zeros,
  ones,
  ones_like,
  tensor,
  zeros,
  zeros_like,
  type TensorOptions,
} from "./creation.ts";
export * from "./creation_more.ts";
export * from "./decompositions.ts";
export * from "./extrema.ts";
export { amax, amin, aminmax, argmax, argmin, max, min } from "./extremes.ts";
export * as fft from "./fft/index.ts";
export { istft, stft } from "./fft/short_time.ts";
export * from "./fill.ts";
export * from "./einsum.ts";
export * from "./matmul.ts";
export * from "./matrix.ts";
export { cdist, dist, norm, renorm } from "./norms.ts";
export * from "./math.ts";
export * from "./math_binary.ts";
export * from "./nn_native.ts";
export * from "./predicates.ts";
export {
  default_generator,
  Generator,
  get_rng_state,
  initial_seed,
  manual_seed,
  type RandomAlgorithm,
  seed,
  set_rng_state,
} from "./generator.ts";
export * from "./random.ts";
export * from "./random_inplace.ts";
export { all, any, count_nonzero, logsumexp, mean, nanmean, nansum, prod, sum, sum_to_size } from "./reduction.ts";
export { cummax, cummin, cumprod, cumsum, logcumsumexp } from "./scan.ts";
export * from "./segments.ts";
export * from "./sorting.ts";
export * from "./statistics.ts";
export { unique, unique_consecutive } from "./unique.ts";
export * from "./gathering.ts";
export * from "./index_along.ts";
export * from "./histogram.ts";
export * from "./indexing.ts";
export * from "./joining.ts";
export * from "./repeating.ts";
export * from "./storage_ops.ts";
export * from "./triangles.ts";
export * from "./view_forms.ts";
export * from "./window_functions.ts";
export * from "./windows.ts";
export { as_strided, expand, permute, reshape, transpose, unsqueeze, view } from "./views.ts";
export { i0 } from "./special.ts";
export * as linalg from "./linalg.ts";
export * as masked from "./masked.ts";
export { set_printoptions, type PrintOptions } from "./printing.ts";
export * as signal from "./signal/index.ts";
export { registry } from "./install.ts";
