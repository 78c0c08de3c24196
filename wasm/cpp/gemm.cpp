// gemm_{f32,f64,i32,i64}: C = alpha * A B + beta * C + bias, batched, any strides of A and B.
// gemm_pack_b_{f32,f64}:  packs all of B into a shared workspace first, for problems with many row blocks.
//
// Planned by wasm/device/cpp/gemm.ts. Integer types wrap; alpha and beta are truncated to integers for them.
#include "gemm.h"

namespace {

enum Route : uint32_t {
  PACKED = 0,  // panels and the register micro-kernel
  ROWS = 1,    // B read in place, b_col == 1: few rows, or small matrices
  DOTS = 2,    // B read in place, a_col == b_row == 1: few rows against transposed B
  SCALAR = 3,  // tiny and strided any way
};

struct GemmParams {
  uint32_t a, b, c, bias;  // byte addresses; bias may be 0
  uint32_t packed_b;       // workspace filled by gemm_pack_b, or 0: tasks pack for themselves
  uint32_t m, n, k;
  int32_t a_row, a_col, b_row, b_col;  // strides in elements
  uint32_t c_row;                      // C has unit column stride
  uint32_t batch[3];                   // outermost first; 1 where unused
  int32_t a_batch[3], b_batch[3], c_batch[3];
  uint32_t packed_batch[3];  // elements of packed_b between batches; 0 where B is broadcast
  uint32_t route, bias_kind;  // bias_kind: 0 none, 1 one per column, 2 one per row
  uint32_t mc, nc, kc;        // block sizes; mc * kc + ceil(nc, NR) * kc elements fit the scratch
  uint32_t batches_per_task;  // above 1 only when one tile covers a matrix
  uint32_t panels_per_task;   // of gemm_pack_b
  double alpha, beta;         // 8-aligned
};

struct BatchOffsets {
  int32_t a, b, c;
  uint32_t packed;
};

INLINE BatchOffsets batch_offsets(const GemmParams& p, uint32_t index) {
  const uint32_t i2 = index % p.batch[2], rest = index / p.batch[2];
  const uint32_t i1 = rest % p.batch[1], i0 = rest / p.batch[1];
  return {int32_t(i0) * p.a_batch[0] + int32_t(i1) * p.a_batch[1] + int32_t(i2) * p.a_batch[2],
          int32_t(i0) * p.b_batch[0] + int32_t(i1) * p.b_batch[1] + int32_t(i2) * p.b_batch[2],
          int32_t(i0) * p.c_batch[0] + int32_t(i1) * p.c_batch[1] + int32_t(i2) * p.c_batch[2],
          i0 * p.packed_batch[0] + i1 * p.packed_batch[1] + i2 * p.packed_batch[2]};
}

// R rows x NV vectors with both operands in place; B has contiguous rows.
template <class T, uint32_t R, uint32_t NV>
NOINLINE void rows_tile(uint32_t k, const T* a, int32_t a_row, int32_t a_col, const T* b, int32_t b_row, T* c, uint32_t ldc,
               const Epilogue<T>& e, uint32_t row, uint32_t column) {
  using S = Simd<T>;
  constexpr uint32_t L = S::lanes;
  v128_t acc[R][NV];
#pragma unroll
  for (uint32_t i = 0; i < R; i++)
#pragma unroll
    for (uint32_t j = 0; j < NV; j++) acc[i][j] = S::splat(T(0));
  for (; k; k--, a += a_col, b += b_row) {
    asm volatile("" : "+r"(a), "+r"(b));  // as in gemm_micro
    v128_t bv[NV];
#pragma unroll
    for (uint32_t j = 0; j < NV; j++) bv[j] = wasm_v128_load(b + j * L);
#pragma unroll
    for (uint32_t i = 0; i < R; i++) {
      const v128_t av = S::load_splat(a + int32_t(i) * a_row);
#pragma unroll
      for (uint32_t j = 0; j < NV; j++) acc[i][j] = S::madd(av, bv[j], acc[i][j]);
    }
  }
  store_tile<T, R, NV>(acc, c, ldc, NV * L, e, row, column);
}

template <class T, uint32_t R>
void rows_band(uint32_t n, uint32_t k, const T* a, int32_t a_row, int32_t a_col, const T* b, int32_t b_row, T* c,
               uint32_t ldc, const Epilogue<T>& e, uint32_t row) {
  constexpr uint32_t L = Simd<T>::lanes;
  uint32_t j = 0;
  if (R == 1)
    for (; j + 8 * L <= n; j += 8 * L) rows_tile<T, R, 8>(k, a, a_row, a_col, b + j, b_row, c + j, ldc, e, row, j);
  for (; j + 2 * L <= n; j += 2 * L) rows_tile<T, R, 2>(k, a, a_row, a_col, b + j, b_row, c + j, ldc, e, row, j);
  if (j + L <= n) {
    rows_tile<T, R, 1>(k, a, a_row, a_col, b + j, b_row, c + j, ldc, e, row, j);
    j += L;
  }
  for (; j < n; j++)
    for (uint32_t i = 0; i < R; i++) {
      T sum = T(0);
      const T *pa = a + int32_t(i) * a_row, *pb = b + j;
      for (uint32_t x = 0; x < k; x++, pa += a_col, pb += b_row) sum = mul_add(*pa, *pb, sum);
      finish_tile(&sum, 1, 1, 1, c + i * ldc + j, ldc, e, row + i, j);
    }
}

template <class T>
NOINLINE void multiply_rows(uint32_t m, uint32_t n, uint32_t k, const T* a, int32_t a_row, int32_t a_col, const T* b,
                   int32_t b_row, T* c, uint32_t ldc, const Epilogue<T>& e) {
  uint32_t i = 0;
  for (; i + 4 <= m; i += 4) rows_band<T, 4>(n, k, a + int32_t(i) * a_row, a_row, a_col, b, b_row, c + i * ldc, ldc, e, i);
  for (; i + 2 <= m; i += 2) rows_band<T, 2>(n, k, a + int32_t(i) * a_row, a_row, a_col, b, b_row, c + i * ldc, ldc, e, i);
  for (; i < m; i++) rows_band<T, 1>(n, k, a + int32_t(i) * a_row, a_row, a_col, b, b_row, c + i * ldc, ldc, e, i);
}

// R x C dot products along contiguous k.
template <class T, uint32_t R, uint32_t C>
NOINLINE void dots_tile(uint32_t k, const T* a, int32_t a_row, const T* b, int32_t b_col, T* c, uint32_t ldc,
               const Epilogue<T>& e, uint32_t row, uint32_t column) {
  using S = Simd<T>;
  constexpr uint32_t L = S::lanes;
  v128_t acc[R][C];
#pragma unroll
  for (uint32_t i = 0; i < R; i++)
#pragma unroll
    for (uint32_t j = 0; j < C; j++) acc[i][j] = S::splat(T(0));
  uint32_t x = 0;
  for (; x + L <= k; x += L) {
    v128_t bv[C];
#pragma unroll
    for (uint32_t j = 0; j < C; j++) bv[j] = wasm_v128_load(b + int32_t(j) * b_col + x);
#pragma unroll
    for (uint32_t i = 0; i < R; i++) {
      const v128_t av = wasm_v128_load(a + int32_t(i) * a_row + x);
#pragma unroll
      for (uint32_t j = 0; j < C; j++) acc[i][j] = S::madd(av, bv[j], acc[i][j]);
    }
  }
  T tile[R * C];
#pragma unroll
  for (uint32_t i = 0; i < R; i++)
#pragma unroll
    for (uint32_t j = 0; j < C; j++) tile[i * C + j] = S::sum(acc[i][j]);
  for (; x < k; x++)
#pragma unroll
    for (uint32_t i = 0; i < R; i++)
#pragma unroll
      for (uint32_t j = 0; j < C; j++)
        tile[i * C + j] = mul_add(a[int32_t(i) * a_row + int32_t(x)], b[int32_t(j) * b_col + int32_t(x)], tile[i * C + j]);
  finish_tile(tile, C, R, C, c, ldc, e, row, column);
}

template <class T, uint32_t R>
void dots_band(uint32_t n, uint32_t k, const T* a, int32_t a_row, const T* b, int32_t b_col, T* c, uint32_t ldc,
               const Epilogue<T>& e, uint32_t row) {
  uint32_t j = 0;
  for (; j + 4 <= n; j += 4) dots_tile<T, R, 4>(k, a, a_row, b + int32_t(j) * b_col, b_col, c + j, ldc, e, row, j);
  for (; j < n; j++) dots_tile<T, R, 1>(k, a, a_row, b + int32_t(j) * b_col, b_col, c + j, ldc, e, row, j);
}

template <class T>
NOINLINE void multiply_dots(uint32_t m, uint32_t n, uint32_t k, const T* a, int32_t a_row, const T* b, int32_t b_col, T* c,
                   uint32_t ldc, const Epilogue<T>& e) {
  uint32_t i = 0;
  for (; i + 2 <= m; i += 2) dots_band<T, 2>(n, k, a + int32_t(i) * a_row, a_row, b, b_col, c + i * ldc, ldc, e, i);
  for (; i < m; i++) dots_band<T, 1>(n, k, a + int32_t(i) * a_row, a_row, b, b_col, c + i * ldc, ldc, e, i);
}

template <class T>
NOINLINE void multiply_scalar(const GemmParams& p, uint32_t m, uint32_t n, uint32_t k, const T* a, const T* b, T* c,
                     const Epilogue<T>& e) {
  for (uint32_t i = 0; i < m; i++)
    for (uint32_t j = 0; j < n; j++) {
      const T *pa = a + int32_t(i) * p.a_row, *pb = b + int32_t(j) * p.b_col;
      T sum = T(0);
      for (uint32_t x = 0; x < k; x++, pa += p.a_col, pb += p.b_row) sum = mul_add(*pa, *pb, sum);
      finish_tile(&sum, 1, 1, 1, c + i * p.c_row + j, p.c_row, e, i, j);
    }
}

// Panels and the register micro-kernel.
template <class T>
INLINE void multiply_packed(const GemmParams& p, uint32_t m, uint32_t n, uint32_t k, const T* a, const T* b,
                            uint32_t packed, uint32_t k0, T* c, const Epilogue<T>& e, uint8_t* scratch) {
  constexpr uint32_t NR = gemm_nr<T>;
  T* rows = reinterpret_cast<T*>(scratch);
  pack_a(rows, a, m, k, p.a_row, p.a_col);
  if (p.packed_b)  // those panels hold all of k; column blocks start on a panel
    return gemm_macro(m, n, k, rows, at<const T>(p.packed_b) + packed + k0 * NR, p.k * NR, c, p.c_row, e);
  T* panels = rows + ((m * k + 15) & ~15u);
  pack_b(panels, k * NR, b, n, k, p.b_row, p.b_col);
  gemm_macro(m, n, k, rows, panels, k * NR, c, p.c_row, e);
}

// One block of C in one batch, over all of k.
template <class T>
NOINLINE void multiply_block(const GemmParams& p, const BatchOffsets& at_batch, Range rows, Range columns, uint8_t* scratch) {
  const uint32_t m = rows.end - rows.begin, n = columns.end - columns.begin;
  const T* a = at<const T>(p.a) + at_batch.a + int32_t(rows.begin) * p.a_row;
  const T* b = at<const T>(p.b) + at_batch.b + int32_t(columns.begin) * p.b_col;
  T* c = at<T>(p.c) + at_batch.c + rows.begin * p.c_row + columns.begin;
  Epilogue<T> e = {T(p.alpha), T(p.beta), nullptr, nullptr, true, true};
  if (p.bias_kind == 1) e.bias_column = at<const T>(p.bias) + columns.begin;
  if (p.bias_kind == 2) e.bias_row = at<const T>(p.bias) + rows.begin;

  const uint32_t packed = at_batch.packed + columns.begin * p.k;
  uint32_t k0 = 0;
  do {  // runs once when k is 0, so that beta and bias still apply
    const uint32_t k = min_of(p.kc, p.k - k0);
    e.begin(k0 == 0);
    switch (p.route) {
      case ROWS: multiply_rows<T>(m, n, k, a, p.a_row, p.a_col, b, p.b_row, c, p.c_row, e); break;
      case SCALAR: multiply_scalar<T>(p, m, n, k, a, b, c, e); break;
      // Integers have only the routes above: nothing heavy multiplies them.
      case DOTS:
        if constexpr (is_float<T>) multiply_dots<T>(m, n, k, a, p.a_row, b, p.b_col, c, p.c_row, e);
        break;
      case PACKED:
        if constexpr (is_float<T>) multiply_packed<T>(p, m, n, k, a, b, packed, k0, c, e, scratch);
        break;
    }
    a += int32_t(k) * p.a_col;
    b += int32_t(k) * p.b_row;
    k0 += k;
  } while (k0 < p.k);
}

// tasks = ceil(batches / batches_per_task) * ceil(m / mc) * ceil(n / nc), column blocks varying fastest.
template <class T>
INLINE void gemm(const GemmParams* params, uint32_t task, uint8_t* scratch) {
  const GemmParams& p = *params;
  const uint32_t blocks_m = ceil_div(p.m, p.mc), blocks_n = ceil_div(p.n, p.nc);
  const uint32_t j = task % blocks_n, rest = task / blocks_n;
  const uint32_t i = rest % blocks_m, group = rest / blocks_m;
  const Range rows = {i * p.mc, min_of(p.m, (i + 1) * p.mc)};
  const Range columns = {j * p.nc, min_of(p.n, (j + 1) * p.nc)};
  const uint32_t batches = p.batch[0] * p.batch[1] * p.batch[2];
  const uint32_t end = min_of(batches, (group + 1) * p.batches_per_task);
  for (uint32_t index = group * p.batches_per_task; index < end; index++)
    multiply_block<T>(p, batch_offsets(p, index), rows, columns, scratch);
}

// tasks = distinct batches of B * ceil(ceil(n / NR) / panels_per_task).
template <class T>
INLINE void gemm_pack_b(const GemmParams* params, uint32_t task) {
  constexpr uint32_t NR = gemm_nr<T>;
  const GemmParams& p = *params;
  const uint32_t panels = ceil_div(p.n, NR), groups = ceil_div(panels, p.panels_per_task);
  const uint32_t group = task % groups;
  uint32_t rest = task / groups;
  int32_t from = 0;
  uint32_t to = 0;
  for (uint32_t d = 3; d-- > 0;) {
    if (p.packed_batch[d] == 0) continue;
    const uint32_t index = rest % p.batch[d];
    rest /= p.batch[d];
    from += int32_t(index) * p.b_batch[d];
    to += index * p.packed_batch[d];
  }
  const uint32_t begin = group * p.panels_per_task * NR, end = min_of(p.n, begin + p.panels_per_task * NR);
  pack_b(at<T>(p.packed_b) + to + begin * p.k, p.k * NR, at<const T>(p.b) + from + int32_t(begin) * p.b_col,
         end - begin, p.k, p.b_row, p.b_col);
}

}  // namespace

KERNEL(gemm_f32)(const GemmParams* p, uint32_t task, uint8_t* scratch) { gemm<float>(p, task, scratch); }
KERNEL(gemm_f64)(const GemmParams* p, uint32_t task, uint8_t* scratch) { gemm<double>(p, task, scratch); }
KERNEL(gemm_i32)(const GemmParams* p, uint32_t task, uint8_t* scratch) { gemm<int32_t>(p, task, scratch); }
KERNEL(gemm_i64)(const GemmParams* p, uint32_t task, uint8_t* scratch) { gemm<int64_t>(p, task, scratch); }
KERNEL(gemm_pack_b_f32)(const GemmParams* p, uint32_t task, uint8_t*) { gemm_pack_b<float>(p, task); }
KERNEL(gemm_pack_b_f64)(const GemmParams* p, uint32_t task, uint8_t*) { gemm_pack_b<double>(p, task); }
