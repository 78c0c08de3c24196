/** If, Loop and sequences. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import type { Call, Operators, Value } from "./context.ts";

function branch(c: Call): Value[] {
  const taken = c.number(0, 0) !== 0;
  return c.block(taken ? "then_branch" : "else_branch").run([], c.scope);
}

function loop(c: Call): Value[] {
  const most = c.has(0) ? c.number(0, 0) : Infinity;
  const body = c.block("body");
  let going = !c.has(1) || c.number(1, 1) !== 0;
  let carried: Value[] = Array.from({ length: Math.max(c.count - 2, 0) }, (_, i) => c.value(i + 2));
  const n = carried.length;
  const scanned: Tensor[][] = [];
  const scans = c.node.outputs.length - n;
  for (let k = 0; k < scans; k++) scanned.push([]);
  for (let i = 0; i < most && going; i++) {
    const step = torch.tensor(i, { dtype: torch.int64, device: "cpu" });
    const out = body.run([step, torch.tensor(true, { device: "cpu" }), ...carried], c.scope);
    going = (out[0] as Tensor).item_sync() === true;
    carried = out.slice(1, 1 + n);
    for (let k = 0; k < scans; k++) scanned[k]!.push(out[1 + n + k] as Tensor);
  }
  return [...carried, ...scanned.map((list) => (list.length > 0 ? torch.stack(list) : torch.empty([0])))];
}

const list = (c: Call, i: number): Tensor[] => {
  const value = c.value(i);
  return Array.isArray(value) ? value : value === null ? [] : [value];
};

export const control: Operators = {
  If: branch,
  Loop: loop,
  ConcatFromSequence: (c) => {
    const parts = list(c, 0);
    return c.int("new_axis", 0) !== 0 ? torch.stack(parts, c.int("axis", 0)) : torch.cat(parts, c.int("axis", 0));
  },
  SequenceAt: (c) => list(c, 0).at(c.number(1, 0)) ?? null,
  SequenceConstruct: (c) => [c.all()],
  SequenceEmpty: () => [[]],
  SequenceInsert: (c) => [list(c, 0).toSpliced(c.number(2, list(c, 0).length), 0, c.x(1))],
  SequenceLength: (c) => torch.tensor(list(c, 0).length, { dtype: torch.int64, device: "cpu" }),
  SplitToSequence: (c) => {
    const x = c.x(0);
    const d = c.int("axis", 0);
    const size = c.has(1) ? (c.raw(1).ndim === 0 ? c.number(1, 1) : c.numbers(1)) : 1;
    const parts = x.split(size, d) as unknown as Tensor[];
    return [c.has(1) || c.int("keepdims", 1) !== 0 ? parts : parts.map((p) => p.squeeze(d))];
  },
};
