/** Names that PyTorch's users reach for beside operations; values are PyTorch 1.13's. */

import { expect, it } from "vitest";
import * as torch from "../../ts/entry.node.ts";

it("second names are the same functions, methods and in-place forms", () => {
  const x = torch.tensor([-1.5, 0.5, 2]);
  expect(torch.absolute(x).tolist_sync()).toEqual([1.5, 0.5, 2]);
  expect(x.subtract(1, { alpha: 2 }).tolist_sync()).toEqual([-3.5, -1.5, 0]);
  expect(torch.divide(x, 2, { rounding_mode: "floor" }).tolist_sync()).toEqual([-1, 0, 1]);
  expect(x.clip({ min: -1, max: 1 }).tolist_sync()).toEqual([-1, 0.5, 1]);
  expect(x.greater_equal(0.5).tolist_sync()).toEqual([false, true, true]);
  expect(torch.arctan2(torch.ones(1), torch.ones(1)).item_sync()).toBeCloseTo(Math.PI / 4, 6);
  const y = torch.ones(2, { requires_grad: true });
  const z = y.mul(1);
  expect(z.multiply_(3).negative_()).toBe(z);
  z.sum().backward();
  expect(y.grad!.tolist_sync()).toEqual([-3, -3]);
});

it("finfo and iinfo", () => {
  expect(torch.finfo(torch.float16)).toMatchObject({
    bits: 16,
    max: 65504,
    eps: 0.0009765625,
    tiny: 6.103515625e-5,
    resolution: 1e-3,
  });
  expect(torch.finfo(torch.bfloat16)).toMatchObject({
    min: -3.3895313892515355e38,
    eps: 0.0078125,
    resolution: 0.01,
    dtype: "bfloat16",
  });
  expect(torch.finfo()).toMatchObject({
    bits: 32,
    max: 3.4028234663852886e38,
    smallest_normal: 1.1754943508222875e-38,
    resolution: 1e-6,
  });
  expect(torch.finfo(torch.complex128)).toEqual(torch.finfo(torch.double));
  expect(torch.finfo(torch.float64)).toMatchObject({ max: Number.MAX_VALUE, eps: Number.EPSILON, tiny: 2.2250738585072014e-308 });
  expect(torch.iinfo(torch.int8)).toEqual({ bits: 8, dtype: "int8", max: 127, min: -128 });
  expect(torch.iinfo(torch.uint8)).toMatchObject({ max: 255, min: 0 });
  expect(torch.iinfo(torch.long)).toMatchObject({ max: 9223372036854775807n, min: -9223372036854775808n });
  expect(() => torch.finfo(torch.int)).toThrow(/requires a floating point input type, got torch.int32/);
  expect(() => torch.iinfo(torch.float)).toThrow(/requires an integer input type/);
  expect(() => torch.iinfo(torch.bool)).toThrow("torch.bool is not supported by torch.iinfo");
});

it("what tensors say of themselves", () => {
  const x = torch.ones(2, 2, { requires_grad: true });
  expect([x.is_cpu, x.is_cuda, x.is_sparse, x.is_meta, x.get_device()]).toEqual([true, false, false, false, -1]);
  expect([x.is_conj(), x.is_neg(), x.is_inference()]).toEqual([false, false, false]);
  expect(torch.inference_mode(() => torch.is_inference(torch.ones(1)))).toBe(true);
  const parts = x.mul(2).unbind();
  parts[1]!.retain_grad();
  expect([parts[1]!.output_nr, parts[1]!.retains_grad, x.retains_grad]).toEqual([1, true, false]);
  expect(x.is_set_to(x.view(2, 2)) && !x.is_set_to(x.t()) && !x.is_set_to(x.clone())).toBe(true);
  expect(x.cpu()).toBe(x);
  expect(torch.ones(2, 3).swapaxes_(0, 1).shape).toEqual([3, 2]);
  expect(torch.device("cpu", 0)).toBe(x.device);
});

it("the choice of deterministic algorithms is kept", () => {
  torch.use_deterministic_algorithms(true, { warn_only: true });
  expect([torch.are_deterministic_algorithms_enabled(), torch.get_deterministic_debug_mode()]).toEqual([true, 1]);
  torch.set_deterministic_debug_mode("error");
  expect(torch.is_deterministic_algorithms_warn_only_enabled()).toBe(false);
  expect(() => torch.set_deterministic_debug_mode("never")).toThrow(torch.RuntimeError);
  torch.use_deterministic_algorithms(false);
  expect(torch.get_deterministic_debug_mode()).toBe(0);
});

it("Tensor.hardshrink and prelu, torch.celu and its like", () => {
  const x = torch.tensor([-1, 0.25, 2]);
  expect(x.hardshrink().tolist_sync()).toEqual([-1, 0, 2]);
  expect(x.hardshrink({ lambd: 1 }).tolist_sync()).toEqual([0, 0, 2]);
  expect(x.prelu(torch.tensor([0.5])).tolist_sync()).toEqual([-0.5, 0.25, 2]);
  expect(torch.threshold(x, 0.5, 7).tolist_sync()).toEqual([7, 7, 2]);
  expect(torch.dropout(x, 0.5, false).tolist_sync()).toEqual([-1, 0.25, 2]);
});

it("torch.amp.is_autocast_available", () => {
  expect(["cpu", "cuda", "webgpu", "xpu"].map(torch.amp.is_autocast_available)).toEqual([true, true, true, false]);
});
