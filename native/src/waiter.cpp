#include "waiter.h"

namespace kindling {

void Waiter::wait(std::shared_ptr<Event> event, Done done) {
  const uint64_t order = event->order;
  thread_.add(order, [this, event = std::move(event), done = std::move(done)] {
    driver_.context_set(context_);
    done(driver_.event_synchronize(event->handle));
  });
}

}  // namespace kindling
