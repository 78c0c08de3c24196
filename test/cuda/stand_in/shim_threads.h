/** Barriers, warp functions, atomics. */
#pragma once

// The line tells barriers apart.
#define __syncthreads() static_cast<void>(kd_barrier(__LINE__, 0))
#define __syncthreads_count(vote) static_cast<int>(kd_barrier(__LINE__, (vote) != 0))
#define __syncthreads_or(vote) static_cast<int>(kd_barrier(__LINE__, (vote) != 0) != 0)
#define __syncthreads_and(vote) static_cast<int>(kd_barrier(__LINE__, (vote) == 0) == 0)

/** Every lane's value, of the lanes in `mask`; those of others are poison. For shuffles, and for what tensor cores do. */
template <class T>
struct KdGathered {
  const unsigned char* slots;
  __forceinline__ const T& operator[](unsigned lane) const { return *reinterpret_cast<const T*>(slots + lane * KD_SLOT); }
};
template <class T>
static __forceinline__ KdGathered<T> kd_warp_gather(const T& mine, unsigned mask = 0xffffffffu, KdMeeting meeting = KD_MMA) {
  static_assert(sizeof(T) <= KD_SLOT, "a lane can give KD_SLOT bytes");
  return {kd_exchange(mask, meeting, &mine, sizeof(T))};
}

static __forceinline__ void __syncwarp(unsigned mask = 0xffffffffu) {
  const unsigned char nothing = 0;
  kd_exchange(mask, KD_SYNCWARP, &nothing, 0);
}

// A width divides the warp into segments; a source outside of the segment is the lane itself.
template <class T>
static __forceinline__ T __shfl_sync(unsigned mask, T x, int from, int width = 32) {
  const auto all = kd_warp_gather(x, mask, KD_SHUFFLE);
  const unsigned lane = kd_lane();
  return all[(lane & ~static_cast<unsigned>(width - 1)) | (static_cast<unsigned>(from) & static_cast<unsigned>(width - 1))];
}
template <class T>
static __forceinline__ T __shfl_xor_sync(unsigned mask, T x, int by, int width = 32) {
  const auto all = kd_warp_gather(x, mask, KD_SHUFFLE);
  const unsigned lane = kd_lane(), from = lane ^ static_cast<unsigned>(by);
  return from > (lane | static_cast<unsigned>(width - 1)) ? x : all[from & 31];
}
template <class T>
static __forceinline__ T __shfl_down_sync(unsigned mask, T x, unsigned by, int width = 32) {
  const auto all = kd_warp_gather(x, mask, KD_SHUFFLE);
  const unsigned lane = kd_lane();
  return (lane & static_cast<unsigned>(width - 1)) + by >= static_cast<unsigned>(width) ? x : all[lane + by];
}
template <class T>
static __forceinline__ T __shfl_up_sync(unsigned mask, T x, unsigned by, int width = 32) {
  const auto all = kd_warp_gather(x, mask, KD_SHUFFLE);
  const unsigned lane = kd_lane();
  return (lane & static_cast<unsigned>(width - 1)) < by ? x : all[lane - by];
}

static inline unsigned __ballot_sync(unsigned mask, int vote) {
  const auto all = kd_warp_gather(static_cast<unsigned>(vote != 0), mask, KD_VOTE);
  unsigned result = 0;
  for (unsigned i = 0; i < 32; i++) {
    if ((mask >> i & 1) != 0 && all[i] == 1) result |= 1u << i;
  }
  return result;
}
static inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
static inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, !vote) == 0; }
static inline unsigned __match_any_sync(unsigned mask, unsigned x) {
  const auto all = kd_warp_gather(x, mask, KD_MATCH);
  unsigned result = 0;
  for (unsigned i = 0; i < 32; i++) {
    if ((mask >> i & 1) != 0 && all[i] == x) result |= 1u << i;
  }
  return result;
}
#define KD_REDUCE_SYNC(name, T, combine)                                       \
  static inline T __reduce_##name##_sync(unsigned mask, T x) {                 \
    const auto all = kd_warp_gather(x, mask, KD_REDUCE);                       \
    T a = x;                                                                   \
    for (unsigned i = 0; i < 32; i++) {                                        \
      if ((mask >> i & 1) == 0 || i == kd_lane()) continue;                    \
      const T b = all[i];                                                      \
      a = combine;                                                             \
    }                                                                          \
    return a;                                                                  \
  }
KD_REDUCE_SYNC(add, unsigned, a + b)
KD_REDUCE_SYNC(add, int, static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
KD_REDUCE_SYNC(min, unsigned, min(a, b))
KD_REDUCE_SYNC(min, int, min(a, b))
KD_REDUCE_SYNC(max, unsigned, max(a, b))
KD_REDUCE_SYNC(max, int, max(a, b))
KD_REDUCE_SYNC(and, unsigned, a & b)
KD_REDUCE_SYNC(or, unsigned, a | b)
KD_REDUCE_SYNC(xor, unsigned, a ^ b)
#undef KD_REDUCE_SYNC

static __forceinline__ void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static __forceinline__ void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static __forceinline__ void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static __forceinline__ void __nanosleep(unsigned) {}
[[noreturn]] static __forceinline__ void __trap() { kd_trap("__trap()"); }
#define assert(condition) ((condition) ? static_cast<void>(0) : kd_trap("assertion failed: " #condition))
/** Rises. */
static inline long long clock64() {
  static long long now = 0;
  return now += 64;
}
static __forceinline__ int clock() { return static_cast<int>(clock64()); }

template <class T>
static __forceinline__ T __ldg(const T* at) { return *at; }
template <class T>
static __forceinline__ T __ldcg(const T* at) { return *at; }
template <class T>
static __forceinline__ T __ldcs(const T* at) { return *at; }
template <class T>
static __forceinline__ void __stcs(T* at, T x) { *at = x; }
template <class T>
static __forceinline__ void __stcg(T* at, T x) { *at = x; }

// Atomics: other streams may run at the same time.
#define KD_ATOMIC(name, T, builtin) \
  static __forceinline__ T name(T* at, T x) { return builtin(at, x, __ATOMIC_RELAXED); }
#define KD_ATOMIC_ALL(name, builtin)       \
  KD_ATOMIC(name, int, builtin)            \
  KD_ATOMIC(name, unsigned, builtin)       \
  KD_ATOMIC(name, unsigned long long, builtin)
KD_ATOMIC_ALL(atomicAdd, __atomic_fetch_add)
KD_ATOMIC(atomicSub, int, __atomic_fetch_sub)
KD_ATOMIC(atomicSub, unsigned, __atomic_fetch_sub)
KD_ATOMIC_ALL(atomicAnd, __atomic_fetch_and)
KD_ATOMIC_ALL(atomicOr, __atomic_fetch_or)
KD_ATOMIC_ALL(atomicXor, __atomic_fetch_xor)
KD_ATOMIC_ALL(atomicExch, __atomic_exchange_n)
#undef KD_ATOMIC_ALL
#undef KD_ATOMIC
static __forceinline__ float atomicExch(float* at, float x) {
  return __uint_as_float(atomicExch(reinterpret_cast<unsigned*>(at), __float_as_uint(x)));
}
#define KD_ATOMIC_LOOP(name, T, expression)                                                                          \
  static inline T name(T* at, T x) {                                                                                 \
    T old, next;                                                                                                     \
    __atomic_load(at, &old, __ATOMIC_RELAXED);                                                                       \
    do next = expression;                                                                                            \
    while (!__atomic_compare_exchange(at, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));                  \
    return old;                                                                                                      \
  }
KD_ATOMIC_LOOP(atomicAdd, float, old + x)
KD_ATOMIC_LOOP(atomicAdd, double, old + x)
KD_ATOMIC_LOOP(atomicMin, int, x < old ? x : old)
KD_ATOMIC_LOOP(atomicMin, unsigned, x < old ? x : old)
KD_ATOMIC_LOOP(atomicMin, long long, x < old ? x : old)
KD_ATOMIC_LOOP(atomicMin, unsigned long long, x < old ? x : old)
KD_ATOMIC_LOOP(atomicMax, int, x > old ? x : old)
KD_ATOMIC_LOOP(atomicMax, unsigned, x > old ? x : old)
KD_ATOMIC_LOOP(atomicMax, long long, x > old ? x : old)
KD_ATOMIC_LOOP(atomicMax, unsigned long long, x > old ? x : old)
KD_ATOMIC_LOOP(atomicInc, unsigned, old >= x ? 0u : old + 1u)
KD_ATOMIC_LOOP(atomicDec, unsigned, old == 0u || old > x ? x : old - 1u)
#undef KD_ATOMIC_LOOP
#define KD_ATOMIC_CAS(T)                                                                                             \
  static __forceinline__ T atomicCAS(T* at, T expected, T x) {                                                       \
    __atomic_compare_exchange_n(at, &expected, x, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);                        \
    return expected;                                                                                                 \
  }
KD_ATOMIC_CAS(int) KD_ATOMIC_CAS(unsigned) KD_ATOMIC_CAS(unsigned long long) KD_ATOMIC_CAS(unsigned short)
#undef KD_ATOMIC_CAS
