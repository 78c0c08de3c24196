/**
 * CUDA C++ for g++: what NVRTC has built in. Put before every unit by the stand-in's libnvrtc. It includes no header of the host, so
 * that what NVRTC does not know, a unit does not know here either. What needs the other threads of a block is in the stand-in's libcuda.
 */
#pragma once

#include "module_abi.h"

#define KINDLING_STAND_IN 1
#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#define __NVCC__ 1

typedef decltype(sizeof 0) size_t;
typedef decltype(static_cast<char*>(nullptr) - static_cast<char*>(nullptr)) ptrdiff_t;

#define __host__
#define __device__
#define __global__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__
#define __managed__

/** One per unit; see KdThread. */
static KdThread kd_self;
#define threadIdx (kd_self.thread)
#define blockIdx (kd_self.block)
#define blockDim (kd_self.blockSize)
#define gridDim (kd_self.grid)
static const int warpSize = 32;

/**
 * libnvrtc writes this in the place of `__shared__` in kernel number n (`unit`: in other functions), so that a kernel's memory is one
 * section. What follows the name makes it a section of zeros, and a comment of what the compiler adds.
 */
#if defined(__aarch64__)
#define KD_SHARED(n) static __attribute__((used, section("kd_shared_" #n ",\"aw\",@nobits//")))
#else
#define KD_SHARED(n) static __attribute__((used, section("kd_shared_" #n ",\"aw\",@nobits#")))
#endif
/** And this for `extern __shared__ T name[];` */
#define KD_DYNAMIC(T, name) T(&name)[] = *reinterpret_cast<T(*)[]>(kd_self.dynamicShared)
static __forceinline__ unsigned char* kd_dynamic_shared() {
  return kd_self.dynamicShared;
}

#include "shim_types.h"
#include "shim_math.h"
#include "shim_threads.h"
#include "shim_kd.h"
#if __has_include("mma.h")
#include "mma.h"
#endif

// From the driver's bytes to a kernel's parameters.
template <int... I>
struct KdPlaces {};
template <class... P>
struct KdSignature {
  static constexpr unsigned count = sizeof...(P);
  struct Table {
    KdParam at[count + 1];
  };
  static constexpr Table layout() {
    Table table{};
    const unsigned sizes[] = {sizeof(P)..., 0}, aligns[] = {alignof(P)..., 1};
    unsigned end = 0;
    for (unsigned i = 0; i < count; i++) {
      end = (end + aligns[i] - 1) / aligns[i] * aligns[i];
      table.at[i] = {end, sizes[i]};
      end += sizes[i];
    }
    table.at[count] = {end, 0};
    return table;
  }
  static constexpr Table table = layout();
  template <void (*F)(P...), int... I>
  static void call(const unsigned char* arguments) {
    F(*reinterpret_cast<const P*>(arguments + table.at[I].offset)...);
  }
  template <void (*F)(P...)>
  static constexpr KdKernel describe(const char* name, unsigned maxThreads, unsigned char* begin, unsigned char* end) {
    return {name, entry<F>(nullptr), table.at, count, table.at[count].offset, maxThreads, begin, end};
  }

 private:
  template <void (*F)(P...), int... I>
  static constexpr auto pick(KdPlaces<I...>*) -> void (*)(const unsigned char*) {
    return call<F, I...>;
  }
  template <void (*F)(P...)>
  static constexpr auto entry(void*) -> void (*)(const unsigned char*) {
    return pick<F>(static_cast<KdPlaces<__integer_pack(sizeof...(P))...>*>(nullptr));
  }
};
template <class... P>
constexpr KdSignature<P...> kd_signature(void (*)(P...)) {
  return {};
}
#define KD_ENTRY(name, function, maxThreads) \
  decltype(kd_signature(function))::template describe<function>(name, maxThreads, nullptr, nullptr)
#define KD_ENTRY_SHARED(name, function, maxThreads, n) \
  decltype(kd_signature(function))::template describe<function>(name, maxThreads, __start_kd_shared_##n, __stop_kd_shared_##n)
#define KD_SHARED_BOUNDS(n) \
  extern "C" __attribute__((visibility("hidden"), weak)) unsigned char __start_kd_shared_##n[], __stop_kd_shared_##n[];
KD_SHARED_BOUNDS(unit)
