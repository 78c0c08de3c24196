#include "nvrtc.h"

#include <map>
#include <mutex>

#include "driver.h"

namespace kindling {
namespace {

constexpr int SUCCESS = 0;
constexpr int ERROR_INVALID_OPTION = 5;
constexpr int ERROR_COMPILATION = 6;
constexpr int NEWEST_MAJOR = 14;

// A driver loads what its own or an older major version made.
LibraryNames names_for(int driver_version) {
  const int major = driver_version ? driver_version / 1000 : NEWEST_MAJOR;
  LibraryNames names{"libnvrtc", {}, {}, true, {"libnvrtc-builtins.so"}, ""};
  for (int number = major; number >= 12; number--) names.sonames.push_back(format("libnvrtc.so.%d", number));
  // The name of all 11.x from 11.2 on.
  names.sonames.push_back("libnvrtc.so.11.2");
  const char* const package = major >= 13 && driver_version ? "nvidia-cuda-nvrtc" : major == 11 ? "nvidia-cuda-nvrtc-cu11" : "nvidia-cuda-nvrtc-cu12";
  names.install = format("pip install %s, or install a CUDA toolkit (set CUDA_HOME where it is not in /usr/local/cuda)", package);
  return names;
}

struct Opened {
  std::mutex mutex;
  std::map<const Library*, std::shared_ptr<const Nvrtc>> of;
};

}  // namespace

std::shared_ptr<const Nvrtc> Nvrtc::open(const SearchPath& path, int driver_version) {
  static Opened* const opened = new Opened;  // outlives all threads
  std::shared_ptr<const Library> library = Library::open(names_for(driver_version), path);
  std::lock_guard<std::mutex> lock(opened->mutex);
  std::shared_ptr<const Nvrtc>& entry = opened->of[library.get()];
  if (!entry) entry.reset(new Nvrtc(std::move(library)));
  return entry;
}

Nvrtc::Nvrtc(std::shared_ptr<const Library> from) : library(std::move(from)) {
  if (library->found()) start();
  else problem = probe_of(*library).error;
}

void Nvrtc::start() {
  std::vector<std::string> missing;
  const auto load = [&](auto& function, const char* name) {
    function = library->symbol<std::remove_reference_t<decltype(function)>>(name);
    if (!function) missing.push_back(name);
  };
  load(get_version_, "nvrtcVersion");
  load(error_string_, "nvrtcGetErrorString");
  load(create_, "nvrtcCreateProgram");
  load(destroy_, "nvrtcDestroyProgram");
  load(compile_, "nvrtcCompileProgram");
  load(cubin_size_, "nvrtcGetCUBINSize");
  load(cubin_, "nvrtcGetCUBIN");
  load(ptx_size_, "nvrtcGetPTXSize");
  load(ptx_, "nvrtcGetPTX");
  load(log_size_, "nvrtcGetProgramLogSize");
  load(log_, "nvrtcGetProgramLog");
  int major = 0, minor = 0;
  if (get_version_ && get_version_(&major, &minor) == SUCCESS) version = major * 1000 + minor * 10;
  if (!missing.empty()) {
    problem = format("%s has no %s; NVRTC 11.2 or newer is needed", library->opened().c_str(), joined(missing, ", ").c_str());
    return;
  }
  const auto count_of = library->symbol<int (*)(int*)>("nvrtcGetNumSupportedArchs");
  const auto list = library->symbol<int (*)(int*)>("nvrtcGetSupportedArchs");
  int count = 0;
  if (!count_of || !list || count_of(&count) != SUCCESS || count <= 0) return;
  architectures.resize(size_t(count));
  if (list(architectures.data()) != SUCCESS) architectures.clear();
}

void Nvrtc::require() const {
  if (problem.empty()) return;
  if (!library->found()) throw library->missing(Code::NoLibrary);
  throw Failure{Code::NoLibrary, "NVRTC cannot be used: " + problem, {}, {}, library->searched()};
}

void Nvrtc::check(int result, const char* op) const {
  if (result != SUCCESS) throw Failure{Code::CudaError, format("%s: %s (%d)", op, error_string_(result), result), result, op};
}

std::string Nvrtc::text_of(Program program, int (*size_of)(Program, size_t*), int (*get)(Program, char*), const char* op) const {
  size_t size = 0;
  check(size_of(program, &size), op);
  std::string text(size, '\0');
  if (size > 0) check(get(program, text.data()), op);
  return text;
}

Compiled Nvrtc::compile(const std::string& text, const std::vector<std::string>& options) const {
  Program program = nullptr;
  check(create_(&program, text.c_str(), "kindling.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  struct Destroy {
    const Nvrtc& nvrtc;
    Program& program;
    ~Destroy() { nvrtc.destroy_(&program); }
  } destroy{*this, program};
  std::vector<const char*> pointers;
  for (const std::string& option : options) pointers.push_back(option.c_str());
  const int result = compile_(program, int(pointers.size()), pointers.data());
  Compiled compiled;
  compiled.log = text_of(program, log_size_, log_, "nvrtcGetProgramLog");
  while (!compiled.log.empty() && (compiled.log.back() == '\0' || compiled.log.back() == '\n')) compiled.log.pop_back();
  if (result == ERROR_COMPILATION || result == ERROR_INVALID_OPTION) {
    const std::string why = compiled.log.empty() ? std::string(error_string_(result)) : compiled.log;
    throw Failure{Code::CompileError, format("%s (options: %s)", why.c_str(), joined(options, " ").c_str()), result, "nvrtcCompileProgram"};
  }
  if (result != SUCCESS) {
    // Where its builtins are missing the log says so.
    throw Failure{Code::CudaError, format("nvrtcCompileProgram: %s (%d)%s%s; NVRTC is %s", error_string_(result), result,
                                          compiled.log.empty() ? "" : ": ", compiled.log.c_str(), library->opened().c_str()),
                  result, "nvrtcCompileProgram"};
  }
  compiled.code = text_of(program, cubin_size_, cubin_, "nvrtcGetCUBIN");
  if (compiled.code.empty()) compiled.code = text_of(program, ptx_size_, ptx_, "nvrtcGetPTX");
  return compiled;
}

LibraryProbe probe_of(const Nvrtc& nvrtc) {
  LibraryProbe probe = probe_of(*nvrtc.library);
  if (nvrtc.version) probe.version = version_text(nvrtc.version);
  probe.error = nvrtc.problem;
  return probe;
}

}  // namespace kindling
