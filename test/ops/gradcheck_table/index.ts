/** The table: for every op of the library that can have a gradient, random arguments. */

import type { Entries } from "./check.ts";
import { elementwise } from "./elementwise.ts";
import { functional } from "./functional.ts";
import { indexing } from "./indexing.ts";
import { lossEntries } from "./losses.ts";
import { matrices } from "./matrices.ts";
import { reductions } from "./reductions.ts";
import { shapes } from "./shapes.ts";

export const families: Readonly<Record<string, Entries>> = {
  elementwise,
  reductions,
  shapes,
  indexing,
  matrices,
  functional,
  losses: lossEntries,
};
