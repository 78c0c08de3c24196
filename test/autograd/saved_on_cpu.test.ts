/** torch.autograd.graph: where saved tensors lie, and writes that others make. */

import { expect, it } from "vitest";
import * as torch from "../../ts/entry.node.ts";

const { graph } = torch.autograd;

it("save_on_cpu keeps copies, with the same gradients", () => {
  const x = torch.tensor([1, 2, 3], { requires_grad: true });
  const w = torch.tensor([4, 5, 6]);
  const y = graph.save_on_cpu(() => x.mul(w).exp().sum());
  y.backward();
  expect(x.grad!.div(w.mul(x.mul(w).exp())).tolist_sync()).toEqual([1, 1, 1]);
});

it("disable_saved_tensors_hooks lets nobody set hooks, and only within", () => {
  const same = (t: torch.Tensor): torch.Tensor => t;
  const set = (): void => graph.saved_tensors_hooks(same, same, () => {});
  expect(() => graph.disable_saved_tensors_hooks("not here", set)).toThrow("not here");
  expect(set).not.toThrow();
});

it("increment_version makes a backward that saved the tensor throw", () => {
  const x = torch.ones(2, { requires_grad: true });
  const w = torch.ones(2);
  const y = x.mul(w).sum();
  graph.increment_version(w);
  expect(() => y.backward()).toThrow(/modified by an inplace operation/);
});
