#include "thread.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

namespace kindling {

// `process.exit()` on the main thread ends in exit(), without tearing the environment down. Its handlers run in reverse order, so this one,
// added when the driver has started, runs before the driver's.
class ExitHandler {
 public:
  static ExitHandler& get() {
    static ExitHandler* const handler = new ExitHandler;
    return *handler;
  }

  void add(TaskThread* thread) {
    std::lock_guard<std::mutex> lock(mutex_);
    threads_.push_back(thread);
  }
  void remove(TaskThread* thread) {
    std::lock_guard<std::mutex> lock(mutex_);
    threads_.erase(std::remove(threads_.begin(), threads_.end(), thread), threads_.end());
  }

 private:
  ExitHandler() {
    std::atexit([] { get().leave(); });
  }
  void leave() {
    std::lock_guard<std::mutex> lock(mutex_);
    for (TaskThread* thread : threads_) thread->leave_before_exit();
  }

  std::mutex mutex_;
  std::vector<TaskThread*> threads_;
};

void TaskThread::add(uint64_t order, Task task) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (ending_) return;
  auto place = tasks_.end();
  while (place != tasks_.begin() && (place - 1)->order > order) --place;
  tasks_.insert(place, {order, std::move(task)});
  if (!thread_.joinable()) start();
  changed_.notify_all();
}

void TaskThread::start() {
  ExitHandler::get().add(this);
  running_ = true;
  // Signals are for Node's own threads.
  sigset_t all, before;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void TaskThread::run() {
  pthread_setname_np(pthread_self(), name_);
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (tasks_.empty()) break;
    Task task = std::move(tasks_.front().task);
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
  running_ = false;
  changed_.notify_all();
}

void TaskThread::end(bool drop) {
  std::deque<Entry> dropped;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
    if (drop) dropped.swap(tasks_);
    if (!thread_.joinable()) return;
    changed_.notify_all();
  }
  thread_.join();
  ExitHandler::get().remove(this);
}

void TaskThread::leave_before_exit() {
  std::unique_lock<std::mutex> lock(mutex_);
  ending_ = true;
  // Not destroyed here: what they refer to belongs to an environment that is left as it is.
  auto* const dropped = new std::deque<Entry>;
  dropped->swap(tasks_);
  changed_.notify_all();
  changed_.wait_for(lock, std::chrono::seconds(2), [this] { return !running_; });
}

}  // namespace kindling
