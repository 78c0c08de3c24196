// peak_madd_f32: the multiply-add ceiling of one thread, for quoting shares of it. Twelve independent chains in
// registers; flops = iterations * 12 * 4 * 2.
#include "common.h"

struct PeakParams {
  uint32_t out;  // byte address of 4 floats (keeps the work alive)
  uint32_t iterations;
};

KERNEL(peak_madd_f32)(const PeakParams* p, uint32_t, uint8_t*) {
  v128_t acc[12];
#pragma unroll
  for (uint32_t i = 0; i < 12; i++) acc[i] = wasm_f32x4_splat(float(i));
  const v128_t scale = wasm_f32x4_splat(0.5f), shift = wasm_v128_load(at<float>(p->out));
  for (uint32_t k = p->iterations; k; k--)
#pragma unroll
    for (uint32_t i = 0; i < 12; i++) acc[i] = madd_f32(acc[i], scale, shift);
  v128_t sum = acc[0];
#pragma unroll
  for (uint32_t i = 1; i < 12; i++) sum = wasm_f32x4_add(sum, acc[i]);
  wasm_v128_store(at<float>(p->out), sum);
}
