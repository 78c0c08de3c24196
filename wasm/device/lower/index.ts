/** How each kind of kernel spec runs on the cpu. A kind that is missing here does not compile. */

import type { KernelKind } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering } from "../context.ts";
import { lowerAttention } from "./attention.ts";
import { lowerConv } from "./conv.ts";
import { lowerGather } from "./gather.ts";
import { lowerMap } from "./map.ts";
import { lowerMatmul } from "./matmul.ts";
import { lowerOptimizer } from "./optimizer.ts";
import { lowerPool } from "./pool.ts";
import { lowerNonzero } from "./nonzero.ts";
import { lowerRandom } from "./random.ts";
import { lowerReduce } from "./reduce.ts";
import { lowerRowwise } from "./rowwise.ts";
import { lowerScan } from "./scan.ts";
import { lowerScatter } from "./scatter.ts";
import { lowerSort } from "./sort.ts";
import { lowerUpdate } from "./update.ts";

export const lowerings: { readonly [K in KernelKind]: ComposedLowering<K> } = {
  map: lowerMap,
  reduce: lowerReduce,
  scan: lowerScan,
  matmul: lowerMatmul,
  conv: lowerConv,
  pool: lowerPool,
  rowwise: lowerRowwise,
  attention: lowerAttention,
  gather: lowerGather,
  scatter: lowerScatter,
  sort: lowerSort,
  nonzero: lowerNonzero,
  random: lowerRandom,
  optimizer: lowerOptimizer,
  update: lowerUpdate,
};
