/** Start, contexts, memory, copies, launches, modules, NVRTC. */

#include "tools.h"

namespace {

void beforeStart() {
  int count = 0;
  IS(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
  IS(cuInit(1), CUDA_ERROR_INVALID_VALUE);
  OK(cuInit(0));
  OK(cuInit(0));
  OK(cuDeviceGetCount(&count));
  IS(count, 2);
  printf(failed.empty() ? "ok nothing works before cuInit\n" : "failed nothing works before cuInit: %s\n", failed.c_str());
  failed.clear();
}

void devices() {
  CUdevice device = -1;
  OK(cuDeviceGet(&device, 1));
  IS(device, 1);
  IS(cuDeviceGet(&device, 2), CUDA_ERROR_INVALID_DEVICE);
  char name[64];
  OK(cuDeviceGetName(name, sizeof name, 1));
  TRUE(strstr(name, "stand-in 1") != nullptr);
  CUuuid a, b;
  OK(cuDeviceGetUuid(&a, 0));
  OK(cuDeviceGetUuid(&b, 1));
  TRUE(memcmp(&a, &b, sizeof a) != 0);
  int value = 0;
  OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
  IS(value, 9);
  OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
  IS(value, 132);
  size_t bytes = 0;
  OK(cuDeviceTotalMem_v2(&bytes, 0));
  IS(bytes, 80ll << 30);
  const char* text = nullptr;
  OK(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
  TRUE(strcmp(text, "CUDA_ERROR_ILLEGAL_ADDRESS") == 0);
  IS(cuGetErrorName(static_cast<CUresult>(12345), &text), CUDA_ERROR_INVALID_VALUE);
  OK(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
  TRUE(strcmp(text, "out of memory") == 0);
}

void contexts() {
  CUcontext first = nullptr, again = nullptr, other = nullptr, current = nullptr;
  OK(cuCtxGetCurrent(&first));
  OK(cuDevicePrimaryCtxRetain(&again, 0));
  TRUE(first == again);
  OK(cuDevicePrimaryCtxRelease_v2(0));
  OK(cuCtxCreate_v2(&other, 0, 1));
  CUdevice device = -1;
  OK(cuCtxGetDevice(&device));
  IS(device, 1);
  CUdeviceptr there = 0;
  OK(cuMemAlloc_v2(&there, 16));
  OK(cuCtxPopCurrent_v2(&current));
  TRUE(current == other);
  OK(cuCtxGetCurrent(&current));
  TRUE(current == first);
  OK(cuCtxPushCurrent_v2(other));
  OK(cuCtxDestroy_v2(other));
  IS(cuCtxSetCurrent(other), CUDA_ERROR_INVALID_CONTEXT);
  // What another thread has current is its own business; it has none.
  std::thread([&] {
    CUdeviceptr address = 0;
    IS(cuMemAlloc_v2(&address, 16), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
  OK(cuMemAlloc_v2(&there, 16));
  OK(cuDevicePrimaryCtxReset_v2(0));
  IS(cuMemAlloc_v2(&there, 16), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  TRUE(control("objects").find("\"allocations\": 0, \"bytes\": 0") != std::string::npos);
}

void memory() {
  CUdeviceptr a = 0, b = 0, base = 0;
  IS(cuMemAlloc_v2(&a, 0), CUDA_ERROR_INVALID_VALUE);
  size_t freeBefore = 0, freeAfter = 0, total = 0;
  OK(cuMemGetInfo_v2(&freeBefore, &total));
  IS(freeBefore, 1ll << 30);
  OK(cuMemAlloc_v2(&a, 1000));
  IS(a % 256, 0);
  OK(cuMemGetInfo_v2(&freeAfter, &total));
  IS(freeBefore - freeAfter, 1000);
  IS(cuMemAlloc_v2(&b, (1ll << 30) - 999), CUDA_ERROR_OUT_OF_MEMORY);
  control("memory 3000");
  IS(cuMemAlloc_v2(&b, 2001), CUDA_ERROR_OUT_OF_MEMORY);
  OK(cuMemAlloc_v2(&b, 2000));
  control("memory 1073741824");
  size_t size = 0;
  OK(cuMemGetAddressRange_v2(&base, &size, a + 999));
  IS(base, a);
  IS(size, 1000);
  IS(cuMemGetAddressRange_v2(&base, &size, a + 1000), CUDA_ERROR_NOT_FOUND);
  IS(cuMemFree_v2(a + 256), CUDA_ERROR_INVALID_VALUE);
  OK(cuMemFree_v2(a));
  IS(cuMemFree_v2(a), CUDA_ERROR_INVALID_VALUE);
  OK(cuMemFree_v2(0));
  // Poison is NaN in every format of floats.
  for (unsigned word : get<unsigned>(b, 500)) IS(word, 0x7ff57ff5);
}

void copies() {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  const CUdeviceptr a = put<int>({1, 2, 3, 4}), b = put<int>({0, 0, 0, 0});
  // Plain memory is read at once, pinned memory when its turn comes.
  int plain[2] = {10, 11};
  int* pinned = nullptr;
  OK(cuMemHostAlloc(reinterpret_cast<void**>(&pinned), 8, 0));
  pinned[0] = pinned[1] = 20;
  control("hold");
  OK(cuMemcpyHtoDAsync_v2(b, plain, 8, stream));
  OK(cuMemcpyHtoDAsync_v2(b + 8, pinned, 8, stream));
  plain[0] = 99;
  pinned[1] = 21;
  IS(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  control("release");
  OK(cuStreamSynchronize(stream));
  TRUE((get<int>(b, 4) == std::vector<int>{10, 11, 20, 21}));
  OK(cuMemcpyDtoDAsync_v2(b, a + 4, 12, stream));
  OK(cuMemcpyDtoHAsync_v2(pinned, b, 8, stream));
  OK(cuStreamSynchronize(stream));
  IS(pinned[0] * 10 + pinned[1], 23);
  // Into plain memory it is there when the call returns.
  OK(cuMemcpyDtoHAsync_v2(plain, b + 4, 8, stream));
  IS(plain[0] * 10 + plain[1], 34);
  OK(cuMemFreeHost(pinned));
  IS(cuMemFreeHost(pinned), CUDA_ERROR_INVALID_VALUE);
  int mine[4];
  OK(cuMemHostRegister_v2(mine, sizeof mine, 0));
  IS(cuMemHostRegister_v2(mine, sizeof mine, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  OK(cuMemHostUnregister(mine));
  // Fills.
  OK(cuMemsetD8Async(a, 0xab, 3, stream));
  OK(cuStreamSynchronize(stream));
  OK(cuMemsetD16_v2(a + 4, 0x1234, 2));
  OK(cuMemsetD32_v2(a + 8, 77, 2));
  TRUE((get<int>(a, 4) == std::vector<int>{0xababab, 0x12341234, 77, 77}));
  IS(cuMemsetD32_v2(a + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
  // Ranges must lie within one allocation; saying so harms nothing.
  IS(cuMemcpyDtoDAsync_v2(a, b, 20, stream), CUDA_ERROR_INVALID_VALUE);
  IS(cuMemcpyHtoD_v2(a + 8, mine, 12), CUDA_ERROR_INVALID_VALUE);
  IS(cuMemsetD8Async(a + 16, 0, 1, stream), CUDA_ERROR_INVALID_VALUE);
  IS(cuMemcpyHtoD_v2(reinterpret_cast<CUdeviceptr>(mine), plain, 4), CUDA_ERROR_INVALID_VALUE);
  OK(cuCtxSynchronize());
}

void freedMeanwhile() {
  CUstream first = nullptr, second = nullptr;
  OK(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
  OK(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
  CUevent freed = nullptr;
  OK(cuEventCreate(&freed, 0));
  const CUdeviceptr a = put<int>({1});
  control("hold");
  OK(cuMemFreeAsync(a, second));
  OK(cuEventRecord(freed, second));
  OK(cuStreamWaitEvent(first, freed, 0));
  OK(cuMemsetD32Async(a, 0, 1, first));
  control("release");
  IS(cuStreamSynchronize(first), CUDA_ERROR_ILLEGAL_ADDRESS);
  TRUE(control("report") == "a fill of memory that was freed before its turn came");
  // From now on, everything says so.
  CUdeviceptr b = 0;
  IS(cuMemAlloc_v2(&b, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
  IS(cuStreamQuery(second), CUDA_ERROR_ILLEGAL_ADDRESS);
  IS(cuEventSynchronize(freed), CUDA_ERROR_ILLEGAL_ADDRESS);
}

const char* const LAUNCHES = R"(
  extern "C" __global__ void where(unsigned* out) {
    unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + threadIdx.z * 100 + threadIdx.y * 10 + threadIdx.x;
  }
  extern "C" __global__ void __launch_bounds__(128, 2) store(int* out, int a, double b, char c) { out[threadIdx.x] = a + (int)b + c; }
  extern "C" __global__ void both(int* out) {
    __shared__ int s[256];
    extern __shared__ int d[];
    s[threadIdx.x] = 1;
    d[threadIdx.x] = s[threadIdx.x] + 1;
    out[threadIdx.x] = d[threadIdx.x];
  }
)";

void launches() {
  CUfunction where = function(LAUNCHES, "where"), store = function(LAUNCHES, "store"), both = function(LAUNCHES, "both");
  CUdeviceptr out = put(std::vector<unsigned>(2 * 3 * 2 * 24, 0));
  void* params[] = {&out};
  OK(cuLaunchKernel(where, 2, 3, 2, 4, 3, 2, 0, nullptr, params, nullptr));
  const auto ids = get<unsigned>(out, 2 * 3 * 2 * 24);
  for (unsigned block = 0; block < 12; block++) {
    for (unsigned t = 0; t < 24; t++) IS(ids[block * 24 + t], block * 1000 + t / 12 * 100 + t / 4 % 3 * 10 + t % 4);
  }
  // Parameters one by one, and packed.
  int a = 40;
  double b = 2.5;
  char c = -1;
  void* four[] = {&out, &a, &b, &c};
  OK(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, nullptr, four, nullptr));
  IS(get<int>(out, 1)[0], 41);
  struct {
    CUdeviceptr out;
    int a;
    double b;
    char c;
  } packed = {out, 50, 1.5, 3};
  size_t size = 25;
  void* extra[] = {reinterpret_cast<void*>(CU_LAUNCH_PARAM_BUFFER_POINTER), &packed,
                   reinterpret_cast<void*>(CU_LAUNCH_PARAM_BUFFER_SIZE), &size, nullptr};
  OK(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra));
  IS(get<int>(out, 1)[0], 54);
  size = 24;
  IS(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra), CUDA_ERROR_INVALID_VALUE);
  IS(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), CUDA_ERROR_INVALID_VALUE);
  IS(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, nullptr, four, extra), CUDA_ERROR_INVALID_VALUE);
  size_t offset = 0;
  OK(cuFuncGetParamInfo(store, 2, &offset, &size));
  IS(offset * 100 + size, 1608);
  IS(cuFuncGetParamInfo(store, 4, &offset, &size), CUDA_ERROR_INVALID_VALUE);
  // Limits.
  IS(cuLaunchKernel(where, 0, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr), CUDA_ERROR_INVALID_VALUE);
  IS(cuLaunchKernel(where, 1, 65536, 1, 1, 1, 1, 0, nullptr, params, nullptr), CUDA_ERROR_INVALID_VALUE);
  IS(cuLaunchKernel(where, 1, 1, 1, 1025, 1, 1, 0, nullptr, params, nullptr), CUDA_ERROR_INVALID_VALUE);
  IS(cuLaunchKernel(where, 1, 1, 1, 64, 32, 1, 0, nullptr, params, nullptr), CUDA_ERROR_INVALID_VALUE);
  IS(cuLaunchKernel(where, 1, 1, 1, 1, 1, 65, 0, nullptr, params, nullptr), CUDA_ERROR_INVALID_VALUE);
  IS(cuLaunchKernel(store, 1, 1, 1, 129, 1, 1, 0, nullptr, four, nullptr), CUDA_ERROR_INVALID_VALUE);
  int value = 0;
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, store));
  IS(value, 128);
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, both));
  IS(value, 1024);
  // Static and dynamic shared memory together: 48 KiB, or what was asked for.
  IS(cuLaunchKernel(both, 1, 1, 1, 64, 1, 1, 47 * 1024 + 4, nullptr, params, nullptr), CUDA_ERROR_INVALID_VALUE);
  OK(cuLaunchKernel(both, 1, 1, 1, 64, 1, 1, 47 * 1024, nullptr, params, nullptr));
  IS(get<int>(out, 64)[63], 2);
  IS(cuFuncSetAttribute(both, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 227 * 1024), CUDA_ERROR_INVALID_VALUE);
  OK(cuFuncSetAttribute(both, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 226 * 1024));
  OK(cuLaunchKernel(both, 1, 1, 1, 64, 1, 1, 226 * 1024, nullptr, params, nullptr));
  OK(cuCtxSynchronize());
}

void modules() {
  CUmodule module = nullptr;
  CUfunction found = nullptr;
  char junk[4096] = "this is no image";
  IS(cuModuleLoadData(&module, junk), CUDA_ERROR_INVALID_IMAGE);
  const std::vector<char> image = compiled(LAUNCHES);
  OK(cuModuleLoadData(&module, image.data()));
  IS(cuModuleGetFunction(&found, module, "nowhere"), CUDA_ERROR_NOT_FOUND);
  OK(cuModuleGetFunction(&found, module, "where"));
  // Twice the same image are two modules, with memory of their own.
  CUmodule second = nullptr;
  OK(cuModuleLoadData(&second, image.data()));
  TRUE(second != module);
  OK(cuModuleUnload(module));
  IS(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
  CUdeviceptr out = put<int>({0});
  void* params[] = {&out};
  IS(cuLaunchKernel(found, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr), CUDA_ERROR_INVALID_HANDLE);
  OK(cuModuleGetFunction(&found, second, "where"));
  OK(cuLaunchKernel(found, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr));
  OK(cuCtxSynchronize());
}

void nvrtc() {
  int major = 0, minor = 0;
  IS(nvrtcVersion(&major, &minor), 0);
  TRUE(major == 12 && minor > 0);
  TRUE(strcmp(nvrtcGetErrorString(6), "NVRTC_ERROR_COMPILATION") == 0);
  const char* text = R"(
    namespace deep { template <class T, int N> __global__ void scale(T* x) { x[threadIdx.x] *= N; } }
    __global__ void plain(int* x) { x[0] = 5; }
  )";
  nvrtcProgram program = nullptr;
  IS(nvrtcCreateProgram(&program, text, "names.cu", 0, nullptr, nullptr), 0);
  const char *lowered = nullptr, *other = nullptr;
  IS(nvrtcAddNameExpression(program, "deep::scale<float, 3>"), 0);
  IS(nvrtcAddNameExpression(program, "plain"), 0);
  IS(nvrtcGetLoweredName(program, "plain", &lowered), 9);
  const char* options[] = {"--gpu-architecture=sm_90"};
  IS(nvrtcCompileProgram(program, 1, options), 0);
  IS(nvrtcAddNameExpression(program, "plain"), 8);
  IS(nvrtcGetLoweredName(program, "deep::scale<float, 3>", &lowered), 0);
  IS(nvrtcGetLoweredName(program, "plain", &other), 0);
  IS(nvrtcGetLoweredName(program, "deep", &other), 10);
  size_t cubin = 0, ptx = 0, log = 0;
  IS(nvrtcGetCUBINSize(program, &cubin), 0);
  std::vector<char> image(cubin);
  IS(nvrtcGetCUBIN(program, image.data()), 0);
  CUmodule module = nullptr;
  CUfunction scale = nullptr;
  OK(cuModuleLoadData(&module, image.data()));
  OK(cuModuleGetFunction(&scale, module, lowered));
  CUdeviceptr x = put<float>({1, 2});
  void* params[] = {&x};
  OK(cuLaunchKernel(scale, 1, 1, 1, 2, 1, 1, 0, nullptr, params, nullptr));
  TRUE((get<float>(x, 2) == std::vector<float>{3, 6}));
  // A virtual architecture has no CUBIN.
  const char* compute[] = {"-arch=compute_90"};
  IS(nvrtcCompileProgram(program, 1, compute), 0);
  nvrtcGetCUBINSize(program, &cubin);
  nvrtcGetPTXSize(program, &ptx);
  IS(cubin, 0);
  TRUE(ptx > 0);
  const char* wrong[] = {"--no-such-option"};
  IS(nvrtcCompileProgram(program, 1, wrong), 5);
  nvrtcGetProgramLogSize(program, &log);
  std::vector<char> message(log);
  nvrtcGetProgramLog(program, message.data());
  TRUE(strstr(message.data(), "--no-such-option") != nullptr);
  IS(nvrtcDestroyProgram(&program), 0);
  TRUE(program == nullptr);
}

void procAddress() {
  void* pointer = nullptr;
  int status = -1;
  OK(cuGetProcAddress_v2("cuMemAlloc", &pointer, 12000, 0, &status));
  TRUE(pointer == reinterpret_cast<void*>(&cuMemAlloc_v2));
  OK(cuGetProcAddress_v2("cuGraphInstantiate", &pointer, 12000, 0, &status));
  TRUE(pointer == reinterpret_cast<void*>(&cuGraphInstantiateWithFlags));
  IS(cuGetProcAddress_v2("cuNothing", &pointer, 12000, 0, &status), CUDA_ERROR_NOT_FOUND);
  TRUE(pointer == nullptr);
}

void faults() {
  CUdeviceptr a = 0;
  control("fail cuMemAlloc 2 2 2");
  OK(cuMemAlloc_v2(&a, 4));
  IS(cuMemAlloc_v2(&a, 4), CUDA_ERROR_OUT_OF_MEMORY);
  IS(cuMemAlloc_v2(&a, 4), CUDA_ERROR_OUT_OF_MEMORY);
  OK(cuMemAlloc_v2(&a, 4));
  TRUE(control("fail cuNothing 1 2").rfind("error: ", 0) == 0);
  TRUE(control("nonsense").rfind("error: ", 0) == 0);
  control("reset counts");
  cuMemFree_v2(a);
  cuMemFree_v2(a);
  TRUE(control("counts").find("\"cuMemFree\": 2") != std::string::npos);
  control("lose 0 214");
  IS(cuMemAlloc_v2(&a, 4), CUDA_ERROR_ECC_UNCORRECTABLE);
  IS(cuCtxSynchronize(), CUDA_ERROR_ECC_UNCORRECTABLE);
}

void noop() {
  CUfunction store = function(LAUNCHES, "store");
  CUdeviceptr out = put<int>({7});
  int a = 1;
  double b = 1;
  char c = 1;
  void* params[] = {&out, &a, &b, &c};
  control("noop 1");
  OK(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr));
  IS(cuLaunchKernel(store, 1, 1, 1, 129, 1, 1, 0, nullptr, params, nullptr), CUDA_ERROR_INVALID_VALUE);
  IS(get<int>(out, 1)[0], 7);
  control("noop 0");
  // Within the call that asks for it: nothing is pending afterwards, though nobody waited.
  control("sync 1");
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  OK(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr));
  OK(cuStreamQuery(stream));
  IS(*reinterpret_cast<int*>(out), 3);
  control("sync 0");
}

}  // namespace

int main() {
  beforeStart();
  test("devices and errors", devices);
  test("contexts", contexts);
  test("memory", memory);
  test("copies and fills", copies);
  test("memory that is freed before its turn comes", freedMeanwhile);
  test("launches", launches);
  test("modules", modules);
  test("nvrtc", nvrtc);
  test("cuGetProcAddress", procAddress);
  test("faults on request", faults);
  test("no-op and synchronous modes", noop);
  return failures > 0;
}
