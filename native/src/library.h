// NVIDIA's libraries, opened at run time from wherever they are. What was opened is kept for the whole process.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "errors.h"

namespace kindling {

// SearchOptions of gpu/cuda/addon.ts.
struct SearchPath {
  std::vector<std::string> directories;
  bool only = false;
};

// What a library is called and where it may be, besides the given directories and what the loader knows.
struct LibraryNames {
  const char* name;                      // "libnvrtc"
  std::vector<std::string> sonames;      // the best one first
  std::vector<std::string> directories;  // looked through after the loader
  bool toolkit;                          // a part of the CUDA toolkit, and of pip's packages: $CUDA_HOME, nvidia/*/lib
  std::vector<std::string> beside;       // beginnings of the names of files in the same folder that must be opened before it
  std::string install;                   // what to do where it is missing: "install an NVIDIA driver"
};

class Library {
 public:
  // Tries, in order: the given directories; and unless `only`: the loader, `names.directories`, and for parts of the toolkit
  // $CUDA_HOME, /usr/local/cuda and pip's packages. Once per process, names and path; the answer may be that nothing was found.
  static std::shared_ptr<const Library> open(const LibraryNames& names, const SearchPath& path);

  bool found() const { return handle_ != nullptr; }
  // What it was opened by: a path or a soname. Empty where nothing was found.
  const std::string& opened() const { return opened_; }
  // Every attempt, with the reason where it failed.
  const std::vector<std::string>& searched() const { return searched_; }
  const LibraryNames& names() const { return names_; }

  // A function pointer, null where the library has no such symbol: symbol<int (*)(int)>("name").
  template <class T>
  T symbol(const char* name) const {
    return reinterpret_cast<T>(address(name));
  }

  // For where it was not found: what is missing, where it was looked for, what to install.
  Failure missing(Code code) const;

  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

 private:
  Library(const LibraryNames& names, const SearchPath& path);
  void* address(const char* name) const;
  bool attempt(const std::string& what, bool by_path);
  bool look_in(const std::string& directory);
  void look_in_pip();
  void open_beside(const std::string& directory) const;

  LibraryNames names_;
  std::string opened_;
  std::vector<std::string> searched_;
  void* handle_ = nullptr;
};

// LibraryProbe of gpu/cuda/addon.ts.
struct LibraryProbe {
  std::string path;     // empty: null
  std::string version;  // empty: null
  std::vector<std::string> searched;
  std::string error;  // empty: null
};

// Of a library that was not found, or whose version the caller adds.
LibraryProbe probe_of(const Library& library);

}  // namespace kindling
