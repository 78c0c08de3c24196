// Batch and group normalisation of [batch, channels, inner], in phases:
//   forward    norm_sums, norm_stats (one task), norm_apply
//   backward   norm_dots, norm_coefficients (one task), norm_backward_apply
// A plane is one channel of one image. norm_sums and norm_dots reduce planes (or, when inner is 1, whole columns of
// the batch) to pairs of float64; the one-task phases combine the pairs in order. With running statistics the
// forward is norm_apply alone. Planned by wasm/device/cpp/channelnorm.ts.
#include "rows.h"

namespace {

struct ChannelNormParams {
  uint32_t x, y, dy, dx;
  uint32_t weight, bias;      // channels elements each, or 0
  uint32_t mean, rstd;        // one per statistic
  uint32_t var;               // norm_stats: also the biased variance; or 0
  uint32_t dweight, dbias;    // norm_coefficients: channels elements each, or 0
  uint32_t sums;              // workspace: parts * channels pairs of float64
  uint32_t coefficients;      // workspace: one pair of float64 per statistic; 0: statistics were constants
  uint32_t batch, channels, inner;
  uint32_t groups;            // 0: batch norm, a statistic per channel; else group norm, one per image and group
  uint32_t parts;             // pairs per channel: batch, or 1 when columns were reduced at once
  uint32_t planes_per_task;   // inner = 1: columns per task of norm_sums and norm_dots, rows per task elsewhere
  uint32_t pad;
  double eps;
};

struct Pair {
  double first, second;
};

INLINE uint32_t stat_of(const ChannelNormParams& p, uint32_t image, uint32_t channel) {
  return p.groups ? image * p.groups + channel / (p.channels / p.groups) : channel;
}

constexpr uint32_t COLUMNS = 64;

// Reduces columns [c0, c0 + n) of a matrix of `batch` rows by float64 sums of value(row, column).
template <class F>
INLINE void column_sums(uint32_t batch, uint32_t n, double* sums, F value) {
  for (uint32_t i = 0; i < n; i++) sums[i] = 0;
  for (uint32_t r = 0; r < batch; r++)
    for (uint32_t i = 0; i < n; i++) sums[i] += value(r, i);
}

// sums[part, channel] = (sum of x, sum of squared distances from the mean of that plane)
template <class T>
INLINE void norm_sums(const ChannelNormParams& p, uint32_t task) {
  using S = Simd<T>;
  Pair* sums = at<Pair>(p.sums);
  const T* x = at<const T>(p.x);
  if (p.inner == 1 && !p.groups) {
    const uint32_t end = min_of(p.channels, (task + 1) * p.planes_per_task);
    for (uint32_t c0 = task * p.planes_per_task; c0 < end; c0 += COLUMNS) {
      const uint32_t n = min_of(COLUMNS, end - c0);
      double sum[COLUMNS], square[COLUMNS], mean[COLUMNS];
      column_sums(p.batch, n, sum, [&](uint32_t r, uint32_t i) { return double(x[r * p.channels + c0 + i]); });
      for (uint32_t i = 0; i < n; i++) mean[i] = sum[i] / p.batch;
      column_sums(p.batch, n, square, [&](uint32_t r, uint32_t i) {
        const double d = double(x[r * p.channels + c0 + i]) - mean[i];
        return d * d;
      });
      for (uint32_t i = 0; i < n; i++) sums[c0 + i] = {sum[i], square[i]};
    }
    return;
  }
  const uint32_t n = p.inner, end = min_of(p.batch * p.channels, (task + 1) * p.planes_per_task);
  for (uint32_t plane = task * p.planes_per_task; plane < end; plane++) {
    const T* from = x + plane * n;
    const double sum = sum_terms<T>(n, [&](uint32_t i, uint32_t count) { return load_row(from, i, count); });
    const T mean = T(sum / n);
    const v128_t center = S::splat(mean);
    double square = sum_terms<T>(n, [&](uint32_t i, uint32_t count) {
      const v128_t d = S::sub(load_row(from, i, count, mean), center);
      return S::mul(d, d);
    });
    const double off = sum / n - double(mean);  // the mean was rounded to T
    sums[plane] = {sum, square - off * off * n};
  }
}

// Combines planes (Chan, Golub and LeVeque): M2 = sum of M2_i + n_i (mean_i - mean)^2.
template <class T>
INLINE void norm_stats(const ChannelNormParams& p) {
  const Pair* sums = at<const Pair>(p.sums);
  const double each = double(p.inner) * (p.parts == 1 ? p.batch : 1);
  const uint32_t stats = p.groups ? p.batch * p.groups : p.channels;
  const uint32_t width = p.groups ? p.channels / p.groups : p.parts, step = p.groups ? 1 : p.channels;
  for (uint32_t s = 0; s < stats; s++) {
    const Pair* from = sums + (p.groups ? s * width : s);
    double sum = 0, square = 0;
    for (uint32_t i = 0; i < width; i++) sum += from[i * step].first;
    const double mean = sum / (each * width);
    for (uint32_t i = 0; i < width; i++) {
      const double off = from[i * step].first / each - mean;
      square += from[i * step].second + each * off * off;
    }
    const double variance = square / (each * width);
    at<T>(p.mean)[s] = T(mean);
    at<T>(p.rstd)[s] = T(1 / __builtin_sqrt(variance + p.eps));
    if (p.var) at<T>(p.var)[s] = T(variance);
  }
}

// y = (x - mean) rstd weight + bias
template <class T>
INLINE void norm_apply(const ChannelNormParams& p, uint32_t task) {
  using S = Simd<T>;
  const T *mean = at<const T>(p.mean), *rstd = at<const T>(p.rstd);
  const T *weight = at<const T>(p.weight), *bias = at<const T>(p.bias);
  if (p.inner == 1 && !p.groups) {
    const uint32_t n = p.channels, end = min_of(p.batch, (task + 1) * p.planes_per_task);
    for (uint32_t r = task * p.planes_per_task; r < end; r++) {
      const T* x = at<const T>(p.x) + r * n;
      map_row(at<T>(p.y) + r * n, n, [&](uint32_t i, uint32_t count) {
        v128_t scale = load_row(rstd, i, count);
        if (weight) scale = S::mul(scale, load_row(weight, i, count));
        const v128_t h = S::mul(S::sub(load_row(x, i, count), load_row(mean, i, count)), scale);
        return bias ? S::add(h, load_row(bias, i, count)) : h;
      });
    }
    return;
  }
  const uint32_t n = p.inner, end = min_of(p.batch * p.channels, (task + 1) * p.planes_per_task);
  for (uint32_t plane = task * p.planes_per_task; plane < end; plane++) {
    const uint32_t c = plane % p.channels, s = stat_of(p, plane / p.channels, c);
    const T* x = at<const T>(p.x) + plane * n;
    const v128_t center = S::splat(mean[s]), scale = S::splat(weight ? rstd[s] * weight[c] : rstd[s]);
    const v128_t shift = S::splat(bias ? bias[c] : T(0));
    map_row(at<T>(p.y) + plane * n, n, [&](uint32_t i, uint32_t count) {
      return S::add(S::mul(S::sub(load_row(x, i, count), center), scale), shift);
    });
  }
}

// sums[part, channel] = (sum of dy, sum of dy (x - mean))
template <class T>
INLINE void norm_dots(const ChannelNormParams& p, uint32_t task) {
  using S = Simd<T>;
  Pair* sums = at<Pair>(p.sums);
  const T *x = at<const T>(p.x), *dy = at<const T>(p.dy), *mean = at<const T>(p.mean);
  if (p.inner == 1 && !p.groups) {
    const uint32_t end = min_of(p.channels, (task + 1) * p.planes_per_task);
    for (uint32_t c0 = task * p.planes_per_task; c0 < end; c0 += COLUMNS) {
      const uint32_t n = min_of(COLUMNS, end - c0);
      double sum[COLUMNS], dot[COLUMNS];
      column_sums(p.batch, n, sum, [&](uint32_t r, uint32_t i) { return double(dy[r * p.channels + c0 + i]); });
      column_sums(p.batch, n, dot, [&](uint32_t r, uint32_t i) {
        const uint32_t j = r * p.channels + c0 + i;
        return double(dy[j]) * double(x[j] - mean[c0 + i]);
      });
      for (uint32_t i = 0; i < n; i++) sums[c0 + i] = {sum[i], dot[i]};
    }
    return;
  }
  const uint32_t n = p.inner, end = min_of(p.batch * p.channels, (task + 1) * p.planes_per_task);
  for (uint32_t plane = task * p.planes_per_task; plane < end; plane++) {
    const T *px = x + plane * n, *pd = dy + plane * n;
    const v128_t center = S::splat(mean[stat_of(p, plane / p.channels, plane % p.channels)]);
    const double sum = sum_terms<T>(n, [&](uint32_t i, uint32_t count) { return load_row(pd, i, count); });
    const double dot = sum_terms<T>(n, [&](uint32_t i, uint32_t count) {
      return S::mul(load_row(pd, i, count), S::sub(load_row(px, i, count), center));
    });
    sums[plane] = {sum, dot};
  }
}

// dweight = sum of dy h, dbias = sum of dy; coefficients = means over each statistic of dy weight and of dy weight h,
// where h = (x - mean) rstd.
template <class T>
INLINE void norm_coefficients(const ChannelNormParams& p) {
  const Pair* sums = at<const Pair>(p.sums);
  const T *rstd = at<const T>(p.rstd), *weight = at<const T>(p.weight);
  Pair* out = at<Pair>(p.coefficients);
  const uint32_t stats = p.groups ? p.batch * p.groups : p.channels;
  const double each = double(p.inner) * (p.groups ? p.channels / p.groups : p.batch);
  if (p.coefficients)
    for (uint32_t s = 0; s < stats; s++) out[s] = {0, 0};
  for (uint32_t c = 0; c < p.channels; c++) {
    const double w = weight ? double(weight[c]) : 1.0;
    double total = 0, dot = 0;
    for (uint32_t i = 0; i < p.parts; i++) {
      const Pair& s = sums[i * p.channels + c];
      const uint32_t stat = stat_of(p, i, c);
      const double scaled = s.second * double(rstd[stat]);
      total += s.first;
      dot += scaled;
      if (p.coefficients) {
        out[stat].first += w * s.first / each;
        out[stat].second += w * scaled / each;
      }
    }
    if (p.dweight) at<T>(p.dweight)[c] = T(dot);
    if (p.dbias) at<T>(p.dbias)[c] = T(total);
  }
}

// dx = rstd (dy weight - first - h second), or rstd weight dy where the statistics were constants
template <class T>
INLINE void norm_backward_apply(const ChannelNormParams& p, uint32_t task) {
  using S = Simd<T>;
  const T *mean = at<const T>(p.mean), *rstd = at<const T>(p.rstd), *weight = at<const T>(p.weight);
  const Pair* coefficients = at<const Pair>(p.coefficients);
  // dx = dy * direct + (x - mean) * along + constant
  struct Terms {
    T direct, along, constant;
  };
  const auto terms = [&](uint32_t s, uint32_t c) {
    const T r = rstd[s], direct = weight ? r * weight[c] : r;
    if (!coefficients) return Terms{direct, T(0), T(0)};
    return Terms{direct, T(-coefficients[s].second * double(r) * double(r)), T(-coefficients[s].first * double(r))};
  };
  if (p.inner == 1 && !p.groups) {
    const uint32_t n = p.channels, end = min_of(p.batch, (task + 1) * p.planes_per_task);
    for (uint32_t c = 0; c < n; c++) {
      const Terms t = terms(c, c);
      for (uint32_t r = task * p.planes_per_task; r < end; r++) {
        const uint32_t i = r * n + c;
        at<T>(p.dx)[i] = at<const T>(p.dy)[i] * t.direct + ((at<const T>(p.x)[i] - mean[c]) * t.along + t.constant);
      }
    }
    return;
  }
  const uint32_t n = p.inner, end = min_of(p.batch * p.channels, (task + 1) * p.planes_per_task);
  for (uint32_t plane = task * p.planes_per_task; plane < end; plane++) {
    const uint32_t c = plane % p.channels, s = stat_of(p, plane / p.channels, c);
    const T *x = at<const T>(p.x) + plane * n, *dy = at<const T>(p.dy) + plane * n;
    const Terms t = terms(s, c);
    const v128_t center = S::splat(mean[s]), direct = S::splat(t.direct), along = S::splat(t.along);
    const v128_t constant = S::splat(t.constant);
    map_row(at<T>(p.dx) + plane * n, n, [&](uint32_t i, uint32_t count) {
      const v128_t d = S::add(S::mul(S::sub(load_row(x, i, count), center), along), constant);
      return S::add(S::mul(load_row(dy, i, count), direct), d);
    });
  }
}

}  // namespace

KERNEL(norm_sums_f32)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_sums<float>(*p, task); }
KERNEL(norm_sums_f64)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_sums<double>(*p, task); }
KERNEL(norm_stats_f32)(const ChannelNormParams* p, uint32_t, uint8_t*) { norm_stats<float>(*p); }
KERNEL(norm_stats_f64)(const ChannelNormParams* p, uint32_t, uint8_t*) { norm_stats<double>(*p); }
KERNEL(norm_apply_f32)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_apply<float>(*p, task); }
KERNEL(norm_apply_f64)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_apply<double>(*p, task); }
KERNEL(norm_dots_f32)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_dots<float>(*p, task); }
KERNEL(norm_dots_f64)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_dots<double>(*p, task); }
KERNEL(norm_coefficients_f32)(const ChannelNormParams* p, uint32_t, uint8_t*) { norm_coefficients<float>(*p); }
KERNEL(norm_coefficients_f64)(const ChannelNormParams* p, uint32_t, uint8_t*) { norm_coefficients<double>(*p); }
KERNEL(norm_backward_apply_f32)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_backward_apply<float>(*p, task); }
KERNEL(norm_backward_apply_f64)(const ChannelNormParams* p, uint32_t task, uint8_t*) { norm_backward_apply<double>(*p, task); }
