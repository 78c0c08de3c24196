// libcuda, as far as we use it. The names are those of its symbols, which exist in every driver from CUDA 11.4 on (cuda.h's macros lead to
// newer ones of some); a driver loads them itself, so nothing of CUDA's is needed to build this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "errors.h"
#include "library.h"

namespace kindling {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphExec = struct CUgraphExec_st*;
struct CUuuid {
  unsigned char bytes[16];
};

enum : CUresult {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_DEINITIALIZED = 4,
  CUDA_ERROR_STUB_LIBRARY = 34,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_ECC_UNCORRECTABLE = 214,
  CUDA_ERROR_NVLINK_UNCORRECTABLE = 220,
  CUDA_ERROR_CONTAINED = 226,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_TIMEOUT = 702,
  CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
  CUDA_ERROR_ASSERT = 710,
  CUDA_ERROR_HARDWARE_STACK_ERROR = 714,
  CUDA_ERROR_ILLEGAL_INSTRUCTION = 715,
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
  CUDA_ERROR_INVALID_ADDRESS_SPACE = 717,
  CUDA_ERROR_INVALID_PC = 718,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_TENSOR_MEMORY_LEAK = 721,
  CUDA_ERROR_MPS_CLIENT_TERMINATED = 810,
  CUDA_ERROR_EXTERNAL_DEVICE = 911,
};

enum CUdevice_attribute : int {
  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE = 38,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
};

enum CUfunction_attribute : int {
  CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
  CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
};

constexpr unsigned CU_STREAM_NON_BLOCKING = 1;
constexpr unsigned CU_EVENT_BLOCKING_SYNC = 1;
constexpr unsigned CU_EVENT_DISABLE_TIMING = 2;
// In a capture: the event itself is recorded (waited for) whenever the graph runs.
constexpr unsigned CU_EVENT_RECORD_EXTERNAL = 1;
constexpr unsigned CU_EVENT_WAIT_EXTERNAL = 1;
constexpr int CU_STREAM_CAPTURE_MODE_RELAXED = 2;
inline void* const CU_LAUNCH_PARAM_END = nullptr;
inline void* const CU_LAUNCH_PARAM_BUFFER_POINTER = reinterpret_cast<void*>(1);
inline void* const CU_LAUNCH_PARAM_BUFFER_SIZE = reinterpret_cast<void*>(2);

// Name, symbol, parameters.
#define KINDLING_DRIVER_FUNCTIONS(X)                                                                                          \
  X(init, cuInit, (unsigned flags))                                                                                           \
  X(driver_version, cuDriverGetVersion, (int* version))                                                                       \
  X(error_name, cuGetErrorName, (CUresult error, const char** text))                                                          \
  X(error_string, cuGetErrorString, (CUresult error, const char** text))                                                      \
  X(device_count, cuDeviceGetCount, (int* count))                                                                             \
  X(device_get, cuDeviceGet, (CUdevice * device, int ordinal))                                                                \
  X(device_name, cuDeviceGetName, (char* name, int length, CUdevice device))                                                  \
  X(device_attribute, cuDeviceGetAttribute, (int* value, CUdevice_attribute attribute, CUdevice device))                      \
  X(device_total_memory, cuDeviceTotalMem_v2, (size_t * bytes, CUdevice device))                                              \
  X(device_uuid, cuDeviceGetUuid, (CUuuid * uuid, CUdevice device))                                                           \
  X(primary_retain, cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                                         \
  X(primary_release, cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                                         \
  X(context_set, cuCtxSetCurrent, (CUcontext context))                                                                        \
  X(context_get, cuCtxGetCurrent, (CUcontext * context))                                                                      \
  X(memory_alloc, cuMemAlloc_v2, (CUdeviceptr * address, size_t bytes))                                                       \
  X(memory_free, cuMemFree_v2, (CUdeviceptr address))                                                                         \
  X(memory_info, cuMemGetInfo_v2, (size_t * free, size_t * total))                                                            \
  X(host_alloc, cuMemHostAlloc, (void** pointer, size_t bytes, unsigned flags))                                               \
  X(host_free, cuMemFreeHost, (void* pointer))                                                                                \
  X(copy_to_device, cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void* from, size_t bytes, CUstream stream))                  \
  X(copy_to_host, cuMemcpyDtoHAsync_v2, (void* to, CUdeviceptr from, size_t bytes, CUstream stream))                          \
  X(copy_on_device, cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))                  \
  X(set_bytes, cuMemsetD8Async, (CUdeviceptr to, unsigned char value, size_t count, CUstream stream))                         \
  X(set_words, cuMemsetD32Async, (CUdeviceptr to, unsigned value, size_t count, CUstream stream))                             \
  X(stream_create, cuStreamCreate, (CUstream * stream, unsigned flags))                                                       \
  X(stream_destroy, cuStreamDestroy_v2, (CUstream stream))                                                                    \
  X(stream_query, cuStreamQuery, (CUstream stream))                                                                           \
  X(stream_synchronize, cuStreamSynchronize, (CUstream stream))                                                               \
  X(stream_wait_event, cuStreamWaitEvent, (CUstream stream, CUevent event, unsigned flags))                                   \
  X(capture_begin, cuStreamBeginCapture_v2, (CUstream stream, int mode))                                                      \
  X(capture_end, cuStreamEndCapture, (CUstream stream, CUgraph * graph))                                                      \
  X(event_create, cuEventCreate, (CUevent * event, unsigned flags))                                                           \
  X(event_destroy, cuEventDestroy_v2, (CUevent event))                                                                        \
  X(event_record, cuEventRecord, (CUevent event, CUstream stream))                                                            \
  X(event_record_with_flags, cuEventRecordWithFlags, (CUevent event, CUstream stream, unsigned flags))                        \
  X(event_query, cuEventQuery, (CUevent event))                                                                               \
  X(event_synchronize, cuEventSynchronize, (CUevent event))                                                                   \
  X(event_elapsed, cuEventElapsedTime, (float* milliseconds, CUevent start, CUevent end))                                     \
  X(module_load, cuModuleLoadData, (CUmodule * module, const void* image))                                                    \
  X(module_unload, cuModuleUnload, (CUmodule module))                                                                         \
  X(module_function, cuModuleGetFunction, (CUfunction * function, CUmodule module, const char* name))                         \
  X(function_attribute, cuFuncGetAttribute, (int* value, CUfunction_attribute attribute, CUfunction function))                \
  X(function_set, cuFuncSetAttribute, (CUfunction function, CUfunction_attribute attribute, int value))                       \
  X(launch, cuLaunchKernel,                                                                                                   \
    (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,              \
     unsigned block_z, unsigned shared_bytes, CUstream stream, void** params, void** extra))                                  \
  X(graph_instantiate, cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags))            \
  X(graph_launch, cuGraphLaunch, (CUgraphExec exec, CUstream stream))                                                         \
  X(graph_exec_destroy, cuGraphExecDestroy, (CUgraphExec exec))                                                               \
  X(graph_destroy, cuGraphDestroy, (CUgraph graph))

class Driver {
 public:
  // Opened and initialised once per process and search path. The answer may be a driver that cannot be used: see `problem`.
  static std::shared_ptr<const Driver> open(const SearchPath& path);

  // Throws NO_DRIVER (NO_DEVICE where the driver sees none).
  void require() const;

  // "CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal memory access was encountered"
  std::string describe(CUresult result) const;
  // An error of `op`; DEVICE_LOST where the context is unusable from now on.
  Failure failure(CUresult result, const char* op) const;
  void check(CUresult result, const char* op) const {
    if (__builtin_expect(result != CUDA_SUCCESS, 0)) throw failure(result, op);
  }

#define X(name, entry, parameters) CUresult(*name) parameters = nullptr;
  KINDLING_DRIVER_FUNCTIONS(X)
#undef X

  std::shared_ptr<const Library> library;
  int version = 0;  // 12040: CUDA 12.4 is the newest that it knows
  int devices = 0;
  std::string problem;                   // why it cannot be used; empty where it can
  std::optional<CUresult> status = {};  // what cuInit said, where it failed

 private:
  explicit Driver(const SearchPath& path);
  void start();
};

// Whether nothing in the context works after this error.
bool is_sticky(CUresult result);

// "12.4" of 12040
std::string version_text(int version);

// DeviceInfo of gpu/cuda/addon.ts.
struct DeviceInfo {
  int index;
  std::string name, uuid;
  int major, minor;
  uint64_t total_memory;
  int multiprocessors, max_threads_per_block, shared_per_block, shared_per_block_optin, l2_bytes;
};

DeviceInfo device_info(const Driver& driver, int index);

LibraryProbe probe_of(const Driver& driver);

}  // namespace kindling
