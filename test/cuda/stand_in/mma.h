/** Twins of gpu/lower/cuda_matrix.ts: matrix units, and copies that arrive when they are waited for. */
#pragma once

template <class T>
struct kd_vec4;

static inline unsigned kd_pack_f16(float low, float high) {
  return kd_f32_to_f16(low) | static_cast<unsigned>(kd_f32_to_f16(high)) << 16;
}
/** To nearest even. */
static inline unsigned kd_round_bf16(float x) {
  const unsigned bits = __float_as_uint(x);
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
static inline unsigned kd_pack_bf16(float low, float high) { return kd_round_bf16(low) | kd_round_bf16(high) << 16; }
/** Half away from zero; what is no number stays none. */
static inline float kd_round_tf32(float x) {
  const unsigned bits = __float_as_uint(x);
  return (bits & 0x7fffffffu) > 0x7f800000u ? x : __uint_as_float((bits + 0x1000u) & 0xffffe000u);
}

static inline double kd_element_f16(unsigned word, unsigned i) { return kd_f16_to_f32(static_cast<unsigned short>(word >> (16 * i))); }
static inline double kd_element_bf16(unsigned word, unsigned i) { return __uint_as_float(word >> (16 * i) << 16); }
static inline double kd_element_tf32(unsigned word, unsigned) { return __uint_as_float(word & 0xffffe000u); }

struct KdFactors {
  unsigned a[4], b[2];
};
/** A word holds PER of the steps; ELEMENT takes one out. */
template <unsigned PER, double (*ELEMENT)(unsigned, unsigned), class A, class B, class C>
static inline C kd_mma(const A& a, const B& b, const C& c) {
  const auto all = kd_warp_gather(KdFactors{{a.x, a.y, a.z, a.w}, {b.x, b.y}});
  const unsigned g = kd_lane() / 4, t = kd_lane() % 4;
  double sums[4] = {c.x, c.y, c.z, c.w};
  for (unsigned i = 0; i < 4; i++) {
    const unsigned row = g + 8 * (i / 2), column = 2 * t + i % 2;
    for (unsigned k = 0; k < 8 * PER; k++) {
      const unsigned place = k / PER % 4, late = k / (4 * PER);
      const KdFactors &left = all[row % 8 * 4 + place], &right = all[column * 4 + place];
      sums[i] += ELEMENT(left.a[row / 8 + 2 * late], k % PER) * ELEMENT(right.b[late], k % PER);
    }
  }
  return {static_cast<float>(sums[0]), static_cast<float>(sums[1]), static_cast<float>(sums[2]), static_cast<float>(sums[3])};
}
template <class A, class B, class C>
static inline C kd_mma_f16(A a, B b, C c) { return kd_mma<2, kd_element_f16>(a, b, c); }
template <class A, class B, class C>
static inline C kd_mma_bf16(A a, B b, C c) { return kd_mma<2, kd_element_bf16>(a, b, c); }
template <class A, class B, class C>
static inline C kd_mma_tf32(A a, B b, C c) { return kd_mma<1, kd_element_tf32>(a, b, c); }

static inline void kd_check_aligned(const void* at, unsigned long long to, const char* what) {
  if (reinterpret_cast<unsigned long long>(at) % to != 0) kd_trap(what);
}

struct KdRow {
  unsigned words[4];
};
template <bool TRANSPOSED, class V = kd_vec4<unsigned>>
static inline V kd_load_matrices(const unsigned* at) {
  kd_check_aligned(at, 16, "ldmatrix: misaligned address");
  const auto rows = kd_warp_gather(KdRow{{at[0], at[1], at[2], at[3]}});
  const unsigned r = kd_lane() / 4, c = kd_lane() % 4;
  unsigned d[4];
  for (unsigned i = 0; i < 4; i++) {
    if (!TRANSPOSED) {
      d[i] = rows[8 * i + r].words[c];
      continue;
    }
    const auto half = [&](unsigned row) { return rows[8 * i + row].words[r / 2] >> (16 * (r % 2)) & 0xffffu; };
    d[i] = half(2 * c) | half(2 * c + 1) << 16;
  }
  return {d[0], d[1], d[2], d[3]};
}

/** Only `valid` bytes are read, zeros follow. */
template <int BYTES>
static inline void kd_copy_async(unsigned* to, const void* from, unsigned valid = BYTES) {
  kd_check_aligned(to, BYTES, "cp.async: misaligned address in shared memory");
  kd_check_aligned(from, BYTES, "cp.async: misaligned address");
  if (valid > BYTES) kd_trap("cp.async: more bytes are valid than are copied");
  kd_async_copy(to, from, BYTES, valid);
}
static inline void kd_commit_copies() { kd_async_commit(); }
template <int PENDING>
static inline void kd_wait_copies() { kd_async_wait(PENDING); }
