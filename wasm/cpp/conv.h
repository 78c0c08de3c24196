// What the convolution kernels share: the parameter block and the walk over patches.
//
// Layout is NCHW (1d and 2d are 3d with leading ones). Channels count per group. The gradients use the same block:
// forward writes y, the input gradient reads y and writes x, the weight gradient reads x and y and writes w.
#pragma once

#include "gemm.h"

struct ConvParams {
  uint32_t x, w, y, bias;  // byte addresses; bias may be 0
  uint32_t partials;       // weight gradient with splits > 1: splits * groups * cout * taps * cin elements
  uint32_t batch, groups, cin, cout;
  uint32_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
  uint32_t mc, nc, kc;       // blocks of the matrix product
  uint32_t per_image;        // forward: column blocks end with each image
  uint32_t splits;           // weight gradient: parts of the sum over positions
  uint32_t images_per_task;  // input gradient and depthwise kernels
  uint32_t cin_block;        // input gradient: input channels of a task
};

INLINE uint32_t volume(const uint32_t (&size)[3]) { return size[0] * size[1] * size[2]; }

// The taps of one line of the patch matrix: input channel and kernel offsets of row `index` of [cin, kd, kh, kw].
struct Tap {
  uint32_t channel;
  int32_t d, h, w;       // input coordinate of output 0
  uint32_t lo, hi;       // outputs along the innermost dimension whose input exists
};

INLINE Tap tap_at(const ConvParams& p, uint32_t index) {
  const uint32_t kw = index % p.kernel[2], rest = index / p.kernel[2];
  const uint32_t kh = rest % p.kernel[1], rest2 = rest / p.kernel[1];
  const uint32_t kd = rest2 % p.kernel[0];
  Tap t;
  t.channel = rest2 / p.kernel[0];
  t.d = int32_t(kd * p.dilation[0]) - int32_t(p.pad[0]);
  t.h = int32_t(kh * p.dilation[1]) - int32_t(p.pad[1]);
  t.w = int32_t(kw * p.dilation[2]) - int32_t(p.pad[2]);
  const int32_t step = int32_t(p.stride[2]), width = int32_t(p.in[2]);
  const int32_t lo = t.w >= 0 ? 0 : (-t.w + step - 1) / step;
  const int32_t hi = t.w >= width ? 0 : (width - 1 - t.w) / step + 1;
  t.hi = min_of(uint32_t(max_of(hi, 0)), p.out[2]);
  t.lo = min_of(uint32_t(lo), t.hi);
  return t;
}

// Calls visit(offset, image, input_row, ow, length) for each run of positions [q, q + count) along the innermost
// output dimension, where q counts through [batch, od, oh, ow] and input_row is the tap's offset of input (d, h, 0)
// in its channel, or -1 outside of the input.
template <class F>
INLINE void each_run(const ConvParams& p, const Tap& tap, uint32_t q, uint32_t count, F visit) {
  uint32_t ow = q % p.out[2], rest = q / p.out[2];
  uint32_t oh = rest % p.out[1];
  rest /= p.out[1];
  uint32_t od = rest % p.out[0], image = rest / p.out[0];
  for (uint32_t offset = 0; offset < count;) {
    const uint32_t length = min_of(p.out[2] - ow, count - offset);
    const int32_t d = int32_t(od * p.stride[0]) + tap.d, h = int32_t(oh * p.stride[1]) + tap.h;
    const bool inside = uint32_t(d) < p.in[0] && uint32_t(h) < p.in[1];
    visit(offset, image, inside ? int32_t((uint32_t(d) * p.in[1] + uint32_t(h)) * p.in[2]) : -1, ow, length);
    offset += length;
    ow = 0;
    if (++oh == p.out[1]) {
      oh = 0;
      if (++od == p.out[0]) {
        od = 0;
        image++;
      }
    }
  }
}

template <class T>
INLINE void fill(T* to, uint32_t count, T value) {
  constexpr uint32_t L = Simd<T>::lanes;
  const v128_t v = Simd<T>::splat(value);
  uint32_t i = 0;
  for (; i + L <= count; i += L) wasm_v128_store(to + i, v);
  for (; i < count; i++) {
    to[i] = value;
    asm volatile("" ::: "memory");  // else LLVM makes it a memory.fill, which costs a call
  }
}

// to[i] = from[i * stride]
template <class T>
INLINE void copy_strided(T* to, const T* from, uint32_t count, uint32_t stride) {
  constexpr uint32_t L = Simd<T>::lanes;
  if (stride == 1) {
    if (count >= L) {
      for (uint32_t i = 0; i < count - L; i += L) wasm_v128_store(to + i, wasm_v128_load(from + i));
      wasm_v128_store(to + count - L, wasm_v128_load(from + count - L));  // overlaps the one before
      return;
    }
    for (uint32_t i = 0; i < count; i++) {
      to[i] = from[i];
      asm volatile("" ::: "memory");
    }
    return;
  }
  uint32_t i = 0;
  if (sizeof(T) == 4 && stride == 2)
    for (; i + 4 < count; i += 4) {  // strictly: the second load reads one element past the last that counts
      const v128_t a = wasm_v128_load(from + 2 * i), b = wasm_v128_load(from + 2 * i + 4);
      wasm_v128_store(to + i, wasm_i32x4_shuffle(a, b, 0, 2, 4, 6));
    }
  for (; i < count; i++) to[i] = from[i * stride];
}

// to[i * stride] += from[i] * scale
template <class T>
INLINE void add_strided(T* to, const T* from, uint32_t count, uint32_t stride) {
  using S = Simd<T>;
  uint32_t i = 0;
  if (stride == 1)
    for (; i + S::lanes <= count; i += S::lanes)
      wasm_v128_store(to + i, S::add(wasm_v128_load(to + i), wasm_v128_load(from + i)));
  for (; i < count; i++) to[i * stride] += from[i];
}

// Row `index` of the patch matrix of group `g`: one value for each position [q, q + count).
template <class T>
NOINLINE void patch_row(const ConvParams& p, uint32_t g, uint32_t index, uint32_t q, uint32_t count, T* to) {
  const Tap tap = tap_at(p, index);
  const uint32_t plane = volume(p.in), channels = p.groups * p.cin, stride = p.stride[2];
  const T* x = at<const T>(p.x) + (g * p.cin + tap.channel) * plane;
  each_run(p, tap, q, count, [&](uint32_t offset, uint32_t image, int32_t row, uint32_t ow, uint32_t length) {
    T* out = to + offset;
    if (row < 0) return fill(out, length, T(0));
    const uint32_t lo = min_of(max_of(tap.lo, ow), ow + length), hi = max_of(lo, min_of(tap.hi, ow + length));
    if (lo > ow) fill(out, lo - ow, T(0));
    if (hi > lo) copy_strided(out + (lo - ow), x + image * channels * plane + uint32_t(row + int32_t(lo * stride) + tap.w), hi - lo, stride);
    if (ow + length > hi) fill(out + (hi - ow), ow + length - hi, T(0));
  });
}

// Panels of positions: to[panel][index][NR], for rows [index0, index0 + k) of the patch matrix.
template <class T>
NOINLINE void pack_patches(const ConvParams& p, uint32_t g, uint32_t index0, uint32_t k, uint32_t q, uint32_t count,
                         T* to, T* row) {
  constexpr uint32_t L = Simd<T>::lanes, NR = gemm_nr<T>;
  const uint32_t panels = ceil_div(count, NR);
  fill(row + count, panels * NR - count, T(0));
  for (uint32_t x = 0; x < k; x++) {
    patch_row(p, g, index0 + x, q, count, row);
    T* out = to + x * NR;
    const T* from = row;
    for (uint32_t j = 0; j < panels; j++, from += NR, out += k * NR) {
      wasm_v128_store(out, wasm_v128_load(from));
      wasm_v128_store(out + L, wasm_v128_load(from + L));
    }
  }
}
