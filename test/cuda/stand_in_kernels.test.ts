/** What kernels find when they run on the stand-ins: CUDA's built-ins, in every order of blocks and threads. */

import { afterAll, afterEach, describe, expect, it } from "vitest";
import { F16_VALUES, toF16 } from "../../gpu/lower/interpret_memory.ts";
import { Bench, ORDERS } from "./stand_in_tools.ts";
import { ARCH, control, failure, unavailable } from "./native.ts";

describe.skipIf(unavailable !== null)("on the stand-ins", () => {
  const bench = unavailable === null ? new Bench() : (undefined as unknown as Bench);
  afterEach(() => void control("order forward"));
  afterAll(() => bench?.close());

  describe("blocks and threads", () => {
    const ORDER = `
      extern "C" __global__ void order(int* out, int* counter) {
        out[atomicAdd(counter, 1)] = blockIdx.x * 100 + threadIdx.x;
        __syncthreads();
        out[atomicAdd(counter, 1)] = 1000 + blockIdx.x * 100 + threadIdx.x;
      }`;
    const run = (order: string): number[] => {
      control(`order ${order}`);
      return bench.intsOf(ORDER, "order", 12, { groups: 2, threads: 3 }, { address: bench.put(Int32Array.of(0)) });
    };

    it("run forward", () => {
      expect(run("forward")).toEqual([0, 1, 2, 1000, 1001, 1002, 100, 101, 102, 1100, 1101, 1102]);
    });
    it("run in reverse", () => {
      expect(run("reverse")).toEqual([102, 101, 100, 1102, 1101, 1100, 2, 1, 0, 1002, 1001, 1000]);
    });
    it("run shuffled, the same way for a seed", () => {
      const seen = new Set<string>();
      for (let seed = 0; seed < 8; seed++) {
        const order = run(`shuffle:${seed}`);
        expect(run(`shuffle:${seed}`)).toEqual(order);
        seen.add(order.join());
        const first = Math.floor(order[0]! / 100);
        // Barriers are kept to all the same.
        expect(
          order
            .slice(0, 3)
            .map((x) => x - 100 * first)
            .sort(),
        ).toEqual([0, 1, 2]);
        expect(
          order
            .slice(3, 6)
            .map((x) => x - 1000 - 100 * first)
            .sort(),
        ).toEqual([0, 1, 2]);
      }
      expect(seen.size).toBeGreaterThan(3);
    });
    it("refuses orders that do not exist", () => {
      expect(() => control("order sideways")).toThrow(/sideways.*not understood/);
    });

    it.each(ORDERS)("sum through shared memory, %s", (order) => {
      const text = `
        extern "C" __global__ void __launch_bounds__(192) sum(int* out) {
          __shared__ int s[192];
          __shared__ int total;
          if (threadIdx.x == 0) total = 0;
          s[threadIdx.x] = blockIdx.x + threadIdx.x;
          __syncthreads();
          for (unsigned by = 96; by >= 3; by /= 2) {
            if (threadIdx.x < by) s[threadIdx.x] += s[threadIdx.x + by];
            __syncthreads();
          }
          if (threadIdx.x < 3) atomicAdd(&total, s[threadIdx.x]);
          __syncthreads();
          if (threadIdx.x == 100) out[blockIdx.x] = total;
        }`;
      control(`order ${order}`);
      const sums = bench.intsOf(text, "sum", 50, { groups: 50, threads: 192 });
      expect(sums).toEqual(Array.from({ length: 50 }, (_, b) => 192 * b + (191 * 192) / 2));
    });

    it.each(ORDERS)("vote at barriers, %s", (order) => {
      const text = `
        extern "C" __global__ void votes(int* out) {
          int n = __syncthreads_count(threadIdx.x % 3 == 0);
          int some = __syncthreads_or(threadIdx.x == 70), none = __syncthreads_or(threadIdx.x == 700);
          int all = __syncthreads_and(threadIdx.x < 100), most = __syncthreads_and(threadIdx.x < 99);
          out[threadIdx.x] = n * 10000 + some * 1000 + none * 100 + all * 10 + most;
        }`;
      control(`order ${order}`);
      expect(new Set(bench.intsOf(text, "votes", 100, { threads: 100 }))).toEqual(new Set([341010]));
    });

    it("have dynamic shared memory", () => {
      const text = `
        extern "C" __global__ void turn(int* out) {
          extern __shared__ __align__(16) unsigned char pool[];
          int* s = (int*)pool;
          __shared__ int fixed[4];
          for (unsigned i = threadIdx.x; i < 20000; i += 64) s[i] = i;
          fixed[threadIdx.x % 4] = 7;
          __syncthreads();
          out[threadIdx.x] = s[19999 - threadIdx.x] + fixed[0] + (kd_dynamic_shared() == pool ? 0 : 1000000);
        }`;
      const turned = bench.intsOf(text, "turn", 64, { threads: 64, shared: 80000 });
      expect(turned).toEqual(Array.from({ length: 64 }, (_, i) => 20006 - i));
    });
  });

  describe("warps", () => {
    it.each(ORDERS)("shuffle, %s", (order) => {
      const text = `
        extern "C" __global__ void shuffles(int* out) {
          const int x = 100 + threadIdx.x;
          int* at = out + threadIdx.x;
          at[0] = __shfl_sync(0xffffffffu, x, threadIdx.x * 7 + 3);
          at[64] = __shfl_xor_sync(0xffffffffu, x, 5);
          at[128] = __shfl_down_sync(0xffffffffu, x, 3);
          at[192] = __shfl_up_sync(0xffffffffu, x, 4);
          at[256] = __shfl_sync(0xffffffffu, x, 2, 8);
          at[320] = __shfl_xor_sync(0xffffffffu, x, 9, 8);
          at[384] = __shfl_down_sync(0xffffffffu, x, 3, 8);
          at[448] = __shfl_up_sync(0xffffffffu, x, 3, 8);
          at[512] = (int)__shfl_xor_sync(0xffffffffu, (double)x + 0.5, 1);
          at[576] = (int)(__shfl_xor_sync(0xffffffffu, (long long)x << 33, 2) >> 33);
        }`;
      control(`order ${order}`);
      const out = bench.intsOf(text, "shuffles", 640, { threads: 64 });
      const expected = (pick: (lane: number) => number): number[] =>
        Array.from({ length: 64 }, (_, t) => 100 + (t & 32) + pick(t & 31));
      const rows = Array.from({ length: 10 }, (_, i) => out.slice(64 * i, 64 * i + 64));
      expect(rows[0]).toEqual(Array.from({ length: 64 }, (_, t) => 100 + (t & 32) + ((t * 7 + 3) & 31)));
      expect(rows[1]).toEqual(expected((l) => l ^ 5));
      expect(rows[2]).toEqual(expected((l) => (l + 3 < 32 ? l + 3 : l)));
      expect(rows[3]).toEqual(expected((l) => (l >= 4 ? l - 4 : l)));
      expect(rows[4]).toEqual(expected((l) => (l & 24) | 2));
      // A source in an earlier segment can be read, one in a later segment not.
      expect(rows[5]).toEqual(expected((l) => ((l ^ 9) > (l | 7) ? l : l ^ 9)));
      expect(rows[6]).toEqual(expected((l) => ((l & 7) + 3 < 8 ? l + 3 : l)));
      expect(rows[7]).toEqual(expected((l) => ((l & 7) >= 3 ? l - 3 : l)));
      expect(rows[8]).toEqual(expected((l) => l ^ 1));
      expect(rows[9]).toEqual(expected((l) => l ^ 2));
    });

    it.each(ORDERS)("vote, match and reduce, %s", (order) => {
      const text = `
        extern "C" __global__ void votes(unsigned* out) {
          unsigned* at = out + threadIdx.x;
          const unsigned all = 0xffffffffu;
          at[0] = __ballot_sync(all, threadIdx.x % 3 == 0);
          at[32] = __any_sync(all, threadIdx.x == 31) + 2 * __any_sync(all, 0) + 4 * __all_sync(all, 1) + 8 * __all_sync(all, threadIdx.x > 0);
          at[64] = __match_any_sync(all, threadIdx.x % 4);
          at[96] = __reduce_add_sync(all, threadIdx.x);
          at[128] = (unsigned)__reduce_min_sync(all, (int)threadIdx.x - 10);
          at[160] = __reduce_xor_sync(all, 1u << threadIdx.x);
          if (threadIdx.x < 16) at[192] = __shfl_sync(0xffffu, threadIdx.x * 2, 15);
          else at[192] = __shfl_sync(0xffff0000u, threadIdx.x * 2, 16);
          __syncwarp();
        }`;
      control(`order ${order}`);
      const out = bench.intsOf(text, "votes", 224, { threads: 32 }).map((x) => x >>> 0);
      const row = (i: number): number[] => out.slice(32 * i, 32 * i + 32);
      expect(new Set(row(0))).toEqual(new Set([0x49249249]));
      expect(new Set(row(1))).toEqual(new Set([5]));
      expect(row(2)).toEqual(Array.from({ length: 32 }, (_, l) => (0x11111111 << (l % 4)) >>> 0));
      expect(new Set(row(3))).toEqual(new Set([496]));
      expect(new Set(row(4))).toEqual(new Set([-10 >>> 0]));
      expect(new Set(row(5))).toEqual(new Set([0xffffffff]));
      expect(row(6)).toEqual(Array.from({ length: 32 }, (_, l) => (l < 16 ? 30 : 32)));
    });

    it("may be smaller than 32 at the end of a block", () => {
      const text = `
        extern "C" __global__ void ends(int* out) {
          const unsigned mask = threadIdx.x < 32 ? 0xffffffffu : 0xfffu;
          out[threadIdx.x] = __shfl_xor_sync(mask, (int)threadIdx.x, 3);
        }`;
      expect(bench.intsOf(text, "ends", 44, { threads: 44 })).toEqual(Array.from({ length: 44 }, (_, t) => t ^ 3));
    });

    it("give tensor cores' twins the lanes' values", () => {
      const text = `
        struct Piece { float a[4]; unsigned b[2]; };
        extern "C" __global__ void pieces(float* out) {
          const float x = threadIdx.x;
          const auto all = kd_warp_gather(Piece{{x, x + 0.25f, x + 0.5f, x + 0.75f}, {threadIdx.x, 0}});
          out[threadIdx.x] = all[31 - threadIdx.x].a[2] + all[threadIdx.x ^ 1].b[0] * 100;
        }`;
      const to = bench.device.allocate(128);
      bench.launch(text, "pieces", [{ address: to }], { threads: 32 });
      expect(bench.floats(to, 32)).toEqual(Array.from({ length: 32 }, (_, l) => 31.5 - l + (l ^ 1) * 100));
    });
  });

  it("parameters of every type arrive", () => {
    const text = `
      struct alignas(16) Four { float x, y, z, w; };
      extern "C" __global__ void take(double* out, unsigned a, double b, float c, long long d, int e, const float* f, unsigned g) {
        const double values[] = {(double)a, b, c, (double)d, (double)e, f[1], (double)g};
        for (int i = 0; i < 7; i++) out[i] = values[i];
      }
      extern "C" __global__ void narrow(int* out, signed char a, short b, unsigned char c, Four d, bool e, unsigned short f) {
        out[0] = a; out[1] = b; out[2] = c; out[3] = (int)(d.x + 10 * d.w); out[4] = e; out[5] = f;
      }`;
    const out = bench.device.allocate(64);
    const floats = bench.put(Float32Array.of(1, 2.5));
    bench.launch(text, "take", [
      { address: out },
      { u32: 4294967295 },
      { f64: 0.1 },
      { f32: -1.5 },
      { address: 2 ** 40 + 1 },
      { u32: -7 >>> 0 },
      { address: floats },
      { u32: 3 },
    ]);
    expect(bench.doubles(out, 7)).toEqual([4294967295, 0.1, -1.5, 2 ** 40 + 1, -7, 2.5, 3]);
    // a, b, c lie in one word; d begins at 16; then e, padding, f.
    const word = (a: number, b: number, c: number): number => ((a & 255) | ((b & 0xffff) << 16)) >>> 0 || c;
    bench.launch(text, "narrow", [
      { address: out },
      { u32: word(-3, -300, 0) },
      { u32: 200 },
      { f32: 2 },
      { f32: 0 },
      { f32: 0 },
      { f32: 5 },
      { u32: (1 | (65000 << 16)) >>> 0 },
    ]);
    expect(bench.ints(out, 6)).toEqual([-3, -300, 200, 52, 1, 65000]);
  });

  it.each(ORDERS)("atomics are atomic and return what was there, %s", (order) => {
    const text = `
      extern "C" __global__ void atomics(int* i, unsigned* u, float* f, double* d, unsigned long long* l) {
        const int t = blockIdx.x * 64 + threadIdx.x;
        atomicAdd(&i[0], t); atomicSub(&i[1], t); atomicMin(&i[2], -t); atomicMax(&i[3], t); atomicXor(&i[4], t); atomicOr(&i[5], 1 << (t & 15));
        atomicAnd(&i[6], ~(1 << (t & 15))); atomicExch(&i[7], 5);
        atomicAdd(&u[0], 4000000000u); atomicMax(&u[1], 4000000000u - t); atomicMin(&u[2], 4000000000u - t); atomicInc(&u[3], 9u); atomicDec(&u[4], 9u);
        int seen = i[8], old;
        do { old = seen; seen = atomicCAS(&i[8], old, old + 2); } while (seen != old);
        atomicAdd(&f[0], 0.5f); atomicAdd(&d[0], 0.25); atomicAdd(&l[0], 1ull << 40);
        atomicMax((long long*)&l[1], (long long)t << 33);
        if (atomicExch(&f[1], 2.0f) == 1.0f) atomicAdd(&i[9], 1);
      }`;
    control(`order ${order}`);
    const i = bench.put(Int32Array.of(0, 0, 0, 0, 0, 0, -1, 0, 0, 0));
    const u = bench.put(Uint32Array.of(0, 0, 0xffffffff, 0, 0));
    const f = bench.put(Float32Array.of(0, 1));
    const d = bench.put(Float64Array.of(0));
    const l = bench.put(BigInt64Array.of(0n, 0n));
    bench.launch(
      text,
      "atomics",
      [i, u, f, d, l].map((address) => ({ address })),
      { groups: 4, threads: 64 },
    );
    const sum = (255 * 256) / 2;
    expect(bench.ints(i, 10)).toEqual([sum, -sum, -255, 255, 0, 0xffff, ~0xffff, 5, 512, 1]);
    const unsigned = bench.ints(u, 5).map((x) => x >>> 0);
    expect(unsigned).toEqual([(4000000000 * 256) % 2 ** 32, 4000000000, 4000000000 - 255, 256 % 10, (10 - (256 % 10)) % 10]);
    expect(bench.floats(f, 2)).toEqual([128, 2]);
    expect(bench.doubles(d, 1)).toEqual([64]);
    expect(bench.longs(l, 2)).toEqual([256n << 40n, 255n << 33n]);
  });

  it("integers divide as on a GPU: nothing traps", () => {
    const text = `
      extern "C" __global__ void divide(int* out, int zero, unsigned uzero, long long lzero) {
        const int least = -2147483647 - 1;
        out[0] = 7 / zero; out[1] = 7 % zero; out[2] = least / (zero - 1); out[3] = least % (zero - 1);
        out[4] = (int)(7u / uzero); out[5] = (int)(7u % uzero); out[6] = (int)(7ll / lzero); out[7] = (int)(7ll % lzero);
        out[8] = (int)((-9223372036854775807ll - 1) / (lzero - 1) >> 32); out[9] = -7 / 2; out[10] = -7 % 2; out[11] = (int)((short)7 / (short)zero);
      }`;
    const out = bench.intsOf(text, "divide", 12, {}, { u32: 0 }, { u32: 0 }, { address: 0 });
    expect(out).toEqual([-1, 7, -2147483648, 0, -1, 7, -1, 7, -2147483648, -3, -1, -1]);
  });

  it("floats become integers as on a GPU: they saturate", () => {
    const text = `
      extern "C" __global__ void convert(const double* x, int* i, unsigned* u, long long* l, int n) {
        for (int k = 0; k < n; k++) {
          i[2 * k] = __double2int_rz(x[k]); i[2 * k + 1] = __float2int_rz((float)x[k]);
          u[2 * k] = __double2uint_rz(x[k]); u[2 * k + 1] = __float2uint_rz((float)x[k]);
          l[2 * k] = __double2ll_rz(x[k]); l[2 * k + 1] = __float2ll_rz((float)x[k]);
        }
      }
      extern "C" __global__ void rounding(const float* x, int* out, int n) {
        for (int k = 0; k < n; k++) {
          out[4 * k] = __float2int_rn(x[k]); out[4 * k + 1] = __float2int_rd(x[k]); out[4 * k + 2] = __float2int_ru(x[k]); out[4 * k + 3] = __float2int_rz(x[k]);
        }
      }`;
    const x = [1.9, -1.9, 3e9, -3e9, 5e9, 1e30, -1e30, NaN, Infinity, 2 ** 31];
    const n = x.length;
    const [from, i, u, l] = [bench.put(Float64Array.from(x)), ...[8, 8, 16].map((b) => bench.device.allocate(n * b))] as [
      number,
      number,
      number,
      number,
    ];
    bench.launch(text, "convert", [{ address: from }, { address: i }, { address: u }, { address: l }, { u32: n }]);
    const clamp = (v: number, low: number, high: number): number =>
      Number.isNaN(v) ? 0 : Math.min(Math.max(Math.trunc(v), low), high) + 0;
    const twice = <T>(values: T[]): T[] => values.flatMap((v) => [v, v]);
    expect(bench.ints(i, 2 * n)).toEqual(twice(x.map((v) => clamp(v, -(2 ** 31), 2 ** 31 - 1))));
    expect(bench.ints(u, 2 * n).map((v) => v >>> 0)).toEqual(twice(x.map((v) => clamp(v, 0, 2 ** 32 - 1))));
    const long = (v: number): bigint => {
      if (Number.isNaN(v)) return -(2n ** 63n);
      if (Math.abs(v) >= 2 ** 63) return v > 0 ? 2n ** 63n - 1n : -(2n ** 63n);
      return BigInt(Math.trunc(v));
    };
    expect(bench.longs(l, 2 * n)).toEqual(twice(x.map(long)));
    const halves = bench.put(Float32Array.of(2.5, -2.5, 0.7, -0.7));
    const rounded = bench.device.allocate(64);
    bench.launch(text, "rounding", [{ address: halves }, { address: rounded }, { u32: 4 }]);
    expect(bench.ints(rounded, 16)).toEqual([2, 2, 3, 2, -2, -3, -2, -2, 1, 0, 1, 0, -1, -1, 0, 0]);
  });

  it("bits", () => {
    const text = `
      extern "C" __global__ void bits(int* out, unsigned x, long long y) {
        int n = 0;
        out[n++] = __clz(x); out[n++] = __clz(0); out[n++] = __clzll(y); out[n++] = __clzll(0); out[n++] = __popc(x); out[n++] = __popcll(y);
        out[n++] = __ffs(x); out[n++] = __ffs(0); out[n++] = __ffsll(y); out[n++] = __brev(x); out[n++] = (int)(__brevll(y) >> 32);
        out[n++] = __byte_perm(x, 0x88776655u, 0x7410); out[n++] = __funnelshift_l(x, 0x80000001u, 4); out[n++] = __funnelshift_r(x, 0x80000001u, 4);
        out[n++] = __umulhi(x, 0xffffffffu); out[n++] = __mulhi((int)x, -5); out[n++] = (int)__umul64hi((unsigned long long)y << 30, 1ull << 40);
        out[n++] = __float_as_int(-1.5f); out[n++] = __double2hiint(1.0); out[n++] = (int)__hiloint2double(0x3ff80000, 0) ;
      }`;
    const out = bench.intsOf(text, "bits", 20, {}, { u32: 0x00f0a001 }, { address: 2 ** 40 + 2 ** 3 });
    expect(out.map((x) => x >>> 0)).toEqual(
      [8, 32, 23, 64, 7, 2, 1, 0, 4, 0x80050f00, 0x10000000, 0x8855a001, 0x00000010, 0x100f0a00, 0x00f0a000, -1, 512]
        .concat([0xbfc00000, 0x3ff00000, 1])
        .map((x) => x >>> 0),
    );
  });

  it("halves, all of them", () => {
    const text = `
      extern "C" __global__ void __launch_bounds__(256) widen(float* out) {
        const unsigned i = blockIdx.x * 256 + threadIdx.x;
        out[i] = kd_f16_to_f32((unsigned short)i);
      }
      extern "C" __global__ void __launch_bounds__(256) narrow(const float* x, unsigned short* out) {
        const unsigned i = blockIdx.x * 256 + threadIdx.x;
        out[i] = kd_f32_to_f16(x[i]);
      }`;
    const wide = bench.device.allocate(4 << 16);
    bench.launch(text, "widen", [{ address: wide }], { groups: 256, threads: 256 });
    expect(bench.floats(wide, 1 << 16)).toEqual([...F16_VALUES]);
    // Every half and what lies between it and the next one: the tie, and its neighbours.
    const values = new Float32Array(4 << 16);
    const words = new Int32Array(values.buffer);
    for (let h = 0; h < 1 << 16; h++) {
      values[4 * h] = F16_VALUES[h]!;
      const next = F16_VALUES[h + 1] ?? NaN;
      values[4 * h + 1] = values[4 * h + 2] = values[4 * h + 3] = (F16_VALUES[h]! + next) / 2;
      words[4 * h + 2]!++;
      words[4 * h + 3]!--;
    }
    const from = bench.put(values);
    const to = bench.device.allocate(2 * values.length);
    bench.launch(text, "narrow", [{ address: from }, { address: to }], { groups: values.length / 256, threads: 256 });
    const rounded = new Uint16Array(bench.bytes(to, 2 * values.length));
    const wrong = [...values.keys()].filter((i) =>
      Number.isNaN(values[i]!) ? rounded[i] !== 0x7fff : rounded[i] !== toF16(values[i]!),
    );
    expect(wrong.slice(0, 5).map((i) => [values[i], rounded[i], toF16(values[i]!)])).toEqual([]);
  });

  it("mathematical functions that C does not have", () => {
    const names = [
      "erfinv",
      "erfcinv",
      "erfcx",
      "normcdf",
      "normcdfinv",
      "rsqrt",
      "rcbrt",
      "sinpi",
      "cospi",
      "cyl_bessel_i0",
      "cyl_bessel_i1",
    ];
    const text = `
      extern "C" __global__ void all(double* out, double x) {
        ${names.map((name, i) => `out[${2 * i}] = ${name}(x); out[${2 * i + 1}] = ${name}f((float)x);`).join(" ")}
      }`;
    const of = (x: number): Record<string, number> => {
      const out = bench.device.allocate(16 * names.length);
      bench.launch(text, "all", [{ address: out }, { f64: x }]);
      const values = bench.doubles(out, 2 * names.length);
      // The float form is the rounded double one.
      names.forEach((_, i) => {
        if (Math.fround(x) === x) expect(values[2 * i + 1]).toBe(Math.fround(values[2 * i]!));
      });
      return Object.fromEntries(names.map((name, i) => [name, values[2 * i]!]));
    };
    // Values of mpmath with 40 digits.
    const table: [number, Record<string, number>][] = [
      [0.5, { erfinv: 0.4769362762044699, erfcinv: 0.4769362762044699, erfcx: 0.6156903441929259, normcdf: 0.6914624612740131 }],
      [0.5, { normcdfinv: 0, sinpi: 1, cospi: 0, cyl_bessel_i0: 1.0634833707413236, cyl_bessel_i1: 0.2578943053908963 }],
      [
        0.9375,
        { erfinv: 1.3171503349861307, erfcinv: 0.05544594877278202, erfcx: 0.4452822731368817, normcdf: 0.8257492881194576 },
      ],
      [
        0.9375,
        { normcdfinv: 1.5341205443525463, rcbrt: 1.0217459098580708, sinpi: 0.19509032201612828, cospi: -0.9807852804032304 },
      ],
      [0.9375, { rsqrt: 1.0327955589886444, cyl_bessel_i0: 1.23209526189863, cyl_bessel_i1: 0.5221692558538017 }],
      [2 ** -30, { erfinv: 8.253631419062224e-10, erfcinv: 4.328028275800946, normcdfinv: -6.009353565530744, rcbrt: 1024 }],
      [1, { erfinv: Infinity, erfcinv: 0, normcdfinv: Infinity, sinpi: 0, cospi: -1, cyl_bessel_i0: 1.2660658777520084 }],
      [0, { erfcinv: Infinity, normcdfinv: -Infinity, normcdf: 0.5, erfcx: 1, cyl_bessel_i1: 0, rsqrt: Infinity }],
      [8, { erfcx: 0.06998516620088092, cyl_bessel_i0: 427.5641157218048, cyl_bessel_i1: 399.8731367825601 }],
      [30, { erfcx: 0.01879588886141675, cyl_bessel_i0: 781672297823.9775, cyl_bessel_i1: 768532038938.957, sinpi: 0, cospi: 1 }],
      [100, { erfcx: 0.005641613782989433, cyl_bessel_i0: 1.0737517071310738e42, cyl_bessel_i1: 1.0683693903381625e42 }],
      [
        -3,
        {
          normcdf: 0.0013498980316300946,
          erfcx: 16205.988853999586,
          cyl_bessel_i1: -3.9533702174026093,
          erfinv: NaN,
          rsqrt: NaN,
        },
      ],
    ];
    for (const [x, expected] of table) {
      const actual = of(x);
      for (const [name, value] of Object.entries(expected)) {
        const close = Object.is(actual[name], value) || Math.abs(actual[name]! - value) <= Math.abs(value) * 1e-14;
        expect(close, `${name}(${x}) is ${actual[name]}, expected ${value}`).toBe(true);
      }
    }
  });

  it("mathematical functions by CUDA's names and overloads", () => {
    const text = `
      extern "C" __global__ void all(double* out, float x, double y) {
        int n = 0;
        out[n++] = sin(x) == sinf(x); out[n++] = exp(y) - __builtin_exp(y); out[n++] = max(3, 4); out[n++] = min(2.5f, x); out[n++] = max(y, 7.0);
        out[n++] = __expf(0.0f); out[n++] = __fdividef(6.0f, 3.0f); out[n++] = __saturatef(1.5f); out[n++] = __saturatef(__int_as_float(0x7fc00000));
        out[n++] = fmaf(x, 2.0f, 1.0f); out[n++] = isnan(__int_as_float(0x7fc00000)); out[n++] = isinf(-1e30f * 1e30f); out[n++] = abs(-3ll); out[n++] = rintf(2.5f);
        out[n++] = __fmaf_rn(x, x, x); out[n++] = ldexpf(1.0f, 5); out[n++] = kd_exp2_fast(3.0f); out[n++] = kd_log2_fast(8.0f); out[n++] = kd_exp2_fast(-130.0f);
        out[n++] = tgamma(5.0); out[n++] = hypot(3.0, 4.0); out[n++] = cbrtf(27.0f);
      }`;
    const out = bench.device.allocate(8 * 22);
    bench.launch(text, "all", [{ address: out }, { f32: 0.5 }, { f64: 2 }]);
    expect(bench.doubles(out, 22)).toEqual([1, 0, 4, 0.5, 7, 1, 2, 1, 0, 2, 1, 1, 3, 2, 0.75, 32, 8, 3, 0, 24, 5, 3]);
  });

  describe("NVRTC refuses", () => {
    const refuse = (text: string, options: string[] = [ARCH]): string => {
      const error = failure(() => bench.device.compileSync(text, options));
      expect(error.code).toBe(options.length === 1 ? "COMPILE_ERROR" : error.code);
      return error.message;
    };
    const kernel = (body: string): string => `extern "C" __global__ void k(float* x) {\n${body}\n}`;

    it.each([
      ["headers", `#include <cmath>\n${kernel("x[0] = 1;")}`, /\(1\): error: cannot open source file <cmath>/],
      ["headers, by any spelling", `// a comment\n#  include "x.h"\n`, /\(2\): error: cannot open source file "x.h"/],
      ["the host's library", kernel(`fopen("x", "r");`), /:2:\d+: error: 'fopen' was not declared/],
      ["namespace std", kernel("x[0] = std::sqrt(x[0]);"), /error: 'sqrt' is not a member of 'std'/],
      ["the host's types", kernel("uint32_t n = 0;"), /error: 'uint32_t' was not declared/],
      ["mistakes", kernel("x[0] = y;"), /error: 'y' was not declared/],
      [
        "too much shared memory",
        kernel("__shared__ float s[12289]; s[threadIdx.x] = 1; __syncthreads(); x[0] = s[5];"),
        /'k' uses too much shared data/,
      ],
    ])("%s", (_, text, message) => {
      expect(refuse(text)).toMatch(message);
    });
    it("takes 48 KiB of shared memory", () => {
      bench.device.compileSync(kernel("__shared__ float s[12288]; s[threadIdx.x] = 1; __syncthreads(); x[0] = s[5];"), [ARCH]);
    });
    it("options that it does not have", () => {
      expect(refuse(kernel(""), [ARCH, "--fast"])).toMatch(/unrecognized option --fast/);
      expect(refuse(kernel(""), ["--gpu-architecture=sm_7", "--std=c++17"])).toMatch(/invalid value for --gpu-architecture/);
    });
    it("but knows what a unit may ask for", () => {
      const text = `
        #if defined(KINDLING_STAND_IN) && __CUDA_ARCH__ == 800 && N == 3
        extern "C" __global__ void k(int* x) { x[0] = N; }
        #endif`;
      const { cubin } = bench.device.compileSync(text, ["--gpu-architecture=sm_80", "-DN=3", "--std=c++17", "-default-device"]);
      expect(bench.device.getFunction(bench.device.loadModule(cubin), "k", 1, 0)).toBeTypeOf("number");
    });
  });
});
