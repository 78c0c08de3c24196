/** torch.nn.functional. */

import { install } from "../install.ts";
import * as activation from "./activation.ts";
import * as attention from "./attention.ts";
import * as bilinear from "./bilinear.ts";
import * as conv from "./conv.ts";
import * as conv_tbc from "./conv_tbc.ts";
import * as ctc from "./ctc.ts";
import * as distance from "./distance.ts";
import * as dropout from "./dropout.ts";
import * as embedding from "./embedding.ts";
import * as fractional from "./fractional.ts";
import * as interpolate from "./interpolate.ts";
import * as linear from "./linear.ts";
import * as loss from "./loss.ts";
import * as loss_margin from "./loss_margin.ts";
import * as normalization from "./normalization.ts";
import * as one_hot from "./one_hot.ts";
import * as padding from "./padding.ts";
import * as pdist from "./pdist.ts";
import * as pooling from "./pooling.ts";
import * as softmax from "./softmax.ts";
import * as vision from "./vision.ts";

for (const family of [
  activation,
  attention,
  bilinear,
  conv,
  conv_tbc,
  ctc,
  distance,
  dropout,
  embedding,
  fractional,
  interpolate,
  linear,
  loss,
  loss_margin,
  normalization,
  one_hot,
  padding,
  pdist,
  pooling,
  softmax,
  vision,
])
  install(family, "nn.functional");

export * from "./activation.ts";
export * from "./attention.ts";
export * from "./bilinear.ts";
export * from "./conv.ts";
export * from "./conv_tbc.ts";
export * from "./ctc.ts";
export * from "./distance.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export * from "./fractional.ts";
export * from "./inplace.ts";
export * from "./interpolate.ts";
export * from "./linear.ts";
export * from "./loss.ts";
export * from "./loss_margin.ts";
export * from "./normalization.ts";
export * from "./one_hot.ts";
export * from "./padding.ts";
export * from "./pdist.ts";
export * from "./pooling.ts";
export { gumbel_softmax, log_softmax, softmax, softmin } from "./softmax.ts";
export * from "./vision.ts";
