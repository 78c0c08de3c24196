// What every kernel shares: the calling convention and the widths of the machine.
//
// A kernel is `void NAME(const Params* p, uint32_t task, uint8_t* scratch)`. Tasks of one call are independent and
// may run on any thread in any order; how many there are depends on shapes only, so results never depend on the
// number of threads. `scratch` belongs to the calling thread alone (SCRATCH_BYTES, 64-byte aligned, not cleared).
// Addresses in Params are u32 byte addresses in the one linear memory; fields lie as C lays them out.
#pragma once

#include <stdint.h>
#include <wasm_simd128.h>

#define KERNEL(name) extern "C" __attribute__((export_name(#name))) void name
#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))

constexpr uint32_t SCRATCH_BYTES = 4u << 20;

template <class T>
INLINE T* at(uint32_t address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

template <class T>
INLINE T min_of(T a, T b) {
  return a < b ? a : b;
}

template <class T>
INLINE T max_of(T a, T b) {
  return a > b ? a : b;
}

INLINE uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// Half-open range of `count` items that part `index` of `parts` owns: as even as can be, earlier parts take the rest.
struct Range {
  uint32_t begin, end;
};
INLINE Range split(uint32_t count, uint32_t parts, uint32_t index) {
  const uint32_t each = count / parts, rest = count % parts;
  const uint32_t begin = index * each + min_of(index, rest);
  return {begin, begin + each + (index < rest ? 1u : 0u)};
}

INLINE v128_t madd_f32(v128_t a, v128_t b, v128_t c) {
#ifdef KINDLING_RELAXED
  return wasm_f32x4_relaxed_madd(a, b, c);
#else
  return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
#endif
}

INLINE v128_t madd_f64(v128_t a, v128_t b, v128_t c) {
#ifdef KINDLING_RELAXED
  return wasm_f64x2_relaxed_madd(a, b, c);
#else
  return wasm_f64x2_add(wasm_f64x2_mul(a, b), c);
#endif
}

// One face over the lane types, so that a kernel is written once for f32, f64, i32 and i64.
template <class T>
struct Simd;

template <class T>
constexpr bool is_float = T(0.5) != T(0);

template <>
struct Simd<float> {
  static constexpr uint32_t lanes = 4;
  INLINE v128_t splat(float x) { return wasm_f32x4_splat(x); }
  INLINE v128_t load_splat(const float* p) { return wasm_v128_load32_splat(p); }
  INLINE v128_t add(v128_t a, v128_t b) { return wasm_f32x4_add(a, b); }
  INLINE v128_t sub(v128_t a, v128_t b) { return wasm_f32x4_sub(a, b); }
  INLINE v128_t mul(v128_t a, v128_t b) { return wasm_f32x4_mul(a, b); }
  INLINE v128_t madd(v128_t a, v128_t b, v128_t c) { return madd_f32(a, b, c); }
  INLINE float sum(v128_t a) {
    return (wasm_f32x4_extract_lane(a, 0) + wasm_f32x4_extract_lane(a, 1)) +
           (wasm_f32x4_extract_lane(a, 2) + wasm_f32x4_extract_lane(a, 3));
  }
};

template <>
struct Simd<double> {
  static constexpr uint32_t lanes = 2;
  INLINE v128_t splat(double x) { return wasm_f64x2_splat(x); }
  INLINE v128_t load_splat(const double* p) { return wasm_v128_load64_splat(p); }
  INLINE v128_t add(v128_t a, v128_t b) { return wasm_f64x2_add(a, b); }
  INLINE v128_t sub(v128_t a, v128_t b) { return wasm_f64x2_sub(a, b); }
  INLINE v128_t mul(v128_t a, v128_t b) { return wasm_f64x2_mul(a, b); }
  INLINE v128_t madd(v128_t a, v128_t b, v128_t c) { return madd_f64(a, b, c); }
  INLINE double sum(v128_t a) { return wasm_f64x2_extract_lane(a, 0) + wasm_f64x2_extract_lane(a, 1); }
};

template <>
struct Simd<int32_t> {
  static constexpr uint32_t lanes = 4;
  INLINE v128_t splat(int32_t x) { return wasm_i32x4_splat(x); }
  INLINE v128_t load_splat(const int32_t* p) { return wasm_v128_load32_splat(p); }
  INLINE v128_t add(v128_t a, v128_t b) { return wasm_i32x4_add(a, b); }
  INLINE v128_t sub(v128_t a, v128_t b) { return wasm_i32x4_sub(a, b); }
  INLINE v128_t mul(v128_t a, v128_t b) { return wasm_i32x4_mul(a, b); }
  INLINE v128_t madd(v128_t a, v128_t b, v128_t c) { return add(mul(a, b), c); }
  INLINE int32_t sum(v128_t a) {
    const v128_t s = add(a, wasm_i32x4_shuffle(a, a, 2, 3, 2, 3));
    return wasm_i32x4_extract_lane(add(s, wasm_i32x4_shuffle(s, s, 1, 1, 1, 1)), 0);
  }
};

template <>
struct Simd<int64_t> {
  static constexpr uint32_t lanes = 2;
  INLINE v128_t splat(int64_t x) { return wasm_i64x2_splat(x); }
  INLINE v128_t load_splat(const int64_t* p) { return wasm_v128_load64_splat(p); }
  INLINE v128_t add(v128_t a, v128_t b) { return wasm_i64x2_add(a, b); }
  INLINE v128_t sub(v128_t a, v128_t b) { return wasm_i64x2_sub(a, b); }
  INLINE v128_t mul(v128_t a, v128_t b) { return wasm_i64x2_mul(a, b); }
  INLINE v128_t madd(v128_t a, v128_t b, v128_t c) { return add(mul(a, b), c); }
  INLINE int64_t sum(v128_t a) {
    return wasm_i64x2_extract_lane(add(a, wasm_i64x2_shuffle(a, a, 1, 1)), 0);
  }
};

// Wrapping multiply-add on scalars: signed overflow is undefined in C++ but wraps in PyTorch.
INLINE float mul_add(float a, float b, float c) { return a * b + c; }
INLINE double mul_add(double a, double b, double c) { return a * b + c; }
INLINE int32_t mul_add(int32_t a, int32_t b, int32_t c) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b) + static_cast<uint32_t>(c));
}
INLINE int64_t mul_add(int64_t a, int64_t b, int64_t c) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b) + static_cast<uint64_t>(c));
}
