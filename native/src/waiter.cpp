#include "waiter.h"

namespace kindling {

void Waiter::wait(std::shared_ptr<Event> event, Done done) {
  const uint64_t order = event->order;
  thread_.add(order, [this, event = std::move(event), done = std::move(done)]() mutable {
    driver_.context_set(context_);
    const CUresult result = driver_.event_synchronize(event->handle);
    // Before anyone hears of it: who goes on at once finds the event in stock.
    event.reset();
    done(result);
  });
}

}  // namespace kindling
