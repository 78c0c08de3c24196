// Reductions along contiguous rows, shared by softmax, norms and losses.
//
// Sums run in four vectors over chunks of CHUNK elements and then in float64, so that the error does not grow with
// the length of the row. The order is fixed by the length alone.
#pragma once

#include "vmath.h"

constexpr uint32_t CHUNK = 2048;

// Loads the last `count` < lanes elements, the rest filled with `other`.
template <class T>
INLINE v128_t load_tail(const T* p, uint32_t count, T other) {
  constexpr uint32_t L = Simd<T>::lanes;
  T lanes[L];
#pragma unroll
  for (uint32_t i = 0; i < L; i++) lanes[i] = i < count ? p[i] : other;
  return wasm_v128_load(lanes);
}

template <class T>
INLINE void store_tail(T* p, uint32_t count, v128_t v) {
  constexpr uint32_t L = Simd<T>::lanes;
  T lanes[L];
  wasm_v128_store(lanes, v);
#pragma unroll
  for (uint32_t i = 0; i < L; i++)
    if (i < count) p[i] = lanes[i];
}

// Sum of term(i) over vectors of [0, n); term gets an element index and loads for itself through `load`.
// The tail is loaded with zeros: term must map all-zero operands to zero, or use `valid`.
template <class T, class F>
INLINE double sum_terms(uint32_t n, F term) {
  using S = Simd<T>;
  constexpr uint32_t L = S::lanes;
  double total = 0;
  uint32_t i = 0;
  while (i + L <= n) {
    const uint32_t end = i + min_of(CHUNK, (n - i) / L * L);
    v128_t s0 = S::splat(T(0)), s1 = s0, s2 = s0, s3 = s0;
    for (; i + 4 * L <= end; i += 4 * L) {
      s0 = S::add(s0, term(i, L));
      s1 = S::add(s1, term(i + L, L));
      s2 = S::add(s2, term(i + 2 * L, L));
      s3 = S::add(s3, term(i + 3 * L, L));
    }
    for (; i < end; i += L) s0 = S::add(s0, term(i, L));
    total += double(S::sum(S::add(S::add(s0, s1), S::add(s2, s3))));
  }
  if (i < n) total += double(S::sum(term(i, n - i)));
  return total;
}

// out[i] = value(i) for vectors over [0, n).
template <class T, class F>
INLINE void map_row(T* out, uint32_t n, F value) {
  constexpr uint32_t L = Simd<T>::lanes;
  uint32_t i = 0;
  for (; i + L <= n; i += L) wasm_v128_store(out + i, value(i, L));
  if (i < n) store_tail(out + i, n - i, value(i, n - i));
}

// A row that may end inside a vector.
template <class T>
INLINE v128_t load_row(const T* p, uint32_t i, uint32_t count, T other = T(0)) {
  return count == Simd<T>::lanes ? wasm_v128_load(p + i) : load_tail(p + i, count, other);
}

// The largest element; NaN may be passed over (it comes back through the sum of exponentials).
template <class T>
INLINE T row_max(const T* x, uint32_t n) {
  constexpr uint32_t L = Simd<T>::lanes;
  const auto larger = [](v128_t a, v128_t b) {
    if constexpr (sizeof(T) == 4)
      return wasm_f32x4_pmax(a, b);
    else
      return wasm_f64x2_pmax(a, b);
  };
  const T least = -T(__builtin_inf());
  v128_t m0 = Simd<T>::splat(least), m1 = m0, m2 = m0, m3 = m0;
  uint32_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    m0 = larger(m0, wasm_v128_load(x + i));
    m1 = larger(m1, wasm_v128_load(x + i + L));
    m2 = larger(m2, wasm_v128_load(x + i + 2 * L));
    m3 = larger(m3, wasm_v128_load(x + i + 3 * L));
  }
  for (; i + L <= n; i += L) m0 = larger(m0, wasm_v128_load(x + i));
  T lanes[L];
  wasm_v128_store(lanes, larger(larger(m0, m1), larger(m2, m3)));
  T m = lanes[0];
#pragma unroll
  for (uint32_t j = 1; j < L; j++) m = lanes[j] > m ? lanes[j] : m;
  for (; i < n; i++) m = x[i] > m ? x[i] : m;
  return m;
}
