/** cuBLASLt and cuDNN that are not there: nothing changes but speed. */

import { unavailable } from "./environment.ts";
import { describe, expect, it } from "vitest";

process.env.KINDLING_STAND_IN_CUBLASLT = "absent";
process.env.KINDLING_STAND_IN_CUDNN = "absent";
const torch = await import("kindling");

describe.skipIf(unavailable !== null)("without NVIDIA's libraries", () => {
  it("torch.backends says so, and why", () => {
    const { cublasLt, cudnn } = torch.cuda.libraries()!;
    expect(cublasLt).toMatchObject({ version: null, error: expect.stringMatching(/libcublasLt.* does not start/) });
    expect(cudnn).toMatchObject({ version: null, error: expect.stringMatching(/libcudnn.* does not start/) });
    expect([torch.backends.cudnn.is_available(), torch.backends.cudnn.version()]).toEqual([false, null]);
    expect(torch.backends.cuda.is_built()).toBe(true);
  });
  it("our kernels compute, also where the library was preferred", () => {
    torch.backends.cuda.preferred_blas_library("cublaslt");
    torch.backends.cudnn.deterministic = true;
    torch.backends.cudnn.allow_tf32 = false;
    const [a, b] = [torch.randn([9, 7]), torch.randn([7, 5])];
    const error = a.to("cuda").mm(b.to("cuda")).to("cpu").sub(a.mm(b)).abs().max().item_sync();
    expect(error).toBeLessThan(1e-5);
    const [x, w] = [torch.ones([2, 16, 20, 20]), torch.ones([16, 16, 3, 3])];
    expect(torch.conv2d(x.to("cuda"), w.to("cuda")).max().item_sync()).toBe(144);
  });
});
