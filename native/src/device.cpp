#include "device.h"

#include <algorithm>
#include <cstring>

namespace kindling {
namespace {

// Pieces of a long download: one is copied while the next is on its way.
constexpr size_t PIECE = size_t(2) << 20;

// A pinned buffer that goes back by itself.
class Borrowed {
 public:
  Borrowed(Staging& staging, size_t bytes) : staging_(staging), buffer_(staging.take(bytes)) {}
  ~Borrowed() { staging_.give(buffer_); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  void* memory() const { return buffer_.memory; }

 private:
  Staging& staging_;
  const Pinned buffer_;
};

}  // namespace

Device::Device(std::shared_ptr<const Driver> driver, int index, const SearchPath& path, OpenOptions options)
    : driver_(std::move(driver)), path_(path), options_(std::move(options)) {
  driver_->require();
  if (index < 0 || index >= driver_->devices) {
    throw Failure{Code::NoDevice, format("there is no CUDA device %d; the driver has %d (cuda:0 is the first)", index, driver_->devices)};
  }
  info_ = device_info(*driver_, index);
  driver_->check(driver_->device_get(&handle_, index), "cuDeviceGet");
  try {
    open();
  } catch (...) {
    closed_ = true;
    drop_everything();
    throw;
  }
}

Device::~Device() { close(); }

void Device::open() {
  check(driver_->primary_retain(&context_, handle_), "cuDevicePrimaryCtxRetain");
  make_current();
  check(driver_->stream_create(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  stock_ = std::make_unique<EventStock>(*driver_);
  Allocator::Options memory;
  memory.limit = options_.memory_limit;
  memory.exact = options_.exact_allocations;
  memory.reclaim = options_.reclaim;
  memory.enter = [this] { make_current(); };
  memory.synchronize = [this] { settle(); };
  memory.check = [this](CUresult result, const char* op) { check(result, op); };
  memory_ = std::make_unique<Allocator>(*driver_, std::move(memory));
  staging_ = std::make_unique<Staging>(*driver_, *stock_);
  waiter_ = std::make_unique<Waiter>(*driver_, context_);
}

void Device::require_usable() const {
  if (__builtin_expect(!closed_ && !lost_, 1)) return;
  if (closed_) invalid("the device cuda:%d was closed", info_.index);
  throw *lost_;
}

void Device::enter() {
  require_usable();
  make_current();
}

// Other addons on this thread may have contexts of their own.
void Device::make_current() const {
  CUcontext current = nullptr;
  driver_->context_get(&current);
  if (current != context_) driver_->check(driver_->context_set(context_), "cuCtxSetCurrent");
}

void Device::fail(CUresult result, const char* op) {
  Failure failure = driver_->failure(result, op);
  if (failure.code == Code::DeviceLost) lose(failure);
  throw failure;
}

void Device::fail_library(const std::string& message, int status, const char* op) {
  // What a library calls a failure may be the end of the context. Asking would end a capture.
  if (!capture_) {
    const CUresult result = driver_->stream_query(stream_);
    if (is_sticky(result)) fail(result, op);
  }
  throw Failure{Code::CudaError, message, status, op};
}

void Device::lose(const Failure& failure) {
  if (!lost_) lost_ = failure;
}

void Device::require_no_capture(const char* what) const {
  if (capture_) invalid("%s: a graph is being captured, so nothing is carried out now; end the capture first", what);
}

void Device::settle() {
  make_current();
  if (capture_) check(driver_->event_synchronize(capture_start_->handle), "cuEventSynchronize");
  else check(driver_->stream_synchronize(stream_), "cuStreamSynchronize");
}

CUdeviceptr Device::allocate(uint64_t bytes) {
  struct Allocating {
    bool& flag;
    const bool before = flag;
    ~Allocating() { flag = before; }
  } allocating{allocating_};
  allocating_ = true;
  return memory_->allocate(bytes);
}

void Device::free(CUdeviceptr address) { memory_->free(address); }
void Device::empty_cache() { memory_->flush(); }

void Device::memory_info(size_t& free, size_t& total) { check(driver_->memory_info(&free, &total), "cuMemGetInfo"); }

uint32_t Device::load_module(const void* image, size_t bytes) {
  if (bytes == 0) invalid("loadModule: no bytes; expected a CUBIN or PTX");
  // PTX must end with a zero.
  std::vector<char> copy(bytes + 1);
  std::memcpy(copy.data(), image, bytes);
  CUmodule module = nullptr;
  check(driver_->module_load(&module, copy.data()), "cuModuleLoadData");
  modules_.push_back(module);
  return uint32_t(modules_.size() - 1);
}

uint32_t Device::get_function(uint32_t module, const std::string& name, uint32_t threads, uint32_t shared_bytes) {
  if (module >= modules_.size()) invalid("getFunction: there is no module %u; %zu are loaded", module, modules_.size());
  Function function{nullptr, threads, shared_bytes};
  check(driver_->module_function(&function.handle, modules_[module], name.c_str()), ("cuModuleGetFunction(" + name + ")").c_str());
  int most = 0;
  check(driver_->function_attribute(&most, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function.handle), "cuFuncGetAttribute");
  if (threads == 0 || threads > unsigned(most)) invalid("getFunction: %s cannot run with %u threads; 1 to %d", name.c_str(), threads, most);
  if (shared_bytes > 0) {
    int fixed = 0;
    check(driver_->function_attribute(&fixed, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function.handle), "cuFuncGetAttribute");
    const int64_t total = int64_t(fixed) + shared_bytes;
    if (total > info_.shared_per_block_optin) {
      invalid("getFunction: %s wants %lld bytes of shared memory (%d of them its own); this device has %d for a block", name.c_str(),
              (long long)total, fixed, info_.shared_per_block_optin);
    }
    if (total > info_.shared_per_block) {
      check(driver_->function_set(function.handle, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, int(shared_bytes)),
            "cuFuncSetAttribute");
    }
  }
  functions_.push_back(function);
  return uint32_t(functions_.size() - 1);
}

void Device::upload(CUdeviceptr address, const void* bytes, size_t count) {
  require_no_capture("upload");
  if (count == 0) return;
  counts_.copies++;
  staging_->upload(address, bytes, count, stream_);
}

void Device::download(CUdeviceptr address, void* to, size_t count, Waiter::Done done) {
  require_no_capture("download");
  counts_.copies++;
  auto buffer = std::make_shared<Borrowed>(*staging_, count);
  check(driver_->copy_to_host(buffer->memory(), address, count, stream_), "cuMemcpyDtoHAsync");
  waiter_->wait(mark(), [buffer = std::move(buffer), to, count, done = std::move(done)](CUresult result) mutable {
    if (result == CUDA_SUCCESS) std::memcpy(to, buffer->memory(), count);
    buffer.reset();  // as the waiter does with its event
    done(result);
  });
}

void Device::download_sync(CUdeviceptr address, void* bytes, size_t count) {
  require_no_capture("downloadSync");
  if (count == 0) return;
  counts_.copies++;
  char* to = static_cast<char*>(bytes);
  if (count <= PIECE) {
    const Borrowed buffer(*staging_, count);
    check(driver_->copy_to_host(buffer.memory(), address, count, stream_), "cuMemcpyDtoHAsync");
    check(driver_->stream_synchronize(stream_), "cuStreamSynchronize");
    std::memcpy(to, buffer.memory(), count);
    return;
  }
  const Borrowed buffers[2] = {{*staging_, PIECE}, {*staging_, PIECE}};
  std::shared_ptr<Event> arrived[2];
  const size_t pieces = (count + PIECE - 1) / PIECE;
  const auto size_of = [&](size_t piece) { return std::min(PIECE, count - piece * PIECE); };
  const auto fetch = [&](size_t piece) {
    const void* const from = buffers[piece % 2].memory();
    check(driver_->copy_to_host(const_cast<void*>(from), address + piece * PIECE, size_of(piece), stream_), "cuMemcpyDtoHAsync");
    arrived[piece % 2] = mark();
  };
  fetch(0);
  for (size_t piece = 0; piece < pieces; piece++) {
    if (piece + 1 < pieces) fetch(piece + 1);
    check(driver_->event_synchronize(arrived[piece % 2]->handle), "cuEventSynchronize");
    std::memcpy(to + piece * PIECE, buffers[piece % 2].memory(), size_of(piece));
  }
}

void Device::synchronize(Waiter::Done done) {
  require_no_capture("synchronize");
  waiter_->wait(mark(), std::move(done));
}

void Device::synchronize_sync() {
  require_no_capture("synchronizeSync");
  check(driver_->stream_synchronize(stream_), "cuStreamSynchronize");
}

bool Device::idle() {
  if (capture_) return false;
  const CUresult result = driver_->stream_query(stream_);
  if (result == CUDA_ERROR_NOT_READY) return false;
  check(result, "cuStreamQuery");
  return true;
}

Libraries* Device::libraries() {
  if (!libraries_opened_) {
    libraries_opened_ = true;
    libraries_ = Libraries::open(*this, path_);
  }
  return libraries_.get();
}

void Device::close() {
  if (closed_) return;
  if (allocating_) invalid("close: not while `reclaim` makes room for an allocation");
  closed_ = true;
  try {
    make_current();
  } catch (const Failure&) {
    // The context is gone; so is what lived there.
  }
  if (capture_) {
    CUgraph graph = nullptr;
    CUresult result;
    leave_capture(graph, result);
    if (graph) driver_->graph_destroy(graph);
  }
  driver_->stream_synchronize(stream_);
  drop_everything();
}

// What fails here fails because the device is lost.
void Device::drop_everything() {
  if (waiter_) waiter_->finish();
  waiter_.reset();
  libraries_.reset();
  for (const Graph& graph : graphs_) {
    if (graph.exec) driver_->graph_exec_destroy(graph.exec);
  }
  graphs_.clear();
  capture_start_.reset();
  events_.clear();
  staging_.reset();
  memory_.reset();
  options_.reclaim = nullptr;
  stock_.reset();
  functions_.clear();
  for (CUmodule module : modules_) driver_->module_unload(module);
  modules_.clear();
  if (stream_) driver_->stream_destroy(stream_);
  stream_ = nullptr;
  if (!context_) return;
  CUcontext current = nullptr;
  if (driver_->context_get(&current) == CUDA_SUCCESS && current == context_) driver_->context_set(nullptr);
  driver_->primary_release(handle_);
  context_ = nullptr;
}

}  // namespace kindling
