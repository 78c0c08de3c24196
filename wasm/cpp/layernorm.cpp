// layer_norm_{f32,f64}, layer_norm_backward_{...}: layer and rms normalisation of contiguous rows.
// The gradients of weight and bias are summed per task into partials, which sum_partials then adds in order.
// tasks = ceil(rows / rows_per_task). Planned by wasm/device/cpp/rowwise.ts.
#include "rows.h"

namespace {

struct LayerNormParams {
  uint32_t x, y;
  uint32_t weight, bias;  // cols elements each, or 0
  uint32_t mean, rstd;    // one per row, written by the forward and read by the backward; mean is unused for rms
  uint32_t dy, dx;        // backward; dx may be 0
  uint32_t dweight, dbias;  // backward: partials, tasks x cols elements each, or 0
  uint32_t rows, cols, rows_per_task;
  uint32_t rms;  // divide by the root of the mean square, with no mean taken away
  double eps;
};

template <class T>
INLINE T inverse_sqrt(double x) {
  return T(1 / __builtin_sqrt(x));
}

template <class T>
INLINE void layer_norm(const LayerNormParams& p, uint32_t task) {
  using S = Simd<T>;
  const uint32_t n = p.cols, end = min_of(p.rows, (task + 1) * p.rows_per_task);
  const T *weight = at<const T>(p.weight), *bias = at<const T>(p.bias);
  for (uint32_t r = task * p.rows_per_task; r < end; r++) {
    const T* x = at<const T>(p.x) + r * n;
    T* y = at<T>(p.y) + r * n;
    T mean = T(0);
    if (!p.rms) {
      mean = T(sum_terms<T>(n, [&](uint32_t i, uint32_t count) { return load_row(x, i, count); }) / n);
      at<T>(p.mean)[r] = mean;
    }
    const v128_t center = S::splat(mean);
    const double squares = sum_terms<T>(n, [&](uint32_t i, uint32_t count) {
      const v128_t d = S::sub(load_row(x, i, count, mean), center);
      return S::mul(d, d);
    });
    const T rstd = inverse_sqrt<T>(squares / n + p.eps);
    at<T>(p.rstd)[r] = rstd;
    const v128_t scale = S::splat(rstd);
    if (weight && bias)
      map_row(y, n, [&](uint32_t i, uint32_t count) {
        const v128_t h = S::mul(S::sub(load_row(x, i, count), center), scale);
        return S::madd(h, load_row(weight, i, count), load_row(bias, i, count));
      });
    else
      map_row(y, n, [&](uint32_t i, uint32_t count) {
        v128_t h = S::mul(S::sub(load_row(x, i, count), center), scale);
        if (weight) h = S::mul(h, load_row(weight, i, count));
        if (bias) h = S::add(h, load_row(bias, i, count));
        return h;
      });
  }
}

// With h = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - h mean(g h)); rms has no mean(g).
template <class T>
INLINE void layer_norm_backward(const LayerNormParams& p, uint32_t task) {
  using S = Simd<T>;
  const uint32_t n = p.cols, begin = task * p.rows_per_task, end = min_of(p.rows, begin + p.rows_per_task);
  const T* weight = at<const T>(p.weight);
  T* dweight = p.dweight ? at<T>(p.dweight) + task * n : nullptr;
  T* dbias = p.dbias ? at<T>(p.dbias) + task * n : nullptr;
  if (dweight) map_row(dweight, n, [&](uint32_t, uint32_t) { return S::splat(T(0)); });
  if (dbias) map_row(dbias, n, [&](uint32_t, uint32_t) { return S::splat(T(0)); });
  for (uint32_t r = begin; r < end; r++) {
    const T *x = at<const T>(p.x) + r * n, *dy = at<const T>(p.dy) + r * n;
    const v128_t mean = S::splat(p.rms ? T(0) : at<const T>(p.mean)[r]), rstd = S::splat(at<const T>(p.rstd)[r]);
    const auto normal = [&](uint32_t i, uint32_t count) { return S::mul(S::sub(load_row(x, i, count), mean), rstd); };
    const auto gradient = [&](uint32_t i, uint32_t count) {
      const v128_t g = load_row(dy, i, count);
      return weight ? S::mul(g, load_row(weight, i, count)) : g;
    };
    if (dweight)
      map_row(dweight, n, [&](uint32_t i, uint32_t count) {
        return S::madd(load_row(dy, i, count), normal(i, count), load_row(dweight, i, count));
      });
    if (dbias)
      map_row(dbias, n, [&](uint32_t i, uint32_t count) { return S::add(load_row(dbias, i, count), load_row(dy, i, count)); });
    if (!p.dx) continue;
    double sum = 0;
    if (!p.rms) sum = sum_terms<T>(n, gradient);
    const double dot = sum_terms<T>(n, [&](uint32_t i, uint32_t count) { return S::mul(gradient(i, count), normal(i, count)); });
    const v128_t a = S::splat(T(sum / n)), b = S::splat(T(dot / n));
    map_row(at<T>(p.dx) + r * n, n, [&](uint32_t i, uint32_t count) {
      return S::mul(rstd, S::sub(S::sub(gradient(i, count), a), S::mul(normal(i, count), b)));
    });
  }
}

}  // namespace

KERNEL(layer_norm_f32)(const LayerNormParams* p, uint32_t task, uint8_t*) { layer_norm<float>(*p, task); }
KERNEL(layer_norm_f64)(const LayerNormParams* p, uint32_t task, uint8_t*) { layer_norm<double>(*p, task); }
KERNEL(layer_norm_backward_f32)(const LayerNormParams* p, uint32_t task, uint8_t*) { layer_norm_backward<float>(*p, task); }
KERNEL(layer_norm_backward_f64)(const LayerNormParams* p, uint32_t task, uint8_t*) { layer_norm_backward<double>(*p, task); }
