/**
 * What CUDA C++ comes of which operations: snapshots, so that a change of generated code is seen in review. The calls go to a device that only
 * records. `npx vitest run test/gpu/cuda.test.ts -u` accepts changes.
 */

import { describe, expect, it } from "vitest";
import * as torch from "kindling";
import { defineFunc, KernelBuilder } from "../../gpu/builder.ts";
import { type CudaKernel, toCuda } from "../../gpu/lower/cuda.ts";
import { CUDA_CAPS, cudaRecordingDevice } from "./cuda_recording.ts";

const F = torch.nn.functional;
type Tensors = (...shape: number[]) => torch.Tensor;

/** The texts of what `fn` dispatches when its result is wanted, without those of making its arguments. */
function record(fn: (x: Tensors) => torch.Tensor): string {
  const { device, backend } = cudaRecordingDevice(CUDA_CAPS.sm_90);
  backend.computes = false;
  const result = fn((...shape) => torch.empty(shape, { device }));
  result._storage.materialize();
  return [...backend.kernels.values()].map((k) => k.text).join("\n");
}

it.each<[string, (x: Tensors) => torch.Tensor]>([
  ["map_dense", (x) => x(64, 64).mul(x(64, 64)).add(1).relu()],
  ["map_nan", (x) => torch.maximum(x(16), x(16)).isnan()],
  ["sum_rows", (x) => x(64, 512).sum(1)],
  ["softmax", (x) => F.softmax(x(64, 512), -1)],
  ["matmul", (x) => x(128, 128).matmul(x(128, 128))],
  [
    "matmul_bf16",
    (x) => {
      const half = (): torch.Tensor => torch.empty([64, 64], { dtype: torch.bfloat16, device: x(1).device });
      return half().matmul(half().t());
    },
  ],
  ["attention", (x) => F.scaled_dot_product_attention(x(2, 2, 32, 16), x(2, 2, 32, 16), x(2, 2, 32, 16))],
  ["gather", (x) => x(8, 8).gather(1, torch.empty([8, 2], { dtype: torch.int64, device: x(1).device }))],
])("%s", async (name, fn) => {
  await expect(record(fn)).toMatchFileSnapshot(`./snapshots/${name}.cu`);
});

describe("a kernel", () => {
  /** y = x + y, and whatever `more` adds. */
  const add = (more: (k: KernelBuilder) => void = () => {}, threads = 64): KernelBuilder => {
    const k = new KernelBuilder("add", threads);
    const x = k.input("x", "f32");
    const y = k.output("y", "f32");
    y.store(k.thread, x.load(k.thread).add(y.load(k.thread)));
    more(k);
    return k;
  };
  const signature = ({ text }: CudaKernel): string => /extern "C" .*/.exec(text)![0].replace(/_[0-9a-f]{16}\(/, "(");

  it("takes pointers, then params", () => {
    const { name, text, threads, dynamicShared } = toCuda(
      add((k) => {
        for (const scalar of ["bool", "i64", "f32", "i32", "f64", "u32"] as const) k.param(scalar, scalar);
      }).build(),
    );
    expect({ threads, dynamicShared }).toEqual({ threads: 64, dynamicShared: 0 });
    expect(name).toMatch(/^add_[0-9a-f]{16}$/);
    expect(text).toContain(` ${name}(`);
    expect(signature({ name, text, threads, dynamicShared })).toBe(
      'extern "C" __global__ void __launch_bounds__(64) add(const float* __restrict__ b_x, float* __restrict__ b_y, unsigned p_bool, long long p_i64, float p_f32, int p_i32, double p_f64, unsigned p_u32) {',
    );
  });
  it("has a name that says what it does", () => {
    const names = [add(), add(undefined, 32), add((k) => k.barrier())].map((k) => toCuda(k.build()).name);
    expect(new Set(names).size).toBe(3);
    expect(toCuda(add().build()).name).toBe(names[0]);
  });
  it("reads through the pointer that it writes to where both are one memory", () => {
    const { text } = toCuda(add().build(), [1, 1]);
    expect(text).toContain("(float* __restrict__ b_y) {");
    expect(text).not.toContain("b_x");
  });
  it("promises nothing of pointers through which threads see each other's stores", () => {
    expect(signature(toCuda(add((k) => k.barrier("storage")).build()))).toContain("float* b_y");
  });
  it("asks for workgroup memory at the launch where it is more than 48 KiB", () => {
    const kernel = (length: number): CudaKernel =>
      toCuda(
        add((k) => {
          k.shared("big", "f32", length, 4).store(k.thread, k.const(1, "f32", 4));
          k.shared("flags", "bool", 5).store(0, k.bool(true));
          k.shared("longs", "i64", 1).store(0, k.const(1n, "i64"));
        }).build(),
      );
    expect(kernel(3070)).toMatchObject({ dynamicShared: 0 });
    expect(kernel(3071)).toMatchObject({ dynamicShared: 3071 * 16 + 16 + 16 });
    expect(kernel(3071).text).toContain("long long* const s_longs = (long long*)(kd_dynamic_shared() + 49152);");
  });
  it("keeps helper functions in a namespace of its own", () => {
    const twice = defineFunc("twice", ["f32"], (_, x) => x!.add(x!));
    const k = add((b) => b.output("z", "f32").store(0, b.call(twice, b.f32(3))));
    const { name, text } = toCuda(k.build());
    expect(text).toContain(`namespace ${name}_ns {\nstatic __device__ float twice(const float v0) {`);
    expect(text).toContain(`${name}_ns::twice(3.0f)`);
  });
});
