// Events and graphs of a device.
#include "device.h"

namespace kindling {

const std::shared_ptr<Event>& Device::event(uint32_t number) const {
  if (number >= events_.size() || !events_[number]) invalid("there is no event %u", number);
  return events_[number];
}

// In a capture the event itself goes into the graph, so that every replay records it.
void Device::record(Event& event) {
  check(capture_ ? driver_->event_record_with_flags(event.handle, stream_, CU_EVENT_RECORD_EXTERNAL)
                 : driver_->event_record(event.handle, stream_),
        "cuEventRecord");
  event.order = ++records_;
}

std::shared_ptr<Event> Device::mark() {
  const std::shared_ptr<Event> event(stock_->take().release(),
                                     [stock = stock_.get()](Event* event) { stock->give(std::unique_ptr<Event>(event)); });
  record(*event);
  return event;
}

uint32_t Device::create_event(bool timing) {
  auto created = std::make_shared<Event>(*driver_, timing);
  if (free_events_.empty()) {
    events_.push_back(std::move(created));
    return uint32_t(events_.size() - 1);
  }
  const uint32_t number = free_events_.back();
  free_events_.pop_back();
  events_[number] = std::move(created);
  return number;
}

void Device::destroy_event(uint32_t number) {
  event(number);
  events_[number].reset();
  free_events_.push_back(number);
}

bool Device::query_event(uint32_t number) {
  const CUresult result = driver_->event_query(event(number)->handle);
  if (result == CUDA_ERROR_NOT_READY) return false;
  check(result, "cuEventQuery");
  return true;
}

void Device::synchronize_event(uint32_t number, Waiter::Done done) {
  require_no_capture("synchronizeEvent");
  const std::shared_ptr<Event>& waited = event(number);
  // Nothing that is waited for already holds up an event that is past.
  const CUresult result = driver_->event_query(waited->handle);
  if (result == CUDA_ERROR_NOT_READY) waiter_->wait(waited, std::move(done));
  else done(result);
}

void Device::synchronize_event_sync(uint32_t number) {
  require_no_capture("synchronizeEventSync");
  check(driver_->event_synchronize(event(number)->handle), "cuEventSynchronize");
}

double Device::elapsed(uint32_t start, uint32_t end) {
  for (uint32_t number : {start, end}) {
    const Event& timed = *event(number);
    if (!timed.timing) invalid("elapsed: event %u keeps no time; create it with timing", number);
    if (timed.order == 0) invalid("elapsed: event %u was never recorded", number);
  }
  float milliseconds = 0;
  const CUresult result = driver_->event_elapsed(&milliseconds, event(start)->handle, event(end)->handle);
  if (result == CUDA_ERROR_NOT_READY) invalid("elapsed: the device has not come to events %u and %u yet; wait for the later one", start, end);
  check(result, "cuEventElapsedTime");
  return milliseconds;
}

void Device::wait_event(Device& other, uint32_t number) {
  check(driver_->stream_wait_event(stream_, other.event(number)->handle, capture_ ? CU_EVENT_WAIT_EXTERNAL : 0), "cuStreamWaitEvent");
}

void Device::begin_capture() {
  require_no_capture("beginCapture");
  capture_start_ = mark();
  check(driver_->capture_begin(stream_, CU_STREAM_CAPTURE_MODE_RELAXED), "cuStreamBeginCapture");
  capture_ = memory_->begin_private();
}

// Ends the capture whatever the driver says; the pool is still to be kept or dissolved.
Pool* Device::leave_capture(CUgraph& graph, CUresult& result) {
  Pool* const pool = capture_;
  result = driver_->capture_end(stream_, &graph);
  memory_->end_private();
  capture_ = nullptr;
  capture_start_.reset();
  return pool;
}

uint32_t Device::end_capture() {
  if (!capture_) invalid("endCapture: nothing is being captured");
  CUgraph graph = nullptr;
  CUresult result;
  Pool* const pool = leave_capture(graph, result);
  const char* op = "cuStreamEndCapture";
  CUgraphExec exec = nullptr;
  if (result == CUDA_SUCCESS) {
    op = "cuGraphInstantiate";
    result = driver_->graph_instantiate(&exec, graph, 0);
  }
  if (graph) driver_->graph_destroy(graph);
  if (result != CUDA_SUCCESS) {
    memory_->dissolve(pool);
    fail(result, op);
  }
  graphs_.push_back({exec, pool});
  return uint32_t(graphs_.size() - 1);
}

void Device::abort_capture() {
  if (!capture_) invalid("abortCapture: nothing is being captured");
  CUgraph graph = nullptr;
  CUresult result;
  Pool* const pool = leave_capture(graph, result);
  if (graph) driver_->graph_destroy(graph);
  memory_->dissolve(pool);
  // That the capture was invalid is no news.
  if (is_sticky(result)) fail(result, "cuStreamEndCapture");
}

Device::Graph& Device::graph(uint32_t number) {
  if (number >= graphs_.size() || !graphs_[number].exec) invalid("there is no graph %u", number);
  return graphs_[number];
}

void Device::launch_graph(uint32_t number) {
  require_no_capture("launchGraph");
  check(driver_->graph_launch(graph(number).exec, stream_), "cuGraphLaunch");
  counts_.graph_launches++;
}

void Device::destroy_graph(uint32_t number) {
  Graph& destroyed = graph(number);
  const Graph old = destroyed;
  destroyed = {nullptr, nullptr};
  // A replay may be under way. What gets its memory comes later in the stream.
  memory_->dissolve(old.pool);
  check(driver_->graph_exec_destroy(old.exec), "cuGraphExecDestroy");
}

}  // namespace kindling
