// depthwise_conv_{f32,f64}, depthwise_conv_input_grad_{...}, depthwise_conv_weight_grad_{...}: one input channel to a
// group, where a matrix product would have a single row. Rows of the output are sums of scaled input rows.
// Parameters as for conv (conv.h), with cin = 1. Planned by wasm/device/cpp/conv.ts.
#include "conv.h"

namespace {

// out[i * out_stride] += in[i * in_stride] * scale; one of the strides is 1
template <class T>
INLINE void axpy(T* out, uint32_t out_stride, const T* in, uint32_t in_stride, uint32_t count, T scale) {
  using S = Simd<T>;
  uint32_t i = 0;
  if (out_stride == 1 && in_stride == 1) {
    const v128_t s = S::splat(scale);
    for (; i + S::lanes <= count; i += S::lanes)
      wasm_v128_store(out + i, S::add(S::mul(wasm_v128_load(in + i), s), wasm_v128_load(out + i)));
  }
  for (; i < count; i++) out[i * out_stride] += in[i * in_stride] * scale;
}

template <class T>
INLINE T dot(const T* a, const T* b, uint32_t stride, uint32_t count) {
  using S = Simd<T>;
  T sum = T(0);
  uint32_t i = 0;
  if (stride == 1) {
    v128_t acc = S::splat(T(0));
    for (; i + S::lanes <= count; i += S::lanes)
      acc = S::add(acc, S::mul(wasm_v128_load(a + i), wasm_v128_load(b + i)));
    sum = S::sum(acc);
  }
  for (; i < count; i++) sum += a[i] * b[i * stride];
  return sum;
}

// Calls visit(output offset, input offset, length) for each run of a tap in one image.
template <class F>
INLINE void each_valid_run(const ConvParams& p, const Tap& tap, F visit) {
  if (tap.hi <= tap.lo) return;
  each_run(p, tap, 0, volume(p.out), [&](uint32_t offset, uint32_t, int32_t row, uint32_t, uint32_t) {
    if (row >= 0) visit(offset + tap.lo, uint32_t(row + int32_t(tap.lo * p.stride[2]) + tap.w), tap.hi - tap.lo);
  });
}

// tasks = ceil(batch * groups / images_per_task); a task takes whole (image, group) pairs
template <class T>
INLINE void forward(const ConvParams& p, uint32_t task) {
  const uint32_t plane = volume(p.in), positions = volume(p.out), taps = volume(p.kernel);
  const uint32_t end = min_of(p.batch * p.groups, (task + 1) * p.images_per_task);
  for (uint32_t pair = task * p.images_per_task; pair < end; pair++) {
    const uint32_t g = pair % p.groups;
    const T* x = at<const T>(p.x) + pair * plane;
    for (uint32_t c = 0; c < p.cout; c++) {
      const uint32_t channel = g * p.cout + c;
      T* y = at<T>(p.y) + (pair * p.cout + c) * positions;
      fill(y, positions, p.bias ? at<const T>(p.bias)[channel] : T(0));
      for (uint32_t i = 0; i < taps; i++) {
        const T scale = at<const T>(p.w)[channel * taps + i];
        each_valid_run(p, tap_at(p, i), [&](uint32_t out, uint32_t in, uint32_t length) {
          axpy(y + out, 1, x + in, p.stride[2], length, scale);
        });
      }
    }
  }
}

// tasks as for the forward
template <class T>
INLINE void input_grad(const ConvParams& p, uint32_t task) {
  const uint32_t plane = volume(p.in), positions = volume(p.out), taps = volume(p.kernel);
  const uint32_t end = min_of(p.batch * p.groups, (task + 1) * p.images_per_task);
  for (uint32_t pair = task * p.images_per_task; pair < end; pair++) {
    const uint32_t g = pair % p.groups;
    T* x = at<T>(p.x) + pair * plane;
    fill(x, plane, p.bias ? at<const T>(p.bias)[g] : T(0));
    for (uint32_t c = 0; c < p.cout; c++)
      for (uint32_t i = 0; i < taps; i++) {
        const T scale = at<const T>(p.w)[(g * p.cout + c) * taps + i];
        const T* y = at<const T>(p.y) + (pair * p.cout + c) * positions;
        each_valid_run(p, tap_at(p, i), [&](uint32_t out, uint32_t in, uint32_t length) {
          axpy(x + in, p.stride[2], y + out, 1, length, scale);
        });
      }
  }
}

// tasks = groups * cout
template <class T>
INLINE void weight_grad(const ConvParams& p, uint32_t channel) {
  const uint32_t plane = volume(p.in), positions = volume(p.out), taps = volume(p.kernel);
  const uint32_t g = channel / p.cout, channels = p.groups * p.cout;
  for (uint32_t i = 0; i < taps; i++) {
    const Tap tap = tap_at(p, i);
    double total = 0;
    for (uint32_t image = 0; image < p.batch; image++) {
      const T* x = at<const T>(p.x) + (image * p.groups + g) * plane;
      const T* y = at<const T>(p.y) + (image * channels + channel) * positions;
      each_valid_run(p, tap, [&](uint32_t out, uint32_t in, uint32_t length) {
        total += double(dot(y + out, x + in, p.stride[2], length));
      });
    }
    at<T>(p.w)[channel * taps + i] = T(total);
  }
}

}  // namespace

KERNEL(depthwise_conv_f32)(const ConvParams* p, uint32_t task, uint8_t*) { forward<float>(*p, task); }
KERNEL(depthwise_conv_f64)(const ConvParams* p, uint32_t task, uint8_t*) { forward<double>(*p, task); }
KERNEL(depthwise_conv_input_grad_f32)(const ConvParams* p, uint32_t task, uint8_t*) { input_grad<float>(*p, task); }
KERNEL(depthwise_conv_input_grad_f64)(const ConvParams* p, uint32_t task, uint8_t*) { input_grad<double>(*p, task); }
KERNEL(depthwise_conv_weight_grad_f32)(const ConvParams* p, uint32_t task, uint8_t*) { weight_grad<float>(*p, task); }
KERNEL(depthwise_conv_weight_grad_f64)(const ConvParams* p, uint32_t task, uint8_t*) { weight_grad<double>(*p, task); }
