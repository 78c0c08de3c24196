/** Modules (shared objects of the stand-in's libnvrtc), functions, launches. */

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include "driver.h"

namespace {

constexpr unsigned SHARED_DEFAULT = 48 << 10;
constexpr unsigned SHARED_OPTIN = 227 << 10;
constexpr unsigned MOST_THREADS = 1024;

/** The size of an ELF file, whose table of sections comes last. */
size_t imageBytes(const void* image) {
  const auto* header = static_cast<const Elf64_Ehdr*>(image);
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_type != ET_DYN)
    return 0;
  return header->e_shoff + static_cast<size_t>(header->e_shnum) * header->e_shentsize;
}

CUresult load(CUcontext context, const void* image, CUmodule* result) {
  const size_t bytes = imageBytes(image);
  if (bytes == 0) return CUDA_ERROR_INVALID_IMAGE;
  const char* folder = getenv("TMPDIR");
  std::string path = std::string(folder != nullptr && *folder != 0 ? folder : "/tmp") + "/kindling-module-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  const auto* at = static_cast<const unsigned char*>(image);
  size_t left = bytes;
  while (left > 0) {
    const ssize_t written = write(file, at, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    at += written;
    left -= static_cast<size_t>(written);
  }
  close(file);
  void* library = left == 0 ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  const std::string problem = library == nullptr && left == 0 ? dlerror() : "";
  unlink(path.c_str());
  if (library == nullptr) {
    noteFailure("a module cannot be loaded: " + problem);
    return CUDA_ERROR_INVALID_IMAGE;
  }
  const auto* table = static_cast<const KdModule*>(dlsym(library, "kd_module"));
  if (table == nullptr || table->abi != KD_ABI) {
    noteFailure(table == nullptr ? "a module is a shared object of something else"
                                 : "a module was compiled by another build of the stand-in");
    dlclose(library);
    return table == nullptr ? CUDA_ERROR_INVALID_IMAGE : CUDA_ERROR_NO_BINARY_FOR_GPU;
  }
  auto* module = new CUmod_st;
  module->context = context;
  module->library = library;
  module->table = table;
  for (unsigned i = 0; i < table->kernelCount; i++) {
    auto* function = new CUfunc_st;
    function->module = module;
    function->kernel = &table->kernels[i];
    const unsigned used = function->staticShared();
    function->dynamicLimit = used < SHARED_DEFAULT ? SHARED_DEFAULT - used : 0;
    module->functions[table->kernels[i].name] = function;
  }
  objectCounts.modules++;
  std::lock_guard guard(context->lock);
  context->modules.push_back(module);
  *result = module;
  return CUDA_SUCCESS;
}

void unload(CUmodule module) {
  // A launch that runs has the lock.
  std::lock_guard guard(module->running);
  module->mark = DEAD;
  for (auto& [_, function] : module->functions) function->mark = DEAD;
  dlclose(module->library);
  objectCounts.modules--;
}

/** The parameters as the kernel's entry takes them. */
CUresult packParameters(const KdKernel& kernel, void** params, void** extra, std::vector<unsigned char>& packed) {
  packed.resize(kernel.paramBytes);
  if (params != nullptr) {
    if (extra != nullptr && extra[0] != nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < kernel.paramCount; i++) {
      REQUIRE(params[i] != nullptr);
      memcpy(packed.data() + kernel.params[i].offset, params[i], kernel.params[i].size);
    }
    return CUDA_SUCCESS;
  }
  if (extra == nullptr) return kernel.paramCount == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  const void* buffer = nullptr;
  const size_t* size = nullptr;
  for (void** at = extra; reinterpret_cast<uintptr_t>(*at) != CU_LAUNCH_PARAM_END; at += 2) {
    if (reinterpret_cast<uintptr_t>(*at) == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = at[1];
    else if (reinterpret_cast<uintptr_t>(*at) == CU_LAUNCH_PARAM_BUFFER_SIZE) size = static_cast<const size_t*>(at[1]);
    else return CUDA_ERROR_INVALID_VALUE;
  }
  REQUIRE(size != nullptr && (buffer != nullptr || kernel.paramBytes == 0));
  // Padding at the end is the caller's choice.
  REQUIRE(*size >= kernel.paramBytes && *size < kernel.paramBytes + 8);
  memcpy(packed.data(), buffer, kernel.paramBytes);
  return CUDA_SUCCESS;
}

LaunchResult runKernel(CUfunction function, const LaunchShape& shape, const std::vector<unsigned char>& arguments) {
  CUmodule module = function->module;
  std::lock_guard guard(module->running);
  if (function->mark == DEAD)
    return {CUDA_ERROR_ILLEGAL_ADDRESS, "a kernel was launched, and its module unloaded before its turn came"};
  LaunchResult result = runLaunch(*function->kernel, *module->table, shape, arguments.data(), launchOptions());
  if (result.code == 0 && findOverrun(result.message)) {
    result = {CUDA_ERROR_ILLEGAL_ADDRESS, std::string("kernel ") + function->kernel->name + ": " + result.message};
  }
  return result;
}

}  // namespace

unsigned CUfunc_st::staticShared() const {
  const KdModule& table = *module->table;
  return static_cast<unsigned>(kernel->sharedEnd - kernel->sharedBegin + (table.sharedEnd - table.sharedBegin));
}

void unloadModules(CUcontext context) {
  for (CUmodule module : context->modules) unload(module);
  context->modules.clear();
}

// ----------------------------------------------------------------------------------------------------------------------- modules

DRIVER(cuModuleLoadData, CUmodule* module, const void* image) {
  ENTER(cuModuleLoadData);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  REQUIRE(module != nullptr && image != nullptr);
  TRY(checkUnsafe());
  return load(context, image, module);
}
DRIVER(cuModuleLoadDataEx, CUmodule* module, const void* image, unsigned, int*, void**) {
  ENTER(cuModuleLoadDataEx);
  return cuModuleLoadData(module, image);
}
DRIVER(cuModuleUnload, CUmodule module) {
  ENTER(cuModuleUnload);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  if (!alive(module, MODULE)) return CUDA_ERROR_INVALID_HANDLE;
  TRY(checkUnsafe());
  {
    std::lock_guard guard(module->context->lock);
    auto& modules = module->context->modules;
    modules.erase(std::remove(modules.begin(), modules.end(), module), modules.end());
  }
  drainContext(module->context);
  unload(module);
  return usable(context);
}
DRIVER(cuModuleGetFunction, CUfunction* function, CUmodule module, const char* name) {
  ENTER(cuModuleGetFunction);
  REQUIRE(function != nullptr && name != nullptr);
  if (!alive(module, MODULE)) return CUDA_ERROR_INVALID_HANDLE;
  TRY(usable(module->context));
  const auto found = module->functions.find(name);
  if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *function = found->second;
  return CUDA_SUCCESS;
}
DRIVER(cuModuleGetFunctionCount, unsigned* count, CUmodule module) {
  ENTER(cuModuleGetFunctionCount);
  if (!alive(module, MODULE)) return CUDA_ERROR_INVALID_HANDLE;
  *count = module->table->kernelCount;
  return CUDA_SUCCESS;
}
DRIVER(cuModuleGetLoadingMode, int* mode) {
  ENTER(cuModuleGetLoadingMode);
  *mode = 1;
  return CUDA_SUCCESS;
}

// --------------------------------------------------------------------------------------------------------------------- functions

DRIVER(cuFuncGetAttribute, int* value, CUfunction_attribute attribute, CUfunction function) {
  ENTER(cuFuncGetAttribute);
  REQUIRE(value != nullptr);
  if (!alive(function, FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = static_cast<int>(function->kernel->maxThreads > 0 ? function->kernel->maxThreads : MOST_THREADS);
      break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = static_cast<int>(function->staticShared()); break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = 32; break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = 90; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = static_cast<int>(function->dynamicLimit); break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = -1; break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *value = 0; break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
DRIVER(cuFuncSetAttribute, CUfunction function, CUfunction_attribute attribute, int value) {
  ENTER(cuFuncSetAttribute);
  if (!alive(function, FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  TRY(usable(function->module->context));
  if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT)
    return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  REQUIRE(attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES && value >= 0);
  REQUIRE(static_cast<unsigned>(value) + function->staticShared() <= SHARED_OPTIN);
  function->dynamicLimit = static_cast<unsigned>(value);
  return CUDA_SUCCESS;
}
DRIVER(cuFuncSetCacheConfig, CUfunction function, int config) {
  ENTER(cuFuncSetCacheConfig);
  REQUIRE(config >= 0 && config <= 3);
  return alive(function, FUNCTION) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}
DRIVER(cuFuncGetModule, CUmodule* module, CUfunction function) {
  ENTER(cuFuncGetModule);
  if (!alive(function, FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  *module = function->module;
  return CUDA_SUCCESS;
}
DRIVER(cuFuncGetName, const char** name, CUfunction function) {
  ENTER(cuFuncGetName);
  if (!alive(function, FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  *name = function->kernel->name;
  return CUDA_SUCCESS;
}
DRIVER(cuFuncGetParamInfo, CUfunction function, size_t index, size_t* offset, size_t* size) {
  ENTER(cuFuncGetParamInfo);
  if (!alive(function, FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  REQUIRE(index < function->kernel->paramCount);
  *offset = function->kernel->params[index].offset;
  if (size != nullptr) *size = function->kernel->params[index].size;
  return CUDA_SUCCESS;
}
DRIVER(cuOccupancyMaxActiveBlocksPerMultiprocessor, int* blocks, CUfunction function, int threads, size_t shared) {
  ENTER(cuOccupancyMaxActiveBlocksPerMultiprocessor);
  if (!alive(function, FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  REQUIRE(threads > 0);
  const size_t each = shared + function->staticShared() + 1024;
  *blocks = threads > static_cast<int>(MOST_THREADS) ? 0 : std::min({32, 2048 / threads, static_cast<int>((228 << 10) / each)});
  return CUDA_SUCCESS;
}
DRIVER(cuOccupancyMaxPotentialBlockSize, int* grid, int* block, CUfunction function, CUoccupancyB2DSize, size_t, int limit) {
  ENTER(cuOccupancyMaxPotentialBlockSize);
  TRY(cuFuncGetAttribute(block, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function));
  if (limit > 0) *block = std::min(*block, limit);
  *grid = 132 * (2048 / *block);
  return CUDA_SUCCESS;
}

// ---------------------------------------------------------------------------------------------------------------------- launches

DRIVER(cuLaunchKernel, CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
       unsigned blockZ, unsigned shared, CUstream handle, void** params, void** extra) {
  ENTER(cuLaunchKernel);
  if (!alive(function, FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  if (stream->context != function->module->context) return CUDA_ERROR_INVALID_HANDLE;
  const KdKernel& kernel = *function->kernel;
  REQUIRE(gridX >= 1 && gridY >= 1 && gridZ >= 1 && gridX <= 0x7fffffffu && gridY <= 65535 && gridZ <= 65535);
  REQUIRE(blockX >= 1 && blockY >= 1 && blockZ >= 1 && blockX <= 1024 && blockY <= 1024 && blockZ <= 64);
  const unsigned threads = blockX * blockY * blockZ;
  REQUIRE(threads <= (kernel.maxThreads > 0 ? std::min(kernel.maxThreads, MOST_THREADS) : MOST_THREADS));
  REQUIRE(shared <= function->dynamicLimit);
  if (settings().noop && !stream->capturing) return CUDA_SUCCESS;
  std::vector<unsigned char> packed;
  TRY(packParameters(kernel, params, extra, packed));
  const LaunchShape shape{{gridX, gridY, gridZ}, {blockX, blockY, blockZ}, shared};
  return enqueue(stream, {Operation::LAUNCH,
                          [function, shape, packed = std::move(packed)] { return runKernel(function, shape, packed); }, nullptr});
}
DRIVER(cuLaunchCooperativeKernel, CUfunction function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
       CUstream, void**) {
  ENTER(cuLaunchCooperativeKernel);
  // Blocks run one after the other here, so they cannot wait for each other.
  return alive(function, FUNCTION) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_HANDLE;
}
struct CUlaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, shared;
  CUstream stream;
  void* attributes;
  unsigned attributeCount;
};
DRIVER(cuLaunchKernelEx, const CUlaunchConfig* config, CUfunction function, void** params, void** extra) {
  ENTER(cuLaunchKernelEx);
  REQUIRE(config != nullptr);
  return cuLaunchKernel(function, config->gridX, config->gridY, config->gridZ, config->blockX, config->blockY, config->blockZ,
                        config->shared, config->stream, params, extra);
}
