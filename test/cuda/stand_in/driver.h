/** The inside of the stand-in's libcuda. */
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "driver_api.h"
#include "fibers.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// ---------------------------------------------------------------------------------------------------------------------- settings

struct Settings {
  int devices = 1;
  int driverVersion = 12080;
  std::atomic<size_t> memory{size_t{1} << 30};
  std::atomic<bool> sync{false}, noop{false}, check{false}, log{false};
  std::atomic<double> timeout{60};
  std::atomic<unsigned> launchDelay{0}, copyDelay{0};
  std::mutex lock;
  LaunchOrder order;
  bool held = false;
  std::condition_variable released;
};
Settings& settings();
LaunchOptions launchOptions();
/** Waits while the streams are held. */
void waitWhileHeld();

/** A function of the driver: counts its calls, and fails where a test wants it to. */
struct CallSite {
  std::string name;
  std::atomic<unsigned long long> calls{0};
  explicit CallSite(const char* symbol);
  /** What the call must return at once, or success. */
  CUresult enter();
};
extern std::atomic<bool> driverStarted;

#define DRIVER(symbol, ...)               \
  static CallSite site_##symbol{#symbol}; \
  EXPORT CUresult symbol(__VA_ARGS__)
#define ENTER(symbol) \
  if (const CUresult entered = site_##symbol.enter(); entered != CUDA_SUCCESS) return entered
#define TRY(expression) \
  if (const CUresult tried = (expression); tried != CUDA_SUCCESS) return tried
#define REQUIRE(condition) \
  if (!(condition)) return CUDA_ERROR_INVALID_VALUE

void noteFailure(const std::string& message);

// ----------------------------------------------------------------------------------------------------------------------- objects

/** Objects are marked when they are destroyed and never freed, so that a stale handle is known for what it is. */
enum Mark : unsigned { DEAD = 0, CONTEXT = 0x4b430001, STREAM, EVENT, MODULE, FUNCTION, GRAPH, GRAPH_EXEC };
template <class T>
bool alive(const T* object, Mark mark) {
  return object != nullptr && (reinterpret_cast<uintptr_t>(object) & 7) == 0 && reinterpret_cast<uintptr_t>(object) > 4096 &&
         object->mark == mark;
}
/** How many exist. */
struct ObjectCounts {
  std::atomic<int> contexts{0}, streams{0}, events{0}, modules{0}, graphs{0};
};
extern ObjectCounts objectCounts;

/** A place in a stream that others wait for. */
class Marker {
 public:
  void complete();
  void wait();
  bool ready();
  /** Nanoseconds, when it is ready. */
  long long time();

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool done_ = false;
  long long time_ = 0;
};
using MarkerRef = std::shared_ptr<Marker>;

struct Operation {
  enum Kind { LAUNCH, COPY, HOST, MARK, WAIT } kind;
  std::function<LaunchResult()> run;
  /** Of MARK and WAIT: carried out also where the context has failed. */
  MarkerRef marker;
  /** Within graphs: recorded, or waited for, whenever the graph runs. */
  CUevent event = nullptr;
};

struct GraphNode {
  Operation operation;
  std::vector<size_t> after;
};
struct CUgraph_st {
  Mark mark = GRAPH;
  std::vector<GraphNode> nodes;
};
struct CUgraphExec_st {
  Mark mark = GRAPH_EXEC;
  CUcontext context = nullptr;
  std::vector<GraphNode> nodes;
};

struct Capture {
  CUgraph graph = nullptr;
  CUstream origin = nullptr;
  CUstreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false;
  unsigned long long id;
  std::vector<CUstream> streams;
};
using CaptureRef = std::shared_ptr<Capture>;

struct CUctx_st {
  Mark mark = CONTEXT;
  int device = 0;
  unsigned flags = 0;
  bool primary = false;
  std::atomic<int> error{0};
  std::mutex lock;
  std::vector<CUstream> streams;
  std::vector<CUmodule> modules;
  /** The stream of handle 0. */
  CUstream legacy = nullptr;

  /** Whatever comes now returns this error. */
  void fail(int code, const std::string& message);
};

struct CUstream_st {
  Mark mark = STREAM;
  CUcontext context = nullptr;
  unsigned flags = 0;
  bool legacy = false;
  int priority = 0;
  unsigned long long id = 0;
  /** Guarded by captureLock(). */
  CaptureRef capture;
  std::vector<size_t> captureAfter;
  std::atomic<bool> capturing{false};

  explicit CUstream_st(CUcontext context, unsigned flags);
  void push(Operation operation);
  bool idle();
  void drain();
  /** Ends the thread when everything before has been done. */
  void finish();

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<Operation> queue_;
  bool working_ = false, ending_ = false;
  std::mutex syncLock_;
  bool started_ = false;
  void loop();
  void perform(Operation& operation);
};

struct CUevent_st {
  Mark mark = EVENT;
  CUcontext context = nullptr;
  unsigned flags = 0;
  std::mutex lock;
  /** Of the last record; null: there was none. */
  MarkerRef marker;
  CaptureRef capture;
  std::vector<size_t> captureAfter;
};

struct CUfunc_st {
  Mark mark = FUNCTION;
  CUmodule module = nullptr;
  const KdKernel* kernel = nullptr;
  /** Dynamic shared memory that may be asked for. */
  std::atomic<unsigned> dynamicLimit{0};
  unsigned staticShared() const;
};

struct CUmod_st {
  Mark mark = MODULE;
  CUcontext context = nullptr;
  void* library = nullptr;
  const KdModule* table = nullptr;
  std::map<std::string, CUfunction> functions;
  /** One launch at a time: blockIdx and shared memory are the module's. */
  std::mutex running;
};

// ------------------------------------------------------------------------------------------------------------------------- parts

// contexts.cpp
/** The calling thread's context, which must be usable. */
CUresult currentContext(CUcontext& context);
CUresult usable(CUcontext context);
/** A stream by its handle, in a usable context. */
CUresult findStream(CUstream handle, CUstream& stream);
void failDevice(int device, int code);
std::vector<CUcontext> liveContexts();

// streams.cpp
/** In order, or into the capture. */
CUresult enqueue(CUstream stream, Operation operation);
void endStreams(CUcontext context);
/** Waits for all of a context's streams. */
void drainContext(CUcontext context);

// captures.cpp
std::recursive_mutex& captureLock();
/** For calls that a capture may forbid: what they must return. */
CUresult checkUnsafe();
/** Before work in the legacy stream: forbidden while a blocking stream captures. */
CUresult checkImplicit(CUcontext context);
CUresult captureOperation(CUstream stream, Operation operation);
/** For calls that wait for a stream. */
CUresult refuseCapturing(CUstream stream);
bool anyCapturing(CUcontext context);
void invalidateCaptures(CUcontext context);
CUresult captureRecord(CUstream stream, CUevent event);
/** Whether the wait was one between captures, and so is done. */
CUresult captureWait(CUstream stream, CUevent event, bool& done);

// memory.cpp
struct Allocation {
  uint64_t base = 0;
  size_t bytes = 0;
  int device = 0;
  /** What was mapped, guard pages included. */
  void* mapping = nullptr;
  size_t mapped = 0;
};
/** Whether [address, address + bytes) lies in one allocation. */
bool isDeviceRange(uint64_t address, size_t bytes);
bool isPinned(const void* pointer, size_t bytes);
std::string describeAddress(uint64_t address);
/** With memory checks: whether bytes just beyond an allocation were written. Says which. */
bool findOverrun(std::string& message);
void freeAllOf(int device);
void memoryCounts(size_t& allocations, size_t& bytes, size_t& hostAllocations);

// modules.cpp
void unloadModules(CUcontext context);
