/** All ops, as they appear in `torch`. Families are modules; installing one gives Tensor its methods. */

import type { Methods } from "../engine/define.ts";
import * as arithmetic from "./arithmetic.ts";
import * as compare from "./compare.ts";
import * as convert from "./convert.ts";
import * as creation from "./creation.ts";
import * as fill from "./fill.ts";
import * as math from "./math.ts";
import { install } from "./install.ts";
import * as reduction from "./reduction.ts";
import * as views from "./views.ts";

declare module "../core/tensor.ts" {
  interface Tensor
    extends
      Methods<typeof arithmetic>,
      Methods<typeof compare>,
      Methods<typeof convert>,
      Methods<typeof creation>,
      Methods<typeof fill>,
      Methods<typeof math>,
      Methods<typeof reduction>,
      Methods<typeof views> {}
}

for (const family of [arithmetic, compare, convert, creation, fill, math, reduction, views]) install(family);

export * from "./arithmetic.ts";
export * from "./compare.ts";
export * from "./convert.ts";
export * from "./creation.ts";
export * from "./fill.ts";
export * from "./math.ts";
export * from "./reduction.ts";
export * from "./views.ts";
export { registry } from "./install.ts";
