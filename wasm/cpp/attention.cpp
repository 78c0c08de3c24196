// attention_{f32,f64}, attention_backward_{...}: softmax(scale Q K^T + mask) V, block by block of queries.
//
// As in FlashAttention (Dao et al., 2022), the matrix of scores never exists as a whole and the backward recomputes
// it from log-sum-exp. A block's scores against all keys fit the scratch, so the softmax is exact, with no
// rescaling. A row whose keys are all masked gives zeros and lse = -inf.
// Planned by wasm/device/cpp/attention.ts, which chooses q_block and chunk so that everything fits.
#include "gemm.h"
#include "rows.h"

namespace {

struct AttentionParams {
  uint32_t q, k, v, out;          // byte addresses; the innermost dimension is contiguous
  uint32_t lse;                   // batch x heads x tq, contiguous
  uint32_t mask;                  // added to the scores; or 0
  uint32_t dout, dq, dk, dv;      // backward
  uint32_t batch, heads, kv_group;  // kv_group query heads share a head of keys and values
  uint32_t tq, tk, d, dv_width;
  // strides in elements: batch, head, row
  int32_t q_s[3], k_s[3], v_s[3], out_s[3], dout_s[3], dq_s[3], dk_s[3], dv_s[3];
  int32_t mask_s[4];              // batch, head, query, key
  uint32_t causal;                // key j counts for query i only if j <= i
  uint32_t q_block, chunk;
  uint32_t pad;
  double scale;
};

template <class T>
struct Block {
  const AttentionParams& p;
  uint32_t b, h, q0, m;  // queries [q0, q0 + m)
  uint32_t keys;         // keys that any of them sees
  uint32_t ld;           // of the scores

  static const T* pick(uint32_t base, const int32_t (&s)[3], uint32_t b, uint32_t h, uint32_t row) {
    return at<const T>(base) + int32_t(b) * s[0] + int32_t(h) * s[1] + int32_t(row) * s[2];
  }
  const T* queries() const { return pick(p.q, p.q_s, b, h, q0); }
  const T* key(uint32_t j) const { return pick(p.k, p.k_s, b, h / p.kv_group, j); }
  const T* value(uint32_t j) const { return pick(p.v, p.v_s, b, h / p.kv_group, j); }
  uint32_t visible(uint32_t i) const { return p.causal ? min_of(keys, q0 + i + 1) : keys; }
};

template <class T>
INLINE T* carve(uint8_t*& scratch, uint32_t elements) {
  T* area = reinterpret_cast<T*>(scratch);
  scratch += (elements * sizeof(T) + 63) & ~63u;
  return area;
}

template <class T>
INLINE Epilogue<T> plain(bool first) {
  return {T(1), T(0), nullptr, nullptr, first, true};
}

// to[m, d] = rows of `from`, times scale
template <class T>
INLINE void copy_scaled(T* to, const T* from, uint32_t m, uint32_t d, int32_t stride, T scale) {
  using S = Simd<T>;
  const v128_t s = S::splat(scale);
  for (uint32_t i = 0; i < m; i++, from += stride, to += d)
    map_row(to, d, [&](uint32_t x, uint32_t count) { return S::mul(load_row(from, x, count), s); });
}

// out[m, keys] = A (packed, k = depth) times the transpose of lines of `lines`, a chunk of keys at a time
template <class T>
NOINLINE void times_transposed(const T* packed, uint32_t m, uint32_t depth, const T* lines, int32_t stride, uint32_t keys,
                               uint32_t chunk, T* panels, T* out, uint32_t ld) {
  for (uint32_t j = 0; j < keys; j += chunk) {
    const uint32_t n = min_of(chunk, keys - j);
    pack_b(panels, depth * gemm_nr<T>, lines + int32_t(j) * stride, n, depth, 1, stride);
    gemm_macro(m, n, depth, packed, panels, depth * gemm_nr<T>, out + j, ld, plain<T>(true));
  }
}

// out[m, width] = weights[m, keys] lines[keys, width]
template <class T>
NOINLINE void times_lines(const T* weights, uint32_t ld, uint32_t m, const T* lines, int32_t stride, uint32_t keys,
                          uint32_t width, uint32_t chunk, T* packed, T* panels, T* out, uint32_t ldc) {
  for (uint32_t j = 0; j < keys; j += chunk) {
    const uint32_t k = min_of(chunk, keys - j);
    pack_a(packed, weights + j, m, k, int32_t(ld), 1);
    pack_b(panels, k * gemm_nr<T>, lines + int32_t(j) * stride, width, k, stride, 1);
    gemm_macro(m, width, k, packed, panels, k * gemm_nr<T>, out, ldc, plain<T>(j == 0));
  }
}

// scores[m, keys] = scale Q K^T + mask, with -inf beyond the causal limit
template <class T>
INLINE void score(const Block<T>& block, const T* packed_q, T* panels, T* scores) {
  using S = Simd<T>;
  const AttentionParams& p = block.p;
  times_transposed(packed_q, block.m, p.d, block.key(0), p.k_s[2], block.keys, p.chunk, panels, scores, block.ld);
  for (uint32_t i = 0; i < block.m; i++) {
    T* row = scores + i * block.ld;
    const uint32_t visible = block.visible(i);
    if (p.mask) {
      const T* mask = at<const T>(p.mask) + int32_t(block.b) * p.mask_s[0] + int32_t(block.h) * p.mask_s[1] +
                      int32_t(block.q0 + i) * p.mask_s[2];
      if (p.mask_s[3] == 1)
        map_row(row, visible, [&](uint32_t j, uint32_t n) { return S::add(load_row(row, j, n), load_row(mask, j, n)); });
      else
        for (uint32_t j = 0; j < visible; j++) row[j] += mask[int32_t(j) * p.mask_s[3]];
    }
  }
}

template <class T>
INLINE void scale_row(T* row, uint32_t n, T factor) {
  using S = Simd<T>;
  const v128_t f = S::splat(factor);
  map_row(row, n, [&](uint32_t i, uint32_t count) { return S::mul(load_row(row, i, count), f); });
}

template <class T>
INLINE void zero_row(T* row, uint32_t n) {
  map_row(row, n, [](uint32_t, uint32_t) { return Simd<T>::splat(T(0)); });
}

// tasks = batch * heads * ceil(tq / q_block)
template <class T>
INLINE void attention(const AttentionParams& p, uint32_t task, uint8_t* scratch) {
  using S = Simd<T>;
  const uint32_t blocks = ceil_div(p.tq, p.q_block), q0 = task % blocks * p.q_block, head = task / blocks;
  const uint32_t m = min_of(p.q_block, p.tq - q0);
  const Block<T> block = {p, head / p.heads, head % p.heads, q0, m, p.causal ? min_of(p.tk, q0 + m) : p.tk, (p.tk + 7) & ~7u};
  const uint32_t widest = max_of(p.d, p.dv_width);
  T* scores = carve<T>(scratch, p.q_block * block.ld);
  T* packed = carve<T>(scratch, p.q_block * max_of(p.d, p.chunk));
  T* panels = carve<T>(scratch, (p.chunk + 8) * (widest + 8));
  T* queries = carve<T>(scratch, p.q_block * p.d);

  copy_scaled(queries, block.queries(), m, p.d, p.q_s[2], T(p.scale));
  pack_a(packed, queries, m, p.d, int32_t(p.d), 1);
  score(block, packed, panels, scores);

  const T least = -T(__builtin_inf());
  T* lse = at<T>(p.lse) + head * p.tq + q0;
  T* inverse = queries;  // not needed any more
  for (uint32_t i = 0; i < m; i++) {
    T* row = scores + i * block.ld;
    const uint32_t n = block.visible(i);
    const T top = row_max(row, n);
    if (top == least) {
      // Zeros, unless a NaN hides among the -inf.
      bool poisoned = false;
      for (uint32_t j = 0; j < n; j++) poisoned |= row[j] != row[j];
      inverse[i] = poisoned ? T(__builtin_nan("")) : T(0);
      zero_row(row, n);
      lse[i] = poisoned ? T(__builtin_nan("")) : least;
    } else {
      const v128_t shift = S::splat(top);
      const double sum = sum_terms<T>(n, [&](uint32_t j, uint32_t count) {
        const v128_t e = vexp_nonpositive<T>(S::sub(load_row(row, j, count, least), shift));
        if (count == S::lanes)
          wasm_v128_store(row + j, e);
        else
          store_tail(row + j, count, e);
        return e;
      });
      inverse[i] = T(1 / sum);
      lse[i] = T(double(top) + log_f64(sum));
    }
    zero_row(row + n, block.keys - n);
  }

  T* out = const_cast<T*>(Block<T>::pick(p.out, p.out_s, block.b, block.h, q0));
  times_lines(scores, block.ld, m, block.value(0), p.v_s[2], block.keys, p.dv_width, p.chunk, packed, panels, out, uint32_t(p.out_s[2]));
  for (uint32_t i = 0; i < m; i++) {
    T* row = out + int32_t(i) * p.out_s[2];
    if (block.keys == 0)
      zero_row(row, p.dv_width);
    else
      scale_row(row, p.dv_width, inverse[i]);
  }
}

// out[keys, width] += weights[m, keys]^T B, with B packed as panels of m steps
template <class T>
NOINLINE void add_transposed(const T* weights, uint32_t ld, uint32_t m, uint32_t keys, uint32_t width, uint32_t chunk,
                             const T* panels, T* packed, T* out, uint32_t ldc) {
  for (uint32_t j = 0; j < keys; j += chunk) {
    const uint32_t rows = min_of(chunk, keys - j);
    pack_a(packed, weights + j, rows, m, 1, int32_t(ld));
    gemm_macro(rows, width, m, packed, panels, m * gemm_nr<T>, out + j * ldc, ldc, plain<T>(false));
  }
}

// tasks = batch * heads / kv_group: a task owns a head of keys and values, so that sums have one order.
template <class T>
INLINE void attention_backward(const AttentionParams& p, uint32_t task, uint8_t* scratch) {
  using S = Simd<T>;
  const uint32_t kv_heads = p.heads / p.kv_group, b = task / kv_heads, kv = task % kv_heads;
  const uint32_t ld = (p.tk + 7) & ~7u, widest = max_of(p.d, p.dv_width);
  T* scores = carve<T>(scratch, p.q_block * ld);
  T* slopes = carve<T>(scratch, p.q_block * ld);
  T* packed = carve<T>(scratch, max_of(p.q_block * max_of(widest, p.chunk), p.chunk * p.q_block));
  T* panels = carve<T>(scratch, (p.chunk + 8) * (widest + 8));
  T* queries = carve<T>(scratch, p.q_block * p.d);
  T* block_panels = carve<T>(scratch, p.q_block * (widest + 8));

  T* dk = const_cast<T*>(Block<T>::pick(p.dk, p.dk_s, b, kv, 0));
  T* dv = const_cast<T*>(Block<T>::pick(p.dv, p.dv_s, b, kv, 0));
  for (uint32_t j = 0; j < p.tk; j++) {
    zero_row(dk + int32_t(j) * p.dk_s[2], p.d);
    zero_row(dv + int32_t(j) * p.dv_s[2], p.dv_width);
  }
  for (uint32_t h = kv * p.kv_group; h < (kv + 1) * p.kv_group; h++)
    for (uint32_t q0 = 0; q0 < p.tq; q0 += p.q_block) {
      const uint32_t m = min_of(p.q_block, p.tq - q0);
      const Block<T> block = {p, b, h, q0, m, p.causal ? min_of(p.tk, q0 + m) : p.tk, ld};
      const T* dout = Block<T>::pick(p.dout, p.dout_s, b, h, q0);
      const T* out = Block<T>::pick(p.out, p.out_s, b, h, q0);
      const T* lse = at<const T>(p.lse) + (b * p.heads + h) * p.tq + q0;

      copy_scaled(queries, block.queries(), m, p.d, p.q_s[2], T(p.scale));
      pack_a(packed, queries, m, p.d, int32_t(p.d), 1);
      score(block, packed, panels, scores);
      // slopes = dout V^T: the gradient of the weights
      pack_a(packed, dout, m, p.dv_width, p.dout_s[2], 1);
      times_transposed(packed, m, p.dv_width, block.value(0), p.v_s[2], block.keys, p.chunk, panels, slopes, ld);
      for (uint32_t i = 0; i < m; i++) {
        T *weight = scores + i * ld, *slope = slopes + i * ld;
        const uint32_t n = block.visible(i);
        const T *g = dout + int32_t(i) * p.dout_s[2], *o = out + int32_t(i) * p.out_s[2];
        const v128_t delta = S::splat(T(sum_terms<T>(
            p.dv_width, [&](uint32_t x, uint32_t count) { return S::mul(load_row(g, x, count), load_row(o, x, count)); })));
        if (lse[i] == -T(__builtin_inf())) {
          zero_row(weight, block.keys);
          zero_row(slope, block.keys);
          continue;
        }
        const v128_t shift = S::splat(lse[i]);
        map_row(weight, n, [&](uint32_t j, uint32_t count) { return vexp_nonpositive<T>(S::sub(load_row(weight, j, count), shift)); });
        map_row(slope, n, [&](uint32_t j, uint32_t count) {
          return S::mul(load_row(weight, j, count), S::sub(load_row(slope, j, count), delta));
        });
        zero_row(weight + n, block.keys - n);
        zero_row(slope + n, block.keys - n);
      }
      pack_b(block_panels, m * gemm_nr<T>, dout, p.dv_width, m, p.dout_s[2], 1);
      add_transposed(scores, ld, m, block.keys, p.dv_width, p.chunk, block_panels, packed, dv, uint32_t(p.dv_s[2]));
      pack_b(block_panels, m * gemm_nr<T>, queries, p.d, m, int32_t(p.d), 1);
      add_transposed(slopes, ld, m, block.keys, p.d, p.chunk, block_panels, packed, dk, uint32_t(p.dk_s[2]));
      T* dq = const_cast<T*>(Block<T>::pick(p.dq, p.dq_s, b, h, q0));
      times_lines(slopes, ld, m, block.key(0), p.k_s[2], block.keys, p.d, p.chunk, packed, panels, dq, uint32_t(p.dq_s[2]));
      for (uint32_t i = 0; i < m; i++) {
        T* row = dq + int32_t(i) * p.dq_s[2];
        if (block.keys == 0)
          zero_row(row, p.d);
        else
          scale_row(row, p.d, T(p.scale));
      }
    }
}

}  // namespace

KERNEL(attention_f32)(const AttentionParams* p, uint32_t task, uint8_t* s) { attention<float>(*p, task, s); }
KERNEL(attention_f64)(const AttentionParams* p, uint32_t task, uint8_t* s) { attention<double>(*p, task, s); }
KERNEL(attention_backward_f32)(const AttentionParams* p, uint32_t task, uint8_t* s) { attention_backward<float>(*p, task, s); }
KERNEL(attention_backward_f64)(const AttentionParams* p, uint32_t task, uint8_t* s) { attention_backward<double>(*p, task, s); }
