// NVRTC: CUDA C++ to CUBINs, with no device needed. May be used by several threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "library.h"

namespace kindling {

struct Compiled {
  std::string code;  // a CUBIN; PTX, ended by a zero, where a virtual architecture was asked for
  std::string log;
};

class Nvrtc {
 public:
  // Opened once per process and search path; what it makes must suit the driver (12040; 0: none). The answer may be one that cannot be used.
  static std::shared_ptr<const Nvrtc> open(const SearchPath& path, int driver_version);

  // Throws NO_LIBRARY.
  void require() const;
  // Throws COMPILE_ERROR with the log as its message.
  Compiled compile(const std::string& text, const std::vector<std::string>& options) const;

  std::shared_ptr<const Library> library;
  int version = 0;  // 12040
  std::vector<int> architectures;
  std::string problem;  // why it cannot be used

 private:
  using Program = struct NvrtcProgram*;

  explicit Nvrtc(std::shared_ptr<const Library> library);
  void start();
  void check(int result, const char* op) const;
  std::string text_of(Program program, int (*size_of)(Program, size_t*), int (*get)(Program, char*), const char* op) const;

  int (*get_version_)(int* major, int* minor) = nullptr;
  const char* (*error_string_)(int result) = nullptr;
  int (*create_)(Program* program, const char* text, const char* name, int headers, const char* const* header_texts,
                 const char* const* header_names) = nullptr;
  int (*destroy_)(Program* program) = nullptr;
  int (*compile_)(Program program, int count, const char* const* options) = nullptr;
  int (*cubin_size_)(Program program, size_t* size) = nullptr;
  int (*cubin_)(Program program, char* to) = nullptr;
  int (*ptx_size_)(Program program, size_t* size) = nullptr;
  int (*ptx_)(Program program, char* to) = nullptr;
  int (*log_size_)(Program program, size_t* size) = nullptr;
  int (*log_)(Program program, char* to) = nullptr;
};

LibraryProbe probe_of(const Nvrtc& nvrtc);

}  // namespace kindling
