/** States of the cpu's stream go to PyTorch and come from it. Runs where a Python with torch is installed. */

import { execFileSync } from "node:child_process";
import * as torch from "kindling";
import { expect, it } from "vitest";
import { pythonWith } from "../io/python.ts";

const python = pythonWith("torch");
const SCRIPT = `
import json, sys, torch
torch.set_rng_state(torch.tensor(json.load(sys.stdin), dtype=torch.uint8))
first = torch.randn(5).tolist() + torch.rand(3).tolist()
state = torch.get_rng_state().tolist()
json.dump([first, state, torch.randn(3).tolist() + torch.randperm(9).tolist()], sys.stdout)
`;

it.skipIf(python === null)("get_rng_state and set_rng_state, both ways", () => {
  torch.manual_seed(11);
  torch.randn(3);
  torch.rand(700);
  const input = JSON.stringify(torch.get_rng_state().tolist_sync());
  const [first, state, rest] = JSON.parse(execFileSync(python!, ["-W", "ignore", "-c", SCRIPT], { input, encoding: "utf8" })) as [
    number[],
    number[],
    number[],
  ];
  const close = (got: torch.Tensor[], want: number[]): void =>
    (torch.cat(got.map((t) => t.to(torch.float32))).tolist_sync() as number[]).forEach((x, i) =>
      expect(x).toBeCloseTo(want[i]!, 5),
    );
  close([torch.randn(5), torch.rand(3)], first);
  torch.manual_seed(0);
  torch.set_rng_state(torch.tensor(state, { dtype: torch.uint8 }));
  close([torch.randn(3), torch.randperm(9)], rest);
});
