/** The addon's cuBLASLt and cuDNN by its contract alone, on their stand-ins. */

import { addon, bytesOf, Commands, control, failure, floatsOf, long, objects, unavailable, useStandIns } from "./native.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ConvPlanOptions, MatmulPlanOptions, NativeDevice, NativeLibraries } from "../../gpu/cuda/addon.ts";

const f64 = (value: number): [number, number] => [...new Uint32Array(new Float64Array([value]).buffer)] as [number, number];

const matmul: MatmulPlanOptions = {
  type: "f32",
  tf32: false,
  m: 2,
  n: 3,
  k: 2,
  batch: 1,
  transA: false,
  transB: false,
  lda: 2,
  ldb: 3,
  ldc: 3,
  ldd: 3,
  strideA: 0,
  strideB: 0,
  strideC: 0,
  strideD: 0,
  bias: false,
  alignment: 256,
  workspaceLimit: 1 << 20,
  candidate: 0,
};
const conv: ConvPlanOptions = {
  mode: "forward",
  type: "f32",
  tf32: false,
  input: [1, 1, 3, 3],
  weight: [1, 1, 2, 2],
  output: [1, 1, 2, 2],
  stride: [1, 1],
  padding: [0, 0],
  dilation: [1, 1],
  groups: 1,
  workspaceLimit: 1 << 20,
  candidate: 0,
};

describe.skipIf(unavailable !== null)("NativeLibraries", () => {
  let device: NativeDevice;
  let libraries: NativeLibraries;
  let workspace = 0;
  beforeEach(() => {
    useStandIns();
    device = addon.open(0);
    libraries = device.libraries!;
    workspace = device.allocate(1 << 16);
  });
  afterEach(() => {
    device.close();
    control("clear");
    expect(objects()).toMatchObject({ contexts: 0, streams: 0 });
  });

  const put = (values: number[]): number => {
    const address = device.allocate(values.length * 4);
    device.upload(address, bytesOf(values));
    return address;
  };
  const get = (address: number, count: number): number[] => floatsOf(device.downloadSync(address, count * 4));
  const run = (plan: number, addresses: number[], alpha = 1, beta = 0): void =>
    new Commands().raw(6, plan, ...addresses.flatMap(long), ...f64(alpha), ...f64(beta)).submit(device);

  it("are both there, and are the same object at every call", () => {
    expect([libraries.hasMatmul, libraries.hasConv]).toEqual([true, true]);
    expect(device.libraries).toBe(libraries);
  });

  it("d = alpha a b + beta c + bias", () => {
    const [a, b, bias] = [put([1, 2, 3, 4]), put([1, 0, 2, 0, 1, 3]), put([10, 20, 30])];
    const d = put([1, 1, 1, 1, 1, 1]);
    const plain = libraries.matmulPlan(matmul)!;
    run(plain.plan, [a, b, d, d, 0, workspace]);
    expect(get(d, 6)).toEqual([1, 2, 8, 3, 4, 18]);
    run(plain.plan, [a, b, d, d, 0, workspace], 2, -1);
    expect(get(d, 6)).toEqual([1, 2, 8, 3, 4, 18]);
    const added = libraries.matmulPlan({ ...matmul, bias: true })!;
    run(added.plan, [a, b, d, d, bias, workspace]);
    expect(get(d, 6)).toEqual([11, 22, 38, 13, 24, 48]);
  });

  it("has several candidates, some of which take memory", () => {
    const plans = [0, 1, 2].map((candidate) =>
      libraries.matmulPlan({ ...matmul, k: 4, lda: 4, n: 4, ldb: 4, ldc: 4, ldd: 4, candidate }),
    );
    expect(plans.map((plan) => plan?.workspace)).toEqual([0, 65536, 0]);
    expect(libraries.matmulPlan({ ...matmul, candidate: 7 })).toBeNull();
    // Less memory, or less alignment: fewer.
    const count = (options: Partial<MatmulPlanOptions>): number => {
      let i = 0;
      while (libraries.matmulPlan({ ...matmul, k: 4, lda: 4, n: 4, ldb: 4, ldc: 4, ldd: 4, ...options, candidate: i }) !== null)
        i++;
      return i;
    };
    expect([count({}), count({ workspaceLimit: 100 }), count({ alignment: 4 }), count({ lda: 5 })]).toEqual([3, 2, 2, 2]);
  });

  it("says null where the library cannot do it", () => {
    expect(libraries.matmulPlan({ ...matmul, type: "f64", bias: true })).toBeNull();
    expect(libraries.matmulPlan({ ...matmul, m: 2 ** 32 })).toBeNull();
    expect(libraries.convPlan({ ...conv, output: [1, 1, 5, 5] })).toBeNull();
    expect(libraries.convPlan({ ...conv, input: [2 ** 20, 1, 2 ** 10, 2 ** 10], output: [2 ** 20, 1, 1023, 1023] })).toBeNull();
  });

  it("refuses options that are none", () => {
    expect(failure(() => libraries.matmulPlan({ ...matmul, type: "f8" as "f16" }))).toMatchObject({
      code: "INVALID",
      message: expect.stringMatching(/type.*f16, bf16, f32, f64/),
    });
    expect(failure(() => libraries.matmulPlan({ ...matmul, n: 0 }))).toMatchObject({
      code: "INVALID",
      message: expect.stringContaining("at least 1"),
    });
    expect(failure(() => libraries.matmulPlan({ ...matmul, ldc: 4 })).message).toContain("c and d must lie alike");
    expect(failure(() => libraries.convPlan({ ...conv, stride: [1] })).message).toContain(
      "the dims of stride, padding and dilation",
    );
    expect(failure(() => libraries.convPlan({ ...conv, mode: "backward" as "forward" })).message).toMatch(
      /forward, input_gradient, weight_gradient/,
    );
  });

  it("convolves in three directions", () => {
    const [x, w] = [put([1, 2, 3, 4, 5, 6, 7, 8, 9]), put([1, 0, 0, -1])];
    const y = put([0, 0, 0, 0]);
    const convolve = (plan: number, ...addresses: number[]): void =>
      new Commands().raw(7, plan, ...addresses.flatMap(long)).submit(device);
    convolve(libraries.convPlan(conv)!.plan, x, w, y, workspace);
    expect(get(y, 4)).toEqual([-4, -4, -4, -4]);
    const gw = put([0, 0, 0, 0]);
    convolve(libraries.convPlan({ ...conv, mode: "weight_gradient" })!.plan, y, x, gw, workspace);
    expect(get(gw, 4)).toEqual([12, 16, 24, 28].map((sum) => sum * -4));
    const gx = put(Array<number>(9).fill(7));
    convolve(libraries.convPlan({ ...conv, mode: "input_gradient" })!.plan, y, w, gx, workspace);
    expect(get(gx, 9)).toEqual([-4, -4, 0, -4, 0, 4, 0, 4, 4]);
    const line = { ...conv, input: [1, 1, 9], weight: [1, 1, 4], output: [1, 1, 6], stride: [1], padding: [0], dilation: [1] };
    const out = put([0, 0, 0, 0, 0, 0]);
    convolve(libraries.convPlan(line)!.plan, x, w, out, workspace);
    expect(get(out, 6)).toEqual([-3, -3, -3, -3, -3, -3]);
  });

  it("only chooses algorithms that give the same bits every time", () => {
    // The stand-in offers faster ones that do not; of its backward ones, these remain.
    const choices = (mode: ConvPlanOptions["mode"], tf32: boolean): number => {
      let i = 0;
      while (libraries.convPlan({ ...conv, mode, tf32, candidate: i }) !== null) i++;
      return i;
    };
    expect([choices("forward", false), choices("input_gradient", false), choices("weight_gradient", false)]).toEqual([3, 1, 2]);
    expect([choices("forward", true), choices("input_gradient", true), choices("weight_gradient", true)]).toEqual([4, 2, 3]);
  });

  it("an error of a library does not harm the device", () => {
    const [a, b] = [put([1, 2, 3, 4]), put([1, 0, 2, 0, 1, 3])];
    const d = put([0, 0, 0, 0, 0, 0]);
    const { plan } = libraries.matmulPlan(matmul)!;
    const error = failure(() => run(plan, [a, b, d, d + (1 << 30), 0, workspace]));
    expect(error).toMatchObject({
      code: "CUDA_ERROR",
      op: "MATMUL",
      message: expect.stringContaining("cublasLtMatmul: CUBLAS_STATUS_INVALID_VALUE (7)"),
    });
    run(plan, [a, b, d, d, 0, workspace]);
    expect(get(d, 6)).toEqual([1, 2, 8, 3, 4, 18]);
  });

  it("plans that are not there, or are no more", () => {
    expect(failure(() => run(0, [0, 0, 0, 0, 0, 0]))).toMatchObject({
      code: "INVALID",
      message: expect.stringContaining("there is no plan 0; there are 0"),
    });
    expect(libraries.matmulPlan(matmul)!.plan).toBe(0);
    expect(libraries.matmulPlan(matmul)!.plan).toBe(1);
    expect(libraries.convPlan(conv)!.plan).toBe(0);
    libraries.forgetPlans();
    expect(failure(() => run(1, [0, 0, 0, 0, 0, 0])).message).toContain("there is no plan 1; there are 0");
    expect(libraries.matmulPlan(matmul)!.plan).toBe(0);
  });

  it("a lost device throws what lost it", () => {
    const [a, d] = [put([1, 2, 3, 4]), put([0, 0, 0, 0, 0, 0])];
    const { plan } = libraries.matmulPlan(matmul)!;
    control("lose 0 719");
    expect(failure(() => run(plan, [a, a, d, d, 0, 0])).code).toBe("DEVICE_LOST");
    expect(failure(() => libraries.matmulPlan(matmul)).code).toBe("DEVICE_LOST");
  });

  it("throw after the device was closed", () => {
    device.close();
    expect(failure(() => libraries.hasMatmul)).toMatchObject({ code: "INVALID" });
    expect(failure(() => libraries.matmulPlan(matmul))).toMatchObject({ code: "INVALID" });
    expect(failure(() => libraries.forgetPlans())).toMatchObject({ code: "INVALID" });
  });
});
