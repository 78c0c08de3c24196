/** CUDA's mathematical functions: those of C by their own names, in the host's C library; the others in the stand-in's libcuda. */
#pragma once

extern "C" {
#define KD_MATH1(name) double name(double) noexcept; float name##f(float) noexcept;
KD_MATH1(sin) KD_MATH1(cos) KD_MATH1(tan) KD_MATH1(asin) KD_MATH1(acos) KD_MATH1(atan) KD_MATH1(sinh) KD_MATH1(cosh) KD_MATH1(tanh)
KD_MATH1(asinh) KD_MATH1(acosh) KD_MATH1(atanh) KD_MATH1(exp) KD_MATH1(exp2) KD_MATH1(exp10) KD_MATH1(expm1) KD_MATH1(log)
KD_MATH1(log2) KD_MATH1(log10) KD_MATH1(log1p) KD_MATH1(logb) KD_MATH1(sqrt) KD_MATH1(cbrt) KD_MATH1(erf) KD_MATH1(erfc)
KD_MATH1(lgamma) KD_MATH1(tgamma) KD_MATH1(j0) KD_MATH1(j1) KD_MATH1(y0) KD_MATH1(y1) KD_MATH1(fabs) KD_MATH1(floor) KD_MATH1(ceil)
KD_MATH1(trunc) KD_MATH1(round) KD_MATH1(rint) KD_MATH1(nearbyint)
// Not in C; see math.cpp.
KD_MATH1(rsqrt) KD_MATH1(rcbrt) KD_MATH1(erfinv) KD_MATH1(erfcinv) KD_MATH1(erfcx) KD_MATH1(normcdf) KD_MATH1(normcdfinv)
KD_MATH1(sinpi) KD_MATH1(cospi) KD_MATH1(cyl_bessel_i0) KD_MATH1(cyl_bessel_i1)
#undef KD_MATH1
#define KD_MATH2(name) double name(double, double) noexcept; float name##f(float, float) noexcept;
KD_MATH2(pow) KD_MATH2(atan2) KD_MATH2(hypot) KD_MATH2(fmod) KD_MATH2(remainder) KD_MATH2(copysign) KD_MATH2(fmin) KD_MATH2(fmax)
KD_MATH2(fdim) KD_MATH2(nextafter) KD_MATH2(rhypot)
#undef KD_MATH2
double fma(double, double, double) noexcept;
float fmaf(float, float, float) noexcept;
double ldexp(double, int) noexcept;
float ldexpf(float, int) noexcept;
double scalbn(double, int) noexcept;
float scalbnf(float, int) noexcept;
double frexp(double, int*) noexcept;
float frexpf(float, int*) noexcept;
double modf(double, double*) noexcept;
float modff(float, float*) noexcept;
double remquo(double, double, int*) noexcept;
float remquof(float, float, int*) noexcept;
int ilogb(double) noexcept;
int ilogbf(float) noexcept;
double jn(int, double) noexcept;
float jnf(int, float) noexcept;
double yn(int, double) noexcept;
float ynf(int, float) noexcept;
long lrint(double) noexcept;
long lrintf(float) noexcept;
long long llrint(double) noexcept;
long long llrintf(float) noexcept;
long lround(double) noexcept;
long lroundf(float) noexcept;
long long llround(double) noexcept;
long long llroundf(float) noexcept;
void sincos(double, double*, double*) noexcept;
void sincosf(float, float*, float*) noexcept;
int abs(int) noexcept;
long labs(long) noexcept;
long long llabs(long long) noexcept;
double nan(const char*) noexcept;
float nanf(const char*) noexcept;
void* memcpy(void*, const void*, size_t) noexcept;
void* memset(void*, int, size_t) noexcept;
int printf(const char*, ...);
}

// C++'s overloads.
#define KD_FLOAT1(name) static __forceinline__ float name(float x) { return name##f(x); }
KD_FLOAT1(sin) KD_FLOAT1(cos) KD_FLOAT1(tan) KD_FLOAT1(asin) KD_FLOAT1(acos) KD_FLOAT1(atan) KD_FLOAT1(sinh) KD_FLOAT1(cosh)
KD_FLOAT1(tanh) KD_FLOAT1(asinh) KD_FLOAT1(acosh) KD_FLOAT1(atanh) KD_FLOAT1(exp) KD_FLOAT1(exp2) KD_FLOAT1(exp10) KD_FLOAT1(expm1)
KD_FLOAT1(log) KD_FLOAT1(log2) KD_FLOAT1(log10) KD_FLOAT1(log1p) KD_FLOAT1(logb) KD_FLOAT1(sqrt) KD_FLOAT1(cbrt) KD_FLOAT1(erf)
KD_FLOAT1(erfc) KD_FLOAT1(lgamma) KD_FLOAT1(tgamma) KD_FLOAT1(fabs) KD_FLOAT1(floor) KD_FLOAT1(ceil) KD_FLOAT1(trunc) KD_FLOAT1(round)
KD_FLOAT1(rint) KD_FLOAT1(nearbyint) KD_FLOAT1(rsqrt) KD_FLOAT1(rcbrt) KD_FLOAT1(erfinv) KD_FLOAT1(erfcinv) KD_FLOAT1(erfcx)
KD_FLOAT1(normcdf) KD_FLOAT1(normcdfinv) KD_FLOAT1(sinpi) KD_FLOAT1(cospi)
#undef KD_FLOAT1
#define KD_FLOAT2(name) static __forceinline__ float name(float x, float y) { return name##f(x, y); }
KD_FLOAT2(pow) KD_FLOAT2(atan2) KD_FLOAT2(hypot) KD_FLOAT2(fmod) KD_FLOAT2(remainder) KD_FLOAT2(copysign) KD_FLOAT2(fmin) KD_FLOAT2(fmax)
KD_FLOAT2(fdim) KD_FLOAT2(nextafter) KD_FLOAT2(rhypot)
#undef KD_FLOAT2
static __forceinline__ float fma(float a, float b, float c) { return fmaf(a, b, c); }
static __forceinline__ float ldexp(float x, int n) { return ldexpf(x, n); }
static __forceinline__ float abs(float x) { return fabsf(x); }
static __forceinline__ double abs(double x) { return fabs(x); }
static __forceinline__ long abs(long x) { return labs(x); }
static __forceinline__ long long abs(long long x) { return llabs(x); }
#define KD_ORDER(T)                                                      \
  static __forceinline__ T min(T a, T b) { return b < a ? b : a; }       \
  static __forceinline__ T max(T a, T b) { return a < b ? b : a; }
KD_ORDER(int) KD_ORDER(unsigned) KD_ORDER(long) KD_ORDER(unsigned long) KD_ORDER(long long) KD_ORDER(unsigned long long)
#undef KD_ORDER
static __forceinline__ float min(float a, float b) { return fminf(a, b); }
static __forceinline__ float max(float a, float b) { return fmaxf(a, b); }
static __forceinline__ double min(double a, double b) { return fmin(a, b); }
static __forceinline__ double max(double a, double b) { return fmax(a, b); }
static __forceinline__ int isnan(float x) { return __builtin_isnan(x); }
static __forceinline__ int isnan(double x) { return __builtin_isnan(x); }
static __forceinline__ int isinf(float x) { return __builtin_isinf_sign(x) != 0; }
static __forceinline__ int isinf(double x) { return __builtin_isinf_sign(x) != 0; }
static __forceinline__ int isfinite(float x) { return __builtin_isfinite(x); }
static __forceinline__ int isfinite(double x) { return __builtin_isfinite(x); }
static __forceinline__ int signbit(float x) { return __builtin_signbit(x) != 0; }
static __forceinline__ int signbit(double x) { return __builtin_signbit(x) != 0; }

// The fast ones are as good as the others here.
static __forceinline__ float __expf(float x) { return expf(x); }
static __forceinline__ float __exp10f(float x) { return exp10f(x); }
static __forceinline__ float __logf(float x) { return logf(x); }
static __forceinline__ float __log2f(float x) { return log2f(x); }
static __forceinline__ float __log10f(float x) { return log10f(x); }
static __forceinline__ float __sinf(float x) { return sinf(x); }
static __forceinline__ float __cosf(float x) { return cosf(x); }
static __forceinline__ float __tanf(float x) { return tanf(x); }
static __forceinline__ float __powf(float x, float y) { return powf(x, y); }
static __forceinline__ void __sincosf(float x, float* s, float* c) { sincosf(x, s, c); }
static __forceinline__ float __fdividef(float x, float y) { return x / y; }
static __forceinline__ float fdividef(float x, float y) { return x / y; }
static __forceinline__ float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
static __forceinline__ float __frsqrt_rn(float x) { return rsqrtf(x); }
#define KD_ROUNDED(T, prefix, fmaName, sqrtName)                                                    \
  static __forceinline__ T __##prefix##add_rn(T a, T b) { return a + b; }                           \
  static __forceinline__ T __##prefix##sub_rn(T a, T b) { return a - b; }                           \
  static __forceinline__ T __##prefix##mul_rn(T a, T b) { return a * b; }                           \
  static __forceinline__ T __##prefix##div_rn(T a, T b) { return a / b; }                           \
  static __forceinline__ T __##prefix##rcp_rn(T a) { return T(1) / a; }                             \
  static __forceinline__ T __##prefix##sqrt_rn(T a) { return sqrtName(a); }
KD_ROUNDED(float, f, fmaf, sqrtf)
KD_ROUNDED(double, d, fma, sqrt)
#undef KD_ROUNDED
static __forceinline__ float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static __forceinline__ double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

// Conversions: to integers they saturate, and NaN gives 0 (64 bits: the sign bit, as the hardware has it).
template <class To, class From>
static __forceinline__ To kd_saturate(From x) {
  constexpr bool isSigned = To(-1) < To(0);
  constexpr int bits = sizeof(To) * 8 - isSigned;
  constexpr To greatest = static_cast<To>(isSigned ? ~(To(1) << bits) : ~To(0)), least = static_cast<To>(isSigned ? To(1) << bits : To(0));
  constexpr From end = From(2) * static_cast<From>(To(1) << (bits - 1));
  if (x != x) return bits > 32 ? static_cast<To>(1ull << 63) : To(0);
  if (x >= end) return greatest;
  if (x <= (isSigned ? -end : From(0))) return least;
  return static_cast<To>(x);
}
#define KD_TO(name, To, From, rint, floor, ceil)                                                            \
  static __forceinline__ To __##name##_rz(From x) { return kd_saturate<To>(x); }                            \
  static __forceinline__ To __##name##_rn(From x) { return kd_saturate<To>(rint(x)); }                      \
  static __forceinline__ To __##name##_rd(From x) { return kd_saturate<To>(floor(x)); }                     \
  static __forceinline__ To __##name##_ru(From x) { return kd_saturate<To>(ceil(x)); }
#define KD_TO_INTEGER(prefix, From, rint, floor, ceil)                      \
  KD_TO(prefix##2int, int, From, rint, floor, ceil)                         \
  KD_TO(prefix##2uint, unsigned, From, rint, floor, ceil)                   \
  KD_TO(prefix##2ll, long long, From, rint, floor, ceil)                    \
  KD_TO(prefix##2ull, unsigned long long, From, rint, floor, ceil)
KD_TO_INTEGER(float, float, rintf, floorf, ceilf)
KD_TO_INTEGER(double, double, rint, floor, ceil)
#undef KD_TO_INTEGER
#undef KD_TO
static __forceinline__ float __int2float_rn(int x) { return static_cast<float>(x); }
static __forceinline__ float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
static __forceinline__ float __ll2float_rn(long long x) { return static_cast<float>(x); }
static __forceinline__ float __ull2float_rn(unsigned long long x) { return static_cast<float>(x); }
static __forceinline__ double __int2double_rn(int x) { return x; }
static __forceinline__ double __uint2double_rn(unsigned x) { return x; }
static __forceinline__ double __ll2double_rn(long long x) { return static_cast<double>(x); }
static __forceinline__ double __ull2double_rn(unsigned long long x) { return static_cast<double>(x); }
static __forceinline__ float __double2float_rn(double x) { return static_cast<float>(x); }
