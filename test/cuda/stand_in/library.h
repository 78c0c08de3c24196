/**
 * What the stand-ins of cuBLASLt and cuDNN have in common. They check strictly what they are given, and compute plainly on the stand-in's memory,
 * in the order of the stream. Their environment variables:
 *
 *     KINDLING_STAND_IN_CUBLASLT     how many algorithms it offers for a product (all of them); "absent": it cannot be used
 *     KINDLING_STAND_IN_CUDNN        the same for convolutions
 *     KINDLING_STAND_IN_LIBRARY_LOG  a file; every call that computes adds a line, and so does every call that was refused, with the reason
 *     KINDLING_STAND_IN_LIBRARY_WAIT microseconds that a call of the first, second, ... algorithm takes longer, separated by commas
 */
#pragma once

#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "stand_in.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" int cuMemGetAddressRange_v2(unsigned long long* base, size_t* size, unsigned long long address);

namespace library {

inline const char* environment(const char* name) {
  const char* text = getenv(name);
  return text != nullptr && *text != 0 ? text : nullptr;
}

inline void note(const std::string& line) {
  if (const char* path = environment("KINDLING_STAND_IN_LIBRARY_LOG")) {
    if (FILE* file = fopen(path, "a")) {
      fprintf(file, "%s\n", line.c_str());
      fclose(file);
    }
  }
  if (environment("KINDLING_STAND_IN_LOG") != nullptr) fprintf(stderr, "stand-in for CUDA's libraries: %s\n", line.c_str());
}

[[gnu::format(printf, 1, 2)]] inline std::string text(const char* pattern, ...) {
  char buffer[1024];
  va_list values;
  va_start(values, pattern);
  vsnprintf(buffer, sizeof buffer, pattern, values);
  va_end(values);
  return buffer;
}

/** How many algorithms are offered, of `all`. */
inline int offered(const char* variable, int all) {
  const char* value = environment(variable);
  return value == nullptr || strcmp(value, "absent") == 0 ? all : std::min(all, atoi(value));
}
inline bool isAbsent(const char* variable) {
  const char* value = environment(variable);
  return value != nullptr && strcmp(value, "absent") == 0;
}

inline void dawdle(int algorithm) {
  const char* list = environment("KINDLING_STAND_IN_LIBRARY_WAIT");
  for (int i = 0; list != nullptr && i < algorithm; i++) {
    list = strchr(list, ',');
    if (list != nullptr) list++;
  }
  if (list != nullptr && atoi(list) > 0) std::this_thread::sleep_for(std::chrono::microseconds(atoi(list)));
}

/** Whether the bytes lie in one allocation. */
inline bool isDevice(const void* pointer, size_t bytes) {
  unsigned long long base = 0;
  size_t size = 0;
  const auto address = reinterpret_cast<unsigned long long>(pointer);
  if (cuMemGetAddressRange_v2(&base, &size, address) != 0) return false;
  return address - base + bytes <= size;
}
inline bool overlap(const void* a, size_t bytesA, const void* b, size_t bytesB) {
  const auto x = reinterpret_cast<uint64_t>(a), y = reinterpret_cast<uint64_t>(b);
  return x < y + bytesB && y < x + bytesA;
}
inline bool isAligned(const void* pointer, uint64_t bytes) { return reinterpret_cast<uint64_t>(pointer) % bytes == 0; }

enum class Type { F16, BF16, F32, F64 };
inline size_t bytesOf(Type type) { return type == Type::F64 ? 8 : type == Type::F32 ? 4 : 2; }
inline const char* nameOf(Type type) { return type == Type::F16 ? "f16" : type == Type::BF16 ? "bf16" : type == Type::F32 ? "f32" : "f64"; }

inline float fromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t toBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}
/** Rounded to so many bits less, to even. */
inline uint32_t dropBits(uint32_t bits, int count) {
  if ((bits & 0x7f800000) == 0x7f800000) return bits;
  return (bits + (1u << (count - 1)) - 1 + (bits >> count & 1)) & ~((1u << count) - 1);
}
inline float toTf32(float value) { return fromBits(dropBits(toBits(value), 13)); }

inline float halfToFloat(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 31) return fromBits(sign | 0x7f800000 | mantissa << 13);
  if (exponent > 0) return fromBits(sign | (exponent + 112) << 23 | mantissa << 13);
  const float value = float(mantissa) * 0x1p-24f;
  return sign != 0 ? -value : value;
}
inline uint16_t floatToHalf(float value) {
  const uint32_t bits = toBits(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (rest >= 0x47800000) return uint16_t(sign | 0x7c00);
  if (rest >= 0x38800000) {
    const uint32_t rounded = dropBits(rest, 13);
    return uint16_t(sign | ((rounded - 0x38000000) >> 13));
  }
  // Adding aligns the bits to those of a subnormal half, and rounds.
  return uint16_t(sign | (toBits(fromBits(rest) + 0.5f) - 0x3f000000));
}

inline double load(const void* memory, Type type, size_t index) {
  switch (type) {
    case Type::F16: return halfToFloat(static_cast<const uint16_t*>(memory)[index]);
    case Type::BF16: return fromBits(uint32_t(static_cast<const uint16_t*>(memory)[index]) << 16);
    case Type::F32: return static_cast<const float*>(memory)[index];
    default: return static_cast<const double*>(memory)[index];
  }
}
inline void store(void* memory, Type type, size_t index, double value) {
  const float narrow = float(value);
  switch (type) {
    case Type::F16: static_cast<uint16_t*>(memory)[index] = floatToHalf(narrow); return;
    case Type::BF16: {
      const uint32_t bits = toBits(narrow);
      static_cast<uint16_t*>(memory)[index] = uint16_t((narrow != narrow ? bits | 0x400000 : dropBits(bits, 16)) >> 16);
      return;
    }
    case Type::F32: static_cast<float*>(memory)[index] = narrow; return;
    default: static_cast<double*>(memory)[index] = value; return;
  }
}

/** Operands as the units see them. */
enum class Math { EXACT, TF32, HALF };
inline double operand(double value, Math math) {
  if (math == Math::EXACT) return value;
  return math == Math::TF32 ? double(toTf32(float(value))) : double(halfToFloat(floatToHalf(float(value))));
}

/** sums[i] += a[i] * factor, in the type that the units keep sums in. */
template <class T>
__attribute__((optimize("O3"))) void addScaled(T* sums, const T* a, T factor, size_t count) {
  for (size_t i = 0; i < count; i++) sums[i] += a[i] * factor;
}

}  // namespace library
