// The driver's events, and a stock of them for our own waiting.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "driver.h"

namespace kindling {

struct Event {
  Event(const Driver& driver, bool timing);
  ~Event() { driver.event_destroy(handle); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  const Driver& driver;
  const bool timing;
  CUevent handle = nullptr;
  // When it was recorded last, counted in records of the device; 0: never.
  uint64_t order = 0;
};

// Events without times. May be used by several threads.
class EventStock {
 public:
  explicit EventStock(const Driver& driver) : driver_(driver) {}
  std::unique_ptr<Event> take();
  void give(std::unique_ptr<Event> event);

 private:
  const Driver& driver_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Event>> events_;
};

}  // namespace kindling
