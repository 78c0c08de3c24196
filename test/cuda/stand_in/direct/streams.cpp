/** Streams, events, captures, graphs. */

#include <chrono>

#include "tools.h"

namespace {

CUstream newStream(unsigned flags = CU_STREAM_NON_BLOCKING) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, flags));
  return stream;
}
CUevent newEvent(unsigned flags = 0) {
  CUevent event = nullptr;
  OK(cuEventCreate(&event, flags));
  return event;
}

/** Appends a letter when its turn comes. */
struct Note {
  std::string* to;
  char letter;
};
std::string written;
std::vector<Note> notes;
void note(CUstream stream, char letter) {
  static std::mutex lock;
  const Note data{&written, letter};
  OK(kindling_stand_in_enqueue(
      stream, "note",
      [](void* raw) {
        const Note* n = static_cast<Note*>(raw);
        std::lock_guard guard(lock);
        *n->to += n->letter;
      },
      &data, sizeof data));
}

void order() {
  written.clear();
  CUstream a = newStream(), b = newStream();
  CUevent event = newEvent();
  control("hold");
  note(a, '1');
  note(a, '2');
  OK(cuEventRecord(event, a));
  IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  OK(cuStreamWaitEvent(b, event, 0));
  note(b, '3');
  OK(cuEventRecord(event, b));
  OK(cuStreamWaitEvent(a, event, 0));
  note(a, '4');
  IS(cuStreamQuery(a), CUDA_ERROR_NOT_READY);
  TRUE(written.empty());
  control("release");
  OK(cuStreamSynchronize(a));
  TRUE(written == "1234");
  OK(cuStreamQuery(a));
  OK(cuEventQuery(event));
  OK(cuEventSynchronize(event));
}

void acrossDevices() {
  written.clear();
  CUcontext first = nullptr, second = nullptr;
  OK(cuCtxGetCurrent(&first));
  CUstream a = newStream();
  CUevent event = newEvent();
  OK(cuDevicePrimaryCtxRetain(&second, 1));
  OK(cuCtxSetCurrent(second));
  CUstream b = newStream();
  // An event is recorded on its own device only, but anybody may wait for it.
  IS(cuEventRecord(event, b), CUDA_ERROR_INVALID_HANDLE);
  control("hold");
  note(a, 'a');
  OK(cuEventRecord(event, a));
  OK(cuStreamWaitEvent(b, event, 0));
  note(b, 'b');
  control("release");
  OK(cuStreamSynchronize(b));
  TRUE(written == "ab");
  // The loss of one is not the other's.
  control("lose 1");
  IS(cuStreamSynchronize(b), CUDA_ERROR_LAUNCH_FAILED);
  OK(cuStreamSynchronize(a));
  OK(cuDevicePrimaryCtxReset_v2(1));
  OK(cuDevicePrimaryCtxRelease_v2(1));
  OK(cuCtxSetCurrent(first));
}

void times() {
  CUstream stream = newStream();
  CUevent start = newEvent(), end = newEvent(), silent = newEvent(CU_EVENT_DISABLE_TIMING);
  float milliseconds = -1;
  IS(cuEventElapsedTime(&milliseconds, start, end), CUDA_ERROR_INVALID_HANDLE);
  control("delay launch 20000");
  OK(cuEventRecord(start, stream));
  note(stream, 'x');
  OK(cuEventRecord(end, stream));
  IS(cuEventElapsedTime(&milliseconds, start, end), CUDA_ERROR_NOT_READY);
  OK(cuEventSynchronize(end));
  OK(cuEventElapsedTime(&milliseconds, start, end));
  TRUE(milliseconds >= 20 && milliseconds < 10000);
  OK(cuEventRecord(silent, stream));
  OK(cuEventSynchronize(silent));
  IS(cuEventElapsedTime(&milliseconds, start, silent), CUDA_ERROR_INVALID_HANDLE);
}

void legacy() {
  written.clear();
  CUstream blocking = newStream(0), free = newStream();
  control("hold");
  note(blocking, '1');
  note(nullptr, '2');
  note(blocking, '3');
  control("release");
  OK(cuCtxSynchronize());
  TRUE(written == "123");
  note(free, '4');
  OK(cuCtxSynchronize());
  TRUE(written == "1234");
}

void endings() {
  written.clear();
  CUstream stream = newStream();
  CUevent event = newEvent();
  control("hold");
  note(stream, 'x');
  // What a destroyed stream has to do is done all the same.
  OK(cuStreamDestroy_v2(stream));
  IS(cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
  IS(cuStreamDestroy_v2(stream), CUDA_ERROR_INVALID_HANDLE);
  control("release");
  OK(cuCtxSynchronize());
  TRUE(written == "x");
  OK(cuEventDestroy_v2(event));
  IS(cuEventQuery(event), CUDA_ERROR_INVALID_HANDLE);
  // Never recorded: nothing to wait for.
  OK(cuEventQuery(newEvent()));
}

void faultsOfHosts() {
  CUstream stream = newStream();
  OK(kindling_stand_in_enqueue(
      stream, "a library's function", [](void*) { *reinterpret_cast<volatile int*>(8) = 1; }, nullptr, 0));
  IS(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
  TRUE(control("report").rfind("a library's function: a write at 0x8", 0) == 0);
}

// ---------------------------------------------------------------------------------------------------------------------- captures

CUgraphExec finish(CUstream stream, size_t expected) {
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  OK(cuStreamEndCapture(stream, &graph));
  size_t nodes = 0;
  OK(cuGraphGetNodes(graph, nullptr, &nodes));
  IS(nodes, expected);
  OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  OK(cuGraphDestroy(graph));
  return exec;
}

void graphs() {
  written.clear();
  CUstream a = newStream(), b = newStream();
  CUevent fork = newEvent(), joined = newEvent();
  CUstreamCaptureStatus status{};
  OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
  IS(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_ERROR_ILLEGAL_STATE);
  OK(cuStreamIsCapturing(a, &status));
  IS(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
  note(a, '1');
  OK(cuEventRecord(fork, a));
  OK(cuStreamWaitEvent(b, fork, 0));
  note(b, '2');
  OK(cuEventRecord(joined, b));
  IS(cuEventQuery(joined), CUDA_ERROR_CAPTURED_EVENT);
  OK(cuStreamWaitEvent(a, joined, 0));
  note(a, '3');
  CUdeviceptr memory = 0;
  OK(cuMemAlloc_v2(&memory, 64));
  OK(cuMemsetD32Async(memory, 5, 16, a));
  CUgraphExec exec = finish(a, 4);
  OK(cuStreamIsCapturing(b, &status));
  IS(status, CU_STREAM_CAPTURE_STATUS_NONE);
  TRUE(written.empty());
  for (int i = 0; i < 3; i++) OK(cuGraphLaunch(exec, b));
  OK(cuStreamSynchronize(b));
  TRUE(written == "123123123");
  IS(get<int>(memory, 16)[15], 5);
  OK(cuGraphExecDestroy(exec));
  IS(cuGraphLaunch(exec, b), CUDA_ERROR_INVALID_VALUE);
}

void externalEvents() {
  written.clear();
  CUstream a = newStream(), b = newStream();
  CUevent event = newEvent();
  OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
  note(a, '1');
  OK(cuEventRecordWithFlags(event, a, CU_EVENT_RECORD_EXTERNAL));
  CUgraphExec exec = finish(a, 2);
  control("hold");
  OK(cuGraphLaunch(exec, a));
  IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  OK(cuStreamWaitEvent(b, event, 0));
  note(b, '2');
  control("release");
  OK(cuStreamSynchronize(b));
  TRUE(written == "12");
  OK(cuEventQuery(event));
}

void updates() {
  written.clear();
  CUstream a = newStream();
  OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
  note(a, 'x');
  CUgraphExec exec = finish(a, 1);
  CUgraph same = nullptr, more = nullptr;
  OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
  note(a, 'y');
  OK(cuStreamEndCapture(a, &same));
  OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
  note(a, 'y');
  note(a, 'z');
  OK(cuStreamEndCapture(a, &more));
  OK(cuGraphExecUpdate_v2(exec, same, nullptr));
  IS(cuGraphExecUpdate_v2(exec, more, nullptr), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  OK(cuGraphLaunch(exec, a));
  OK(cuStreamSynchronize(a));
  TRUE(written == "y");
}

/** A capture that `spoil` makes fail with `code`. */
void spoiled(CUstreamCaptureMode mode, CUresult code, const std::function<CUresult(CUstream)>& spoil) {
  CUstream stream = newStream();
  CUgraph graph = nullptr;
  OK(cuStreamBeginCapture_v2(stream, mode));
  note(stream, 'x');
  IS(spoil(stream), code);
  CUstreamCaptureStatus status{};
  OK(cuStreamIsCapturing(stream, &status));
  IS(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
  IS(cuMemsetD8Async(0, 0, 0, stream), CUDA_SUCCESS);
  IS(cuEventRecord(newEvent(), stream), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  IS(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  TRUE(graph == nullptr);
  // And then the stream is as before.
  note(stream, 'y');
  OK(cuStreamSynchronize(stream));
}

void refusals() {
  const auto unsupported = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  const auto alloc = [](CUstream) {
    CUdeviceptr address = 0;
    return cuMemAlloc_v2(&address, 4);
  };
  spoiled(CU_STREAM_CAPTURE_MODE_GLOBAL, unsupported, alloc);
  spoiled(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, unsupported, alloc);
  spoiled(CU_STREAM_CAPTURE_MODE_RELAXED, unsupported, [](CUstream s) { return cuStreamSynchronize(s); });
  spoiled(CU_STREAM_CAPTURE_MODE_RELAXED, unsupported, [](CUstream s) { return cuStreamQuery(s); });
  spoiled(CU_STREAM_CAPTURE_MODE_RELAXED, unsupported, [](CUstream) { return cuCtxSynchronize(); });
  spoiled(CU_STREAM_CAPTURE_MODE_RELAXED, CUDA_ERROR_STREAM_CAPTURE_ISOLATION, [](CUstream s) {
    CUstream outside = newStream();
    CUevent event = newEvent();
    OK(cuEventRecord(event, outside));
    return cuStreamWaitEvent(s, event, 0);
  });
  spoiled(CU_STREAM_CAPTURE_MODE_RELAXED, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, [](CUstream s) {
    CUstream other = newStream();
    CUevent event = newEvent();
    CUgraph graph = nullptr;
    OK(cuEventRecord(event, s));
    OK(cuStreamWaitEvent(other, event, 0));
    return cuStreamEndCapture(other, &graph);
  });
  IS(cuStreamBeginCapture_v2(nullptr, CU_STREAM_CAPTURE_MODE_RELAXED), unsupported);
  // The legacy stream would wait for a blocking one that is captured.
  CUstream blocking = newStream(0);
  CUgraph graph = nullptr;
  OK(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
  IS(cuLaunchHostFunc(nullptr, [](void*) {}, nullptr), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  IS(cuStreamEndCapture(blocking, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  IS(cuStreamEndCapture(blocking, &graph), CUDA_ERROR_ILLEGAL_STATE);
}

void otherThreads() {
  CUcontext context = nullptr;
  OK(cuCtxGetCurrent(&context));
  CUstream stream = newStream();
  CUgraph graph = nullptr;
  const auto elsewhere = [&](const std::function<void()>& run) {
    std::thread([&] {
      cuCtxSetCurrent(context);
      run();
    }).join();
  };
  CUdeviceptr address = 0;
  OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  elsewhere([&] {
    OK(cuMemAlloc_v2(&address, 4));
    IS(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  });
  OK(cuStreamEndCapture(stream, &graph));
  OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  elsewhere([&] {
    // A thread may say that it knows what it does.
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    OK(cuThreadExchangeStreamCaptureMode(&mode));
    IS(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
    OK(cuMemAlloc_v2(&address, 4));
    OK(cuThreadExchangeStreamCaptureMode(&mode));
    IS(cuMemAlloc_v2(&address, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  });
  IS(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

void unjoined() {
  CUstream a = newStream(), b = newStream();
  CUevent event = newEvent();
  CUgraph graph = nullptr;
  OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
  note(a, '1');
  OK(cuEventRecord(event, a));
  OK(cuStreamWaitEvent(b, event, 0));
  note(b, '2');
  IS(cuStreamEndCapture(a, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  TRUE(graph == nullptr);
  // An event of a capture that is over cannot be waited for.
  IS(cuStreamWaitEvent(b, event, 0), CUDA_ERROR_CAPTURED_EVENT);
}

}  // namespace

int main() {
  cuInit(0);
  test("streams and events keep their order", order);
  test("events reach across devices", acrossDevices);
  test("events have times", times);
  test("the legacy stream", legacy);
  test("the end of streams and events", endings);
  test("faults in functions of libraries", faultsOfHosts);
  test("captures and graphs", graphs);
  test("external events", externalEvents);
  test("updates of graphs", updates);
  test("what a capture refuses", refusals);
  test("captures and other threads", otherThreads);
  test("captures that are not joined", unjoined);
  return failures > 0;
}
