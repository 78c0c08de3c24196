/** The same as gradcheck_table.test.ts at hundreds of random arguments, some with whole Jacobians, from the right or of complex numbers. */

import { describe, test } from "vitest";
import { registry } from "../../ts/entry.node.ts";
import { checkComplexEntry, checkEntry, coarse } from "./gradcheck_table/check.ts";
import { families } from "./gradcheck_table/index.ts";

const ROUNDS = 200;

for (const [family, entries] of Object.entries(families)) {
  describe(family, () => {
    test.each(Object.keys(entries))("%s", (name) => {
      for (let seed = 1000; seed < 1000 + ROUNDS; seed++) {
        checkEntry(name, registry.get(name), entries[name]!, seed, { slow: seed % 10 === 0, forward: seed % 10 === 5 });
        if (seed % 10 === 3 && !coarse.includes(name)) checkComplexEntry(name, registry.get(name), entries[name]!, seed);
      }
    });
  });
}
