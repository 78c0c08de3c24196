/** Mistakes that kernels make, and how the stand-ins find them: poison, guard pages, checks of arrays, threads that diverge. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { control, unavailable } from "./native.ts";
import { Bench, ORDERS } from "./stand_in_tools.ts";

describe.skipIf(unavailable !== null)("the stand-ins find", () => {
  let bench: Bench;
  beforeAll(() => {
    control("check 1");
    bench = new Bench({ exactAllocations: true });
  });
  afterEach(() => {
    control("order forward");
    control("timeout 60");
  });
  afterAll(() => {
    control("check 0");
    bench.close();
  });

  /** A kernel with one buffer of `bytes` bytes. */
  const lose = (body: string, bytes: number, launch: { threads?: number; groups?: number; shared?: number } = {}): string => {
    const text = `extern "C" __global__ void faulty(float* x) {\n${body}\n}`;
    const { report } = bench.loss(text, "faulty", [{ address: bench.device.allocate(bytes) }], launch);
    expect(report).toMatch(/^kernel faulty, block \d+, thread \d+: /);
    return report;
  };

  describe("memory", () => {
    it("that nobody wrote", () => {
      const text = `
        static __device__ __noinline__ float helper() { __shared__ float h[5]; const float was = h[3]; h[3] = 1; return was; }
        extern "C" __global__ void read(const unsigned char* x, float* out) {
          __shared__ float s[3];
          __shared__ double t;
          extern __shared__ float d[];
          out[0] = *(const float*)x; out[1] = (float)*(const double*)x; out[2] = kd_f16_to_f32(*(const unsigned short*)x);
          out[3] = __uint_as_float(*(const unsigned short*)x << 16);
          out[4] = s[1]; out[5] = (float)t; out[6] = d[2]; out[7] = helper(); out[8] = *(const int*)x;
          s[1] = 1; t = 1; d[2] = 1;
        }`;
      const [x, out] = [bench.device.allocate(8), bench.device.allocate(36)];
      // The second block finds poison where the first one wrote.
      bench.launch(text, "read", [{ address: x }, { address: out }], { groups: 2, shared: 12 });
      const values = bench.floats(out, 9);
      expect(values.slice(0, 8).every(Number.isNaN)).toBe(true);
      expect(values[8]).toBe(Math.fround(0x7ff57ff5));
    });

    it("beyond the end", () => {
      expect(lose("x[28 + threadIdx.x] = 1;", 104, { threads: 3 })).toMatch(
        /thread 0: a write at 0x\w+: 8 bytes beyond the end of an allocation of 104/,
      );
    });
    it("beyond the end, from the first element on", () => {
      expect(lose("float y = x[24]; x[0] = y;", 96)).toMatch(
        /a read at 0x\w+: 0 bytes beyond the end of an allocation of 96 bytes/,
      );
      expect(lose("if (threadIdx.x == 7 && blockIdx.x == 2) x[24] = 1;", 96, { threads: 8, groups: 3 })).toMatch(
        /block 2, thread 7: a write at 0x\w+: 0 bytes beyond the end of an allocation of 96 bytes/,
      );
    });
    it("beyond the end, in bytes before the page ends", () => {
      const text = `extern "C" __global__ void faulty(unsigned char* x) { x[101] = 3; }`;
      const { error, report } = bench.loss(text, "faulty", [{ address: bench.device.allocate(101) }]);
      expect(error.cuResult).toBe(700);
      expect(report).toBe("kernel faulty: byte 0 beyond the end of an allocation of 101 bytes was written");
    });
    it("before the begin", () => {
      // The page before is as near as the allocation's place in its page allows.
      expect(lose("x[-1024] = 1;", 4096)).toMatch(/a write at 0x\w+: 4096 bytes before the begin of an allocation of 4096 bytes/);
    });
    it("that was freed", () => {
      const text = `extern "C" __global__ void faulty(float* x) { x[3] = 1; }`;
      const address = bench.device.allocate(64);
      bench.device.free(address);
      bench.device.emptyCache();
      const { report } = bench.loss(text, "faulty", [{ address }]);
      expect(report).toMatch(/a write at 0x\w+: byte 12 of memory of 64 bytes that was freed/);
    });
    it("at no address", () => {
      expect(lose("*(volatile int*)(size_t)blockIdx.x = 1;", 4)).toMatch(/a write at 0x0, where no memory of the device is near/);
    });
    it("far away", () => {
      expect(lose("x[1ull << 34] = 1;", 4)).toMatch(/a write at 0x\w+, where no memory/);
    });
    it("that is misaligned for a vector", () => {
      const body = "struct alignas(16) Four { float x, y, z, w; }; Four* f = (Four*)(x + 4 + threadIdx.x); f->y += 1;";
      expect(lose(body, 64, { threads: 2 })).toMatch(/thread 1: .* misaligned for its type/);
    });
    it("beyond a shared array", () => {
      expect(
        lose("__shared__ float s[8]; __shared__ float t[8]; t[threadIdx.x] = 0; s[threadIdx.x] = 1; x[0] = s[0] + t[1];", 4, {
          threads: 9,
        }),
      ).toMatch(/thread 8: an index beyond the end of a __shared__ or local array/);
    });
    it("beyond dynamic shared memory", () => {
      expect(lose("extern __shared__ float d[]; d[threadIdx.x] = 1;", 4, { threads: 33, shared: 128 })).toMatch(
        /thread 32: a write at 0x/,
      );
    });
    it("of a thread's own that overflows", () => {
      const text = `
        static __device__ __noinline__ int deep(volatile int* x, int n) { volatile int own[512]; own[n % 512] = x[0]; return n == 0 ? own[0] : deep(x, n - 1) + own[n % 512]; }
        extern "C" __global__ void faulty(int* x) { x[0] = deep(x, 1 << 20); }`;
      const { report } = bench.loss(text, "faulty", [{ address: bench.device.allocate(4) }]);
      expect(report).toMatch(/thread 0: a write at 0x/);
    });
  });

  describe("threads that", () => {
    it.each(ORDERS)("left before a barrier, %s", (order) => {
      control(`order ${order}`);
      expect(lose("if (threadIdx.x == 5) return;\n__syncthreads();\nx[0] = 1;", 4, { threads: 64 })).toMatch(
        /threads diverged:( 63 threads \(the first is 0\) wait at the barrier of line 3| 1 thread \(the first is 5\) left|,){3}/,
      );
    });
    it.each(ORDERS)("wait at different barriers, %s", (order) => {
      control(`order ${order}`);
      const body = "if (threadIdx.x < 20) {\n__syncthreads();\n} else {\n__syncthreads();\n}\nx[0] = 1;";
      const report = lose(body, 4, { threads: 64 });
      expect(report).toMatch(/ 20 threads \(the first is 0\) wait at the barrier of line 3/);
      expect(report).toMatch(/ 44 threads \(the first is 20\) wait at the barrier of line 5/);
    });
    it("go around a loop a different number of times", () => {
      const body = "for (unsigned i = 0; i < 3 + (threadIdx.x == 9); i++) {\nx[i] = 1;\n__syncthreads();\n}";
      expect(lose(body, 64, { threads: 32 })).toMatch(
        / 31 threads \(the first is 0\) left, 1 thread \(the first is 9\) wait at the barrier of line 4/,
      );
    });
    it("miss a shuffle", () => {
      expect(lose("if (threadIdx.x != 3) x[0] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);", 4, { threads: 32 })).toMatch(
        / 31 threads \(the first is 0\) wait at a shuffle, 1 thread \(the first is 3\) left/,
      );
    });
    it("do different things in one warp", () => {
      const body =
        "if (threadIdx.x == 3) x[0] = __ballot_sync(0xffffffffu, 1); else x[0] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);";
      expect(lose(body, 4, { threads: 32 })).toMatch(/wait at a shuffle.* 1 thread \(the first is 3\) wait at a vote/);
    });
    it("are in a warp operation that leaves them out", () => {
      expect(lose("x[0] = __shfl_xor_sync(0xffu, 1.0f, 1);", 4, { threads: 32 })).toMatch(
        /lane 8 takes part .* mask 0x000000ff leaves it out/,
      );
    });
    it("wait at a barrier while others shuffle", () => {
      const body = "if (threadIdx.x < 16) __syncthreads(); else x[0] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);";
      expect(lose(body, 4, { threads: 32 })).toMatch(
        / 16 threads \(the first is 0\) wait at the barrier.* 16 threads \(the first is 16\) wait at a shuffle/,
      );
    });
    it("never end", () => {
      control("timeout 0.3");
      const body = "volatile float* y = x; while (threadIdx.x == 2) y[0] += 1;";
      const { error, report } = bench.loss(
        `extern "C" __global__ void faulty(float* x) { ${body} }`,
        "faulty",
        [{ address: bench.device.allocate(4) }],
        {
          threads: 4,
        },
      );
      expect(error.cuResult).toBe(702);
      expect(report).toBe("kernel faulty, block 0, thread 2: it ran for more than 0.3 s");
    });
    it("trap", () => {
      expect(lose("if (threadIdx.x == 1) __trap();", 4, { threads: 2 })).toMatch(/thread 1: __trap\(\)/);
      expect(lose("assert(threadIdx.x != 1);", 4, { threads: 2 })).toMatch(/thread 1: assertion failed: threadIdx.x != 1/);
    });
  });

  it("nothing where nothing is wrong, with and without checks, after all of that", () => {
    const text = `
      extern "C" __global__ void __launch_bounds__(96) fine(float* x) {
        __shared__ float s[96];
        s[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        x[threadIdx.x] = s[95 - threadIdx.x];
      }`;
    for (const order of ORDERS) {
      control(`order ${order}`);
      const x = bench.put(Float32Array.from({ length: 96 }, (_, i) => i));
      bench.launch(text, "fine", [{ address: x }], { threads: 96 });
      expect(bench.floats(x, 96)).toEqual(Array.from({ length: 96 }, (_, i) => 95 - i));
    }
    expect(control("report")).toBe("");
  });
});
