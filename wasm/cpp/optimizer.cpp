// sgd_{f32,f64}, adam_{f32,f64}: whole optimizer steps over many parameters in one call.
//
// The order of operations is PyTorch 2.6's (torch/optim/sgd.py, adam.py, adamw.py, the single-tensor forms), and so
// are those of lerp, addcmul and addcdiv inside. Scalars are computed in float64 by the caller and rounded once.
// A table of chunks says where the parameters lie: one entry per run of elements. tasks = number of chunks.
// Planned by wasm/device/cpp/optimizer.ts.
#include "common.h"

namespace {

struct Chunk {
  uint32_t param, grad;
  uint32_t state0;  // sgd: momentum buffer; adam: exp_avg
  uint32_t state1;  // adam: exp_avg_sq
  uint32_t state2;  // adam with amsgrad: max_exp_avg_sq
  uint32_t count;
};

struct SgdParams {
  uint32_t chunks;
  uint32_t maximize, nesterov;
  uint32_t first;  // the momentum buffer starts as a copy of the gradient
  double lr, momentum, dampening, weight_decay;
};

struct AdamParams {
  uint32_t chunks;
  uint32_t maximize, amsgrad;
  uint32_t decoupled;  // AdamW: decay the parameter itself
  double lr, beta1, beta2, eps, weight_decay;
  double bias_correction1, bias_correction2_sqrt;
};

template <class T>
INLINE v128_t vsqrt(v128_t x) {
  if constexpr (sizeof(T) == 4)
    return wasm_f32x4_sqrt(x);
  else
    return wasm_f64x2_sqrt(x);
}

template <class T>
INLINE v128_t vdiv(v128_t a, v128_t b) {
  if constexpr (sizeof(T) == 4)
    return wasm_f32x4_div(a, b);
  else
    return wasm_f64x2_div(a, b);
}

// As torch.maximum: NaN wins.
template <class T>
INLINE v128_t vmax(v128_t a, v128_t b) {
  if constexpr (sizeof(T) == 4)
    return wasm_f32x4_max(a, b);
  else
    return wasm_f64x2_max(a, b);
}

template <class T>
INLINE v128_t vneg(v128_t x) {
  if constexpr (sizeof(T) == 4)
    return wasm_f32x4_neg(x);
  else
    return wasm_f64x2_neg(x);
}

// Runs body(i) on whole vectors; the tail goes through padded copies of the arrays, so that every element takes the
// same instructions.
template <class T, uint32_t N, class F>
INLINE void for_vectors(T* const (&arrays)[N], uint32_t count, F body) {
  constexpr uint32_t L = Simd<T>::lanes;
  uint32_t i = 0;
  for (; i + L <= count; i += L) {
    T* here[N];
#pragma unroll
    for (uint32_t a = 0; a < N; a++) here[a] = arrays[a] + i;
    body(here);
  }
  if (i == count) return;
  T copies[N][L];
  T* here[N];
#pragma unroll
  for (uint32_t a = 0; a < N; a++) {
    here[a] = copies[a];
    for (uint32_t j = 0; j < L; j++) copies[a][j] = arrays[a] && i + j < count ? arrays[a][i + j] : T(0);
  }
  body(here);
#pragma unroll
  for (uint32_t a = 0; a < N; a++)
    for (uint32_t j = 0; j < L; j++)
      if (arrays[a] && i + j < count) arrays[a][i + j] = copies[a][j];
}

template <class T>
INLINE void sgd(const SgdParams& p, uint32_t task) {
  using S = Simd<T>;
  const Chunk& chunk = at<const Chunk>(p.chunks)[task];
  const v128_t minus_lr = S::splat(T(-p.lr)), momentum = S::splat(T(p.momentum));
  const v128_t take = S::splat(T(1 - p.dampening)), decay = S::splat(T(p.weight_decay));
  const bool maximize = p.maximize, decays = p.weight_decay != 0, moves = p.momentum != 0;
  const bool nesterov = p.nesterov, first = p.first;
  T* const arrays[3] = {at<T>(chunk.param), at<T>(chunk.grad), at<T>(chunk.state0)};
  for_vectors<T>(arrays, chunk.count, [=](T* const(&a)[3]) {
    const v128_t x = wasm_v128_load(a[0]);
    v128_t g = wasm_v128_load(a[1]);
    if (maximize) g = vneg<T>(g);
    if (decays) g = S::add(g, S::mul(x, decay));
    if (moves) {
      const v128_t buffer = first ? g : S::add(S::mul(wasm_v128_load(a[2]), momentum), S::mul(g, take));
      wasm_v128_store(a[2], buffer);
      g = nesterov ? S::add(g, S::mul(buffer, momentum)) : buffer;
    }
    wasm_v128_store(a[0], S::add(x, S::mul(g, minus_lr)));
  });
}

template <class T>
INLINE void adam(const AdamParams& p, uint32_t task) {
  using S = Simd<T>;
  const Chunk& chunk = at<const Chunk>(p.chunks)[task];
  const bool maximize = p.maximize, amsgrad = p.amsgrad, couples = !p.decoupled && p.weight_decay != 0;
  const v128_t shrink = S::splat(p.decoupled ? T(1 - p.lr * p.weight_decay) : T(1)), decay = S::splat(T(p.weight_decay));
  const double weight = 1 - p.beta1;
  const bool near = weight < 0.5;  // lerp measures from the nearer end
  const v128_t lerp = S::splat(near ? T(weight) : T(1) - T(weight));
  const v128_t beta2 = S::splat(T(p.beta2)), take2 = S::splat(T(1 - p.beta2));
  const v128_t root = S::splat(T(p.bias_correction2_sqrt)), eps = S::splat(T(p.eps));
  const v128_t step = S::splat(T(-(p.lr / p.bias_correction1)));
  T* const arrays[5] = {at<T>(chunk.param), at<T>(chunk.grad), at<T>(chunk.state0), at<T>(chunk.state1), at<T>(chunk.state2)};
  for_vectors<T>(arrays, chunk.count, [=](T* const(&a)[5]) {
    v128_t x = S::mul(wasm_v128_load(a[0]), shrink), g = wasm_v128_load(a[1]);
    if (maximize) g = vneg<T>(g);
    if (couples) g = S::add(g, S::mul(x, decay));
    v128_t m = wasm_v128_load(a[2]), v = wasm_v128_load(a[3]);
    const v128_t way = S::sub(g, m);
    m = near ? S::add(m, S::mul(lerp, way)) : S::sub(g, S::mul(way, lerp));
    v = S::add(S::mul(v, beta2), S::mul(S::mul(take2, g), g));
    wasm_v128_store(a[2], m);
    wasm_v128_store(a[3], v);
    if (amsgrad) {
      v = vmax<T>(wasm_v128_load(a[4]), v);
      wasm_v128_store(a[4], v);
    }
    const v128_t denominator = S::add(vdiv<T>(vsqrt<T>(v), root), eps);
    x = S::add(x, vdiv<T>(S::mul(step, m), denominator));
    wasm_v128_store(a[0], x);
  });
}

}  // namespace

KERNEL(sgd_f32)(const SgdParams* p, uint32_t task, uint8_t*) { sgd<float>(*p, task); }
KERNEL(sgd_f64)(const SgdParams* p, uint32_t task, uint8_t*) { sgd<double>(*p, task); }
KERNEL(adam_f32)(const AdamParams* p, uint32_t task, uint8_t*) { adam<float>(*p, task); }
KERNEL(adam_f64)(const AdamParams* p, uint32_t task, uint8_t*) { adam<double>(*p, task); }
