/**
 * What every unit of CUDA C++ starts with: vectors, and the IR's operations where C++ has no operator for them or leaves something open. It
 * includes nothing, because NVRTC has no headers, and uses these of its built-ins: __syncthreads, __shfl_sync, __shfl_xor_sync,
 * __shfl_down_sync, atomicAdd, Min, Max, And, Or, Exch, __float_as_int and its like, __float2int_rz and its like, __clz, __clzll, __popc,
 * __popcll, rsqrtf, rsqrt, and C's math.
 *
 * What is written in PTX is left out where KINDLING_STAND_IN is defined: test/cuda/stand_in/shim.h has the same functions in C++.
 */

import { CUDA_MATRIX } from "./cuda_matrix.ts";

/** Vectors are aligned as the widest load and store of them wants it. */
const VECTORS = String.raw`
#define KD __device__ __forceinline__

template <class T> struct alignas(2 * sizeof(T)) kd_vec2 { T x, y; };
template <class T> struct alignas(sizeof(T) < 8 ? 4 * sizeof(T) : 16) kd_vec4 { T x, y, z, w; };

// Lane by lane, what F does to scalars.
#define KD_LANES_1(F) \
  template <class A> KD auto F(kd_vec2<A> a) -> kd_vec2<decltype(F(a.x))> { return {F(a.x), F(a.y)}; } \
  template <class A> KD auto F(kd_vec4<A> a) -> kd_vec4<decltype(F(a.x))> { return {F(a.x), F(a.y), F(a.z), F(a.w)}; }
#define KD_LANES_2(F, B) \
  template <class A> KD auto F(kd_vec2<A> a, kd_vec2<B> b) -> kd_vec2<decltype(F(a.x, b.x))> { \
    return {F(a.x, b.x), F(a.y, b.y)}; \
  } \
  template <class A> KD auto F(kd_vec4<A> a, kd_vec4<B> b) -> kd_vec4<decltype(F(a.x, b.x))> { \
    return {F(a.x, b.x), F(a.y, b.y), F(a.z, b.z), F(a.w, b.w)}; \
  }
#define KD_LANES_3(F) \
  template <class A, class B> KD kd_vec2<B> F(kd_vec2<A> a, kd_vec2<B> b, kd_vec2<B> c) { \
    return {F(a.x, b.x, c.x), F(a.y, b.y, c.y)}; \
  } \
  template <class A, class B> KD kd_vec4<B> F(kd_vec4<A> a, kd_vec4<B> b, kd_vec4<B> c) { \
    return {F(a.x, b.x, c.x), F(a.y, b.y, c.y), F(a.z, b.z, c.z), F(a.w, b.w, c.w)}; \
  }
`;

/** What only PTX can say. The stand-in's shim has twins of these. */
const PTX = String.raw`
#ifndef KINDLING_STAND_IN
KD float kd_f16_to_f32(unsigned short x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
  return y;
}
// To nearest even.
KD unsigned short kd_f32_to_f16(float x) {
  unsigned short y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
}
KD float kd_exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
KD float kd_log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// Workgroup memory of a size that the launch gives.
KD unsigned char* kd_dynamic_shared() {
  extern __shared__ __align__(16) unsigned char kd_dynamic[];
  return kd_dynamic;
}
#endif
`;

/** Signed integers wrap, so they are computed as unsigned ones; no division is undefined. */
const ARITHMETIC = String.raw`
template <class T> KD T kd_add(T a, T b) { return a + b; }
KD int kd_add(int a, int b) { return (int)((unsigned)a + (unsigned)b); }
KD long long kd_add(long long a, long long b) { return (long long)((unsigned long long)a + (unsigned long long)b); }
template <class T> KD T kd_sub(T a, T b) { return a - b; }
KD int kd_sub(int a, int b) { return (int)((unsigned)a - (unsigned)b); }
KD long long kd_sub(long long a, long long b) { return (long long)((unsigned long long)a - (unsigned long long)b); }
template <class T> KD T kd_mul(T a, T b) { return a * b; }
KD int kd_mul(int a, int b) { return (int)((unsigned)a * (unsigned)b); }
KD long long kd_mul(long long a, long long b) { return (long long)((unsigned long long)a * (unsigned long long)b); }
template <class T> KD T kd_neg(T a) { return -a; }
KD unsigned kd_neg(unsigned a) { return 0u - a; }
KD int kd_neg(int a) { return kd_sub(0, a); }
KD long long kd_neg(long long a) { return kd_sub(0ll, a); }

// What to divide by instead.
KD unsigned kd_divisor(unsigned, unsigned b) { return b == 0u ? 1u : b; }
KD int kd_divisor(int a, int b) { return b == 0 || (b == -1 && a == -2147483647 - 1) ? 1 : b; }
KD long long kd_divisor(long long a, long long b) { return b == 0 || (b == -1 && a == -9223372036854775807ll - 1) ? 1 : b; }
template <class T> KD T kd_div(T a, T b) { return a / kd_divisor(a, b); }
KD float kd_div(float a, float b) { return a / b; }
KD double kd_div(double a, double b) { return a / b; }
template <class T> KD T kd_rem(T a, T b) { return a % kd_divisor(a, b); }

template <class T> KD T kd_abs(T a) { return a < 0 ? kd_neg(a) : a; }
KD unsigned kd_abs(unsigned a) { return a; }
KD float kd_abs(float a) { return fabsf(a); }
KD double kd_abs(double a) { return fabs(a); }
template <class T> KD T kd_min(T a, T b) { return a < b ? a : b; }
KD float kd_min(float a, float b) { return fminf(a, b); }
KD double kd_min(double a, double b) { return fmin(a, b); }
template <class T> KD T kd_max(T a, T b) { return a > b ? a : b; }
KD float kd_max(float a, float b) { return fmaxf(a, b); }
KD double kd_max(double a, double b) { return fmax(a, b); }

KD float kd_fma(float a, float b, float c) { return fmaf(a, b, c); }
KD double kd_fma(double a, double b, double c) { return fma(a, b, c); }
KD float kd_sqrt(float a) { return sqrtf(a); }
KD double kd_sqrt(double a) { return sqrt(a); }
KD float kd_rsqrt(float a) { return rsqrtf(a); }
KD double kd_rsqrt(double a) { return rsqrt(a); }
KD float kd_floor(float a) { return floorf(a); }
KD double kd_floor(double a) { return floor(a); }
KD float kd_ceil(float a) { return ceilf(a); }
KD double kd_ceil(double a) { return ceil(a); }
KD float kd_trunc(float a) { return truncf(a); }
KD double kd_trunc(double a) { return trunc(a); }
KD float kd_round(float a) { return rintf(a); }
KD double kd_round(double a) { return rint(a); }
KD double kd_exp2_fast(double a) { return exp2(a); }
KD double kd_log2_fast(double a) { return log2(a); }

template <class T> KD T kd_and(T a, T b) { return (T)(a & b); }
template <class T> KD T kd_or(T a, T b) { return (T)(a | b); }
template <class T> KD T kd_xor(T a, T b) { return (T)(a ^ b); }
template <class T> KD T kd_not(T a) { return ~a; }
KD bool kd_not(bool a) { return !a; }
KD unsigned kd_shl(unsigned a, unsigned n) { return a << n; }
KD int kd_shl(int a, unsigned n) { return (int)((unsigned)a << n); }
KD long long kd_shl(long long a, unsigned n) { return (long long)((unsigned long long)a << n); }
template <class T> KD T kd_shr(T a, unsigned n) { return a >> n; }
KD unsigned kd_clz(unsigned a) { return (unsigned)__clz((int)a); }
KD int kd_clz(int a) { return __clz(a); }
KD long long kd_clz(long long a) { return __clzll(a); }
KD unsigned kd_popc(unsigned a) { return (unsigned)__popc(a); }
KD int kd_popc(int a) { return __popc((unsigned)a); }
KD long long kd_popc(long long a) { return __popcll((unsigned long long)a); }

template <class T> KD bool kd_eq(T a, T b) { return a == b; }
template <class T> KD bool kd_ne(T a, T b) { return a != b; }
template <class T> KD bool kd_lt(T a, T b) { return a < b; }
template <class T> KD bool kd_le(T a, T b) { return a <= b; }
template <class T> KD bool kd_gt(T a, T b) { return a > b; }
template <class T> KD bool kd_ge(T a, T b) { return a >= b; }
KD bool kd_is_nan(float a) { return (__float_as_uint(a) & 0x7fffffffu) > 0x7f800000u; }
KD bool kd_is_nan(double a) { return (__double_as_longlong(a) & 0x7fffffffffffffffll) > 0x7ff0000000000000ll; }
template <class T> KD T kd_select(bool c, T a, T b) { return c ? a : b; }

KD_LANES_2(kd_add, A) KD_LANES_2(kd_sub, A) KD_LANES_2(kd_mul, A) KD_LANES_2(kd_div, A) KD_LANES_2(kd_rem, A) KD_LANES_2(kd_min, A) KD_LANES_2(kd_max, A)
KD_LANES_1(kd_neg) KD_LANES_1(kd_abs) KD_LANES_1(kd_sqrt) KD_LANES_1(kd_rsqrt) KD_LANES_1(kd_floor) KD_LANES_1(kd_ceil)
KD_LANES_1(kd_trunc) KD_LANES_1(kd_round) KD_LANES_1(kd_exp2_fast) KD_LANES_1(kd_log2_fast) KD_LANES_1(kd_round_tf32)
KD_LANES_1(kd_is_nan)
KD_LANES_2(kd_and, A) KD_LANES_2(kd_or, A) KD_LANES_2(kd_xor, A) KD_LANES_1(kd_not) KD_LANES_2(kd_shl, unsigned) KD_LANES_2(kd_shr, unsigned)
KD_LANES_1(kd_clz) KD_LANES_1(kd_popc)
KD_LANES_2(kd_eq, A) KD_LANES_2(kd_ne, A) KD_LANES_2(kd_lt, A) KD_LANES_2(kd_le, A) KD_LANES_2(kd_gt, A) KD_LANES_2(kd_ge, A)
KD_LANES_3(kd_fma) KD_LANES_3(kd_select)
`;

/** Floats become integers by the instructions that saturate: a cast out of range is undefined to the compiler. */
const CONVERSIONS = String.raw`
template <class To, class From> struct kd_cast { static KD To of(From x) { return (To)x; } };
#define KD_CAST(TO, FROM, F) template <> struct kd_cast<TO, FROM> { static KD TO of(FROM x) { return F(x); } };
KD_CAST(int, float, __float2int_rz) KD_CAST(unsigned, float, __float2uint_rz) KD_CAST(long long, float, __float2ll_rz)
KD_CAST(int, double, __double2int_rz) KD_CAST(unsigned, double, __double2uint_rz) KD_CAST(long long, double, __double2ll_rz)
template <class To, class From> KD To kd_convert(From a) { return kd_cast<To, From>::of(a); }
template <class To, class From> KD kd_vec2<To> kd_convert(kd_vec2<From> a) { return {kd_convert<To>(a.x), kd_convert<To>(a.y)}; }
template <class To, class From> KD kd_vec4<To> kd_convert(kd_vec4<From> a) {
  return {kd_convert<To>(a.x), kd_convert<To>(a.y), kd_convert<To>(a.z), kd_convert<To>(a.w)};
}

template <class To, class From> struct kd_bits { static KD To of(From x) { return (To)x; } };
#define KD_BITS(TO, FROM, F) template <> struct kd_bits<TO, FROM> { static KD TO of(FROM x) { return F(x); } };
KD_BITS(int, float, __float_as_int) KD_BITS(unsigned, float, __float_as_uint) KD_BITS(long long, double, __double_as_longlong)
KD_BITS(float, int, __int_as_float) KD_BITS(float, unsigned, __uint_as_float) KD_BITS(double, long long, __longlong_as_double)
template <class To, class From> KD To kd_bitcast(From a) { return kd_bits<To, From>::of(a); }
template <class To, class From> KD kd_vec2<To> kd_bitcast(kd_vec2<From> a) { return {kd_bitcast<To>(a.x), kd_bitcast<To>(a.y)}; }
template <class To, class From> KD kd_vec4<To> kd_bitcast(kd_vec4<From> a) {
  return {kd_bitcast<To>(a.x), kd_bitcast<To>(a.y), kd_bitcast<To>(a.z), kd_bitcast<To>(a.w)};
}

KD float kd_bf16_to_f32(unsigned short x) { return __uint_as_float((unsigned)x << 16); }
// To nearest even; a NaN stays one.
KD unsigned short kd_f32_to_bf16(float x) {
#if !defined(KINDLING_STAND_IN) && __CUDA_ARCH__ >= 800
  unsigned short y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
#else
  unsigned bits = __float_as_uint(x);
  return (unsigned short)(kd_is_nan(x) ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
#endif
}
KD_LANES_1(kd_f16_to_f32) KD_LANES_1(kd_f32_to_f16) KD_LANES_1(kd_bf16_to_f32) KD_LANES_1(kd_f32_to_bf16)
`;

/** Between threads. In the last warp of a workgroup only some of the 32 may exist. */
const THREADS = String.raw`
template <class T> KD T kd_load_uniform(const T* at) {
  __syncthreads();
  T x = *at;
  __syncthreads();
  return x;
}
template <class T> KD T kd_atomic_load(T* at) { return *(volatile T*)at; }
template <class T> KD void kd_atomic_store(T* at, T x) { *(volatile T*)at = x; }

enum kd_way { KD_LANE, KD_XOR, KD_DOWN };
template <kd_way W, class T> KD T kd_shuffle(unsigned threads, T x, unsigned by) {
  const unsigned mask = 0xffffffffu >> (32u - threads);
  return W == KD_LANE  ? __shfl_sync(mask, x, (int)by)
         : W == KD_XOR ? __shfl_xor_sync(mask, x, (int)by)
                       : __shfl_down_sync(mask, x, by);
}
template <kd_way W> KD bool kd_shuffle(unsigned threads, bool x, unsigned by) {
  return kd_shuffle<W>(threads, x ? 1 : 0, by) != 0;
}
template <kd_way W, class T> KD kd_vec2<T> kd_shuffle(unsigned threads, kd_vec2<T> x, unsigned by) {
  return {kd_shuffle<W>(threads, x.x, by), kd_shuffle<W>(threads, x.y, by)};
}
template <kd_way W, class T> KD kd_vec4<T> kd_shuffle(unsigned threads, kd_vec4<T> x, unsigned by) {
  return {kd_shuffle<W>(threads, x.x, by), kd_shuffle<W>(threads, x.y, by), kd_shuffle<W>(threads, x.z, by),
          kd_shuffle<W>(threads, x.w, by)};
}
// How many threads this thread's warp has in a workgroup of that many.
KD unsigned kd_warp_threads(unsigned workgroup) { return kd_min(32u, workgroup - (threadIdx.x & ~31u)); }

#define KD_FOLD(F) struct F##_fold { template <class T> static KD T of(T a, T b) { return F(a, b); } };
KD_FOLD(kd_add) KD_FOLD(kd_mul) KD_FOLD(kd_min) KD_FOLD(kd_max) KD_FOLD(kd_and) KD_FOLD(kd_or) KD_FOLD(kd_xor)
template <class F, class T> KD T kd_reduce(unsigned threads, T x) {
  if (threads == 32u) {
#pragma unroll
    for (unsigned by = 16u; by > 0u; by >>= 1) x = F::of(x, kd_shuffle<KD_XOR>(threads, x, by));
    return x;
  }
  for (unsigned by = 16u; by > 0u; by >>= 1) {
    const T other = kd_shuffle<KD_DOWN>(threads, x, by);
    if ((threadIdx.x & 31u) + by < threads) x = F::of(x, other);
  }
  return kd_shuffle<KD_LANE>(threads, x, 0u);
}
`;

export const CUDA_PRELUDE: string = [VECTORS, PTX, CUDA_MATRIX, ARITHMETIC, CONVERSIONS, THREADS]
  .map((s) => s.trimStart())
  .join("\n");
