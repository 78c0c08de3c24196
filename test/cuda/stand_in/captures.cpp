/** Captures of streams, and graphs. A graph's operations run one after the other, in the order in which they were captured. */

#include <algorithm>

#include "driver.h"

std::recursive_mutex& captureLock() {
  static auto* lock = new std::recursive_mutex;
  return *lock;
}

namespace {

std::vector<CaptureRef>& captures() {
  static auto* made = new std::vector<CaptureRef>;
  return *made;
}
thread_local CUstreamCaptureMode threadMode = CU_STREAM_CAPTURE_MODE_GLOBAL;

void leave(CUstream stream) {
  stream->capture = nullptr;
  stream->captureAfter.clear();
  stream->capturing = false;
}
void join(CUstream stream, const CaptureRef& capture) {
  stream->capture = capture;
  stream->capturing = true;
  capture->streams.push_back(stream);
}

}  // namespace

CUresult checkUnsafe() {
  std::lock_guard guard(captureLock());
  if (threadMode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  CUresult result = CUDA_SUCCESS;
  for (const CaptureRef& capture : captures()) {
    const bool mine = capture->thread == std::this_thread::get_id() && capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    const bool global = threadMode == CU_STREAM_CAPTURE_MODE_GLOBAL && capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (!mine && !global) continue;
    capture->invalid = true;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

CUresult checkImplicit(CUcontext context) {
  std::lock_guard guard(captureLock());
  for (const CaptureRef& capture : captures()) {
    for (CUstream stream : capture->streams) {
      if (stream->context != context || (stream->flags & CU_STREAM_NON_BLOCKING) != 0) continue;
      capture->invalid = true;
      return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
  }
  return CUDA_SUCCESS;
}

bool anyCapturing(CUcontext context) {
  std::lock_guard guard(captureLock());
  return std::any_of(captures().begin(), captures().end(), [&](const CaptureRef& c) { return c->origin->context == context; });
}
void invalidateCaptures(CUcontext context) {
  std::lock_guard guard(captureLock());
  for (const CaptureRef& capture : captures()) {
    if (capture->origin->context == context) capture->invalid = true;
  }
}

CUresult refuseCapturing(CUstream stream) {
  if (!stream->capturing) return stream->legacy ? checkImplicit(stream->context) : CUDA_SUCCESS;
  std::lock_guard guard(captureLock());
  if (stream->capture != nullptr) stream->capture->invalid = true;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult captureOperation(CUstream stream, Operation operation) {
  std::lock_guard guard(captureLock());
  Capture& capture = *stream->capture;
  if (capture.invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  auto& nodes = capture.graph->nodes;
  nodes.push_back({std::move(operation), stream->captureAfter});
  stream->captureAfter = {nodes.size() - 1};
  return CUDA_SUCCESS;
}

CUresult captureRecord(CUstream stream, CUevent event) {
  std::lock_guard guard(captureLock());
  if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  std::lock_guard mine(event->lock);
  event->capture = stream->capture;
  event->captureAfter = stream->captureAfter;
  return CUDA_SUCCESS;
}

CUresult captureWait(CUstream stream, CUevent event, bool& done) {
  std::lock_guard guard(captureLock());
  std::lock_guard mine(event->lock);
  const CaptureRef& of = event->capture;
  if (of == nullptr) {
    if (!stream->capturing) return CUDA_SUCCESS;
    done = true;
    if (event->marker == nullptr) return CUDA_SUCCESS;
    // It would depend on work that is not in the graph.
    stream->capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  if (of->graph == nullptr) return CUDA_ERROR_CAPTURED_EVENT;
  done = true;
  if (of->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (stream->legacy) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  if (stream->capture != nullptr && stream->capture != of) {
    stream->capture->invalid = of->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (stream->capture == nullptr) join(stream, of);
  for (size_t node : event->captureAfter) {
    if (std::find(stream->captureAfter.begin(), stream->captureAfter.end(), node) == stream->captureAfter.end())
      stream->captureAfter.push_back(node);
  }
  return CUDA_SUCCESS;
}

DRIVER(cuThreadExchangeStreamCaptureMode, CUstreamCaptureMode* mode) {
  ENTER(cuThreadExchangeStreamCaptureMode);
  REQUIRE(mode != nullptr && *mode >= 0 && *mode <= 2);
  std::swap(*mode, threadMode);
  return CUDA_SUCCESS;
}
DRIVER(cuStreamBeginCapture_v2, CUstream handle, CUstreamCaptureMode mode) {
  ENTER(cuStreamBeginCapture_v2);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  REQUIRE(mode >= 0 && mode <= 2);
  if (stream->legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  std::lock_guard guard(captureLock());
  if (stream->capturing) return CUDA_ERROR_ILLEGAL_STATE;
  static unsigned long long next = 1;
  auto capture = std::make_shared<Capture>();
  capture->graph = new CUgraph_st;
  capture->origin = stream;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->id = next++;
  captures().push_back(capture);
  join(stream, capture);
  return CUDA_SUCCESS;
}
DRIVER(cuStreamEndCapture, CUstream handle, CUgraph* graph) {
  ENTER(cuStreamEndCapture);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  REQUIRE(graph != nullptr);
  *graph = nullptr;
  std::lock_guard guard(captureLock());
  if (!stream->capturing) return CUDA_ERROR_ILLEGAL_STATE;
  const CaptureRef capture = stream->capture;
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id())
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  if (capture->origin != stream) {
    capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  }
  // Everything must lead back to the first stream.
  auto& nodes = capture->graph->nodes;
  std::vector<bool> reached(nodes.size(), false);
  for (size_t node : stream->captureAfter) reached[node] = true;
  for (size_t i = nodes.size(); i-- > 0;) {
    if (reached[i]) {
      for (size_t node : nodes[i].after) reached[node] = true;
    }
  }
  bool joined = true;
  for (CUstream other : capture->streams) {
    for (size_t node : other->captureAfter) joined = joined && reached[node];
    leave(other);
  }
  captures().erase(std::find(captures().begin(), captures().end(), capture));
  CUgraph made = std::exchange(capture->graph, nullptr);
  if (capture->invalid || !joined) {
    delete made;
    return capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  }
  objectCounts.graphs++;
  *graph = made;
  return CUDA_SUCCESS;
}
DRIVER(cuStreamIsCapturing, CUstream handle, CUstreamCaptureStatus* status) {
  ENTER(cuStreamIsCapturing);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  if (stream->legacy) TRY(checkImplicit(stream->context));
  std::lock_guard guard(captureLock());
  *status = !stream->capturing         ? CU_STREAM_CAPTURE_STATUS_NONE
            : stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                       : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  return CUDA_SUCCESS;
}
DRIVER(cuStreamGetCaptureInfo_v2, CUstream handle, CUstreamCaptureStatus* status, unsigned long long* id, CUgraph* graph,
       const CUgraphNode** after, size_t* count) {
  ENTER(cuStreamGetCaptureInfo_v2);
  TRY(cuStreamIsCapturing(handle, status));
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  std::lock_guard guard(captureLock());
  if (stream->capture == nullptr) return CUDA_SUCCESS;
  if (id != nullptr) *id = stream->capture->id;
  if (graph != nullptr) *graph = stream->capture->graph;
  if (after != nullptr) *after = nullptr;
  if (count != nullptr) *count = stream->captureAfter.size();
  return CUDA_SUCCESS;
}

// ------------------------------------------------------------------------------------------------------------------------ graphs

DRIVER(cuGraphCreate, CUgraph* graph, unsigned flags) {
  ENTER(cuGraphCreate);
  REQUIRE(graph != nullptr && flags == 0);
  *graph = new CUgraph_st;
  objectCounts.graphs++;
  return CUDA_SUCCESS;
}
DRIVER(cuGraphDestroy, CUgraph graph) {
  ENTER(cuGraphDestroy);
  if (!alive(graph, GRAPH)) return CUDA_ERROR_INVALID_VALUE;
  graph->mark = DEAD;
  graph->nodes.clear();
  objectCounts.graphs--;
  return CUDA_SUCCESS;
}
DRIVER(cuGraphGetNodes, CUgraph graph, CUgraphNode* nodes, size_t* count) {
  ENTER(cuGraphGetNodes);
  if (!alive(graph, GRAPH) || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (nodes != nullptr) {
    for (size_t i = 0; i < std::min(*count, graph->nodes.size()); i++) nodes[i] = reinterpret_cast<CUgraphNode>(i + 1);
  }
  *count = graph->nodes.size();
  return CUDA_SUCCESS;
}
DRIVER(cuGraphInstantiateWithFlags, CUgraphExec* exec, CUgraph graph, unsigned long long) {
  ENTER(cuGraphInstantiateWithFlags);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  if (!alive(graph, GRAPH) || exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
  TRY(checkUnsafe());
  *exec = new CUgraphExec_st;
  (*exec)->context = context;
  (*exec)->nodes = graph->nodes;
  objectCounts.graphs++;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode*, char* log, size_t bytes) {
  if (log != nullptr && bytes > 0) *log = 0;
  return cuGraphInstantiateWithFlags(exec, graph, 0);
}
DRIVER(cuGraphExecUpdate_v2, CUgraphExec exec, CUgraph graph, void*) {
  ENTER(cuGraphExecUpdate_v2);
  if (!alive(exec, GRAPH_EXEC) || !alive(graph, GRAPH)) return CUDA_ERROR_INVALID_VALUE;
  const bool same = std::equal(
      exec->nodes.begin(), exec->nodes.end(), graph->nodes.begin(), graph->nodes.end(),
      [](const GraphNode& a, const GraphNode& b) { return a.operation.kind == b.operation.kind && a.after == b.after; });
  if (!same) return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
  exec->nodes = graph->nodes;
  return CUDA_SUCCESS;
}
DRIVER(cuGraphExecDestroy, CUgraphExec exec) {
  ENTER(cuGraphExecDestroy);
  if (!alive(exec, GRAPH_EXEC)) return CUDA_ERROR_INVALID_VALUE;
  exec->mark = DEAD;
  exec->nodes.clear();
  objectCounts.graphs--;
  return CUDA_SUCCESS;
}
DRIVER(cuGraphUpload, CUgraphExec exec, CUstream) {
  ENTER(cuGraphUpload);
  return alive(exec, GRAPH_EXEC) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
DRIVER(cuGraphLaunch, CUgraphExec exec, CUstream handle) {
  ENTER(cuGraphLaunch);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  if (!alive(exec, GRAPH_EXEC)) return CUDA_ERROR_INVALID_VALUE;
  for (const GraphNode& node : exec->nodes) {
    Operation operation = node.operation;
    if (CUevent event = operation.event; event != nullptr) {
      if (!alive(event, EVENT)) return CUDA_ERROR_INVALID_HANDLE;
      std::lock_guard guard(event->lock);
      if (operation.kind == Operation::MARK) event->marker = std::make_shared<Marker>();
      operation.marker = event->marker;
      operation.event = nullptr;
      if (operation.marker == nullptr) continue;
    }
    if (operation.kind == Operation::LAUNCH && settings().noop) continue;
    TRY(enqueue(stream, std::move(operation)));
  }
  return CUDA_SUCCESS;
}
