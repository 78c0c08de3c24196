/** In-place forms of ops that save their first argument without computing it. */

import { expect, it } from "vitest";
import * as torch from "kindling";

it("an extremum scattered in place has the gradients of the functional form", async () => {
  const index = torch.tensor([0, 1, 1]);
  const gradients = async (inPlace: boolean): Promise<unknown[]> => {
    const x = torch.tensor([1, 2, 3.5]).requires_grad_();
    const src = torch.tensor([5, 1.5, 2]).requires_grad_();
    const y = x.clone();
    const out = inPlace ? y.scatter_reduce_(0, index, src, "amax") : y.scatter_reduce(0, index, src, "amax");
    const grads = torch.autograd.grad([out.mul(torch.tensor([1, 2, 3])).sum()], [x, src]) as torch.Tensor[];
    return Promise.all([out, ...grads].map((t) => t.tolist()));
  };
  expect(await gradients(true)).toEqual(await gradients(false));
  expect(await gradients(true)).toEqual([
    [5, 2, 3.5],
    [0, 1, 3],
    [1, 0, 1],
  ]);
});

it("the exponential of a complex number on the real axis has the derivative that it has beside it", async () => {
  const z = torch.tensor([new torch.Complex(2, 0)]).requires_grad_();
  const [g] = torch.autograd.grad([torch.view_as_real(z.exp()).select(-1, 1).sum()], [z]) as [torch.Tensor];
  const [[re, im]] = (await torch.view_as_real(g).tolist()) as number[][];
  expect(re).toBeCloseTo(0, 6);
  expect(im).toBeCloseTo(Math.exp(2), 5);
});
