/** CUDA's vector types, aligned as there. */
#pragma once

#define KD_VECTOR(T, name, align2, align4)                                                       \
  struct name##1 { T x; };                                                                       \
  struct alignas(align2) name##2 { T x, y; };                                                    \
  struct name##3 { T x, y, z; };                                                                 \
  struct alignas(align4) name##4 { T x, y, z, w; };                                              \
  static __forceinline__ name##1 make_##name##1(T x) { return {x}; }                             \
  static __forceinline__ name##2 make_##name##2(T x, T y) { return {x, y}; }                     \
  static __forceinline__ name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }             \
  static __forceinline__ name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

KD_VECTOR(signed char, char, 2, 4)
KD_VECTOR(unsigned char, uchar, 2, 4)
KD_VECTOR(short, short, 4, 8)
KD_VECTOR(unsigned short, ushort, 4, 8)
KD_VECTOR(int, int, 8, 16)
KD_VECTOR(unsigned, uint, 8, 16)
KD_VECTOR(long, long, 16, 16)
KD_VECTOR(unsigned long, ulong, 16, 16)
KD_VECTOR(long long, longlong, 16, 16)
KD_VECTOR(unsigned long long, ulonglong, 16, 16)
KD_VECTOR(float, float, 8, 16)
KD_VECTOR(double, double, 16, 16)
#undef KD_VECTOR

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Bits.
#define KD_AS(name, To, From)                    \
  static __forceinline__ To name(From x) {       \
    To y;                                        \
    __builtin_memcpy(&y, &x, sizeof y);          \
    return y;                                    \
  }
KD_AS(__float_as_int, int, float)
KD_AS(__float_as_uint, unsigned, float)
KD_AS(__int_as_float, float, int)
KD_AS(__uint_as_float, float, unsigned)
KD_AS(__double_as_longlong, long long, double)
KD_AS(__longlong_as_double, double, long long)
#undef KD_AS
static __forceinline__ int __double2hiint(double x) { return static_cast<int>(__double_as_longlong(x) >> 32); }
static __forceinline__ int __double2loint(double x) { return static_cast<int>(__double_as_longlong(x)); }
static __forceinline__ double __hiloint2double(int high, int low) {
  return __longlong_as_double(static_cast<long long>(static_cast<unsigned long long>(static_cast<unsigned>(high)) << 32 | static_cast<unsigned>(low)));
}

static __forceinline__ int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
static __forceinline__ int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
static __forceinline__ int __popc(unsigned x) { return __builtin_popcount(x); }
static __forceinline__ int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static __forceinline__ int __ffs(int x) { return __builtin_ffs(x); }
static __forceinline__ int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __brev(unsigned x) {
  x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
  x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
  x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(x);
}
static inline unsigned long long __brevll(unsigned long long x) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32 | __brev(static_cast<unsigned>(x >> 32));
}
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const unsigned long long both = static_cast<unsigned long long>(y) << 32 | x;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; i++) {
    const unsigned pick = selector >> (4 * i) & 15, byte = static_cast<unsigned>(both >> (8 * (pick & 7))) & 255;
    result |= ((pick & 8) != 0 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
  }
  return result;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n) {
  return (n & 31) == 0 ? high : high << (n & 31) | low >> (32 - (n & 31));
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n) {
  return (n & 31) == 0 ? low : low >> (n & 31) | high << (32 - (n & 31));
}
static __forceinline__ int __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }
static __forceinline__ unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}
static __forceinline__ long long __mul64hi(long long a, long long b) { return static_cast<long long>(static_cast<__int128>(a) * b >> 64); }
static __forceinline__ unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
static __forceinline__ int __mul24(int a, int b) { return ((a << 8) >> 8) * ((b << 8) >> 8); }
static __forceinline__ unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffffu) * (b & 0xffffffu); }
static __forceinline__ unsigned __sad(int a, int b, unsigned c) {
  return c + (a > b ? static_cast<unsigned>(a) - static_cast<unsigned>(b) : static_cast<unsigned>(b) - static_cast<unsigned>(a));
}
