/** Twins of what gpu/lower's CUDA prelude writes in PTX. */
#pragma once

static inline float kd_f16_to_f32(unsigned short x) {
  const unsigned sign = (x & 0x8000u) << 16, size = x & 0x7fffu;
  if (size >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (size & 0x3ffu) << 13 | (size > 0x7c00u ? 0x400000u : 0u));
  // Subnormals, too: as an integer times 2^-24.
  if (size < 0x400u) return __uint_as_float(sign | __float_as_uint(static_cast<float>(size) * 0x1p-24f));
  return __uint_as_float(sign | ((size << 13) + (112u << 23)));
}
/** To nearest even. */
static inline unsigned short kd_f32_to_f16(float x) {
  const unsigned bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  // A NaN becomes the one that the hardware makes.
  if (size > 0x7f800000u) return 0x7fff;
  if (size >= 0x477ff000u) return static_cast<unsigned short>(sign | 0x7c00u);
  if (size < 0x38800000u) {
    // Adding 2^-1 * 2^0 puts the last place at 2^-24, and the addition rounds.
    return static_cast<unsigned short>(sign | (__float_as_uint(__uint_as_float(size) + 0.5f) - 0x3f000000u));
  }
  return static_cast<unsigned short>(sign | ((size + 0xfffu + (size >> 13 & 1u) - (112u << 23)) >> 13));
}
/** Subnormal arguments and results are flushed, as ex2.approx.ftz and lg2.approx.ftz do. */
static __forceinline__ float kd_flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x; }
static __forceinline__ float kd_exp2_fast(float x) { return kd_flush(exp2f(kd_flush(x))); }
static __forceinline__ float kd_log2_fast(float x) { return kd_flush(log2f(kd_flush(x))); }
