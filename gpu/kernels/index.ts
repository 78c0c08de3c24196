/** One lowering per KernelSpec kind. */

import { NotImplementedError } from "../../ts/core/errors.ts";
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

function missing<K extends KernelKind>(kind: K): GpuLowering<K> {
  return () => {
    throw new NotImplementedError(`${kind}: not implemented on GPU devices`);
  };
}

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
  sort: missing("sort"),
  nonzero: missing("nonzero"),
  random: lowerRandom,
  optimizer: lowerOptimizer,
};
