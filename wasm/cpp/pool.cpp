// max_pool_{f32,f64}, avg_pool_{...} and their backward: windows over the last three dimensions of contiguous planes,
// plain or adaptive. 1d and 2d have leading ones; ceil_mode is a larger `out`. tasks = ceil(planes / planes_per_task).
// Planned by wasm/device/cpp/pool.ts.
#include "rows.h"

namespace {

struct PoolParams {
  uint32_t x, y;     // backward: x is written, y is its gradient
  uint32_t indices;  // max: i64, position of the maximum in its input plane; the forward may have 0
  uint32_t planes, planes_per_task;
  uint32_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
  uint32_t adaptive;           // windows cover the input evenly; kernel, stride, pad and dilation are not used
  uint32_t count_include_pad;  // avg
  uint32_t divisor;            // avg: 0: the size of the window
};

struct Window {
  uint32_t begin, end, step;
  uint32_t padded;  // extent with padding, for count_include_pad
};

INLINE Window window_at(const PoolParams& p, uint32_t d, uint32_t o) {
  const uint32_t n = p.in[d];
  if (p.adaptive) {
    const uint32_t begin = uint32_t(uint64_t(o) * n / p.out[d]);
    const uint32_t end = uint32_t((uint64_t(o + 1) * n + p.out[d] - 1) / p.out[d]);
    return {begin, end, 1, end - begin};
  }
  const int32_t step = int32_t(p.dilation[d]), size = int32_t(n), pad = int32_t(p.pad[d]);
  int32_t begin = int32_t(o * p.stride[d]) - pad;
  const int32_t reach = begin + (int32_t(p.kernel[d]) - 1) * step + 1;
  const int32_t padded = min_of(reach, size + pad) - begin;
  if (begin < 0) begin += (-begin + step - 1) / step * step;
  const int32_t end = max_of(begin, min_of(reach, size));
  return {uint32_t(begin), uint32_t(end), uint32_t(step), uint32_t(max_of(padded, 0))};
}

template <class F>
INLINE void each_window(const PoolParams& p, F visit) {
  uint32_t o = 0;
  for (uint32_t d = 0; d < p.out[0]; d++) {
    const Window wd = window_at(p, 0, d);
    for (uint32_t h = 0; h < p.out[1]; h++) {
      const Window wh = window_at(p, 1, h);
      for (uint32_t w = 0; w < p.out[2]; w++) visit(o++, wd, wh, window_at(p, 2, w));
    }
  }
}

INLINE uint32_t volume(const uint32_t (&size)[3]) { return size[0] * size[1] * size[2]; }

// Outputs along the innermost dimension whose windows lie wholly inside of the input.
INLINE Range interior(const PoolParams& p) {
  if (p.adaptive || p.stride[2] > 2) return {0, 0};
  const int32_t pad = int32_t(p.pad[2]), stride = int32_t(p.stride[2]), out = int32_t(p.out[2]);
  const int32_t reach = int32_t(p.in[2]) - 1 - int32_t((p.kernel[2] - 1) * p.dilation[2]) + pad;
  const int32_t lo = min_of((pad + stride - 1) / stride, out), hi = reach < 0 ? 0 : min_of(reach / stride + 1, out);
  return {uint32_t(lo), uint32_t(max_of(lo, hi))};
}

// Four floats, `stride` (1 or 2) apart; reads nothing beyond the last of them.
INLINE v128_t load_apart(const float* p, uint32_t stride) {
  const v128_t a = wasm_v128_load(p);
  return stride == 1 ? a : wasm_i32x4_shuffle(a, wasm_v128_load(p + 3), 0, 2, 5, 7);
}

// Calls visit(ow) for vectors of four outputs that cover [begin, end), the last overlapping the one before.
// Returns false, having done nothing, if there are fewer than four.
template <class F>
INLINE bool each_four(Range r, F visit) {
  if (r.end < r.begin + 4) return false;
  for (uint32_t ow = r.begin; ow + 4 < r.end; ow += 4) visit(ow);
  visit(r.end - 4);
  return true;
}

// The first of the largest, except that every NaN replaces what was there (as PyTorch).
template <class T>
INLINE void max_window(const T* x, const PoolParams& p, const Window& d, const Window& h, const Window& w, T* value,
                       int64_t* index) {
  T best = -T(__builtin_inf());
  uint32_t place = (d.begin * p.in[1] + h.begin) * p.in[2] + w.begin;
  for (uint32_t id = d.begin; id < d.end; id += d.step)
    for (uint32_t ih = h.begin; ih < h.end; ih += h.step)
      for (uint32_t iw = w.begin; iw < w.end; iw += w.step) {
        const uint32_t i = (id * p.in[1] + ih) * p.in[2] + iw;
        if (x[i] > best || x[i] != x[i]) {
          best = x[i];
          place = i;
        }
      }
  *value = best;
  if (index) *index = place;
}

// Four windows side by side.
INLINE void max_four(const float* x, const PoolParams& p, const Window& d, const Window& h, uint32_t ow, float* y,
                     int64_t* index) {
  const uint32_t stride = p.stride[2], first = ow * stride - p.pad[2], reach = p.kernel[2] * p.dilation[2];
  const v128_t apart = wasm_i32x4_mul(wasm_i32x4_make(0, 1, 2, 3), wasm_i32x4_splat(int32_t(stride)));
  v128_t best = wasm_f32x4_splat(-__builtin_inff());
  v128_t place = wasm_i32x4_add(apart, wasm_i32x4_splat(int32_t((d.begin * p.in[1] + h.begin) * p.in[2] + first)));
  for (uint32_t id = d.begin; id < d.end; id += d.step)
    for (uint32_t ih = h.begin; ih < h.end; ih += h.step) {
      const uint32_t row = (id * p.in[1] + ih) * p.in[2] + first;
      for (uint32_t w = 0; w < reach; w += p.dilation[2]) {
        const v128_t value = load_apart(x + row + w, stride);
        const v128_t larger = wasm_v128_or(wasm_f32x4_gt(value, best), wasm_f32x4_ne(value, value));
        best = wasm_v128_bitselect(value, best, larger);
        place = wasm_v128_bitselect(wasm_i32x4_add(apart, wasm_i32x4_splat(int32_t(row + w))), place, larger);
      }
    }
  wasm_v128_store(y, best);
  if (!index) return;
  wasm_v128_store(index, wasm_u64x2_extend_low_u32x4(place));
  wasm_v128_store(index + 2, wasm_u64x2_extend_high_u32x4(place));
}

// Calls four(o, d, h, ow) for runs of four outputs that have whole windows, and one(o, d, h, w) for the others.
template <class F, class G>
INLINE void each_row(const PoolParams& p, bool vectors, F four, G one) {
  const Range inside = vectors ? interior(p) : Range{0, 0};
  for (uint32_t od = 0; od < p.out[0]; od++) {
    const Window d = window_at(p, 0, od);
    for (uint32_t oh = 0; oh < p.out[1]; oh++) {
      const Window h = window_at(p, 1, oh);
      const uint32_t o = (od * p.out[1] + oh) * p.out[2];
      const bool done = each_four(inside, [&](uint32_t ow) { four(o + ow, d, h, ow); });
      for (uint32_t ow = 0; ow < p.out[2]; ow++) {
        if (done && ow == inside.begin) ow = inside.end;
        if (ow < p.out[2]) one(o + ow, d, h, window_at(p, 2, ow));
      }
    }
  }
}

template <class T>
INLINE void max_pool(const PoolParams& p, uint32_t task) {
  const uint32_t plane = volume(p.in), positions = volume(p.out);
  const uint32_t end = min_of(p.planes, (task + 1) * p.planes_per_task);
  for (uint32_t i = task * p.planes_per_task; i < end; i++) {
    const T* x = at<const T>(p.x) + i * plane;
    T* y = at<T>(p.y) + i * positions;
    int64_t* indices = p.indices ? at<int64_t>(p.indices) + i * positions : nullptr;
    const auto one = [&](uint32_t o, const Window& d, const Window& h, const Window& w) {
      max_window(x, p, d, h, w, y + o, indices ? indices + o : nullptr);
    };
    const auto four = [&](uint32_t o, const Window& d, const Window& h, uint32_t ow) {
      if constexpr (sizeof(T) == 4) max_four(x, p, d, h, ow, y + o, indices ? indices + o : nullptr);
    };
    each_row(p, sizeof(T) == 4, four, one);
  }
}

template <class T>
INLINE void clear(T* x, uint32_t n) {
  map_row(x, n, [](uint32_t, uint32_t) { return Simd<T>::splat(T(0)); });
}

// x[indices[o]] += y[o]
template <class T>
INLINE void max_pool_backward(const PoolParams& p, uint32_t task) {
  const uint32_t plane = volume(p.in), positions = volume(p.out);
  const uint32_t end = min_of(p.planes, (task + 1) * p.planes_per_task);
  for (uint32_t i = task * p.planes_per_task; i < end; i++) {
    T* x = at<T>(p.x) + i * plane;
    const T* y = at<const T>(p.y) + i * positions;
    const int64_t* indices = at<const int64_t>(p.indices) + i * positions;
    clear(x, plane);
    for (uint32_t o = 0; o < positions; o++)
      if (uint64_t(indices[o]) < plane) x[uint32_t(indices[o])] += y[o];
  }
}

template <class T>
INLINE T divisor_of(const PoolParams& p, const Window& d, const Window& h, const Window& w) {
  if (p.divisor) return T(p.divisor);
  if (p.count_include_pad) return T(d.padded * h.padded * w.padded);
  return T((d.end - d.begin) * (h.end - h.begin) * (w.end - w.begin));
}

INLINE bool is_empty(const Window& d, const Window& h, const Window& w) {
  return d.begin >= d.end || h.begin >= h.end || w.begin >= w.end;
}

template <class T>
INLINE void avg_pool(const PoolParams& p, uint32_t task) {
  const uint32_t plane = volume(p.in), positions = volume(p.out);
  const uint32_t end = min_of(p.planes, (task + 1) * p.planes_per_task);
  for (uint32_t i = task * p.planes_per_task; i < end; i++) {
    const T* x = at<const T>(p.x) + i * plane;
    T* y = at<T>(p.y) + i * positions;
    const auto one = [&](uint32_t o, const Window& d, const Window& h, const Window& w) {
      if (is_empty(d, h, w)) {
        y[o] = T(0);
        return;
      }
      const uint32_t width = w.end - w.begin;
      T sum = T(0);
      double wide = 0;
      for (uint32_t id = d.begin; id < d.end; id++) {
        if (width == p.in[2] && width > 4) {  // whole rows lie back to back
          const T* from = x + (id * p.in[1] + h.begin) * width;
          wide += sum_terms<T>((h.end - h.begin) * width, [&](uint32_t at_element, uint32_t count) { return load_row(from, at_element, count); });
          continue;
        }
        for (uint32_t ih = h.begin; ih < h.end; ih++) {
          const T* from = x + (id * p.in[1] + ih) * p.in[2];
          for (uint32_t iw = w.begin; iw < w.end; iw++) sum += from[iw];
        }
      }
      y[o] = (sum + T(wide)) / divisor_of<T>(p, d, h, w);
    };
    const auto four = [&](uint32_t o, const Window& d, const Window& h, uint32_t ow) {
      if constexpr (sizeof(T) == 4) {
        const Window w = window_at(p, 2, ow);
        v128_t sum = wasm_f32x4_splat(0);
        for (uint32_t id = d.begin; id < d.end; id++)
          for (uint32_t ih = h.begin; ih < h.end; ih++) {
            const float* from = x + (id * p.in[1] + ih) * p.in[2] + w.begin;
            for (uint32_t iw = 0; iw < p.kernel[2]; iw++) sum = wasm_f32x4_add(sum, load_apart(from + iw, p.stride[2]));
          }
        const T divisor = is_empty(d, h, w) ? T(1) : divisor_of<T>(p, d, h, w);
        wasm_v128_store(y + o, wasm_f32x4_div(sum, wasm_f32x4_splat(divisor)));
      }
    };
    each_row(p, sizeof(T) == 4, four, one);
  }
}

template <class T>
INLINE void avg_pool_backward(const PoolParams& p, uint32_t task) {
  using S = Simd<T>;
  const uint32_t plane = volume(p.in), positions = volume(p.out);
  const uint32_t end = min_of(p.planes, (task + 1) * p.planes_per_task);
  for (uint32_t i = task * p.planes_per_task; i < end; i++) {
    T* x = at<T>(p.x) + i * plane;
    const T* y = at<const T>(p.y) + i * positions;
    clear(x, plane);
    each_window(p, [&](uint32_t o, const Window& d, const Window& h, const Window& w) {
      if (is_empty(d, h, w)) return;
      const T share = y[o] / divisor_of<T>(p, d, h, w);
      const v128_t shares = S::splat(share);
      for (uint32_t id = d.begin; id < d.end; id++)
        for (uint32_t ih = h.begin; ih < h.end; ih++) {
          T* to = x + (id * p.in[1] + ih) * p.in[2];
          uint32_t iw = w.begin;
          for (; iw + S::lanes <= w.end; iw += S::lanes) wasm_v128_store(to + iw, S::add(wasm_v128_load(to + iw), shares));
          for (; iw < w.end; iw++) to[iw] += share;
        }
    });
  }
}

}  // namespace

KERNEL(max_pool_f32)(const PoolParams* p, uint32_t task, uint8_t*) { max_pool<float>(*p, task); }
KERNEL(max_pool_f64)(const PoolParams* p, uint32_t task, uint8_t*) { max_pool<double>(*p, task); }
KERNEL(max_pool_backward_f32)(const PoolParams* p, uint32_t task, uint8_t*) { max_pool_backward<float>(*p, task); }
KERNEL(max_pool_backward_f64)(const PoolParams* p, uint32_t task, uint8_t*) { max_pool_backward<double>(*p, task); }
KERNEL(avg_pool_f32)(const PoolParams* p, uint32_t task, uint8_t*) { avg_pool<float>(*p, task); }
KERNEL(avg_pool_f64)(const PoolParams* p, uint32_t task, uint8_t*) { avg_pool<double>(*p, task); }
KERNEL(avg_pool_backward_f32)(const PoolParams* p, uint32_t task, uint8_t*) { avg_pool_backward<float>(*p, task); }
KERNEL(avg_pool_backward_f64)(const PoolParams* p, uint32_t task, uint8_t*) { avg_pool_backward<double>(*p, task); }
