#include "staging.h"

#include <algorithm>
#include <cstring>

namespace kindling {
namespace {

constexpr size_t CHUNK = size_t(2) << 20;
constexpr size_t MOST_UPLOAD_BYTES = size_t(128) << 20;
// Download buffers that are kept.
constexpr size_t SMALLEST_BUFFER = 4096;
constexpr size_t MOST_IDLE_BYTES = size_t(128) << 20;

size_t buffer_bytes(size_t bytes) {
  size_t size = SMALLEST_BUFFER;
  while (size < bytes && size < CHUNK) size *= 2;
  return size >= bytes ? size : (bytes + CHUNK - 1) / CHUNK * CHUNK;
}

}  // namespace

Staging::~Staging() {
  if (filling_.memory) driver_.host_free(filling_.memory);
  for (const Chunk& chunk : full_) driver_.host_free(chunk.pinned.memory);
  for (const Pinned& buffer : idle_) driver_.host_free(buffer.memory);
}

Pinned Staging::pin(size_t bytes) {
  void* memory = nullptr;
  const CUresult result = driver_.host_alloc(&memory, bytes, 0);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    throw Failure{Code::OutOfMemory, format("out of memory: the system cannot pin %s of its memory for transfers", in_bytes(bytes).c_str()),
                  result, "cuMemHostAlloc"};
  }
  driver_.check(result, "cuMemHostAlloc");
  return {memory, bytes};
}

void Staging::upload(CUdeviceptr address, const void* bytes, size_t count, CUstream stream) {
  const char* from = static_cast<const char*>(bytes);
  while (count > 0) {
    if (filled_ == filling_.bytes) next_chunk(stream);
    const size_t part = std::min(count, filling_.bytes - filled_);
    char* const to = static_cast<char*>(filling_.memory) + filled_;
    std::memcpy(to, from, part);
    driver_.check(driver_.copy_to_device(address, to, part, stream), "cuMemcpyHtoDAsync");
    filled_ = std::min(filling_.bytes, (filled_ + part + 63) / 64 * 64);
    from += part;
    address += part;
    count -= part;
  }
}

void Staging::next_chunk(CUstream stream) {
  if (filling_.memory) {
    Chunk chunk{events_.take(), filling_};
    driver_.check(driver_.event_record(chunk.event->handle, stream), "cuEventRecord");
    full_.push_back(std::move(chunk));
    filling_ = {nullptr, 0};
    filled_ = 0;
  }
  if (!full_.empty()) {
    Chunk& oldest = full_.front();
    CUresult result = driver_.event_query(oldest.event->handle);
    if (result == CUDA_ERROR_NOT_READY && chunks_ * CHUNK >= MOST_UPLOAD_BYTES) result = driver_.event_synchronize(oldest.event->handle);
    if (result != CUDA_ERROR_NOT_READY) {
      driver_.check(result, "cuEventQuery");
      filling_ = oldest.pinned;
      events_.give(std::move(oldest.event));
      full_.pop_front();
      return;
    }
  }
  filling_ = pin(CHUNK);
  chunks_++;
}

Pinned Staging::take(size_t bytes) {
  const size_t size = buffer_bytes(bytes);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const Pinned& buffer) { return buffer.bytes == size; });
    if (found != idle_.rend()) {
      const Pinned buffer = *found;
      idle_.erase(std::next(found).base());
      idle_bytes_ -= size;
      return buffer;
    }
  }
  return pin(size);
}

void Staging::give(Pinned buffer) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(buffer);
    idle_bytes_ += buffer.bytes;
    if (idle_bytes_ <= MOST_IDLE_BYTES) return;
    // The one that has been idle the longest.
    buffer = idle_.front();
    idle_.erase(idle_.begin());
    idle_bytes_ -= buffer.bytes;
  }
  driver_.host_free(buffer.memory);
}

}  // namespace kindling
