/** All ops, as they appear in `torch`. Families are modules; installing one gives Tensor its methods. */

import type { Methods } from "../engine/define.ts";
import * as arithmetic from "./arithmetic.ts";
import * as convert from "./convert.ts";
import * as creation from "./creation.ts";
import { install } from "./install.ts";
import * as reduction from "./reduction.ts";
import * as views from "./views.ts";

declare module "../core/tensor.ts" {
  interface Tensor
    extends Methods<typeof arithmetic>,
      Methods<typeof convert>,
      Methods<typeof creation>,
      Methods<typeof reduction>,
      Methods<typeof views> {}
}

for (const family of [arithmetic, convert, creation, reduction, views]) install(family);

export * from "./arithmetic.ts";
export * from "./convert.ts";
export * from "./creation.ts";
export * from "./reduction.ts";
export * from "./views.ts";
export { registry } from "./install.ts";
