/** One lowering per KernelSpec kind. */

import type { KernelKind } from "../../ts/kernel/spec.ts";
import type { GpuLowering } from "../context.ts";
import { lowerAttention } from "./attention.ts";
import { lowerConv } from "./conv.ts";
import { lowerGather } from "./gather.ts";
import { lowerScatter } from "./scatter.ts";
import { lowerMap } from "./map.ts";
import { lowerReduce } from "./reduce.ts";
import { lowerRowwise } from "./rowwise.ts";
import { lowerMatmul } from "./matmul.ts";
import { lowerPool } from "./pool.ts";
import { lowerOptimizer } from "./optimizer.ts";
import { lowerRandom } from "./random.ts";
import { lowerScan } from "./scan.ts";
import { lowerNonzero } from "./nonzero.ts";
import { lowerUpdate } from "./update.ts";
import { lowerSort } from "./sort.ts";

export const lowerings: { readonly [K in KernelKind]: GpuLowering<K> } = {
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
