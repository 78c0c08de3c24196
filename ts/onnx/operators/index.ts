/** All operators by name. */

import { control } from "./control.ts";
import type { Operators } from "./context.ts";
import { elementwise, identity } from "./elementwise.ts";
import { layers } from "./layers.ts";
import { recurrents } from "./recurrent.ts";
import { reductions } from "./reduce.ts";
import { resizes } from "./resize.ts";
import { shapes } from "./shape.ts";

export const OPERATORS: Operators = {
  ...control,
  ...elementwise,
  ...identity,
  ...layers,
  ...recurrents,
  ...reductions,
  ...resizes,
  ...shapes,
};
