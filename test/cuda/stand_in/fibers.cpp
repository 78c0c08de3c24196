#include "fibers.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "context_switch.h"
#include "driver_api.h"
#include "traps.h"

namespace {

constexpr size_t STACK_BYTES = 128 << 10;
constexpr size_t GUARD_BYTES = 4096;
constexpr unsigned MOST_THREADS = 1024;
constexpr unsigned DYNAMIC_BYTES = 256 << 10;

std::string format(const char* text, ...) {
  char buffer[512];
  va_list args;
  va_start(args, text);
  vsnprintf(buffer, sizeof buffer, text, args);
  va_end(args);
  return buffer;
}

/** An access beyond either end of the region traps. */
unsigned char* mapGuarded(size_t bytes) {
  void* at = mmap(nullptr, bytes + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  unsigned char* low = static_cast<unsigned char*>(at) + GUARD_BYTES;
  mprotect(low, bytes, PROT_READ | PROT_WRITE);
  return low;
}

struct Fiber {
  SwitchPoint point;
  unsigned char* stack = nullptr;
  size_t top = 0;
  /** Which thread it shall start when it is switched to while idle. */
  unsigned next = 0;
};

enum Status : uint8_t { FRESH, RUNNING, READY, AT_BARRIER, AT_EXCHANGE, DONE };

struct AsyncCopy {
  void* to;
  const void* from;
  unsigned bytes, valid;
};

struct ThreadState {
  Status status;
  /** Of the barrier or exchange that it waits at. */
  unsigned site;
  unsigned mask;
  unsigned parity;
  Fiber* fiber;
  KdDim index;
};

struct Warp {
  unsigned arrived;
  unsigned exists;
  alignas(16) unsigned char slots[2][KD_WARP][KD_SLOT];
};

/** One block at a time, with everything that outlives it to be used again. One per operating system thread. */
class Executor {
 public:
  LaunchResult launch(const KdKernel& kernel, const KdModule& module, const LaunchShape& shape, const unsigned char* arguments,
                      const LaunchOptions& options);

  unsigned barrier(unsigned site, unsigned vote);
  const unsigned char* exchange(unsigned mask, unsigned meeting, const void* mine, unsigned bytes);
  [[noreturn]] void fail(int code, std::string message);
  unsigned current = 0;
  void asyncCopy(const AsyncCopy& copy);
  void asyncCommit();
  void asyncWait(unsigned most);
  void fiberMain();

 private:
  const KdKernel* kernel_ = nullptr;
  const KdModule* module_ = nullptr;
  KdThread* self_ = nullptr;
  const unsigned char* arguments_ = nullptr;
  LaunchOrder order_;
  uint64_t random_ = 0;
  unsigned threads_ = 0;
  std::vector<ThreadState> states_;
  std::unique_ptr<Warp[]> warps_;
  /** Threads that can go on, in order; a ring. */
  std::vector<unsigned> ring_, released_;
  unsigned head_ = 0, queued_ = 0;
  unsigned arrived_ = 0, votes_ = 0, lastVotes_ = 0, done_ = 0;
  SwitchPoint main_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  unsigned char* dynamic_ = nullptr;
  /** Copies that have not arrived, per thread: groups that were committed, oldest first, and the one that is being gathered. */
  using Copies = std::vector<AsyncCopy>;
  struct Pending {
    std::vector<Copies> groups;
    Copies open;
  };
  std::vector<Pending> pending_;
  bool async_ = false;
  Pending& pending();
  LaunchResult failure_;
  TrapFrame* frame_ = nullptr;

  uint64_t random() {
    random_ += 0x9e3779b97f4a7c15ull;
    uint64_t x = random_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  }
  void push(unsigned thread) {
    unsigned at = head_ + queued_++;
    if (at >= MOST_THREADS) at -= MOST_THREADS;
    ring_[at] = thread;
  }
  void pushFirst(unsigned thread) {
    head_ = head_ == 0 ? MOST_THREADS - 1 : head_ - 1;
    ring_[head_] = thread;
    queued_++;
  }
  unsigned pop() {
    const unsigned thread = ring_[head_++];
    if (head_ == MOST_THREADS) head_ = 0;
    queued_--;
    return thread;
  }
  /**
   * Threads first .. first + count - 1 for which `which` holds can go on, in the launch's order: before all others that can, so that a warp
   * runs ahead as far as it gets, or (shuffled, now and then) after them, so that warps go side by side.
   */
  template <class F>
  void release(unsigned first, unsigned count, F which) {
    unsigned found = 0;
    for (unsigned i = first; i < first + count; i++) {
      if (which(i)) released_[found++] = i;
    }
    bool ahead = true;
    if (order_.kind == LaunchOrder::REVERSE) {
      std::reverse(released_.begin(), released_.begin() + found);
    } else if (order_.kind == LaunchOrder::SHUFFLE) {
      for (unsigned n = found; n > 1; n--) std::swap(released_[n - 1], released_[static_cast<unsigned>(random() % n)]);
      ahead = (random() & 1) != 0;
    }
    if (ahead) {
      for (unsigned i = found; i-- > 0;) pushFirst(released_[i]);
    } else {
      for (unsigned i = 0; i < found; i++) push(released_[i]);
    }
  }
  Fiber* idleFiber();
  void goOn(Fiber* from);
  void suspend();
  void runBlock();
  std::string stuck();
};

thread_local Executor* running __attribute__((tls_model("initial-exec"))) = nullptr;
thread_local Executor* kept __attribute__((tls_model("initial-exec"))) = nullptr;

void startFiber() {
  running->fiberMain();
}

Fiber* Executor::idleFiber() {
  if (!idle_.empty()) {
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return fiber;
  }
  auto made = std::make_unique<Fiber>();
  made->stack = mapGuarded(STACK_BYTES);
  if (made->stack == nullptr) fail(CUDA_ERROR_OUT_OF_MEMORY, "no memory for the stack of a thread");
  // Stacks that begin at like addresses would throw each other out of the cache.
  made->top = STACK_BYTES - fibers_.size() % 128 * 320;
  preparePoint(made->point, made->stack, made->top, startFiber);
  fibers_.push_back(std::move(made));
  return fibers_.back().get();
}

/** `from` has nothing more to do, or waits; whoever is next goes on. Returns when `from` is switched to again. */
void Executor::goOn(Fiber* from) {
  if (queued_ == 0) {
    switchTo(from->point, main_);
    return;
  }
  const unsigned next = pop();
  ThreadState& state = states_[next];
  Fiber* to = state.fiber;
  if (to == nullptr) {
    to = idleFiber();
    to->next = next;
  } else {
    current = next;
    self_->thread = state.index;
    state.status = RUNNING;
  }
  if (to != from) switchTo(from->point, to->point);
}

void Executor::fiberMain() {
  // Which fiber this is: the one that was handed the thread `next`.
  Fiber* me = nullptr;
  for (auto& fiber : fibers_) {
    unsigned char here;
    if (&here >= fiber->stack && &here < fiber->stack + STACK_BYTES) me = fiber.get();
  }
  for (;;) {
    unsigned thread = me->next;
    for (;;) {
      ThreadState& state = states_[thread];
      current = thread;
      self_->thread = state.index;
      state.fiber = me;
      state.status = RUNNING;
      kernel_->entry(arguments_);
      if (async_) asyncWait(0);
      state.status = DONE;
      state.fiber = nullptr;
      done_++;
      // A thread that has not begun yet begins right here.
      if (queued_ == 0 || states_[ring_[head_]].fiber != nullptr) break;
      thread = pop();
    }
    idle_.push_back(me);
    goOn(me);
  }
}

/** The current thread waits. */
void Executor::suspend() {
  goOn(states_[current].fiber);
}

unsigned Executor::barrier(unsigned site, unsigned vote) {
  ThreadState& state = states_[current];
  state.status = AT_BARRIER;
  state.site = site;
  votes_ += vote != 0;
  if (++arrived_ < threads_) {
    suspend();
    return lastVotes_;
  }
  for (unsigned i = 0; i < threads_; i++) {
    if (states_[i].site != site) fail(CUDA_ERROR_LAUNCH_FAILED, stuck());
  }
  arrived_ = 0;
  lastVotes_ = votes_;
  votes_ = 0;
  release(0, threads_, [&](unsigned i) {
    states_[i].status = READY;
    return true;
  });
  // The last to come is not the first to go: it waits its turn.
  suspend();
  return lastVotes_;
}

const unsigned char* Executor::exchange(unsigned mask, unsigned meeting, const void* mine, unsigned bytes) {
  const unsigned me = current, lane = me % KD_WARP, first = me - lane;
  ThreadState& state = states_[me];
  Warp& warp = warps_[me / KD_WARP];
  if ((mask >> lane & 1) == 0)
    fail(CUDA_ERROR_LAUNCH_FAILED, format("lane %u takes part in a warp operation whose mask 0x%08x leaves it out", lane, mask));
  if (bytes > KD_SLOT)
    fail(CUDA_ERROR_LAUNCH_FAILED, format("a lane gives %u bytes to an exchange; at most %u are possible", bytes, KD_SLOT));
  state.parity ^= 1;
  const unsigned parity = state.parity;
  memcpy(warp.slots[parity][lane], mine, bytes);
  state.site = meeting;
  state.mask = mask;
  state.status = AT_EXCHANGE;
  warp.arrived |= 1u << lane;
  const unsigned wanted = mask & warp.exists;
  bool complete = (warp.arrived & wanted) == wanted;
  if (complete) {
    for (unsigned i = 0; i < KD_WARP; i++) {
      if ((wanted >> i & 1) != 0 && states_[first + i].mask != mask) complete = false;
    }
  }
  if (complete) {
    for (unsigned i = 0; i < KD_WARP; i++) {
      if ((wanted >> i & 1) == 0) {
        // Lanes that take no part may be at exchanges of their own; those that do not exist give poison.
        if ((warp.exists >> i & 1) == 0) poisonMemory(warp.slots[parity][i], bytes);
      } else if (states_[first + i].site != meeting || states_[first + i].parity != parity) {
        fail(CUDA_ERROR_LAUNCH_FAILED, stuck());
      }
    }
    warp.arrived &= ~wanted;
    release(first, std::min<unsigned>(KD_WARP, threads_ - first), [&](unsigned i) {
      if ((wanted >> (i - first) & 1) == 0) return false;
      states_[i].status = READY;
      return true;
    });
  }
  suspend();
  return warp.slots[parity][0];
}

const char* meetingName(unsigned meeting) {
  static const char* const names[] = {"a warp operation", "__syncwarp",  "a shuffle", "a vote",
                                      "a match",          "a reduction", "an mma"};
  return names[meeting < 7 ? meeting : 0];
}

/** Why nobody can go on. */
std::string Executor::stuck() {
  struct Place {
    Status status;
    unsigned site;
    unsigned count, first;
  };
  std::vector<Place> places;
  for (unsigned i = 0; i < threads_; i++) {
    const ThreadState& state = states_[i];
    const unsigned site = state.status == DONE ? 0 : state.site;
    auto place =
        std::find_if(places.begin(), places.end(), [&](const Place& p) { return p.status == state.status && p.site == site; });
    if (place == places.end()) places.push_back({state.status, site, 1, i});
    else place->count++;
  }
  std::string text = "threads diverged:";
  for (const Place& p : places) {
    const std::string who = format(" %u thread%s (the first is %u)", p.count, p.count == 1 ? "" : "s", p.first);
    if (p.status == DONE) text += who + " left";
    else if (p.status == AT_BARRIER) text += who + format(" wait at the barrier of line %u", p.site);
    else if (p.status == AT_EXCHANGE) text += who + format(" wait at %s", meetingName(p.site));
    else text += who + " did not get to run";
    text += &p == &places.back() ? "" : ",";
  }
  return text;
}

void Executor::fail(int code, std::string message) {
  failure_.code = code;
  failure_.message = format("thread %u: ", current) + std::move(message);
  frame_->signal = 0;
  siglongjmp(frame_->escape, 1);
}

Executor::Pending& Executor::pending() {
  if (!async_) {
    async_ = true;
    pending_.assign(threads_, {});
  }
  return pending_[current];
}
void Executor::asyncCopy(const AsyncCopy& copy) {
  // The memory is there, whatever it holds until the copy arrives.
  poisonMemory(copy.to, copy.bytes);
  if (copy.valid > 0) {
    const auto* from = static_cast<const volatile unsigned char*>(copy.from);
    static_cast<void>(from[0] + from[copy.valid - 1]);
  }
  pending().open.push_back(copy);
}
void Executor::asyncCommit() {
  Pending& mine = pending();
  mine.groups.push_back(std::exchange(mine.open, {}));
}
void Executor::asyncWait(unsigned most) {
  if (!async_) return;
  auto& groups = pending().groups;
  if (groups.size() <= most) return;
  const auto end = groups.end() - most;
  for (auto group = groups.begin(); group != end; ++group) {
    for (const AsyncCopy& c : *group) {
      memcpy(c.to, c.from, c.valid);
      memset(static_cast<unsigned char*>(c.to) + c.valid, 0, c.bytes - c.valid);
    }
  }
  groups.erase(groups.begin(), end);
}

void Executor::runBlock() {
  const unsigned whole = (threads_ + KD_WARP - 1) / KD_WARP;
  for (unsigned i = 0; i < threads_; i++) {
    ThreadState& state = states_[i];
    state.status = FRESH;
    state.fiber = nullptr;
    state.parity = 0;
  }
  for (unsigned w = 0; w < whole; w++) {
    warps_[w].arrived = 0;
    const unsigned lanes = std::min<unsigned>(KD_WARP, threads_ - w * KD_WARP);
    warps_[w].exists = lanes == KD_WARP ? ~0u : (1u << lanes) - 1;
  }
  poisonMemory(kernel_->sharedBegin, static_cast<size_t>(kernel_->sharedEnd - kernel_->sharedBegin));
  poisonMemory(module_->sharedBegin, static_cast<size_t>(module_->sharedEnd - module_->sharedBegin));
  if (self_->dynamicShared != nullptr)
    poisonMemory(self_->dynamicShared, static_cast<size_t>(dynamic_ + DYNAMIC_BYTES - self_->dynamicShared));
  head_ = queued_ = arrived_ = votes_ = done_ = 0;
  async_ = false;
  release(0, threads_, [](unsigned) { return true; });
  Fiber* first = idleFiber();
  first->next = pop();
  switchTo(main_, first->point);
  if (done_ != threads_) fail(CUDA_ERROR_LAUNCH_FAILED, stuck());
}

std::string trapText(const TrapFrame& frame, const LaunchOptions& options) {
  switch (frame.signal) {
    case SIGSEGV:
    case SIGBUS:
      if (frame.general) return "an access at an address that is misaligned for its type, or no address at all";
      return format("%s at 0x%llx", frame.write ? "a write" : "a read", static_cast<unsigned long long>(frame.address)) +
             (options.describe != nullptr ? options.describe(frame.address) : "");
    case SIGFPE: return "an arithmetic trap";
    case SIGILL:
    case SIGTRAP: return "an index beyond the end of a __shared__ or local array, or an address that is misaligned for its type";
    default: return format("it ran for more than %g s", options.timeoutSeconds);
  }
}

int trapCode(const TrapFrame& frame) {
  if (frame.signal == watchdogSignal()) return CUDA_ERROR_LAUNCH_TIMEOUT;
  if (frame.signal == SIGSEGV || frame.signal == SIGBUS)
    return frame.general ? CUDA_ERROR_MISALIGNED_ADDRESS : CUDA_ERROR_ILLEGAL_ADDRESS;
  if (frame.signal == SIGILL || frame.signal == SIGTRAP) return CUDA_ERROR_ILLEGAL_ADDRESS;
  return CUDA_ERROR_LAUNCH_FAILED;
}

LaunchResult Executor::launch(const KdKernel& kernel, const KdModule& module, const LaunchShape& shape,
                              const unsigned char* arguments, const LaunchOptions& options) {
  KdThread& self = *module.self;
  kernel_ = &kernel;
  module_ = &module;
  self_ = &self;
  arguments_ = arguments;
  order_ = options.order;
  random_ = order_.seed;
  failure_ = {};
  threads_ = shape.block.x * shape.block.y * shape.block.z;
  if (states_.empty()) {
    states_.resize(MOST_THREADS);
    ring_.resize(MOST_THREADS);
    released_.resize(MOST_THREADS);
    warps_ = std::make_unique<Warp[]>(MOST_THREADS / KD_WARP);
    dynamic_ = mapGuarded(DYNAMIC_BYTES);
  }
  for (unsigned i = 0; i < threads_; i++) {
    states_[i].index = {i % shape.block.x, i / shape.block.x % shape.block.y, i / shape.block.x / shape.block.y};
  }
  self.blockSize = shape.block;
  self.grid = shape.grid;
  self.dynamicShared = shape.dynamicShared == 0 ? nullptr : dynamic_ + DYNAMIC_BYTES - (shape.dynamicShared + 15) / 16 * 16;

  const uint64_t blocks = static_cast<uint64_t>(shape.grid.x) * shape.grid.y * shape.grid.z;
  TrapFrame frame;
  frame_ = &frame;
  Executor* const outer = running;
  running = this;
  armTraps(frame);
  if (sigsetjmp(frame.escape, 0) == 0) {
    // A stride without a common divisor visits every block once.
    uint64_t stride = 1, start = 0;
    if (order_.kind == LaunchOrder::SHUFFLE && blocks > 1) {
      auto common = [](uint64_t a, uint64_t b) {
        while (b != 0) a = std::exchange(b, a % b);
        return a;
      };
      start = random() % blocks;
      do stride = 1 + random() % blocks;
      while (common(stride, blocks) != 1);
    }
    uint64_t at = start;
    for (uint64_t i = 0; i < blocks; i++) {
      const uint64_t block = order_.kind == LaunchOrder::REVERSE ? blocks - 1 - i : at;
      self.block = {static_cast<unsigned>(block % shape.grid.x), static_cast<unsigned>(block / shape.grid.x % shape.grid.y),
                    static_cast<unsigned>(block / shape.grid.x / shape.grid.y)};
      runBlock();
      at += stride;
      if (at >= blocks) at -= blocks;
    }
  } else {
    if (frame.signal != 0) {
      failure_.code = trapCode(frame);
      failure_.message = format("thread %u: ", current) + trapText(frame, options);
    }
    failure_.message =
        format("kernel %s, block %u", kernel.name, self.block.x + shape.grid.x * (self.block.y + shape.grid.y * self.block.z)) +
        ", " + failure_.message;
    // The fibers are left where they are; their stacks begin anew.
    idle_.clear();
    for (auto& fiber : fibers_) {
      preparePoint(fiber->point, fiber->stack, fiber->top, startFiber);
      idle_.push_back(fiber.get());
    }
  }
  disarmTraps(frame);
  running = outer;
  return failure_;
}

}  // namespace

bool parseOrder(const char* text, LaunchOrder& order) {
  if (text == nullptr || *text == 0 || strcmp(text, "forward") == 0) {
    order = {};
    return true;
  }
  if (strcmp(text, "reverse") == 0) {
    order = {LaunchOrder::REVERSE, 0};
    return true;
  }
  if (strncmp(text, "shuffle:", 8) != 0) return false;
  char* end = nullptr;
  order = {LaunchOrder::SHUFFLE, strtoull(text + 8, &end, 10)};
  return end != text + 8 && *end == 0;
}

void poisonMemory(void* at, size_t bytes) {
  auto* to = static_cast<unsigned char*>(at);
  // By address, so that what is poisoned in pieces looks the same.
  for (; bytes > 0 && (reinterpret_cast<uintptr_t>(to) & 7) != 0; bytes--, to++) {
    *to = static_cast<unsigned char>((reinterpret_cast<uintptr_t>(to) & 1) != 0 ? POISON >> 8 : POISON);
  }
  constexpr uint64_t word = POISON * 0x0001000100010001ull;
  for (; bytes >= 8; bytes -= 8, to += 8) memcpy(to, &word, 8);
  if (bytes > 0) memcpy(to, &word, bytes);
}

LaunchResult runLaunch(const KdKernel& kernel, const KdModule& module, const LaunchShape& shape, const unsigned char* arguments,
                       const LaunchOptions& options) {
  if (kept == nullptr) kept = new Executor;
  // A launch within a launch (a host function that launches) would need another one.
  watch(options.timeoutSeconds);
  LaunchResult result = kept->launch(kernel, module, shape, arguments, options);
  unwatch();
  return result;
}

LaunchResult runGuarded(const char* name, void (*run)(void*), void* data, const LaunchOptions& options) {
  TrapFrame frame;
  LaunchResult result;
  armTraps(frame);
  if (sigsetjmp(frame.escape, 0) == 0) run(data);
  else result = {trapCode(frame), std::string(name) + ": " + trapText(frame, options)};
  disarmTraps(frame);
  return result;
}

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT unsigned kd_barrier(unsigned site, unsigned vote) {
  return running->barrier(site, vote);
}
EXPORT const unsigned char* kd_exchange(unsigned mask, unsigned meeting, const void* mine, unsigned bytes) {
  return running->exchange(mask, meeting, mine, bytes);
}
EXPORT unsigned kd_lane() {
  return running->current % KD_WARP;
}
EXPORT void kd_trap(const char* message) {
  running->fail(CUDA_ERROR_LAUNCH_FAILED, message);
}
EXPORT void kd_async_copy(void* to, const void* from, unsigned bytes, unsigned valid) {
  running->asyncCopy({to, from, bytes, valid});
}
EXPORT void kd_async_commit() {
  running->asyncCommit();
}
EXPORT void kd_async_wait(unsigned most) {
  running->asyncWait(most);
}
