/** Copies and fills. */

#include "driver.h"

namespace {

enum Side { DEVICE, HOST };

LaunchResult gone(const char* what) {
  return {CUDA_ERROR_ILLEGAL_ADDRESS, std::string(what) + " memory that was freed before its turn came"};
}

CUresult copy(Side toSide, uint64_t to, Side fromSide, uint64_t from, size_t bytes, CUstream stream, bool wait) {
  if (bytes == 0) return CUDA_SUCCESS;
  if (toSide == DEVICE && !isDeviceRange(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  if (fromSide == DEVICE && !isDeviceRange(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  REQUIRE((toSide == DEVICE || to != 0) && (fromSide == DEVICE || from != 0));
  if (wait) TRY(refuseCapturing(stream));
  const void* source = reinterpret_cast<const void*>(from);
  // Memory that is not pinned is read before the call returns; pinned memory when its turn comes.
  std::shared_ptr<std::vector<unsigned char>> staged;
  if (fromSide == HOST && !stream->capturing && !wait && !isPinned(source, bytes)) {
    const auto* first = static_cast<const unsigned char*>(source);
    staged = std::make_shared<std::vector<unsigned char>>(first, first + bytes);
  }
  TRY(enqueue(stream, {Operation::COPY,
                       [=]() -> LaunchResult {
                         if (toSide == DEVICE && !isDeviceRange(to, bytes)) return gone("a copy to");
                         if (fromSide == DEVICE && !isDeviceRange(from, bytes)) return gone("a copy from");
                         memmove(reinterpret_cast<void*>(to), staged != nullptr ? staged->data() : source, bytes);
                         return {};
                       },
                       nullptr}));
  // And written before the call returns.
  if (toSide == HOST && !stream->capturing && !isPinned(reinterpret_cast<void*>(to), bytes)) wait = true;
  if (!wait) return CUDA_SUCCESS;
  stream->drain();
  return usable(stream->context);
}

template <class T>
CUresult fill(CUdeviceptr to, T value, size_t count, CUstream stream, bool wait) {
  if (count == 0) return CUDA_SUCCESS;
  if (to % sizeof(T) != 0 || count > SIZE_MAX / sizeof(T) || !isDeviceRange(to, count * sizeof(T)))
    return CUDA_ERROR_INVALID_VALUE;
  if (wait) TRY(refuseCapturing(stream));
  TRY(enqueue(stream, {Operation::COPY,
                       [=]() -> LaunchResult {
                         if (!isDeviceRange(to, count * sizeof(T))) return gone("a fill of");
                         T* at = reinterpret_cast<T*>(to);
                         for (size_t i = 0; i < count; i++) at[i] = value;
                         return {};
                       },
                       nullptr}));
  if (!wait) return CUDA_SUCCESS;
  stream->drain();
  return usable(stream->context);
}

uint64_t number(const void* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}
Side sideOf(CUdeviceptr address) {
  return isDeviceRange(address, 1) ? DEVICE : HOST;
}

}  // namespace

#define ON_STREAM(symbol)    \
  ENTER(symbol);             \
  CUstream stream = nullptr; \
  TRY(findStream(handle, stream))
#define AT_ONCE(symbol)             \
  ENTER(symbol);                    \
  CUstream stream = nullptr;        \
  TRY(findStream(nullptr, stream)); \
  TRY(checkUnsafe())

DRIVER(cuMemcpyHtoDAsync_v2, CUdeviceptr to, const void* from, size_t bytes, CUstream handle) {
  ON_STREAM(cuMemcpyHtoDAsync_v2);
  return copy(DEVICE, to, HOST, number(from), bytes, stream, false);
}
DRIVER(cuMemcpyDtoHAsync_v2, void* to, CUdeviceptr from, size_t bytes, CUstream handle) {
  ON_STREAM(cuMemcpyDtoHAsync_v2);
  return copy(HOST, number(to), DEVICE, from, bytes, stream, false);
}
DRIVER(cuMemcpyDtoDAsync_v2, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
  ON_STREAM(cuMemcpyDtoDAsync_v2);
  return copy(DEVICE, to, DEVICE, from, bytes, stream, false);
}
DRIVER(cuMemcpyAsync, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
  ON_STREAM(cuMemcpyAsync);
  return copy(sideOf(to), to, sideOf(from), from, bytes, stream, false);
}
DRIVER(cuMemcpyPeerAsync, CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t bytes, CUstream handle) {
  ON_STREAM(cuMemcpyPeerAsync);
  return copy(DEVICE, to, DEVICE, from, bytes, stream, false);
}
DRIVER(cuMemcpyHtoD_v2, CUdeviceptr to, const void* from, size_t bytes) {
  AT_ONCE(cuMemcpyHtoD_v2);
  return copy(DEVICE, to, HOST, number(from), bytes, stream, true);
}
DRIVER(cuMemcpyDtoH_v2, void* to, CUdeviceptr from, size_t bytes) {
  AT_ONCE(cuMemcpyDtoH_v2);
  return copy(HOST, number(to), DEVICE, from, bytes, stream, true);
}
DRIVER(cuMemcpyDtoD_v2, CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  AT_ONCE(cuMemcpyDtoD_v2);
  return copy(DEVICE, to, DEVICE, from, bytes, stream, false);
}
DRIVER(cuMemcpy, CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  AT_ONCE(cuMemcpy);
  return copy(sideOf(to), to, sideOf(from), from, bytes, stream, true);
}
DRIVER(cuMemcpyPeer, CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t bytes) {
  AT_ONCE(cuMemcpyPeer);
  return copy(DEVICE, to, DEVICE, from, bytes, stream, true);
}

#define FILL(symbol, T)                                                           \
  DRIVER(symbol##Async, CUdeviceptr to, T value, size_t count, CUstream handle) { \
    ON_STREAM(symbol##Async);                                                     \
    return fill<T>(to, value, count, stream, false);                              \
  }                                                                               \
  DRIVER(symbol##_v2, CUdeviceptr to, T value, size_t count) {                    \
    AT_ONCE(symbol##_v2);                                                         \
    return fill<T>(to, value, count, stream, true);                               \
  }
FILL(cuMemsetD8, unsigned char)
FILL(cuMemsetD16, unsigned short)
FILL(cuMemsetD32, unsigned)
