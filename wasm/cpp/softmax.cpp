// softmax_{f32,f64}, softmax_backward_{...}, cross_entropy_{...}, cross_entropy_backward_{...}: along contiguous rows.
// tasks = ceil(rows / rows_per_task) for all. Planned by wasm/device/cpp/rowwise.ts.
#include "rows.h"

namespace {

struct SoftmaxParams {
  uint32_t x, y;  // rows x cols each
  uint32_t rows, cols, rows_per_task;
  uint32_t log;  // log_softmax
};

struct SoftmaxBackwardParams {
  uint32_t dy, y, dx;
  uint32_t rows, cols, rows_per_task;
  uint32_t log;
};

struct CrossEntropyParams {
  uint32_t x, target;  // logits rows x cols; class indices, i64
  uint32_t weight;     // per class, or 0
  uint32_t loss, lse;  // forward: per row, the weighted loss and log(sum(exp))
  uint32_t dx;         // backward
  uint32_t grad;       // backward: gradient of the loss, times whatever the reduction asks for
  uint32_t grad_step;  // 1: one value per row; 0: one for all
  uint32_t status;     // u32 that becomes 1 if a target is out of range (such rows are NaN); or 0
  uint32_t rows, cols, rows_per_task;
  int32_t ignore_index;
};

template <class T>
INLINE void softmax(const SoftmaxParams& p, uint32_t task) {
  using S = Simd<T>;
  const uint32_t n = p.cols, end = min_of(p.rows, (task + 1) * p.rows_per_task);
  for (uint32_t r = task * p.rows_per_task; r < end; r++) {
    const T* x = at<const T>(p.x) + r * n;
    T* y = at<T>(p.y) + r * n;
    const T top = row_max(x, n);
    const v128_t shift = S::splat(top);
    const T least = -T(__builtin_inf());
    if (p.log) {
      const double sum = sum_terms<T>(n, [&](uint32_t i, uint32_t count) {
        return vexp_nonpositive<T>(S::sub(load_row(x, i, count, least), shift));
      });
      const v128_t log_sum = S::splat(T(log_f64(sum)));
      map_row(y, n, [&](uint32_t i, uint32_t count) { return S::sub(S::sub(load_row(x, i, count), shift), log_sum); });
    } else {
      const double sum = sum_terms<T>(n, [&](uint32_t i, uint32_t count) {
        const v128_t e = vexp_nonpositive<T>(S::sub(load_row(x, i, count, least), shift));
        if (count == S::lanes)
          wasm_v128_store(y + i, e);
        else
          store_tail(y + i, count, e);
        return e;
      });
      const v128_t scale = S::splat(T(1 / sum));
      map_row(y, n, [&](uint32_t i, uint32_t count) { return S::mul(load_row(y, i, count), scale); });
    }
  }
}

// dx = y (dy - sum(dy y)), or dx = dy - exp(y) sum(dy) for the logarithm
template <class T>
INLINE void softmax_backward(const SoftmaxBackwardParams& p, uint32_t task) {
  using S = Simd<T>;
  const uint32_t n = p.cols, end = min_of(p.rows, (task + 1) * p.rows_per_task);
  for (uint32_t r = task * p.rows_per_task; r < end; r++) {
    const T *y = at<const T>(p.y) + r * n, *dy = at<const T>(p.dy) + r * n;
    T* dx = at<T>(p.dx) + r * n;
    if (p.log) {
      const v128_t sum = S::splat(T(sum_terms<T>(n, [&](uint32_t i, uint32_t count) { return load_row(dy, i, count); })));
      map_row(dx, n, [&](uint32_t i, uint32_t count) {
        return S::sub(load_row(dy, i, count), S::mul(vexp_nonpositive<T>(load_row(y, i, count)), sum));
      });
    } else {
      const v128_t sum = S::splat(T(sum_terms<T>(
          n, [&](uint32_t i, uint32_t count) { return S::mul(load_row(dy, i, count), load_row(y, i, count)); })));
      map_row(dx, n, [&](uint32_t i, uint32_t count) {
        return S::mul(load_row(y, i, count), S::sub(load_row(dy, i, count), sum));
      });
    }
  }
}

// loss[r] = weight[t] (lse[r] - x[r, t]); rows whose target is ignore_index give 0
template <class T>
INLINE void cross_entropy(const CrossEntropyParams& p, uint32_t task) {
  using S = Simd<T>;
  const uint32_t n = p.cols, end = min_of(p.rows, (task + 1) * p.rows_per_task);
  for (uint32_t r = task * p.rows_per_task; r < end; r++) {
    const T* x = at<const T>(p.x) + r * n;
    const T top = row_max(x, n);
    const v128_t shift = S::splat(top);
    const double sum = sum_terms<T>(n, [&](uint32_t i, uint32_t count) {
      return vexp_nonpositive<T>(S::sub(load_row(x, i, count, -T(__builtin_inf())), shift));
    });
    const T log_sum = T(log_f64(sum));
    at<T>(p.lse)[r] = top + log_sum;
    const int64_t t = at<const int64_t>(p.target)[r];
    T loss = T(0);
    if (t != p.ignore_index) {
      if (uint64_t(t) < n) {
        loss = log_sum - (x[t] - top);
        if (p.weight) loss *= at<const T>(p.weight)[t];
      } else {
        loss = T(__builtin_nan(""));
        if (p.status) *at<uint32_t>(p.status) = 1;
      }
    }
    at<T>(p.loss)[r] = loss;
  }
}

// dx = grad weight[t] (softmax(x) - onehot(t))
template <class T>
INLINE void cross_entropy_backward(const CrossEntropyParams& p, uint32_t task) {
  using S = Simd<T>;
  const uint32_t n = p.cols, end = min_of(p.rows, (task + 1) * p.rows_per_task);
  for (uint32_t r = task * p.rows_per_task; r < end; r++) {
    const T* x = at<const T>(p.x) + r * n;
    T* dx = at<T>(p.dx) + r * n;
    const int64_t t = at<const int64_t>(p.target)[r];
    if (t == p.ignore_index || uint64_t(t) >= n) {
      map_row(dx, n, [&](uint32_t, uint32_t) { return S::splat(T(0)); });
      continue;
    }
    T g = at<const T>(p.grad)[r * p.grad_step];
    if (p.weight) g *= at<const T>(p.weight)[t];
    const v128_t shift = S::splat(at<const T>(p.lse)[r]), scale = S::splat(g);
    map_row(dx, n, [&](uint32_t i, uint32_t count) {
      return S::mul(vexp_nonpositive<T>(S::sub(load_row(x, i, count), shift)), scale);
    });
    dx[t] -= g;
  }
}

}  // namespace

KERNEL(softmax_f32)(const SoftmaxParams* p, uint32_t task, uint8_t*) { softmax<float>(*p, task); }
KERNEL(softmax_f64)(const SoftmaxParams* p, uint32_t task, uint8_t*) { softmax<double>(*p, task); }
KERNEL(softmax_backward_f32)(const SoftmaxBackwardParams* p, uint32_t task, uint8_t*) { softmax_backward<float>(*p, task); }
KERNEL(softmax_backward_f64)(const SoftmaxBackwardParams* p, uint32_t task, uint8_t*) { softmax_backward<double>(*p, task); }
KERNEL(cross_entropy_f32)(const CrossEntropyParams* p, uint32_t task, uint8_t*) { cross_entropy<float>(*p, task); }
KERNEL(cross_entropy_f64)(const CrossEntropyParams* p, uint32_t task, uint8_t*) { cross_entropy<double>(*p, task); }
KERNEL(cross_entropy_backward_f32)(const CrossEntropyParams* p, uint32_t task, uint8_t*) { cross_entropy_backward<float>(*p, task); }
KERNEL(cross_entropy_backward_f64)(const CrossEntropyParams* p, uint32_t task, uint8_t*) { cross_entropy_backward<double>(*p, task); }
