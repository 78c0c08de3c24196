// Errors inside the addon: a Failure is thrown by whatever fails and becomes the JavaScript error of gpu/cuda/addon.ts where JavaScript
// called (js.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kindling {

// CudaErrorCode of gpu/cuda/addon.ts.
enum class Code { NoDriver, NoDevice, NoLibrary, OutOfMemory, CompileError, DeviceLost, CudaError, Invalid };

const char* name_of(Code code);

struct Failure {
  Code code;
  std::string message;
  std::optional<int> status = {};  // the driver's CUresult, or the library's status
  std::string op = {};             // the function that failed
  std::vector<std::string> searched = {};
};

// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* text, ...);

// The caller broke the contract.
[[noreturn, gnu::format(printf, 1, 2)]] void invalid(const char* text, ...);

// "1.50 GiB"
std::string in_bytes(uint64_t bytes);

std::string joined(const std::vector<std::string>& parts, const char* separator);

}  // namespace kindling
