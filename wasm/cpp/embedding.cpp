// embedding_grad_{f32,f64}: dw[index[i]] += dy[i], rows in the order of i, whatever the number of threads: each task
// owns a range of the table's rows and looks through all indices. Planned by wasm/device/cpp/embedding.ts.
#include "common.h"

namespace {

struct EmbeddingGradParams {
  uint32_t dy, index;   // count x dim; count i64
  uint32_t dw;          // vocabulary x dim, overwritten
  uint32_t count, dim, vocabulary;
  uint32_t tasks;       // the table is cut into this many even ranges
  int32_t padding_index;  // its row stays zero; -1: none
  uint32_t scale_by_frequency;
};

template <class T>
INLINE void embedding_grad(const EmbeddingGradParams& p, uint32_t task, uint8_t* scratch) {
  using S = Simd<T>;
  constexpr uint32_t L = S::lanes;
  const Range range = split(p.vocabulary, p.tasks, task);
  const int64_t* index = at<const int64_t>(p.index);
  T* dw = at<T>(p.dw);
  const uint32_t n = p.dim;
  const uint32_t elements = (range.end - range.begin) * n;
  T* own = dw + range.begin * n;
  uint32_t z = 0;
  for (; z + L <= elements; z += L) wasm_v128_store(own + z, S::splat(T(0)));
  for (; z < elements; z++) own[z] = T(0);
  for (uint32_t i = 0; i < p.count; i++) {
    const uint64_t row = uint64_t(index[i]);
    if (row < range.begin || row >= range.end || index[i] == p.padding_index) continue;
    const T* from = at<const T>(p.dy) + i * n;
    T* to = dw + uint32_t(row) * n;
    uint32_t x = 0;
    for (; x + L <= n; x += L) wasm_v128_store(to + x, S::add(wasm_v128_load(to + x), wasm_v128_load(from + x)));
    for (; x < n; x++) to[x] += from[x];
  }
  if (!p.scale_by_frequency) return;
  uint32_t* uses = reinterpret_cast<uint32_t*>(scratch);
  constexpr uint32_t PART = SCRATCH_BYTES / 4;
  for (uint32_t begin = range.begin; begin < range.end; begin += PART) {
    const uint32_t end = min_of(range.end, begin + PART);
    for (uint32_t r = begin; r < end; r++) uses[r - begin] = 0;
    for (uint32_t i = 0; i < p.count; i++)
      if (uint64_t(index[i]) >= begin && uint64_t(index[i]) < end) uses[uint32_t(index[i]) - begin]++;
    for (uint32_t r = begin; r < end; r++)
      if (uses[r - begin] > 1)
        for (uint32_t x = 0; x < n; x++) dw[r * n + x] /= T(uses[r - begin]);
  }
}

}  // namespace

KERNEL(embedding_grad_f32)(const EmbeddingGradParams* p, uint32_t t, uint8_t* s) { embedding_grad<float>(*p, t, s); }
KERNEL(embedding_grad_f64)(const EmbeddingGradParams* p, uint32_t t, uint8_t* s) { embedding_grad<double>(*p, t, s); }
