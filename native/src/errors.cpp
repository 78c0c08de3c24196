#include "errors.h"

#include <cstdarg>
#include <cstdio>

namespace kindling {

const char* name_of(Code code) {
  switch (code) {
    case Code::NoDriver: return "NO_DRIVER";
    case Code::NoDevice: return "NO_DEVICE";
    case Code::NoLibrary: return "NO_LIBRARY";
    case Code::OutOfMemory: return "OUT_OF_MEMORY";
    case Code::CompileError: return "COMPILE_ERROR";
    case Code::DeviceLost: return "DEVICE_LOST";
    case Code::CudaError: return "CUDA_ERROR";
    case Code::Invalid: return "INVALID";
  }
  return "CUDA_ERROR";
}

static std::string format_list(const char* text, va_list list) {
  va_list again;
  va_copy(again, list);
  const int length = std::vsnprintf(nullptr, 0, text, list);
  std::string result(length > 0 ? size_t(length) : 0, '\0');
  std::vsnprintf(result.data(), result.size() + 1, text, again);
  va_end(again);
  return result;
}

std::string format(const char* text, ...) {
  va_list list;
  va_start(list, text);
  std::string result = format_list(text, list);
  va_end(list);
  return result;
}

void invalid(const char* text, ...) {
  va_list list;
  va_start(list, text);
  std::string message = format_list(text, list);
  va_end(list);
  throw Failure{Code::Invalid, std::move(message)};
}

std::string in_bytes(uint64_t bytes) {
  if (bytes < 1024) return format("%llu bytes", (unsigned long long)bytes);
  const char* units[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = double(bytes) / 1024;
  int unit = 0;
  while (value >= 1024 && unit < 3) value /= 1024, unit++;
  return format("%.2f %s", value, units[unit]);
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string result;
  for (const std::string& part : parts) {
    if (!result.empty()) result += separator;
    result += part;
  }
  return result;
}

}  // namespace kindling
