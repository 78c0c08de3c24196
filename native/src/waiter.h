// The device's one thread that waits for the stream.
#pragma once

#include <functional>
#include <memory>

#include "event.h"
#include "thread.h"

namespace kindling {

class Waiter {
 public:
  // Called on the waiter's thread.
  using Done = std::function<void(CUresult)>;

  Waiter(const Driver& driver, CUcontext context) : driver_(driver), context_(context), thread_("kindling-wait") {}

  // Events are waited for in the order in which they were recorded.
  void wait(std::shared_ptr<Event> event, Done done);
  // Waits for everything that is waited for.
  void finish() { thread_.finish(); }

 private:
  const Driver& driver_;
  const CUcontext context_;
  TaskThread thread_;
};

}  // namespace kindling
