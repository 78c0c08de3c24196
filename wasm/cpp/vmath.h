// Vector exp and scalar log for kernels that need them inside (softmax, attention, cross entropy).
//
// exp: x = n ln 2 + r with ln 2 split in two (Cody and Waite), a polynomial on |r| <= ln 2 / 2, then two exact
// scalings by powers of two, so that subnormal results and overflow come out right. exp(-inf) is 0, NaN stays NaN.
#pragma once

#include "common.h"

// 1 + r + r^2 q(r) with the coefficients of Cephes expf, in Estrin's order: latency is what bounds it.
INLINE v128_t exp_polynomial_f32x4(v128_t r) {
  const v128_t r2 = wasm_f32x4_mul(r, r);
  const v128_t high = madd_f32(wasm_f32x4_const_splat(1.9875691500e-4f), r, wasm_f32x4_const_splat(1.3981999507e-3f));
  const v128_t middle = madd_f32(wasm_f32x4_const_splat(8.3334519073e-3f), r, wasm_f32x4_const_splat(4.1665795894e-2f));
  const v128_t low = madd_f32(wasm_f32x4_const_splat(1.6666665459e-1f), r, wasm_f32x4_const_splat(5.0000001201e-1f));
  const v128_t q = madd_f32(madd_f32(high, r2, middle), r2, low);
  return wasm_f32x4_add(madd_f32(q, r2, r), wasm_f32x4_const_splat(1.0f));
}

// Within 1 ULP.
INLINE v128_t exp_f32x4(v128_t x) {
  // NaN passes both: pmax(a, b) is a < b ? b : a, and pmin(a, b) is b < a ? b : a.
  x = wasm_f32x4_pmin(wasm_f32x4_pmax(x, wasm_f32x4_const_splat(-104.0f)), wasm_f32x4_const_splat(89.0f));
  // Adding 1.5 * 2^23 rounds to an integer that then sits in the low bits.
  const v128_t magic = wasm_f32x4_const_splat(12582912.0f);
  const v128_t shifted = wasm_f32x4_add(wasm_f32x4_mul(x, wasm_f32x4_const_splat(1.44269504088896341f)), magic);
  const v128_t n = wasm_f32x4_sub(shifted, magic);
  v128_t r = madd_f32(n, wasm_f32x4_const_splat(-0.693359375f), x);
  r = madd_f32(n, wasm_f32x4_const_splat(2.12194440e-4f), r);
  const v128_t p = exp_polynomial_f32x4(r);
  const v128_t bits = wasm_i32x4_sub(shifted, magic);
  const v128_t half = wasm_i32x4_shr(bits, 1);
  const v128_t bias = wasm_i32x4_const_splat(127);
  const v128_t s1 = wasm_i32x4_shl(wasm_i32x4_add(half, bias), 23);
  const v128_t s2 = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_sub(bits, half), bias), 23);
  return wasm_f32x4_mul(wasm_f32x4_mul(p, s1), s2);
}

// exp for x <= 0, as softmax needs it: no overflow, and results below 2^-126 are 0. Half of the work.
INLINE v128_t exp_nonpositive_f32x4(v128_t x) {
  x = wasm_f32x4_pmax(x, wasm_f32x4_const_splat(-88.0f));
  // Here the magic number also carries the exponent's bias: its low bits, shifted up, are the power of two, and they
  // are all zero, which is the float 0, from -88 (the least that passes the line above) to -87.68.
  const v128_t magic = wasm_f32x4_const_splat(12582912.0f + 127.0f);
  const v128_t shifted = madd_f32(x, wasm_f32x4_const_splat(1.44269504088896341f), magic);
  const v128_t n = wasm_f32x4_sub(shifted, magic);
  v128_t r = madd_f32(n, wasm_f32x4_const_splat(-0.693359375f), x);
  r = madd_f32(n, wasm_f32x4_const_splat(2.12194440e-4f), r);
  return wasm_f32x4_mul(exp_polynomial_f32x4(r), wasm_i32x4_shl(shifted, 23));
}

// Within 1 ULP: Taylor to degree 13, whose remainder on |r| <= 0.347 is below 2^-57.
INLINE v128_t exp_f64x2(v128_t x) {
  x = wasm_f64x2_pmin(wasm_f64x2_pmax(x, wasm_f64x2_const_splat(-746.0)), wasm_f64x2_const_splat(710.0));
  const v128_t magic = wasm_f64x2_const_splat(6755399441055744.0);  // 1.5 * 2^52
  const v128_t shifted = wasm_f64x2_add(wasm_f64x2_mul(x, wasm_f64x2_const_splat(1.4426950408889634074)), magic);
  const v128_t n = wasm_f64x2_sub(shifted, magic);
  v128_t r = madd_f64(n, wasm_f64x2_const_splat(-6.93147180369123816490e-01), x);
  r = madd_f64(n, wasm_f64x2_const_splat(-1.90821492927058770002e-10), r);
  v128_t p = wasm_f64x2_const_splat(1.0 / 6227020800.0);
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 479001600.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 39916800.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 3628800.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 362880.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 40320.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 5040.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 720.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 120.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 24.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(1.0 / 6.0));
  p = madd_f64(p, r, wasm_f64x2_const_splat(0.5));
  p = wasm_f64x2_add(madd_f64(p, wasm_f64x2_mul(r, r), r), wasm_f64x2_const_splat(1.0));
  const v128_t bits = wasm_i64x2_sub(shifted, magic);
  const v128_t half = wasm_i64x2_shr(bits, 1);
  const v128_t bias = wasm_i64x2_const_splat(1023);
  const v128_t s1 = wasm_i64x2_shl(wasm_i64x2_add(half, bias), 52);
  const v128_t s2 = wasm_i64x2_shl(wasm_i64x2_add(wasm_i64x2_sub(bits, half), bias), 52);
  return wasm_f64x2_mul(wasm_f64x2_mul(p, s1), s2);
}

// log x = e ln 2 + 2 artanh(s), s = (m - 1) / (m + 1), with m in [sqrt(1/2), sqrt(2)); within 1 ULP.
INLINE double log_f64(double x) {
  if (!(x > 0)) return x == 0 ? -__builtin_inf() : __builtin_nan("");
  if (x == __builtin_inf()) return x;
  int32_t e = 0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984.0;  // 2^54
    e = -54;
  }
  uint64_t bits = __builtin_bit_cast(uint64_t, x);
  e += int32_t(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
  double m = __builtin_bit_cast(double, bits);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e++;
  }
  const double s = (m - 1) / (m + 1), z = s * s;
  double p = 1.0 / 23;
  p = p * z + 1.0 / 21;
  p = p * z + 1.0 / 19;
  p = p * z + 1.0 / 17;
  p = p * z + 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  return double(e) * 0.69314718055994530942 + (2 * s + 2 * s * z * p);
}

template <class T>
INLINE v128_t vexp(v128_t x) {
  if constexpr (sizeof(T) == 4)
    return exp_f32x4(x);
  else
    return exp_f64x2(x);
}

template <class T>
INLINE v128_t vexp_nonpositive(v128_t x) {
  if constexpr (sizeof(T) == 4)
    return exp_nonpositive_f32x4(x);
  else
    return exp_f64x2(x);
}

template <class T>
INLINE T exp_scalar(T x) {
  if constexpr (sizeof(T) == 4)
    return wasm_f32x4_extract_lane(exp_f32x4(wasm_f32x4_splat(x)), 0);
  else
    return wasm_f64x2_extract_lane(exp_f64x2(wasm_f64x2_splat(x)), 0);
}
