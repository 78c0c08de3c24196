// A thread that carries out tasks in order. It starts with the first task, and does not outlive the process's exit handlers: the driver must
// not be called while it takes itself down.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace kindling {

class TaskThread {
 public:
  using Task = std::function<void()>;

  // At most 15 characters, for debuggers.
  explicit TaskThread(const char* name) : name_(name) {}
  ~TaskThread() { stop(); }
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  // Tasks of a lower order go first, equal ones in the order of the calls.
  void add(uint64_t order, Task task);
  // Carries out what is left and ends.
  void finish() { end(false); }
  // Drops what is left, waits for the task under way, and ends.
  void stop() { end(true); }

 private:
  friend class ExitHandler;
  struct Entry {
    uint64_t order;
    Task task;
  };

  void start();
  void run();
  void end(bool drop);
  // Waits for the thread a while, without joining it.
  void leave_before_exit();

  const char* const name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> tasks_;
  std::thread thread_;
  bool ending_ = false;
  bool running_ = false;
};

}  // namespace kindling
