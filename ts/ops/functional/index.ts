/** torch.nn.functional. */

import { install } from "../install.ts";
import * as activation from "./activation.ts";
import * as attention from "./attention.ts";
import * as conv from "./conv.ts";
import * as dropout from "./dropout.ts";
import * as embedding from "./embedding.ts";
import * as linear from "./linear.ts";
import * as loss from "./loss.ts";
import * as normalization from "./normalization.ts";
import * as one_hot from "./one_hot.ts";
import * as pdist from "./pdist.ts";
import * as padding from "./padding.ts";
import * as pooling from "./pooling.ts";
import * as softmax from "./softmax.ts";

for (const family of [
  activation,
  attention,
  conv,
  dropout,
  embedding,
  linear,
  loss,
  normalization,
  one_hot,
  pdist,
  padding,
  pooling,
  softmax,
])
  install(family, "nn.functional");

export * from "./activation.ts";
export * from "./attention.ts";
export * from "./conv.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export * from "./linear.ts";
export * from "./loss.ts";
export * from "./normalization.ts";
export * from "./one_hot.ts";
export * from "./pdist.ts";
export * from "./padding.ts";
export * from "./pooling.ts";
export * from "./softmax.ts";
