/** cuBLASLt and cuDNN through their stand-ins, which check every descriptor: what goes to them, and that results are the cpu's. */

import { unavailable } from "./environment.ts";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "kindling-libraries-"));
const log = join(folder, "log");
process.env.KINDLING_STAND_IN_LIBRARY_LOG = log;
afterAll(() => rmSync(folder, { recursive: true }));

const torch = await import("kindling");
type Tensor = InstanceType<typeof torch.Tensor>;
type DType = typeof torch.float32;
const F = torch.nn.functional;
const { cuda, cudnn } = torch.backends;

beforeEach(() => writeFileSync(log, ""));
afterEach(() => {
  delete process.env.KINDLING_STAND_IN_LIBRARY_WAIT;
  cuda.preferred_blas_library("default");
  torch.set_float32_matmul_precision("highest");
  Object.assign(cudnn, { enabled: true, benchmark: false, deterministic: false, allow_tf32: true });
});

/** What the libraries were called for so far, one line for each call. */
function calls(): string[] {
  torch.cuda.synchronize_sync();
  return readFileSync(log, "utf8").split("\n").filter(Boolean);
}

const random = (shape: number[], dtype: DType = torch.float32): Tensor => torch.randn(shape).to(dtype);
const TOLERANCE = new Map<DType, number>([
  [torch.float64, 1e-12],
  [torch.float32, 1e-4],
  [torch.float16, 4e-3],
  [torch.bfloat16, 3e-2],
]);

function expectClose(got: Tensor, want: Tensor, tolerance = TOLERANCE.get(want.dtype)!): void {
  expect(got.dtype).toBe(want.dtype);
  expect(got.shape).toEqual(want.shape);
  const wide = (t: Tensor): Tensor => t.to("cpu").to(torch.float64);
  const error = wide(got).sub(wide(want)).abs().max().item_sync() as number;
  expect(error).toBeLessThanOrEqual(tolerance * (1 + (wide(want).abs().max().item_sync() as number)));
}

/** The same on cpu and cuda. */
function compare(call: (...inputs: Tensor[]) => Tensor, inputs: Tensor[], tolerance?: number): void {
  const want = call(...inputs);
  const got = call(...inputs.map((t) => t.to("cuda")));
  expectClose(got, want, tolerance);
}

const { float16, bfloat16, float32, float64 } = torch;

describe.skipIf(unavailable !== null)("versions", () => {
  it("are known without a device", () => {
    expect(torch.cuda.libraries()!.cublasLt).toMatchObject({ version: "12.8.5", error: null });
    expect(torch.cuda.libraries()!.cudnn).toMatchObject({ version: "9.1.0", error: null });
    expect([cuda.is_built(), cudnn.is_available(), cudnn.version()]).toEqual([true, true, 90100]);
  });
});

describe.skipIf(unavailable !== null)("cuBLASLt", () => {
  beforeEach(() => cuda.preferred_blas_library("cublaslt"));

  it.each([float16, bfloat16, float32, float64])("multiplies %s matrices however they lie", (dtype) => {
    const [a, b, at, bt] = [random([5, 7], dtype), random([7, 3], dtype), random([7, 5], dtype), random([3, 7], dtype)];
    compare((x, y) => x.mm(y), [a, b]);
    compare((x, y) => x.t().mm(y), [at, b]);
    compare((x, y) => x.mm(y.t()), [a, bt]);
    compare((x, y) => x.t().mm(y.t()), [at, bt]);
    const name = dtype.name.replace("float", "f").replace("bf", "bf");
    // To the library the second operand is the first, and n comes before m.
    expect(calls().map((line) => line.replace(/ algorithm.*/, ""))).toEqual(
      ["NN", "NT", "TN", "TT"].map((t) => `matmul ${name} m=3 n=5 k=7 batch=1 ${t}`),
    );
  });

  it("multiplies thin and tiny ones", () => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [1, 9, 1],
      [8, 1, 1],
      [1, 1, 8],
      [1, 6, 4],
      [4, 6, 1],
      [2, 1, 3],
    ] as const) {
      compare((x, y) => x.mm(y), [random([m, k]), random([k, n])]);
      compare((x, y) => x.t().mm(y.t()), [random([k, m]), random([n, k])]);
    }
    expect(calls()).toHaveLength(14);
    expect(calls().filter((line) => line.startsWith("refused"))).toEqual([]);
  });

  it("multiplies batches, shared operands, and batches that are one matrix", () => {
    const [a, b] = [random([4, 5, 6]), random([4, 6, 3])];
    compare((x, y) => x.bmm(y), [a, b]);
    compare((x, y) => x.bmm(y.mT), [a, random([4, 3, 6])]);
    compare((x, y) => x.mT.bmm(y), [random([4, 6, 5]), b]);
    compare((x, y) => torch.bmm(x.expand([4, 5, 6]), y), [random([1, 5, 6]), b]);
    compare((x, y) => torch.bmm(x, y.expand([4, 6, 3])), [a, random([1, 6, 3])]);
    compare((x, y) => x.matmul(y), [random([2, 3, 5, 6]), random([6, 3])]);
    expect(calls().map((line) => /m=.*batch=\d+/.exec(line)![0])).toEqual([
      ...Array<string>(4).fill("m=3 n=5 k=6 batch=4"),
      "m=3 n=20 k=6 batch=1",
      "m=3 n=30 k=6 batch=1",
    ]);
  });

  it("adds a bias, and has gradients", () => {
    const inputs = [random([6, 8]), random([4, 8]), random([4])];
    compare((x, w, b) => F.linear(x, w, b), inputs);
    expect(calls()).toEqual([expect.stringMatching(/^matmul f32 m=4 n=6 k=8 batch=1 TN bias/)]);
    const grads = (device: string): Tensor[] => {
      const own = inputs.map((t) => t.to(device).detach().requires_grad_());
      F.linear(own[0]!, own[1]!, own[2]!).pow(2).sum().backward();
      return own.map((t) => t.grad!);
    };
    const want = grads("cpu");
    grads("cuda").forEach((g, i) => expectClose(g, want[i]!, 1e-4));
    expect(calls().filter((line) => line.startsWith("refused"))).toEqual([]);
  });

  it("takes the algorithms that fit how things are aligned", () => {
    const a = random([16, 16], bfloat16).to("cuda");
    const big = random([300], bfloat16).to("cuda");
    a.mm(a);
    a.mm(big.narrow(0, 1, 256).view(16, 16));
    a.mm(big.narrow(0, 8, 256).view(16, 16));
    a.narrow(1, 0, 15).mm(a.narrow(0, 0, 15));
    expect(calls().map((line) => line.at(-1))).toEqual(["0", "1", "0", "0"]);
    const b = random([15, 15], bfloat16).to("cuda");
    b.mm(b);
    expect(calls().at(-1)).toMatch(/algorithm=1$/); // leading dimensions of 30 bytes
    expectClose(b.mm(b), b.to("cpu").mm(b.to("cpu")));
  });

  it("leaves to our kernels what it cannot be given", () => {
    const x = random([5, 6]);
    compare((a, b) => a.mm(b.expand([6, 3])), [x, random([6, 1])]); // rows of one element, repeated
    compare((a, b) => a.mm(b.as_strided([6, 3], [5, 2])), [x, random([40])]);
    compare((a, b, c) => F.linear(a, b, c), [x.to(float64), random([3, 6], float64), random([3], float64)]); // no such epilogue
    compare((a, b) => a.mm(b), [torch.arange(6).view(2, 3), torch.arange(12).view(3, 4)], 0);
    expect(calls().filter((line) => !line.startsWith("refused: a bias epilogue of f64"))).toEqual([]);
  });

  it("rounds to TF32 only when that is allowed", () => {
    const one = torch.tensor([[1 + 2 ** -12]]).to("cuda");
    expect(one.mm(one).item_sync()).toBeCloseTo(1 + 2 ** -11, 6);
    torch.set_float32_matmul_precision("high");
    expect(one.mm(one).item_sync()).toBe(1);
    expect(one.to(float64).mm(one.to(float64)).item_sync()).toBeCloseTo(1 + 2 ** -11, 6);
    expect(calls().map((line) => line.split(" m=")[0])).toEqual(["matmul f32", "matmul f32 tf32", "matmul f64"]);
  });

  it("works in captured graphs", () => {
    const a = random([16, 16]).to("cuda");
    const g = new torch.cuda.CUDAGraph();
    const y = torch.cuda.graph(g, () => a.mm(a).add(1));
    a.copy_(torch.eye(16).mul(3));
    g.replay();
    expectClose(y, torch.eye(16).mul(9).add(1));
    g.reset();
    expect(calls().filter((line) => line.startsWith("matmul"))).toHaveLength(1); // once, at the capture
  });

  it("can be forbidden", () => {
    cuda.preferred_blas_library("kindling");
    compare((a, b) => a.mm(b), [random([9, 9]), random([9, 9])]);
    expect(calls()).toEqual([]);
  });
});

describe.skipIf(unavailable !== null)("the choice", () => {
  // Large enough for our kernels, which the stand-in runs thread by thread, to be the slower ones.
  const a = random([200, 256]);
  const b = random([256, 200]);

  it("is not worth it for small products", () => {
    compare((x, y) => x.mm(y), [random([32, 32]), random([32, 32])]);
    expect(calls()).toEqual([]);
  });

  it("is made by trying, once for shapes of about a size, and then stays", () => {
    const [x, y] = [a.to("cuda"), b.to("cuda")];
    process.env.KINDLING_STAND_IN_LIBRARY_WAIT = "300000,0,300000";
    expectClose(x.mm(y), a.mm(b));
    const lines = calls();
    // All three were tried; the one that did not wait was repeated, and computed the result.
    for (const i of [0, 1, 2]) expect(lines.some((line) => line.endsWith(`algorithm=${i}`))).toBe(true);
    expect(lines.at(-1)).toMatch(/algorithm=1$/);
    writeFileSync(log, "");
    expectClose(x.mm(y), a.mm(b));
    expect(calls()).toEqual([expect.stringMatching(/algorithm=1$/)]);
    // About the same shape, so no trial; the library's own first choice.
    const [p, q] = [random([198, 256]), b];
    expectClose(p.to("cuda").mm(q.to("cuda")), p.mm(q));
    expect(calls().slice(1)).toEqual([expect.stringMatching(/n=198 .*algorithm=0$/)]);
  });

  it("falls on our kernels where the library is slower, or fails", () => {
    process.env.KINDLING_STAND_IN_LIBRARY_WAIT = "3000000,3000000,3000000";
    const [x, y] = [a.to("cuda").to(float64), b.to("cuda").to(float64)];
    expectClose(x.mm(y), a.to(float64).mm(b.to(float64)));
    expect(calls()).toHaveLength(3); // each waited once, and was hopeless
    expectClose(x.mm(y), a.to(float64).mm(b.to(float64)));
    expect(calls()).toHaveLength(3);
  });

  it("waits while a graph is captured", () => {
    const x = random([96, 256]).to("cuda");
    const g = new torch.cuda.CUDAGraph();
    const y = torch.cuda.graph(g, () => x.mm(x.t()));
    g.replay();
    expectClose(y, x.to("cpu").mm(x.to("cpu").t()));
    expect(calls().filter((line) => line.startsWith("matmul"))).toHaveLength(1);
    g.reset();
  });

  it("gives the same bits again and again", () => {
    const x = random([130, 130]).to("cuda");
    const first = x.mm(x).tolist_sync();
    for (let i = 0; i < 3; i++) expect(x.mm(x).tolist_sync()).toEqual(first);
  });
});

type ConvCase = [name: string, call: (x: Tensor, w: Tensor, b: Tensor) => Tensor, x: number[], w: number[], bias: number];
const convolutions: ConvCase[] = [
  ["2 dims, padded", (x, w, b) => F.conv2d(x, w, b, { padding: 1 }), [4, 16, 20, 20], [16, 16, 3, 3], 16],
  [
    "2 dims, strides and dilation",
    (x, w, b) => F.conv2d(x, w, b, { stride: [2, 1], padding: [0, 2], dilation: [1, 2] }),
    [4, 16, 24, 24],
    [16, 16, 3, 3],
    16,
  ],
  ["groups", (x, w, b) => F.conv2d(x, w, b, { groups: 4, padding: 1 }), [4, 32, 20, 20], [32, 8, 3, 3], 32],
  ["1 dim", (x, w, b) => F.conv1d(x, w, b, { padding: 2 }), [4, 32, 200], [32, 32, 5], 32],
  ["3 dims", (x, w, b) => F.conv3d(x, w, b, { padding: 1, stride: [1, 2, 1] }), [2, 8, 6, 12, 12], [16, 8, 3, 3, 3], 16],
  [
    "transposed",
    (x, w, b) => F.conv_transpose2d(x, w, b, { stride: 2, padding: 1, output_padding: 1 }),
    [4, 16, 18, 18],
    [16, 16, 3, 3],
    16,
  ],
];

describe.skipIf(unavailable !== null)("cuDNN", () => {
  it.each(convolutions)("convolves: %s, and its gradients", (_, call, x, w, bias) => {
    cudnn.deterministic = true; // no trials
    cudnn.allow_tf32 = false;
    const inputs = [random(x), random(w).mul(0.1), random([bias])];
    const all = (device: string): Tensor[] => {
      const own = inputs.map((t) => t.to(device).detach().requires_grad_());
      const y = call(own[0]!, own[1]!, own[2]!);
      y.mul(y).sum().backward();
      return [y, ...own.map((t) => t.grad!)];
    };
    const want = all("cpu");
    all("cuda").forEach((t, i) => expectClose(t, want[i]!, 1e-4));
    const lines = calls();
    expect(lines.map((line) => line.split(" ")[1]).sort()).toEqual(["data", "filter", "forward"]);
    expect(lines.filter((line) => /tf32|half|refused/.test(line))).toEqual([]);
  });

  it.each([float16, bfloat16, float64])("convolves %s", (dtype) => {
    cudnn.deterministic = true;
    const inputs = [random([4, 16, 20, 20], dtype), random([16, 16, 3, 3]).mul(0.1).to(dtype), random([16], dtype)];
    compare((x, w, b) => F.conv2d(x, w, b), inputs);
    expect(calls()).toHaveLength(1);
  });

  it("uses TF32 by default, as PyTorch does, and never half precision", () => {
    cudnn.deterministic = true;
    const x = torch.full([1, 16, 40, 40], 1 + 2 ** -12).to("cuda");
    const w = torch.zeros(128, 16, 1, 1).to("cuda");
    w.select(1, 0).fill_(1 + 2 ** -12);
    const value = (): number => F.conv2d(x, w).max().item_sync() as number;
    expect(value()).toBe(1);
    expect(calls()[0]).toContain("conv forward f32 tf32");
    cudnn.allow_tf32 = false;
    expect(value()).toBeCloseTo(1 + 2 ** -11, 6);
    expect(calls()[1]).toContain("conv forward f32 ");
  });

  it("is tried against our kernels; benchmark tries more of its algorithms", () => {
    cudnn.allow_tf32 = false;
    const x = random([4, 16, 40, 40]);
    const w = random([16, 16, 3, 3]).mul(0.1);
    const [onCuda, weight] = [x.to("cuda"), w.to("cuda")];
    process.env.KINDLING_STAND_IN_LIBRARY_WAIT = "0,400000,400000";
    expectClose(F.conv2d(onCuda, weight), F.conv2d(x, w), 1e-4);
    expect(new Set(calls().map((line) => line.at(-1)))).toEqual(new Set(["1"])); // its first choice
    writeFileSync(log, "");
    cudnn.benchmark = true;
    expectClose(F.conv2d(onCuda, weight), F.conv2d(x, w), 1e-4);
    expect(new Set(calls().map((line) => line.at(-1)))).toEqual(new Set(["0", "1", "2"]));
    writeFileSync(log, "");
    expectClose(F.conv2d(onCuda, weight), F.conv2d(x, w), 1e-4);
    expect(calls()).toEqual([expect.stringMatching(/algorithm=0$/)]);
  });

  it("can be switched off, and is not asked about small convolutions", () => {
    cudnn.allow_tf32 = false;
    cudnn.enabled = false;
    compare((x, w) => F.conv2d(x, w), [random([4, 16, 20, 20]), random([16, 16, 3, 3]).mul(0.1)], 1e-4);
    cudnn.enabled = true;
    compare((x, w) => F.conv2d(x, w), [random([1, 2, 6, 6]), random([2, 2, 3, 3])], 1e-4);
    expect(calls()).toEqual([]);
  });
});

describe.skipIf(unavailable !== null)("autocast on cuda", () => {
  it("multiplies in lower precision, with float32 parameters and gradients", () => {
    cuda.preferred_blas_library("cublaslt");
    torch.manual_seed(0);
    const model = new torch.nn.Sequential(
      new torch.nn.Linear(8, 16),
      new torch.nn.GELU(),
      new torch.nn.LayerNorm(16),
      new torch.nn.Linear(16, 4),
    );
    const x = torch.randn([6, 8]);
    const target = torch.randint(0, 4, [6]);
    const step = (device: string): [number, Tensor[]] => {
      model.to(device);
      model.zero_grad();
      const loss = torch.autocast("cuda", { dtype: bfloat16 }, () => F.cross_entropy(model(x.to(device)), target.to(device)));
      expect(loss.dtype).toBe(float32);
      loss.backward();
      return [loss.item_sync() as number, model.parameters().map((p) => p.grad!.to("cpu"))];
    };
    const [want, wantGrads] = step("cpu"); // autocast for cuda does not count there
    const [got, grads] = step("cuda");
    expect(Math.abs(got - want)).toBeLessThan(0.02);
    grads.forEach((g, i) => expectClose(g, wantGrads[i]!, 0.05));
    expect(calls().every((line) => line.startsWith("matmul bf16"))).toBe(true);
  });

  it("runs recurrent networks in lower precision, as cuDNN's", () => {
    const lstm = new torch.nn.LSTM(4, 6).to("cuda");
    const x = torch.randn([3, 2, 4]).to("cuda");
    const [y, [h, c]] = torch.autocast("cuda", () => lstm(x));
    expect([y.dtype, h.dtype, c.dtype]).toEqual([float16, float16, float16]);
    y.to(float32).sum().backward();
    expect(lstm.parameters().every((p) => p.grad!.dtype === float32)).toBe(true);
    const [exact] = lstm(x);
    expectClose(y.to(float32), exact, 5e-3);
  });

  it("with a GradScaler, whose step needs no waiting here", () => {
    const w = new torch.nn.Parameter(torch.ones(4, 4).to("cuda"));
    const optimizer = new torch.optim.SGD([w], { lr: 0.5 });
    const scaler = new torch.amp.GradScaler("cuda", { init_scale: 128 });
    const loss = torch.autocast("cuda", () => w.mm(torch.eye(4).to("cuda")).sum());
    scaler.scale(loss).backward();
    void scaler.step(optimizer);
    scaler.update();
    expect(w.to("cpu").tolist_sync()).toEqual(torch.full([4, 4], 0.5).tolist_sync());
    scaler.scale(w.mul(Infinity).sum()).backward();
    void scaler.step(optimizer);
    scaler.update();
    expect(scaler.get_scale()).toBe(64);
  });
});
