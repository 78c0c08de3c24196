/** Start, devices, contexts, errors. */

#include <algorithm>
#include <cstdlib>
#include <cstdio>
#include <dlfcn.h>
#include <sstream>

#include "driver.h"
#include "stand_in.h"

namespace {

struct Contexts {
  std::mutex lock;
  std::vector<CUcontext> live;
  struct Primary {
    CUcontext context = nullptr;
    unsigned references = 0, flags = 0;
  };
  std::map<int, Primary> primary;
};
Contexts& contexts() {
  static auto* made = new Contexts;
  return *made;
}
thread_local std::vector<CUcontext> stack;

constexpr int MULTIPROCESSORS = 132;
constexpr int SHARED_DEFAULT = 48 << 10;
constexpr int SHARED_OPTIN = 227 << 10;
constexpr size_t TOTAL_MEMORY = size_t{80} << 30;

CUcontext makeContext(int device, unsigned flags, bool primary) {
  auto* context = new CUctx_st;
  context->device = device;
  context->flags = flags;
  context->primary = primary;
  context->legacy = new CUstream_st(context, 0);
  context->legacy->legacy = true;
  objectCounts.contexts++;
  contexts().live.push_back(context);
  return context;
}

/** With contexts().lock held. */
void destroyContext(CUcontext context) {
  auto& live = contexts().live;
  live.erase(std::find(live.begin(), live.end(), context));
  if (context->error == 0) drainContext(context);
  context->error = CUDA_ERROR_CONTEXT_IS_DESTROYED;
  endStreams(context);
  unloadModules(context);
  const bool last = std::none_of(live.begin(), live.end(), [&](CUcontext other) { return other->device == context->device; });
  if (last) freeAllOf(context->device);
  context->mark = DEAD;
  objectCounts.contexts--;
}

bool isDevice(CUdevice device) {
  return device >= 0 && device < settings().devices;
}

}  // namespace

void CUctx_st::fail(int code, const std::string& message) {
  int none = 0;
  if (error.compare_exchange_strong(none, code)) noteFailure(message);
}

CUresult usable(CUcontext context) {
  if (!alive(context, CONTEXT)) return CUDA_ERROR_INVALID_CONTEXT;
  return static_cast<CUresult>(context->error.load(std::memory_order_relaxed));
}
CUresult currentContext(CUcontext& context) {
  if (stack.empty() || stack.back() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  context = stack.back();
  if (context->mark == DEAD) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  return usable(context);
}
CUresult findStream(CUstream handle, CUstream& stream) {
  const auto number = reinterpret_cast<uintptr_t>(handle);
  if (number <= 2) {
    CUcontext context = nullptr;
    TRY(currentContext(context));
    stream = context->legacy;
    if (number == 2) {
      thread_local std::map<CUcontext, CUstream> own;
      CUstream& mine = own[context];
      if (mine == nullptr || mine->mark == DEAD) {
        mine = new CUstream_st(context, 0);
        std::lock_guard guard(context->lock);
        context->streams.push_back(mine);
      }
      stream = mine;
    }
    return CUDA_SUCCESS;
  }
  if (!alive(handle, STREAM)) return CUDA_ERROR_INVALID_HANDLE;
  stream = handle;
  return usable(stream->context);
}
std::vector<CUcontext> liveContexts() {
  std::lock_guard guard(contexts().lock);
  return contexts().live;
}
void failDevice(int device, int code) {
  for (CUcontext context : liveContexts()) {
    if (context->device == device) context->fail(code, "device " + std::to_string(device) + " was lost: a test wanted it");
  }
}

// ------------------------------------------------------------------------------------------------------------------------- start

static CallSite site_cuInit{"cuInit"};
EXPORT CUresult cuInit(unsigned flags) {
  const CUresult entered = site_cuInit.enter();
  if (entered != CUDA_SUCCESS && entered != CUDA_ERROR_NOT_INITIALIZED) return entered;
  REQUIRE(flags == 0);
  if (settings().devices <= 0) return CUDA_ERROR_NO_DEVICE;
  static std::once_flag once;
  CUresult result = CUDA_SUCCESS;
  std::call_once(once, [&] {
    const char* commands = getenv("KINDLING_STAND_IN_CONTROL");
    std::istringstream in(commands != nullptr ? commands : "");
    for (std::string command; std::getline(in, command, ';');) {
      if (command.find_first_not_of(' ') == std::string::npos) continue;
      const std::string answer = kindling_stand_in_control(command.c_str());
      if (answer.rfind("error: ", 0) == 0) fprintf(stderr, "KINDLING_STAND_IN_CONTROL: %s\n", answer.c_str());
    }
    driverStarted = true;
  });
  return result;
}
EXPORT CUresult cuDriverGetVersion(int* version) {
  REQUIRE(version != nullptr);
  *version = settings().driverVersion;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorName(CUresult error, const char** text) {
  REQUIRE(text != nullptr);
  switch (error) {
#define X(name, value) \
  case value: *text = #name; return CUDA_SUCCESS;
    KD_ERRORS(X)
#undef X
  }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
EXPORT CUresult cuGetErrorString(CUresult error, const char** text) {
  switch (error) {
    case CUDA_SUCCESS: *text = "no error"; return CUDA_SUCCESS;
    case CUDA_ERROR_INVALID_VALUE: *text = "invalid argument"; return CUDA_SUCCESS;
    case CUDA_ERROR_OUT_OF_MEMORY: *text = "out of memory"; return CUDA_SUCCESS;
    case CUDA_ERROR_NOT_INITIALIZED: *text = "initialization error"; return CUDA_SUCCESS;
    case CUDA_ERROR_NO_DEVICE: *text = "no CUDA-capable device is detected"; return CUDA_SUCCESS;
    case CUDA_ERROR_INVALID_DEVICE: *text = "invalid device ordinal"; return CUDA_SUCCESS;
    case CUDA_ERROR_INVALID_IMAGE: *text = "device kernel image is invalid"; return CUDA_SUCCESS;
    case CUDA_ERROR_INVALID_CONTEXT: *text = "invalid device context"; return CUDA_SUCCESS;
    case CUDA_ERROR_NO_BINARY_FOR_GPU: *text = "no kernel image is available for execution on the device"; return CUDA_SUCCESS;
    case CUDA_ERROR_INVALID_HANDLE: *text = "invalid resource handle"; return CUDA_SUCCESS;
    case CUDA_ERROR_NOT_FOUND: *text = "named symbol not found"; return CUDA_SUCCESS;
    case CUDA_ERROR_NOT_READY: *text = "device not ready"; return CUDA_SUCCESS;
    case CUDA_ERROR_ILLEGAL_ADDRESS: *text = "an illegal memory access was encountered"; return CUDA_SUCCESS;
    case CUDA_ERROR_LAUNCH_TIMEOUT: *text = "the launch timed out and was terminated"; return CUDA_SUCCESS;
    case CUDA_ERROR_MISALIGNED_ADDRESS: *text = "misaligned address"; return CUDA_SUCCESS;
    case CUDA_ERROR_LAUNCH_FAILED: *text = "unspecified launch failure"; return CUDA_SUCCESS;
    case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: *text = "operation not permitted when stream is capturing"; return CUDA_SUCCESS;
    case CUDA_ERROR_STREAM_CAPTURE_INVALIDATED:
      *text = "operation failed due to a previous error during capture";
      return CUDA_SUCCESS;
    default: return cuGetErrorName(error, text);
  }
}

/** Newer versions of a function first, of those that the asker's version of CUDA had. */
EXPORT CUresult cuGetProcAddress_v2(const char* symbol, void** pointer, int version, unsigned long long, int* status) {
  REQUIRE(symbol != nullptr && pointer != nullptr);
  static void* const self = [] {
    Dl_info info{};
    dladdr(reinterpret_cast<void*>(&cuInit), &info);
    return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  }();
  std::string name = symbol;
  if (name == "cuGraphInstantiate" && version >= 12000) name = "cuGraphInstantiateWithFlags";
  *pointer = nullptr;
  for (const char* suffix : {"_v2", ""}) {
    if (*pointer == nullptr) *pointer = dlsym(self, (name + suffix).c_str());
  }
  if (status != nullptr) *status = *pointer == nullptr ? 1 : 0;
  return *pointer == nullptr ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}
EXPORT CUresult cuGetProcAddress(const char* symbol, void** pointer, int version, unsigned long long flags) {
  return cuGetProcAddress_v2(symbol, pointer, version, flags, nullptr);
}

// ----------------------------------------------------------------------------------------------------------------------- devices

DRIVER(cuDeviceGetCount, int* count) {
  ENTER(cuDeviceGetCount);
  REQUIRE(count != nullptr);
  *count = settings().devices;
  return CUDA_SUCCESS;
}
DRIVER(cuDeviceGet, CUdevice* device, int ordinal) {
  ENTER(cuDeviceGet);
  REQUIRE(device != nullptr);
  if (!isDevice(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}
DRIVER(cuDeviceGetName, char* name, int length, CUdevice device) {
  ENTER(cuDeviceGetName);
  REQUIRE(name != nullptr && length > 0);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  snprintf(name, static_cast<size_t>(length), "Kindling stand-in %d (no GPU)", device);
  return CUDA_SUCCESS;
}
DRIVER(cuDeviceGetUuid, CUuuid* uuid, CUdevice device) {
  ENTER(cuDeviceGetUuid);
  REQUIRE(uuid != nullptr);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  memcpy(uuid->bytes, "kindlingstandin", 15);
  uuid->bytes[15] = static_cast<unsigned char>(device);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return cuDeviceGetUuid(uuid, device);
}
DRIVER(cuDeviceTotalMem_v2, size_t* bytes, CUdevice device) {
  ENTER(cuDeviceTotalMem_v2);
  REQUIRE(bytes != nullptr);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  *bytes = TOTAL_MEMORY;
  return CUDA_SUCCESS;
}
DRIVER(cuDeviceGetAttribute, int* value, CUdevice_attribute attribute, CUdevice device) {
  ENTER(cuDeviceGetAttribute);
  REQUIRE(value != nullptr);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *value = 64; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *value = 0x7fffffff; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *value = 65535; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = SHARED_DEFAULT; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = SHARED_OPTIN; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: *value = 228 << 10; break;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY: *value = 64 << 10; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = KD_WARP; break;
    case CU_DEVICE_ATTRIBUTE_MAX_PITCH: *value = 0x7fffffff; break;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: *value = 65536; break;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *value = 1980000; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *value = 2619000; break;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *value = 5120; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = MULTIPROCESSORS; break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *value = 50 << 20; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: *value = 2048; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: *value = 3; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED: *value = 1; break;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: *value = device + 1; break;
    default: *value = 0; break;
  }
  return CUDA_SUCCESS;
}
DRIVER(cuDeviceComputeCapability, int* major, int* minor, CUdevice device) {
  ENTER(cuDeviceComputeCapability);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  *major = 9;
  *minor = 0;
  return CUDA_SUCCESS;
}
DRIVER(cuDeviceCanAccessPeer, int* can, CUdevice device, CUdevice peer) {
  ENTER(cuDeviceCanAccessPeer);
  if (!isDevice(device) || !isDevice(peer)) return CUDA_ERROR_INVALID_DEVICE;
  *can = device != peer;
  return CUDA_SUCCESS;
}

// ---------------------------------------------------------------------------------------------------------------------- contexts

DRIVER(cuDevicePrimaryCtxRetain, CUcontext* context, CUdevice device) {
  ENTER(cuDevicePrimaryCtxRetain);
  REQUIRE(context != nullptr);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard guard(contexts().lock);
  auto& primary = contexts().primary[device];
  if (primary.context == nullptr) primary.context = makeContext(device, primary.flags, true);
  primary.references++;
  *context = primary.context;
  return CUDA_SUCCESS;
}
DRIVER(cuDevicePrimaryCtxRelease_v2, CUdevice device) {
  ENTER(cuDevicePrimaryCtxRelease_v2);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard guard(contexts().lock);
  auto& primary = contexts().primary[device];
  if (primary.references == 0) return CUDA_ERROR_INVALID_CONTEXT;
  // A reset may have destroyed it already.
  if (--primary.references == 0 && primary.context != nullptr) destroyContext(std::exchange(primary.context, nullptr));
  return CUDA_SUCCESS;
}
DRIVER(cuDevicePrimaryCtxReset_v2, CUdevice device) {
  ENTER(cuDevicePrimaryCtxReset_v2);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard guard(contexts().lock);
  auto& primary = contexts().primary[device];
  if (primary.context != nullptr) destroyContext(std::exchange(primary.context, nullptr));
  return CUDA_SUCCESS;
}
DRIVER(cuDevicePrimaryCtxSetFlags_v2, CUdevice device, unsigned flags) {
  ENTER(cuDevicePrimaryCtxSetFlags_v2);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard guard(contexts().lock);
  contexts().primary[device].flags = flags;
  return CUDA_SUCCESS;
}
DRIVER(cuDevicePrimaryCtxGetState, CUdevice device, unsigned* flags, int* active) {
  ENTER(cuDevicePrimaryCtxGetState);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard guard(contexts().lock);
  const auto& primary = contexts().primary[device];
  *flags = primary.flags;
  *active = primary.context != nullptr;
  return CUDA_SUCCESS;
}
DRIVER(cuCtxCreate_v2, CUcontext* context, unsigned flags, CUdevice device) {
  ENTER(cuCtxCreate_v2);
  REQUIRE(context != nullptr);
  if (!isDevice(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard guard(contexts().lock);
  *context = makeContext(device, flags, false);
  stack.push_back(*context);
  return CUDA_SUCCESS;
}
DRIVER(cuCtxDestroy_v2, CUcontext context) {
  ENTER(cuCtxDestroy_v2);
  if (!alive(context, CONTEXT) || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
  std::lock_guard guard(contexts().lock);
  destroyContext(context);
  if (!stack.empty() && stack.back() == context) stack.pop_back();
  return CUDA_SUCCESS;
}
DRIVER(cuCtxSetCurrent, CUcontext context) {
  ENTER(cuCtxSetCurrent);
  if (context != nullptr && !alive(context, CONTEXT)) return CUDA_ERROR_INVALID_CONTEXT;
  if (stack.empty()) {
    if (context != nullptr) stack.push_back(context);
  } else if (context == nullptr) {
    stack.pop_back();
  } else {
    stack.back() = context;
  }
  return CUDA_SUCCESS;
}
DRIVER(cuCtxGetCurrent, CUcontext* context) {
  ENTER(cuCtxGetCurrent);
  REQUIRE(context != nullptr);
  *context = stack.empty() ? nullptr : stack.back();
  return CUDA_SUCCESS;
}
DRIVER(cuCtxPushCurrent_v2, CUcontext context) {
  ENTER(cuCtxPushCurrent_v2);
  if (!alive(context, CONTEXT)) return CUDA_ERROR_INVALID_CONTEXT;
  stack.push_back(context);
  return CUDA_SUCCESS;
}
DRIVER(cuCtxPopCurrent_v2, CUcontext* context) {
  ENTER(cuCtxPopCurrent_v2);
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (context != nullptr) *context = stack.back();
  stack.pop_back();
  return CUDA_SUCCESS;
}
DRIVER(cuCtxGetDevice, CUdevice* device) {
  ENTER(cuCtxGetDevice);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  *device = context->device;
  return CUDA_SUCCESS;
}
DRIVER(cuCtxGetFlags, unsigned* flags) {
  ENTER(cuCtxGetFlags);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  *flags = context->flags;
  return CUDA_SUCCESS;
}
DRIVER(cuCtxGetApiVersion, CUcontext, unsigned* version) {
  ENTER(cuCtxGetApiVersion);
  *version = 3020;
  return CUDA_SUCCESS;
}
DRIVER(cuCtxGetStreamPriorityRange, int* least, int* greatest) {
  ENTER(cuCtxGetStreamPriorityRange);
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return CUDA_SUCCESS;
}
DRIVER(cuCtxSynchronize) {
  ENTER(cuCtxSynchronize);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  if (anyCapturing(context)) {
    invalidateCaptures(context);
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  drainContext(context);
  return usable(context);
}
DRIVER(cuCtxEnablePeerAccess, CUcontext peer, unsigned flags) {
  ENTER(cuCtxEnablePeerAccess);
  REQUIRE(flags == 0);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  return alive(peer, CONTEXT) && peer != context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
DRIVER(cuProfilerStart) {
  ENTER(cuProfilerStart);
  return CUDA_SUCCESS;
}
DRIVER(cuProfilerStop) {
  ENTER(cuProfilerStop);
  return CUDA_SUCCESS;
}
