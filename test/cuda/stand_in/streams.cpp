/** Streams, each with a thread of its own, and events. */

#include <algorithm>
#include <chrono>

#include "driver.h"
#include "stand_in.h"

void Marker::complete() {
  std::lock_guard guard(lock_);
  time_ = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  done_ = true;
  changed_.notify_all();
}
void Marker::wait() {
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] { return done_; });
}
bool Marker::ready() {
  std::lock_guard guard(lock_);
  return done_;
}
long long Marker::time() {
  std::lock_guard guard(lock_);
  return time_;
}

CUstream_st::CUstream_st(CUcontext context, unsigned flags) : context(context), flags(flags) {
  static std::atomic<unsigned long long> next{1};
  id = next++;
}

void CUstream_st::perform(Operation& operation) {
  Settings& s = settings();
  const unsigned delay = operation.kind == Operation::LAUNCH ? s.launchDelay.load()
                         : operation.kind == Operation::COPY ? s.copyDelay.load()
                                                             : 0;
  if (delay > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay));
  if (operation.kind == Operation::MARK) {
    operation.marker->complete();
  } else if (operation.kind == Operation::WAIT) {
    operation.marker->wait();
  } else if (context->error == 0) {
    const LaunchResult result = operation.run();
    if (result.code != 0) context->fail(result.code, result.message);
  }
}

void CUstream_st::loop() {
  std::unique_lock guard(lock_);
  for (;;) {
    changed_.wait(guard, [&] { return !queue_.empty() || ending_; });
    if (queue_.empty()) return;
    Operation operation = std::move(queue_.front());
    queue_.pop_front();
    guard.unlock();
    waitWhileHeld();
    perform(operation);
    operation = {};
    guard.lock();
    if (queue_.empty()) {
      working_ = false;
      changed_.notify_all();
    }
  }
}

void CUstream_st::push(Operation operation) {
  if (settings().sync) {
    std::lock_guard guard(syncLock_);
    drain();
    perform(operation);
    return;
  }
  std::lock_guard guard(lock_);
  working_ = true;
  queue_.push_back(std::move(operation));
  if (!started_) {
    started_ = true;
    // Streams are never freed, so the thread may outlive the handle.
    std::thread([this] { loop(); }).detach();
  }
  changed_.notify_all();
}
bool CUstream_st::idle() {
  std::lock_guard guard(lock_);
  return !working_;
}
void CUstream_st::drain() {
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] { return !working_; });
}
void CUstream_st::finish() {
  std::lock_guard guard(lock_);
  ending_ = true;
  changed_.notify_all();
}

namespace {

std::vector<CUstream> streamsOf(CUcontext context) {
  std::lock_guard guard(context->lock);
  return context->streams;
}

MarkerRef mark(CUstream stream) {
  auto marker = std::make_shared<Marker>();
  stream->push({Operation::MARK, nullptr, marker});
  return marker;
}

/** Handle 0's stream and the blocking ones wait for each other. */
void orderWithLegacy(CUstream stream) {
  if (stream->legacy) {
    for (CUstream other : streamsOf(stream->context)) {
      if ((other->flags & CU_STREAM_NON_BLOCKING) == 0 && !other->idle()) stream->push({Operation::WAIT, nullptr, mark(other)});
    }
  } else if ((stream->flags & CU_STREAM_NON_BLOCKING) == 0 && !stream->context->legacy->idle()) {
    stream->push({Operation::WAIT, nullptr, mark(stream->context->legacy)});
  }
}

}  // namespace

CUresult enqueue(CUstream stream, Operation operation) {
  if (stream->capturing) return captureOperation(stream, std::move(operation));
  if (stream->legacy) TRY(checkImplicit(stream->context));
  orderWithLegacy(stream);
  stream->push(std::move(operation));
  // With KINDLING_STAND_IN_SYNC failures still come with a later call, as they do on a device.
  return CUDA_SUCCESS;
}

void drainContext(CUcontext context) {
  for (CUstream stream : streamsOf(context)) stream->drain();
  context->legacy->drain();
}

void endStreams(CUcontext context) {
  for (CUstream stream : streamsOf(context)) {
    if (stream->mark == STREAM) objectCounts.streams--;
    stream->mark = DEAD;
    stream->finish();
  }
  context->legacy->mark = DEAD;
  context->legacy->finish();
}

EXPORT int kindling_stand_in_enqueue(void* handle, const char* name, void (*run)(void*), const void* data, size_t bytes) {
  CUstream stream = nullptr;
  TRY(findStream(static_cast<CUstream>(handle), stream));
  const auto* first = static_cast<const unsigned char*>(data);
  std::vector<unsigned char> copy(first, first + bytes);
  if (settings().noop && !stream->capturing) return CUDA_SUCCESS;
  return enqueue(stream, {Operation::LAUNCH,
                          [name = std::string(name), run, copy = std::move(copy)] {
                            std::vector<unsigned char> mine = copy;
                            LaunchResult result = runGuarded(name.c_str(), run, mine.data(), launchOptions());
                            if (result.code == 0 && findOverrun(result.message))
                              result = {CUDA_ERROR_ILLEGAL_ADDRESS, name + ": " + result.message};
                            return result;
                          },
                          nullptr});
}

// ----------------------------------------------------------------------------------------------------------------------- streams

DRIVER(cuStreamCreateWithPriority, CUstream* stream, unsigned flags, int priority) {
  ENTER(cuStreamCreateWithPriority);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  REQUIRE(stream != nullptr && flags <= CU_STREAM_NON_BLOCKING);
  *stream = new CUstream_st(context, flags);
  (*stream)->priority = priority;
  objectCounts.streams++;
  std::lock_guard guard(context->lock);
  context->streams.push_back(*stream);
  return CUDA_SUCCESS;
}
DRIVER(cuStreamCreate, CUstream* stream, unsigned flags) {
  ENTER(cuStreamCreate);
  return cuStreamCreateWithPriority(stream, flags, 0);
}
DRIVER(cuStreamDestroy_v2, CUstream stream) {
  ENTER(cuStreamDestroy_v2);
  if (!alive(stream, STREAM)) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->capturing) invalidateCaptures(stream->context);
  stream->mark = DEAD;
  objectCounts.streams--;
  // What it still has to do is done.
  stream->finish();
  CUcontext context = stream->context;
  std::lock_guard guard(context->lock);
  auto& streams = context->streams;
  if (stream->idle()) streams.erase(std::remove(streams.begin(), streams.end(), stream), streams.end());
  return CUDA_SUCCESS;
}
DRIVER(cuStreamQuery, CUstream handle) {
  ENTER(cuStreamQuery);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  TRY(refuseCapturing(stream));
  if (!stream->idle()) return CUDA_ERROR_NOT_READY;
  return usable(stream->context);
}
DRIVER(cuStreamSynchronize, CUstream handle) {
  ENTER(cuStreamSynchronize);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  TRY(refuseCapturing(stream));
  stream->drain();
  return usable(stream->context);
}
DRIVER(cuStreamGetFlags, CUstream handle, unsigned* flags) {
  ENTER(cuStreamGetFlags);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  *flags = stream->flags;
  return CUDA_SUCCESS;
}
DRIVER(cuStreamGetPriority, CUstream handle, int* priority) {
  ENTER(cuStreamGetPriority);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  *priority = stream->priority;
  return CUDA_SUCCESS;
}
DRIVER(cuStreamGetId, CUstream handle, unsigned long long* id) {
  ENTER(cuStreamGetId);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  *id = stream->id;
  return CUDA_SUCCESS;
}
DRIVER(cuStreamGetCtx, CUstream handle, CUcontext* context) {
  ENTER(cuStreamGetCtx);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  *context = stream->context;
  return CUDA_SUCCESS;
}
DRIVER(cuLaunchHostFunc, CUstream handle, CUhostFn run, void* data) {
  ENTER(cuLaunchHostFunc);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  REQUIRE(run != nullptr);
  return enqueue(stream, {Operation::HOST,
                          [run, data]() -> LaunchResult {
                            run(data);
                            return {};
                          },
                          nullptr});
}
DRIVER(cuStreamAddCallback, CUstream handle, CUstreamCallback callback, void* data, unsigned flags) {
  ENTER(cuStreamAddCallback);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  REQUIRE(callback != nullptr && flags == 0);
  if (stream->capturing) return refuseCapturing(stream);
  return enqueue(stream, {Operation::HOST,
                          [=]() -> LaunchResult {
                            callback(handle, CUDA_SUCCESS, data);
                            return {};
                          },
                          nullptr});
}

// ------------------------------------------------------------------------------------------------------------------------ events

DRIVER(cuEventCreate, CUevent* event, unsigned flags) {
  ENTER(cuEventCreate);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  REQUIRE(event != nullptr && flags < 8);
  *event = new CUevent_st;
  (*event)->context = context;
  (*event)->flags = flags;
  objectCounts.events++;
  return CUDA_SUCCESS;
}
DRIVER(cuEventDestroy_v2, CUevent event) {
  ENTER(cuEventDestroy_v2);
  if (!alive(event, EVENT)) return CUDA_ERROR_INVALID_HANDLE;
  event->mark = DEAD;
  objectCounts.events--;
  return CUDA_SUCCESS;
}
DRIVER(cuEventRecordWithFlags, CUevent event, CUstream handle, unsigned flags) {
  ENTER(cuEventRecordWithFlags);
  if (!alive(event, EVENT)) return CUDA_ERROR_INVALID_HANDLE;
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  if (event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->capturing) {
    if (flags == CU_EVENT_RECORD_EXTERNAL) return captureOperation(stream, {Operation::MARK, nullptr, nullptr, event});
    return captureRecord(stream, event);
  }
  auto marker = std::make_shared<Marker>();
  {
    std::lock_guard guard(event->lock);
    event->marker = marker;
    event->capture = nullptr;
  }
  return enqueue(stream, {Operation::MARK, nullptr, marker});
}
DRIVER(cuEventRecord, CUevent event, CUstream handle) {
  ENTER(cuEventRecord);
  return cuEventRecordWithFlags(event, handle, 0);
}

static CUresult markerOf(CUevent event, MarkerRef& marker) {
  if (!alive(event, EVENT)) return CUDA_ERROR_INVALID_HANDLE;
  TRY(usable(event->context));
  std::lock_guard guard(event->lock);
  if (event->capture != nullptr) return CUDA_ERROR_CAPTURED_EVENT;
  marker = event->marker;
  return CUDA_SUCCESS;
}
DRIVER(cuEventQuery, CUevent event) {
  ENTER(cuEventQuery);
  MarkerRef marker;
  TRY(markerOf(event, marker));
  if (marker != nullptr && !marker->ready()) return CUDA_ERROR_NOT_READY;
  return usable(event->context);
}
DRIVER(cuEventSynchronize, CUevent event) {
  ENTER(cuEventSynchronize);
  MarkerRef marker;
  TRY(markerOf(event, marker));
  if (marker != nullptr) marker->wait();
  return usable(event->context);
}
DRIVER(cuEventElapsedTime, float* milliseconds, CUevent start, CUevent end) {
  ENTER(cuEventElapsedTime);
  MarkerRef from, to;
  TRY(markerOf(start, from));
  TRY(markerOf(end, to));
  if (from == nullptr || to == nullptr || ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) != 0)
    return CUDA_ERROR_INVALID_HANDLE;
  if (start->context != end->context) return CUDA_ERROR_INVALID_HANDLE;
  if (!from->ready() || !to->ready()) return CUDA_ERROR_NOT_READY;
  *milliseconds = static_cast<float>(static_cast<double>(to->time() - from->time()) * 1e-6);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime(milliseconds, start, end);
}
DRIVER(cuStreamWaitEvent, CUstream handle, CUevent event, unsigned flags) {
  ENTER(cuStreamWaitEvent);
  if (!alive(event, EVENT)) return CUDA_ERROR_INVALID_HANDLE;
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  if (stream->capturing && flags == CU_EVENT_WAIT_EXTERNAL)
    return captureOperation(stream, {Operation::WAIT, nullptr, nullptr, event});
  bool done = false;
  TRY(captureWait(stream, event, done));
  if (done) return CUDA_SUCCESS;
  MarkerRef marker;
  TRY(markerOf(event, marker));
  if (marker == nullptr || marker->ready()) return CUDA_SUCCESS;
  return enqueue(stream, {Operation::WAIT, nullptr, marker});
}
