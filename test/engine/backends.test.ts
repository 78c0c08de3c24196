/** torch.backends: PyTorch's settings, and that they reach the device with each call. */

import * as torch from "kindling";
import { afterEach, expect, it, vi } from "vitest";
import { registerLibraryVersions } from "../../ts/core/settings.ts";
import { resolveDevice } from "../../ts/ops/devices.ts";

const { cuda, cudnn } = torch.backends;

afterEach(() => {
  vi.restoreAllMocks();
  torch.set_float32_matmul_precision("highest");
  Object.assign(cudnn, { enabled: true, benchmark: false, deterministic: false, allow_tf32: true });
  cuda.preferred_blas_library("default");
});

/** The params of the last kernel that `fn` runs. */
function paramsOf(fn: () => unknown): { tf32?: boolean } {
  const run = vi.spyOn(resolveDevice("cpu"), "run");
  fn();
  const params = run.mock.calls.at(-1)![3] as { tf32?: boolean };
  run.mockRestore();
  return params;
}

const a = torch.ones([2, 3]);
const b = torch.ones([3, 2]);
const image = torch.ones([1, 1, 4, 4]);
const kernel = torch.ones([1, 1, 2, 2]);

it("has PyTorch's defaults", () => {
  expect(torch.get_float32_matmul_precision()).toBe("highest");
  expect(cuda.matmul.allow_tf32).toBe(false);
  expect(cuda.preferred_blas_library()).toBe("default");
  expect(cudnn).toMatchObject({ enabled: true, benchmark: false, deterministic: false, allow_tf32: true });
  expect(paramsOf(() => a.mm(b)).tf32).toBe(false);
  expect(paramsOf(() => torch.conv2d(image, kernel)).tf32).toBe(true);
});

it("allow_tf32 and the matmul precision are two views of one setting", () => {
  cuda.matmul.allow_tf32 = true;
  expect(torch.get_float32_matmul_precision()).toBe("high");
  expect(paramsOf(() => a.mm(b)).tf32).toBe(true);
  cuda.matmul.allow_tf32 = false;
  expect(torch.get_float32_matmul_precision()).toBe("highest");
  torch.set_float32_matmul_precision("medium");
  expect(cuda.matmul.allow_tf32).toBe(true);
  const q = torch.ones([1, 2, 4]);
  expect(paramsOf(() => torch.nn.functional.scaled_dot_product_attention(q, q, q)).tf32).toBe(true);
  expect(paramsOf(() => torch.nn.functional.linear(a, a)).tf32).toBe(true);
  torch.set_float32_matmul_precision("highest");
  expect(paramsOf(() => torch.nn.functional.scaled_dot_product_attention(q, q, q)).tf32).toBe(false);
});

it("cudnn.allow_tf32 goes for convolutions only, backward too", () => {
  cudnn.allow_tf32 = false;
  expect(paramsOf(() => torch.conv2d(image, kernel)).tf32).toBe(false);
  const w = kernel.clone().requires_grad_();
  const y = torch.conv2d(image, w);
  cudnn.allow_tf32 = true;
  expect(paramsOf(() => torch.autograd.grad(y, w, { grad_outputs: torch.ones_like(y) })).tf32).toBe(true);
  expect(paramsOf(() => a.mm(b)).tf32).toBe(false);
});

it("refuses what is no setting", () => {
  expect(() => torch.set_float32_matmul_precision("low" as "high")).toThrow("expected one of highest, high, medium, got low");
  expect(() => (cuda.matmul.allow_tf32 = 1 as unknown as boolean)).toThrow("allow_tf32 must be a boolean, got 1");
  expect(() => cuda.preferred_blas_library("magma" as "default")).toThrow("expected one of default, cublas, cublaslt, kindling");
  expect(() => cudnn.flags({ fast: true } as object, () => 1)).toThrow("unexpected keyword argument 'fast'");
});

it("preferred_blas_library says and sets the choice", () => {
  expect(cuda.preferred_blas_library("cublas")).toBe("cublaslt");
  expect(cuda.preferred_blas_library()).toBe("cublaslt");
  expect(cuda.preferred_blas_library("kindling")).toBe("kindling");
});

it("cudnn.flags restores the settings, also after an error and an await", async () => {
  cudnn.flags({ enabled: false, allow_tf32: false }, () => {
    expect(cudnn).toMatchObject({ enabled: false, benchmark: false, allow_tf32: false });
  });
  expect(cudnn).toMatchObject({ enabled: true, allow_tf32: true });
  expect(() =>
    cudnn.flags({ benchmark: true }, () => {
      throw new Error("within");
    }),
  ).toThrow("within");
  expect(cudnn.benchmark).toBe(false);
  await cudnn.flags({ benchmark: true }, async () => {
    await Promise.resolve();
    expect(cudnn.benchmark).toBe(true);
  });
  expect(cudnn.benchmark).toBe(false);
});

it("says which cuDNN was found, in cuDNN's numbers", () => {
  const found = (version: string | null): void => registerLibraryVersions(() => ({ cublasLt: null, cudnn: version }));
  found(null);
  expect([cudnn.is_available(), cudnn.version()]).toEqual([false, null]);
  found("9.1.0");
  expect([cudnn.is_available(), cudnn.version()]).toEqual([true, 90100]);
  found("8.9.2");
  expect(cudnn.version()).toBe(8902);
  expect(cuda.is_built()).toBe(true);
});
