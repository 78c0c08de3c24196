/** Resizing is linear: its gradient is its adjoint, and the gradient of that is the resizing itself. */

import { expect, test } from "vitest";
import * as torch from "kindling";

const F = torch.nn.functional;
const double = { dtype: torch.float64 };
const cases: [string, number[]][] = [
  ["nearest", [2, 2, 4]],
  ["nearest-exact", [1, 1, 5, 3]],
  ["linear", [2, 1, 6]],
  ["bilinear", [1, 2, 3, 4]],
  ["bicubic", [1, 1, 4, 5]],
  ["trilinear", [1, 1, 3, 2, 4]],
];

test.each(cases)("interpolate, %s", (mode, shape) => {
  for (const align_corners of mode.startsWith("nearest") ? [null] : [true, false]) {
    for (const scale_factor of [2, 3, 1.7, 0.5, 0.6]) {
      const resize = (t: torch.Tensor): torch.Tensor => F.interpolate(t, { scale_factor, mode, align_corners });
      const x = torch.randn(shape, double).requires_grad_();
      const v = torch.randn(shape, double);
      const y = resize(x);
      const u = torch.randn(y.shape, double).requires_grad_();
      const [gx] = torch.autograd.grad(y, [x], { grad_outputs: u, create_graph: true });
      const [gu] = torch.autograd.grad(gx!, [u], { grad_outputs: v });
      const image = resize(v);
      expect(Math.abs(Number(image.mul(u).sum().item_sync()) - Number(gx!.mul(v).sum().item_sync()))).toBeLessThan(1e-9);
      expect(torch.allclose(gu!, image, { rtol: 0, atol: 1e-12 })).toBe(true);
    }
  }
});
