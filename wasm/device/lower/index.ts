/** How each kind of kernel spec runs on the cpu. A kind that is missing here does not compile. */

import { NotImplementedError } from "../../../ts/core/errors.ts";
import type { KernelKind } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering } from "../context.ts";
import { lowerMatmul } from "./matmul.ts";

const missing =
  <K extends KernelKind>(kind: K): ComposedLowering<K> =>
  () => {
    throw new NotImplementedError(`cpu: no ${kind} kernels yet`);
  };

export const lowerings: { readonly [K in KernelKind]: ComposedLowering<K> } = {
  map: missing("map"),
  reduce: missing("reduce"),
  scan: missing("scan"),
  matmul: lowerMatmul,
  conv: missing("conv"),
  pool: missing("pool"),
  rowwise: missing("rowwise"),
  attention: missing("attention"),
  gather: missing("gather"),
  scatter: missing("scatter"),
  sort: missing("sort"),
  nonzero: missing("nonzero"),
  random: missing("random"),
  optimizer: missing("optimizer"),
};
