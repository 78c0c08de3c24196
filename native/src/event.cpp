#include "event.h"

namespace kindling {

// Blocking: whoever waits for it sleeps.
Event::Event(const Driver& driver, bool timing) : driver(driver), timing(timing) {
  driver.check(driver.event_create(&handle, CU_EVENT_BLOCKING_SYNC | (timing ? 0 : CU_EVENT_DISABLE_TIMING)), "cuEventCreate");
}

std::unique_ptr<Event> EventStock::take() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!events_.empty()) {
      std::unique_ptr<Event> event = std::move(events_.back());
      events_.pop_back();
      return event;
    }
  }
  return std::make_unique<Event>(driver_, false);
}

void EventStock::give(std::unique_ptr<Event> event) {
  std::lock_guard<std::mutex> lock(mutex_);
  events_.push_back(std::move(event));
}

}  // namespace kindling
