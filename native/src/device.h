// One open device: its context, its stream, and what lives there. Used from the JavaScript thread that opened it; knows nothing of JavaScript.
// Everything is enqueued on the one stream, in the order of the calls.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "allocator.h"
#include "driver.h"
#include "event.h"
#include "libraries.h"
#include "staging.h"
#include "waiter.h"

namespace kindling {

struct OpenOptions {
  std::optional<uint64_t> memory_limit;
  bool exact_allocations = false;
  // Frees what is dead, by calls of `Device::free`.
  std::function<void()> reclaim;
};

// What LAUNCH needs of a function.
struct Function {
  CUfunction handle;
  unsigned threads, shared_bytes;
};

struct Counts {
  uint64_t launches = 0, submits = 0, copies = 0, graph_launches = 0;
};

class Device {
 public:
  Device(std::shared_ptr<const Driver> driver, int index, const SearchPath& path, OpenOptions options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Driver& driver() const { return *driver_; }
  const DeviceInfo& info() const { return info_; }
  CUstream stream() const { return stream_; }
  const SearchPath& search_path() const { return path_; }
  const Counts& counts() const { return counts_; }

  // Throws where the device is lost or closed. At the start of everything that JavaScript asks for.
  void require_usable() const;
  // The same, and makes its context current.
  void enter();
  // Throws what the driver reports; an error after which nothing works makes the device lost (as whoever catches one must see to).
  void check(CUresult result, const char* op) {
    if (__builtin_expect(result != CUDA_SUCCESS, 0)) fail(result, op);
  }
  [[noreturn]] void fail(CUresult result, const char* op);
  // The same for a library's error.
  [[noreturn]] void fail_library(const std::string& message, int status, const char* op);
  // From now on every call throws this.
  void lose(const Failure& failure);

  // Memory.
  CUdeviceptr allocate(uint64_t bytes);
  void free(CUdeviceptr address);
  void empty_cache();
  Allocator& memory() { return *memory_; }
  void memory_info(size_t& free, size_t& total);

  // Code.
  uint32_t load_module(const void* image, size_t bytes);
  uint32_t get_function(uint32_t module, const std::string& name, uint32_t threads, uint32_t shared_bytes);

  // The packed commands: see commands.cpp.
  void submit(const uint32_t* words, size_t count);

  // Transfers.
  void upload(CUdeviceptr address, const void* bytes, size_t count);
  void download_sync(CUdeviceptr address, void* bytes, size_t count);
  // Calls `done` on the waiter thread when the bytes are in `to`, or with the error.
  void download(CUdeviceptr address, void* to, size_t count, Waiter::Done done);
  void synchronize(Waiter::Done done);
  void synchronize_sync();
  bool idle();

  // Events.
  uint32_t create_event(bool timing);
  void destroy_event(uint32_t event);
  bool query_event(uint32_t event);
  void synchronize_event(uint32_t event, Waiter::Done done);
  void synchronize_event_sync(uint32_t event);
  double elapsed(uint32_t start, uint32_t end);
  void wait_event(Device& other, uint32_t event);

  // Graphs.
  void begin_capture();
  uint32_t end_capture();
  void abort_capture();
  void launch_graph(uint32_t graph);
  void destroy_graph(uint32_t graph);
  bool capturing() const { return capture_ != nullptr; }

  // Null where neither cuBLASLt nor cuDNN can be used. Opened at the first call.
  Libraries* libraries();

  // Waits for the stream and gives everything back. What waits is told first, on the waiter thread.
  void close();

 private:
  struct Graph {
    CUgraphExec exec;
    Pool* pool;
  };

  void open();
  void make_current() const;
  // Waits until nothing that was freed is in use. The context is current then.
  void settle();
  void require_no_capture(const char* what) const;
  void run_command(const uint32_t* words, size_t length);
  const std::shared_ptr<Event>& event(uint32_t number) const;
  Graph& graph(uint32_t number);
  void record(Event& event);
  // An event at this place of the stream.
  std::shared_ptr<Event> mark();
  Pool* leave_capture(CUgraph& graph, CUresult& result);
  void drop_everything();

  std::shared_ptr<const Driver> driver_;
  SearchPath path_;
  OpenOptions options_;
  DeviceInfo info_;
  CUdevice handle_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  bool closed_ = false;
  bool allocating_ = false;
  std::optional<Failure> lost_;
  Counts counts_;

  std::unique_ptr<EventStock> stock_;
  std::unique_ptr<Allocator> memory_;
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<Waiter> waiter_;
  std::vector<CUmodule> modules_;
  std::vector<Function> functions_;
  std::vector<std::shared_ptr<Event>> events_;
  std::vector<uint32_t> free_events_;
  uint64_t records_ = 0;
  std::vector<Graph> graphs_;
  // The pool of the capture that is under way, and where the stream was when it began.
  Pool* capture_ = nullptr;
  std::shared_ptr<Event> capture_start_;
  bool libraries_opened_ = false;
  std::unique_ptr<Libraries> libraries_;
};

}  // namespace kindling
