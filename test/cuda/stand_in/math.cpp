/** Functions that CUDA has and C has not, for kernels. */

#include <cmath>
#include <limits>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr double SQRT_PI = 1.7724538509055160273;
constexpr double SQRT_HALF = 0.70710678118654752440;
constexpr double INFINITE = std::numeric_limits<double>::infinity();
constexpr double NOT_A_NUMBER = std::numeric_limits<double>::quiet_NaN();

/** exp(x^2) erfc(x): a continued fraction where the product would be of something huge and something tiny. */
double scaledErfc(double x) {
  if (x < 10) return x < -26.7 ? INFINITE : std::exp(x * x) * std::erfc(x);
  double fraction = 0;
  for (int n = 60; n > 0; n--) fraction = n / 2.0 / (x + fraction);
  return 1 / (SQRT_PI * (x + fraction));
}

/** Where erfc(x) is y: a first guess, then Newton's (Halley's) steps, on erfc itself or on its logarithm in the tail. */
double inverseErfc(double y) {
  if (!(y >= 0 && y <= 2)) return NOT_A_NUMBER;
  if (y == 0) return INFINITE;
  if (y == 2) return -INFINITE;
  if (y > 1) return -inverseErfc(2 - y);
  if (y == 1) return 0;
  double x = y > 0.1 ? SQRT_PI / 2 * (1 - y) : std::sqrt(-std::log(y * SQRT_PI * std::sqrt(-std::log(y))));
  for (int i = 0; i < 60; i++) {
    // erfc(x) = y  <=>  log(erfcx(x)) - x^2 = log(y)
    const double scaled = scaledErfc(x);
    const double error = std::log(scaled) - x * x - std::log(y);
    const double slope = -2 / (SQRT_PI * scaled);
    const double step = error / slope;
    x -= step;
    if (std::fabs(step) <= 1e-16 * std::fabs(x)) break;
  }
  return x;
}

double inverseErf(double y) {
  if (std::fabs(y) >= 0.5) return y > 0 ? inverseErfc(1 - y) : -inverseErfc(1 + y);
  double x = y * SQRT_PI / 2;
  for (int i = 0; i < 60; i++) {
    const double step = (std::erf(x) - y) * SQRT_PI / 2 * std::exp(x * x);
    x -= step;
    if (std::fabs(step) <= 1e-16 * std::fabs(x)) break;
  }
  return x;
}

/** Modified Bessel functions of the first kind by their series, or by the asymptotic one. */
double besselI(int order, double x) {
  const double size = std::fabs(x), sign = order == 1 && x < 0 ? -1 : 1;
  if (std::isinf(x)) return sign * INFINITE;
  if (size < 30) {
    double term = order == 0 ? 1 : size / 2, sum = term;
    for (int k = 1; k < 400; k++) {
      term *= size * size / 4 / (k * (k + order));
      sum += term;
      if (term < sum * 1e-17) break;
    }
    return sign * sum;
  }
  double term = 1, sum = 1;
  for (int k = 1; k < 60; k++) {
    const double odd = 2 * k - 1;
    const double next = term * -(4.0 * order - odd * odd) / (8 * size * k);
    if (std::fabs(next) >= std::fabs(term)) break;
    term = next;
    sum += term;
    if (std::fabs(term) < 1e-17) break;
  }
  // In two factors: exp(x) overflows before the quotient does.
  return sign * std::exp(size / 2) * (std::exp(size / 2) / std::sqrt(2 * M_PI * size)) * sum;
}

double sineOfPi(double x) {
  if (!std::isfinite(x)) return NOT_A_NUMBER;
  const double rest = std::remainder(x, 2);
  if (rest == std::trunc(rest)) return std::copysign(0.0, x);
  if (std::fabs(rest) > 0.5) return std::sin(M_PI * (std::copysign(1.0, rest) - rest));
  return std::sin(M_PI * rest);
}
double cosineOfPi(double x) {
  if (!std::isfinite(x)) return NOT_A_NUMBER;
  const double rest = std::fabs(std::remainder(x, 2));
  if (rest == 0.5) return 0;
  return rest < 0.25 ? std::cos(M_PI * rest) : rest > 0.75 ? -std::cos(M_PI * (1 - rest)) : std::sin(M_PI * (0.5 - rest));
}

}  // namespace

#define BOTH(name, expression)                 \
  EXPORT double name(double x) noexcept {      \
    return expression;                         \
  }                                            \
  EXPORT float name##f(float value) noexcept { \
    const double x = value;                    \
    return static_cast<float>(expression);     \
  }
BOTH(rsqrt, 1 / std::sqrt(x))
BOTH(rcbrt, 1 / std::cbrt(x))
BOTH(erfinv, inverseErf(x))
BOTH(erfcinv, inverseErfc(x))
BOTH(erfcx, scaledErfc(x))
BOTH(normcdf, 0.5 * std::erfc(-x * SQRT_HALF))
BOTH(normcdfinv, -inverseErfc(2 * x) / SQRT_HALF)
BOTH(sinpi, sineOfPi(x))
BOTH(cospi, cosineOfPi(x))
BOTH(cyl_bessel_i0, besselI(0, x))
BOTH(cyl_bessel_i1, besselI(1, x))
EXPORT double rhypot(double x, double y) noexcept {
  return 1 / std::hypot(x, y);
}
EXPORT float rhypotf(float x, float y) noexcept {
  return static_cast<float>(1 / std::hypot(static_cast<double>(x), static_cast<double>(y)));
}
