#include "driver.h"

#include <cstdlib>
#include <map>
#include <mutex>

namespace kindling {
namespace {

const LibraryNames& names() {
  static const LibraryNames* const names = new LibraryNames{
      "libcuda",
      {"libcuda.so.1"},
      {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib"},
      false,
      {},
      "install an NVIDIA driver (a container must be given it: --gpus all)"};
  return *names;
}

struct Drivers {
  std::mutex mutex;
  std::map<const Library*, std::shared_ptr<const Driver>> of;
};

}  // namespace

std::shared_ptr<const Driver> Driver::open(const SearchPath& path) {
  static Drivers* const drivers = new Drivers;  // outlives all threads
  const std::shared_ptr<const Library> library = Library::open(names(), path);
  std::lock_guard<std::mutex> lock(drivers->mutex);
  std::shared_ptr<const Driver>& entry = drivers->of[library.get()];
  if (!entry) entry.reset(new Driver(path));
  return entry;
}

Driver::Driver(const SearchPath& path) : library(Library::open(names(), path)) {
  if (library->found()) start();
  else problem = probe_of(*library).error;
}

void Driver::start() {
  std::vector<std::string> missing;
#define X(name, entry, parameters)                   \
  name = library->symbol<decltype(name)>(#entry); \
  if (!name) missing.push_back(#entry);
  KINDLING_DRIVER_FUNCTIONS(X)
#undef X
  if (driver_version) driver_version(&version);
  if (!missing.empty()) {
    problem = format("%s has no %s; install a driver for CUDA 11.4 or newer%s", library->opened().c_str(), joined(missing, ", ").c_str(),
                     version ? (" (this one knows " + version_text(version) + ")").c_str() : "");
    return;
  }
  const CUresult result = init(0);
  if (result != CUDA_SUCCESS) {
    status = result;
    problem = format("cuInit: %s", describe(result).c_str());
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    if (result == CUDA_ERROR_NO_DEVICE && visible) problem += format("; CUDA_VISIBLE_DEVICES is \"%s\"", visible);
    if (result == CUDA_ERROR_STUB_LIBRARY) problem += "; this is the toolkit's stub of libcuda, not a driver";
    return;
  }
  const CUresult counted = device_count(&devices);
  if (counted != CUDA_SUCCESS) problem = format("cuDeviceGetCount: %s", describe(counted).c_str());
}

void Driver::require() const {
  if (problem.empty()) return;
  if (!library->found()) throw library->missing(Code::NoDriver);
  const Code code = status == CUDA_ERROR_NO_DEVICE ? Code::NoDevice : Code::NoDriver;
  throw Failure{code, format("the driver %s cannot be used: %s", library->opened().c_str(), problem.c_str()), status,
                status ? "cuInit" : "", library->searched()};
}

std::string Driver::describe(CUresult result) const {
  const char* name = nullptr;
  const char* text = nullptr;
  if (error_name) error_name(result, &name);
  if (error_string) error_string(result, &text);
  return format("%s (%d)%s%s", name ? name : "an error unknown to the driver", result, text ? ": " : "", text ? text : "");
}

Failure Driver::failure(CUresult result, const char* op) const {
  const Code code = is_sticky(result) ? Code::DeviceLost : result == CUDA_ERROR_OUT_OF_MEMORY ? Code::OutOfMemory : Code::CudaError;
  const char* const hint = code == Code::DeviceLost ? "; what was enqueued earlier may be the cause" : "";
  return Failure{code, format("%s: %s%s", op, describe(result).c_str(), hint), result, op};
}

bool is_sticky(CUresult result) {
  switch (result) {
    case CUDA_ERROR_DEINITIALIZED:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_TENSOR_MEMORY_LEAK:
    case CUDA_ERROR_MPS_CLIENT_TERMINATED:
    case CUDA_ERROR_EXTERNAL_DEVICE: return true;
    default: return false;
  }
}

std::string version_text(int version) { return format("%d.%d", version / 1000, version % 1000 / 10); }

DeviceInfo device_info(const Driver& driver, int index) {
  CUdevice device = 0;
  driver.check(driver.device_get(&device, index), "cuDeviceGet");
  DeviceInfo info{};
  info.index = index;
  char name[256] = "";
  driver.check(driver.device_name(name, sizeof name - 1, device), "cuDeviceGetName");
  info.name = name;
  size_t bytes = 0;
  driver.check(driver.device_total_memory(&bytes, device), "cuDeviceTotalMem");
  info.total_memory = bytes;
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    driver.check(driver.device_attribute(&value, which, device), "cuDeviceGetAttribute");
    return value;
  };
  info.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  info.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.max_threads_per_block = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  info.shared_per_block = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
  info.shared_per_block_optin = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  info.l2_bytes = attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  CUuuid uuid{};
  driver.check(driver.device_uuid(&uuid, device), "cuDeviceGetUuid");
  info.uuid = "GPU-";
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) info.uuid += '-';
    info.uuid += format("%02x", unsigned(uuid.bytes[i]));
  }
  return info;
}

LibraryProbe probe_of(const Driver& driver) {
  LibraryProbe probe = probe_of(*driver.library);
  if (driver.version) probe.version = version_text(driver.version);
  probe.error = driver.problem;
  return probe;
}

}  // namespace kindling
