// Packed matrix multiplication: register micro-kernel, panel packing, and the macro loop over panels.
//
// The shape of the computation is Goto's (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
// 2008): A goes into panels of MR rows, B into panels of NR columns, both contiguous along k, and a micro-kernel
// keeps an MR x NR tile of C in registers.
//
// Register budget: V8 has 15 free vector registers on x64. With fused multiply-add, 6 x 8 floats is 12 accumulators,
// 2 of B and 1 of A: exactly 15. Without it every product needs a temporary: 5 x 8 is the largest tile that does not
// spill, and spills halve the speed.
#pragma once

#include "common.h"

#ifdef KINDLING_RELAXED
constexpr uint32_t GEMM_MR = 6;
#else
constexpr uint32_t GEMM_MR = 5;
#endif

// Columns of a packed panel of B: two vectors.
template <class T>
constexpr uint32_t gemm_nr = 2 * Simd<T>::lanes;

// What happens to a finished tile: C = alpha * AB + beta * C + bias on the first block of k, C += alpha * AB after.
template <class T>
struct Epilogue {
  T alpha, beta;
  const T* bias_row;     // one value per row of the tile, or null
  const T* bias_column;  // one value per column, or null
  bool first;            // the first block of k
  bool plain;            // this block only stores or only adds
  bool biased = false;   // this block stores, with a bias per column

  // Called before each block of k.
  void begin(bool is_first) {
    first = is_first;
    plain = alpha == T(1) && (!first || (beta == T(0) && !bias_row && !bias_column));
    biased = first && alpha == T(1) && beta == T(0) && !bias_row && bias_column;
  }
};

template <class T>
INLINE T finish_scalar(T product, T c, const Epilogue<T>& e, uint32_t row, uint32_t column) {
  if (!e.first) return mul_add(product, e.alpha, c);
  T value = mul_add(product, e.alpha, T(0));
  if (e.beta != T(0)) value = mul_add(c, e.beta, value);
  if (e.bias_row) value = mul_add(e.bias_row[row], T(1), value);
  if (e.bias_column) value = mul_add(e.bias_column[column], T(1), value);
  return value;
}

// The general way out of a tile that lies in memory, `width` elements to a row.
template <class T>
NOINLINE void finish_tile(const T* tile, uint32_t width, uint32_t rows, uint32_t columns, T* c, uint32_t ldc,
                                 const Epilogue<T>& e, uint32_t row, uint32_t column) {
  for (uint32_t i = 0; i < rows; i++, tile += width, c += ldc)
    for (uint32_t j = 0; j < columns; j++) c[j] = finish_scalar(tile[j], c[j], e, row + i, column + j);
}

// Writes an R x NV tile of registers to C, of which `columns` columns exist. Whole tiles that only store or only add
// go straight to C, also with a bias per column; all else and the ragged right edge go through memory.
template <class T, uint32_t R, uint32_t NV>
INLINE void store_tile(const v128_t (&acc)[R][NV], T* c, uint32_t ldc, uint32_t columns, const Epilogue<T>& e,
                       uint32_t row, uint32_t column) {
  using S = Simd<T>;
  constexpr uint32_t L = S::lanes;
  if (columns == NV * L && e.biased) {
#pragma unroll
    for (uint32_t j = 0; j < NV; j++) {
      const v128_t bias = wasm_v128_load(e.bias_column + column + j * L);
#pragma unroll
      for (uint32_t i = 0; i < R; i++) wasm_v128_store(c + i * ldc + j * L, S::add(acc[i][j], bias));
    }
    return;
  }
  if (columns < NV * L || !e.plain) {
    T tile[R * NV * L];
#pragma unroll
    for (uint32_t i = 0; i < R; i++)
#pragma unroll
      for (uint32_t j = 0; j < NV; j++) wasm_v128_store(tile + i * NV * L + j * L, acc[i][j]);
    return finish_tile(tile, NV * L, R, columns, c, ldc, e, row, column);
  }
  if (e.first) {
#pragma unroll
    for (uint32_t i = 0; i < R; i++)
#pragma unroll
      for (uint32_t j = 0; j < NV; j++) wasm_v128_store(c + i * ldc + j * L, acc[i][j]);
  } else {
#pragma unroll
    for (uint32_t i = 0; i < R; i++)
#pragma unroll
      for (uint32_t j = 0; j < NV; j++) {
        T* out = c + i * ldc + j * L;
        wasm_v128_store(out, S::add(wasm_v128_load(out), acc[i][j]));
      }
  }
}

// R rows x NV vectors of C from panels of `k` steps. `b_step` elements lie between successive k in the panel of B.
template <class T, uint32_t R, uint32_t NV>
NOINLINE void gemm_micro(uint32_t k, const T* a, const T* b, T* c, uint32_t ldc,
                                                 uint32_t columns, const Epilogue<T>& e, uint32_t row,
                                                 uint32_t column) {
  using S = Simd<T>;
  constexpr uint32_t L = S::lanes, NR = gemm_nr<T>;
  v128_t acc[R][NV];
#pragma unroll
  for (uint32_t i = 0; i < R; i++)
#pragma unroll
    for (uint32_t j = 0; j < NV; j++) acc[i][j] = S::splat(T(0));

  for (; k; k--) {
    // Opaque bases: every load below becomes base + constant offset. Left alone, LLVM keeps an induction variable for
    // each and hoists the splats of A, and the tile spills (30 instead of 67 GFLOP/s).
    asm volatile("" : "+r"(a), "+r"(b));
    v128_t bv[NV];
#pragma unroll
    for (uint32_t j = 0; j < NV; j++) bv[j] = wasm_v128_load(b + j * L);
#pragma unroll
    for (uint32_t i = 0; i < R; i++) {
      const v128_t av = S::load_splat(a + i);
#pragma unroll
      for (uint32_t j = 0; j < NV; j++) acc[i][j] = S::madd(av, bv[j], acc[i][j]);
    }
    a += R;
    b += NR;
  }

  store_tile<T, R, NV>(acc, c, ldc, columns, e, row, column);
}

template <class T, uint32_t NV>
INLINE void gemm_micro_rows(uint32_t rows, uint32_t k, const T* a, const T* b, T* c, uint32_t ldc, uint32_t columns,
                            const Epilogue<T>& e, uint32_t row, uint32_t column) {
  switch (rows) {
    case 1: return gemm_micro<T, 1, NV>(k, a, b, c, ldc, columns, e, row, column);
    case 2: return gemm_micro<T, 2, NV>(k, a, b, c, ldc, columns, e, row, column);
    case 3: return gemm_micro<T, 3, NV>(k, a, b, c, ldc, columns, e, row, column);
    case 4: return gemm_micro<T, 4, NV>(k, a, b, c, ldc, columns, e, row, column);
    case 5: return gemm_micro<T, 5, NV>(k, a, b, c, ldc, columns, e, row, column);
#ifdef KINDLING_RELAXED
    case 6: return gemm_micro<T, 6, NV>(k, a, b, c, ldc, columns, e, row, column);
#endif
  }
}

// C[m, n] from packed A (panels of `k` steps, back to back) and packed B (panels `b_panel` elements apart).
// The panel of B stays in the first cache while the panels of A stream past it.
template <class T>
NOINLINE void gemm_macro(uint32_t m, uint32_t n, uint32_t k, const T* a, const T* b, uint32_t b_panel, T* c,
                       uint32_t ldc, const Epilogue<T>& e) {
  constexpr uint32_t NR = gemm_nr<T>;
  for (uint32_t j = 0; j < n; j += NR, b += b_panel) {
    const uint32_t columns = min_of(NR, n - j);
    for (uint32_t i = 0; i < m; i += GEMM_MR) {
      const uint32_t rows = min_of(GEMM_MR, m - i);
      T* out = c + i * ldc + j;
      if (columns > Simd<T>::lanes)
        gemm_micro_rows<T, 2>(rows, k, a + i * k, b, out, ldc, columns, e, i, j);
      else
        gemm_micro_rows<T, 1>(rows, k, a + i * k, b, out, ldc, columns, e, i, j);
    }
  }
}

INLINE void transpose4(v128_t& r0, v128_t& r1, v128_t& r2, v128_t& r3) {
  const v128_t a = wasm_i32x4_shuffle(r0, r1, 0, 4, 1, 5), b = wasm_i32x4_shuffle(r0, r1, 2, 6, 3, 7);
  const v128_t c = wasm_i32x4_shuffle(r2, r3, 0, 4, 1, 5), d = wasm_i32x4_shuffle(r2, r3, 2, 6, 3, 7);
  r0 = wasm_i64x2_shuffle(a, c, 0, 2);
  r1 = wasm_i64x2_shuffle(a, c, 1, 3);
  r2 = wasm_i64x2_shuffle(b, d, 0, 2);
  r3 = wasm_i64x2_shuffle(b, d, 1, 3);
}

// `width` strided lines of `k` elements, interleaved: to[x * step + line] = from[line * line_stride + x * k_stride].
// Serves both operands: lines are rows of A (step = rows of the panel) or columns of B (step = NR).
template <class T>
NOINLINE void pack_lines(T* to, uint32_t step, const T* from, uint32_t width, uint32_t k, int32_t line_stride,
                       int32_t k_stride) {
  constexpr uint32_t L = Simd<T>::lanes;
  if (line_stride == 1) {  // each k is one contiguous run
    if (width == 2 * L) {
      for (; k; k--, from += k_stride, to += step) {
        const v128_t x = wasm_v128_load(from), y = wasm_v128_load(from + L);
        wasm_v128_store(to, x);
        wasm_v128_store(to + L, y);
      }
    } else if (width == L) {
      for (; k; k--, from += k_stride, to += step) wasm_v128_store(to, wasm_v128_load(from));
    } else if (L == 4 && width > L) {
      for (; k; k--, from += k_stride, to += step) {
        wasm_v128_store(to, wasm_v128_load(from));
        for (uint32_t i = L; i < width; i++) to[i] = from[i];
      }
    } else {
      for (; k; k--, from += k_stride, to += step)
        for (uint32_t i = 0; i < width; i++) to[i] = from[i];
    }
    return;
  }
  uint32_t line = 0;
  if (sizeof(T) == 4 && k_stride == 1) {
    for (; line + 4 <= width; line += 4) {
      const T *p0 = from + int32_t(line) * line_stride, *p1 = p0 + line_stride, *p2 = p1 + line_stride,
              *p3 = p2 + line_stride;
      T* out = to + line;
      uint32_t x = 0;
      for (; x + 4 <= k; x += 4, out += 4 * step) {
        v128_t r0 = wasm_v128_load(p0 + x), r1 = wasm_v128_load(p1 + x), r2 = wasm_v128_load(p2 + x),
               r3 = wasm_v128_load(p3 + x);
        transpose4(r0, r1, r2, r3);
        wasm_v128_store(out, r0);
        wasm_v128_store(out + step, r1);
        wasm_v128_store(out + 2 * step, r2);
        wasm_v128_store(out + 3 * step, r3);
      }
      for (; x < k; x++, out += step) {
        out[0] = p0[x];
        out[1] = p1[x];
        out[2] = p2[x];
        out[3] = p3[x];
      }
    }
    for (; line + 2 <= width; line += 2) {
      const T *p0 = from + int32_t(line) * line_stride, *p1 = p0 + line_stride;
      T* out = to + line;
      for (uint32_t x = 0; x < k; x++, out += step) {
        out[0] = p0[x];
        out[1] = p1[x];
      }
    }
  }
  for (; line < width; line++) {
    const T* p = from + int32_t(line) * line_stride;
    T* out = to + line;
    for (uint32_t x = 0; x < k; x++, p += k_stride, out += step) *out = *p;
  }
}

// Panels of MR rows; the last is as wide as the rows that are left.
template <class T>
NOINLINE void pack_a(T* to, const T* a, uint32_t m, uint32_t k, int32_t row_stride, int32_t k_stride) {
  for (uint32_t i = 0; i < m; i += GEMM_MR) {
    const uint32_t rows = min_of(GEMM_MR, m - i);
    pack_lines(to + i * k, rows, a + int32_t(i) * row_stride, rows, k, row_stride, k_stride);
  }
}

// Panels of NR columns, `panel` elements apart; the last is filled up with zeros.
template <class T>
NOINLINE void pack_b(T* to, uint32_t panel, const T* b, uint32_t n, uint32_t k, int32_t k_stride, int32_t column_stride) {
  constexpr uint32_t NR = gemm_nr<T>;
  for (uint32_t j = 0; j < n; j += NR, to += panel) {
    const uint32_t columns = min_of(NR, n - j);
    if (columns < NR)
      for (uint32_t x = 0; x < k * NR; x++) to[x] = T(0);
    pack_lines(to, NR, b + int32_t(j) * column_stride, columns, k, column_stride, k_stride);
  }
}
