// Pinned memory between the host and the device: chunks that uploads go through one after another, and buffers for downloads.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "driver.h"
#include "event.h"

namespace kindling {

struct Pinned {
  void* memory;
  size_t bytes;
};

class Staging {
 public:
  Staging(const Driver& driver, EventStock& events) : driver_(driver), events_(events) {}
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Copies the bytes and enqueues their transfer. Waits only where MOST_UPLOAD_BYTES are under way.
  void upload(CUdeviceptr address, const void* bytes, size_t count, CUstream stream);

  // A buffer of at least so many bytes, for a download.
  Pinned take(size_t bytes);
  // May be called by any thread.
  void give(Pinned buffer);

 private:
  struct Chunk {
    std::unique_ptr<Event> event;  // the transfers from it are done
    Pinned pinned;
  };

  Pinned pin(size_t bytes);
  void next_chunk(CUstream stream);

  const Driver& driver_;
  EventStock& events_;
  // The chunk that is being filled, and those that are full, oldest first.
  Pinned filling_{nullptr, 0};
  size_t filled_ = 0;
  std::deque<Chunk> full_;
  size_t chunks_ = 0;
  std::mutex mutex_;
  std::vector<Pinned> idle_;
  size_t idle_bytes_ = 0;
};

}  // namespace kindling
