// conv_{f32,f64}, conv_input_grad_{...}, conv_weight_grad_{...}, conv_sum_partials_{...}: implicit matrix products.
//
// Patches are packed straight into panels of the product (no im2col in memory):
//   forward          y[cout, q]  = w[cout, taps] patches[taps, q]         q runs over images and output positions
//   weight gradient  w[cout, taps] = sum over q of y[cout, q] patches[taps, q]
//   input gradient   columns[taps, q] = w^T y, added into x tap by tap; also the forward of a transposed convolution
// Planned by wasm/device/cpp/conv.ts.
#include "conv.h"

namespace {

template <class T>
INLINE T* carve(uint8_t*& scratch, uint32_t elements) {
  T* area = reinterpret_cast<T*>(scratch);
  scratch += (elements * sizeof(T) + 63) & ~63u;
  return area;
}

// Calls visit(offset, image, position, length) for the part of each image in positions [q, q + count).
template <class F>
INLINE void each_image(uint32_t positions, uint32_t q, uint32_t count, F visit) {
  uint32_t image = q / positions, position = q % positions;
  for (uint32_t offset = 0; offset < count; image++, position = 0) {
    const uint32_t length = min_of(positions - position, count - offset);
    visit(offset, image, position, length);
    offset += length;
  }
}

// tasks = groups * ceil(cout / mc) * (per_image ? batch * ceil(P / nc) : ceil(batch * P / nc)), P output positions.
template <class T>
INLINE void forward(const ConvParams& p, uint32_t task, uint8_t* scratch) {
  const uint32_t positions = volume(p.out), taps = p.cin * volume(p.kernel);
  const uint32_t blocks = ceil_div(p.per_image ? positions : p.batch * positions, p.nc);
  const uint32_t all_blocks = p.per_image ? p.batch * blocks : blocks;
  const uint32_t block = task % all_blocks, rest = task / all_blocks;
  const uint32_t row_blocks = ceil_div(p.cout, p.mc), i0 = rest % row_blocks * p.mc, g = rest / row_blocks;
  const uint32_t m = min_of(p.mc, p.cout - i0);
  const uint32_t first = p.per_image ? block / blocks * positions : 0, limit = p.per_image ? positions : p.batch * positions;
  const uint32_t start = (p.per_image ? block % blocks : block) * p.nc;
  const uint32_t q = first + start, n = min_of(p.nc, limit - start);

  T* rows = carve<T>(scratch, p.mc * p.kc);
  T* panels = carve<T>(scratch, (p.nc + gemm_nr<T>)*p.kc);
  T* line = carve<T>(scratch, p.nc + gemm_nr<T>);
  T* tile = carve<T>(scratch, p.mc * p.nc);
  const uint32_t channel = g * p.cout + i0;
  const T* w = at<const T>(p.w) + channel * taps;
  const uint32_t image = q / positions;
  const bool direct = q + n <= (image + 1) * positions;  // the whole block lies in one image
  T* y = at<T>(p.y);
  T* c = direct ? y + (image * p.groups * p.cout + channel) * positions + (q - image * positions) : tile;
  const uint32_t ldc = direct ? positions : p.nc;

  Epilogue<T> e = {T(1), T(0), p.bias ? at<const T>(p.bias) + channel : nullptr, nullptr, true, true};
  for (uint32_t k0 = 0; k0 < taps; k0 += p.kc) {
    const uint32_t k = min_of(p.kc, taps - k0);
    e.begin(k0 == 0);
    pack_a(rows, w + k0, m, k, int32_t(taps), 1);
    pack_patches(p, g, k0, k, q, n, panels, line);
    gemm_macro(m, n, k, rows, panels, k * gemm_nr<T>, c, ldc, e);
  }
  if (direct) return;
  each_image(positions, q, n, [&](uint32_t offset, uint32_t at_image, uint32_t position, uint32_t length) {
    T* to = y + (at_image * p.groups * p.cout + channel) * positions + position;
    for (uint32_t i = 0; i < m; i++) copy_strided(to + i * positions, tile + i * p.nc + offset, length, 1);
  });
}

// tasks = groups * ceil(cout / mc) * ceil(taps / nc) * splits
template <class T>
INLINE void weight_grad(const ConvParams& p, uint32_t task, uint8_t* scratch) {
  constexpr uint32_t NR = gemm_nr<T>;
  const uint32_t positions = volume(p.out), taps = p.cin * volume(p.kernel), total = p.batch * positions;
  const uint32_t part = task % p.splits;
  uint32_t rest = task / p.splits;
  const uint32_t column_blocks = ceil_div(taps, p.nc), j0 = rest % column_blocks * p.nc;
  rest /= column_blocks;
  const uint32_t row_blocks = ceil_div(p.cout, p.mc), i0 = rest % row_blocks * p.mc, g = rest / row_blocks;
  const uint32_t m = min_of(p.mc, p.cout - i0), n = min_of(p.nc, taps - j0);
  const uint32_t channel = g * p.cout + i0, channels = p.groups * p.cout;

  T* rows = carve<T>(scratch, p.mc * p.kc);
  T* panels = carve<T>(scratch, (p.nc + NR) * p.kc);
  T* lines = carve<T>(scratch, NR * p.kc);
  T* out = p.splits > 1 ? at<T>(p.partials) + part * channels * taps : at<T>(p.w);
  out += channel * taps + j0;
  const T* y = at<const T>(p.y);

  const Range blocks = split(ceil_div(total, p.kc), p.splits, part);
  Epilogue<T> e = {T(1), T(0), nullptr, nullptr, true, true};
  for (uint32_t b = blocks.begin; b < blocks.end; b++) {
    const uint32_t q = b * p.kc, k = min_of(p.kc, total - q);
    e.begin(b == blocks.begin);
    each_image(positions, q, k, [&](uint32_t offset, uint32_t image, uint32_t position, uint32_t length) {
      const T* from = y + (image * channels + channel) * positions + position;
      for (uint32_t i = 0; i < m; i += GEMM_MR) {
        const uint32_t height = min_of(GEMM_MR, m - i);
        pack_lines(rows + i * k + offset * height, height, from + i * positions, height, length, int32_t(positions), 1);
      }
    });
    for (uint32_t j = 0; j < n; j += NR) {
      const uint32_t width = min_of(NR, n - j);
      for (uint32_t x = 0; x < width; x++) patch_row(p, g, j0 + j + x, q, k, lines + x * k);
      for (uint32_t x = width; x < NR; x++) fill(lines + x * k, k, T(0));
      pack_lines(panels + j * k, NR, lines, NR, k, int32_t(k), 1);
    }
    gemm_macro(m, n, k, rows, panels, k * NR, out, taps, e);
  }
}

// w = the sum of the partial gradients, in order. tasks = any number; each takes an even share of the elements.
struct SumPartialsParams {
  uint32_t out, partials;
  uint32_t count, splits, tasks;
};
template <class T>
INLINE void sum_partials(const SumPartialsParams& p, uint32_t task) {
  using S = Simd<T>;
  const Range r = split(p.count, p.tasks, task);
  const T* from = at<const T>(p.partials);
  T* out = at<T>(p.out);
  uint32_t i = r.begin;
  for (; i + S::lanes <= r.end; i += S::lanes) {
    v128_t sum = wasm_v128_load(from + i);
    for (uint32_t s = 1; s < p.splits; s++) sum = S::add(sum, wasm_v128_load(from + s * p.count + i));
    wasm_v128_store(out + i, sum);
  }
  for (; i < r.end; i++) {
    T sum = from[i];
    for (uint32_t s = 1; s < p.splits; s++) sum += from[s * p.count + i];
    out[i] = sum;
  }
}

// Adds columns[taps of `block` channels, n positions] into the input gradient.
template <class T>
INLINE void scatter_columns(const ConvParams& p, uint32_t g, uint32_t c0, uint32_t count, uint32_t q, uint32_t n,
                            const T* columns, uint32_t ld) {
  const uint32_t plane = volume(p.in), channels = p.groups * p.cin, stride = p.stride[2], taps = volume(p.kernel);
  for (uint32_t i = 0; i < count * taps; i++) {
    const Tap tap = tap_at(p, c0 * taps + i);
    T* x = at<T>(p.x) + (g * p.cin + tap.channel) * plane;
    const T* line = columns + i * ld;
    each_run(p, tap, q, n, [&](uint32_t offset, uint32_t image, int32_t row, uint32_t ow, uint32_t length) {
      const uint32_t lo = max_of(tap.lo, ow), hi = min_of(tap.hi, ow + length);
      if (row < 0 || hi <= lo) return;
      add_strided(x + image * channels * plane + uint32_t(row + int32_t(lo * stride) + tap.w), line + offset + (lo - ow), hi - lo, stride);
    });
  }
}

// tasks = groups * ceil(cin / cin_block) * ceil(batch / images_per_task)
template <class T>
INLINE void input_grad(const ConvParams& p, uint32_t task, uint8_t* scratch) {
  constexpr uint32_t NR = gemm_nr<T>;
  const uint32_t positions = volume(p.out), kernel = volume(p.kernel), taps = p.cin * kernel, plane = volume(p.in);
  const uint32_t parts = ceil_div(p.batch, p.images_per_task), image0 = task % parts * p.images_per_task;
  const uint32_t rest = task / parts, channel_blocks = ceil_div(p.cin, p.cin_block);
  const uint32_t c0 = rest % channel_blocks * p.cin_block, g = rest / channel_blocks;
  const uint32_t channels = min_of(p.cin_block, p.cin - c0), m = channels * kernel;
  const uint32_t images = min_of(p.images_per_task, p.batch - image0);

  T* rows = carve<T>(scratch, m * p.kc);
  T* panels = carve<T>(scratch, (p.nc + NR) * p.kc);
  T* tile = carve<T>(scratch, m * p.nc);
  const T* y = at<const T>(p.y);
  const T* w = at<const T>(p.w) + g * p.cout * taps + c0 * kernel;
  for (uint32_t image = image0; image < image0 + images; image++)
    for (uint32_t c = 0; c < channels; c++) {
      const uint32_t channel = g * p.cin + c0 + c;
      fill(at<T>(p.x) + (image * p.groups * p.cin + channel) * plane, plane, p.bias ? at<const T>(p.bias)[channel] : T(0));
    }

  const uint32_t end = (image0 + images) * positions;
  for (uint32_t q = image0 * positions; q < end; q += p.nc) {
    const uint32_t n = min_of(p.nc, end - q);
    Epilogue<T> e = {T(1), T(0), nullptr, nullptr, true, true};
    for (uint32_t k0 = 0; k0 < p.cout; k0 += p.kc) {
      const uint32_t k = min_of(p.kc, p.cout - k0);
      e.begin(k0 == 0);
      pack_a(rows, w + k0 * taps, m, k, 1, int32_t(taps));
      fill(panels + n / NR * NR * k, NR * k, T(0));  // the last panel may be ragged
      each_image(positions, q, n, [&](uint32_t offset, uint32_t image, uint32_t position, uint32_t length) {
        const T* from = y + ((image * p.groups + g) * p.cout + k0) * positions + position;
        for (uint32_t done = 0; done < length;) {  // panel by panel, images may meet inside one
          const uint32_t lane = (offset + done) % NR, width = min_of(NR - lane, length - done);
          pack_lines(panels + (offset + done) / NR * NR * k + lane, NR, from + done, width, k, 1, int32_t(positions));
          done += width;
        }
      });
      gemm_macro(m, n, k, rows, panels, k * NR, tile, p.nc, e);
    }
    scatter_columns(p, g, c0, channels, q, n, tile, p.nc);
  }
}

}  // namespace

KERNEL(conv_f32)(const ConvParams* p, uint32_t task, uint8_t* scratch) { forward<float>(*p, task, scratch); }
KERNEL(conv_f64)(const ConvParams* p, uint32_t task, uint8_t* scratch) { forward<double>(*p, task, scratch); }
KERNEL(conv_weight_grad_f32)(const ConvParams* p, uint32_t task, uint8_t* s) { weight_grad<float>(*p, task, s); }
KERNEL(conv_weight_grad_f64)(const ConvParams* p, uint32_t task, uint8_t* s) { weight_grad<double>(*p, task, s); }
KERNEL(conv_input_grad_f32)(const ConvParams* p, uint32_t task, uint8_t* s) { input_grad<float>(*p, task, s); }
KERNEL(conv_input_grad_f64)(const ConvParams* p, uint32_t task, uint8_t* s) { input_grad<double>(*p, task, s); }
KERNEL(sum_partials_f32)(const SumPartialsParams* p, uint32_t task, uint8_t*) { sum_partials<float>(*p, task); }
KERNEL(sum_partials_f64)(const SumPartialsParams* p, uint32_t task, uint8_t*) { sum_partials<double>(*p, task); }
