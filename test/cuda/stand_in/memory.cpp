/** Device and host memory. An allocation lies between pages that nobody may touch, and is poisoned when it is made. */

#include <algorithm>
#include <cstdio>
#include <deque>
#include <sys/mman.h>

#include "driver.h"

namespace {

constexpr size_t PAGE = 4096;
/** With checks, an allocation ends at a page's end; between the end and the page there is at most this, less one. */
constexpr size_t CHECK_ALIGNMENT = 16;
constexpr size_t TOTAL_MEMORY = size_t{80} << 30;

struct Memory {
  std::mutex lock;
  std::map<uint64_t, Allocation> live;
  std::map<int, size_t> used;
  /** The latest, for messages. */
  std::deque<Allocation> freed;
  /** Where the next allocation comes; 0: no arena yet. */
  uint64_t next = 0, end = 0;
  std::map<uint64_t, size_t> pinned;
  std::map<uint64_t, void*> mappedHost;
};
Memory& memory() {
  static auto* made = new Memory;
  return *made;
}
constexpr size_t MOST_FREED = 512;
/**
 * Allocations lie in addresses of their own, far from the program's memory and from each other, so that a wild access traps instead of
 * changing something else; and no address is ever used again.
 */
constexpr size_t ARENA = size_t{256} << 30;
constexpr size_t GAP = 64 << 10;

size_t pages(size_t bytes) {
  return (bytes + PAGE - 1) / PAGE * PAGE;
}

/** With the lock held. */
const Allocation* find(uint64_t address) {
  auto& live = memory().live;
  auto next = live.upper_bound(address);
  if (next == live.begin()) return nullptr;
  const Allocation& found = std::prev(next)->second;
  return address < found.base + found.bytes ? &found : nullptr;
}

constexpr int RESERVED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

/** Addresses that nobody may touch, or MAP_FAILED. With the lock held. */
void* reserve(size_t bytes) {
  Memory& m = memory();
  if (m.next == 0) {
    void* arena = mmap(nullptr, ARENA, PROT_NONE, RESERVED, -1, 0);
    m.next = arena == MAP_FAILED ? 1 : reinterpret_cast<uint64_t>(arena);
    m.end = arena == MAP_FAILED ? 0 : m.next + ARENA;
  }
  // Where addresses are short (ulimit -v), or used up, the system chooses.
  if (m.next + bytes + GAP > m.end) return mmap(nullptr, bytes, PROT_NONE, RESERVED, -1, 0);
  void* at = reinterpret_cast<void*>(m.next);
  m.next += bytes + GAP;
  return at;
}

/** With the lock held. */
void retire(const Allocation& allocation) {
  memory().used[allocation.device] -= allocation.bytes;
  mmap(allocation.mapping, allocation.mapped, PROT_NONE, RESERVED | MAP_FIXED, -1, 0);
  memory().freed.push_back(allocation);
  if (memory().freed.size() > MOST_FREED) memory().freed.pop_front();
}

CUresult allocate(int device, size_t bytes, CUdeviceptr* address) {
  Allocation allocation;
  {
    std::lock_guard guard(memory().lock);
    if (bytes > settings().memory || memory().used[device] > settings().memory - bytes) return CUDA_ERROR_OUT_OF_MEMORY;
    memory().used[device] += bytes;
    allocation.device = device;
    allocation.bytes = bytes;
    allocation.mapped = pages(bytes) + 2 * PAGE;
    allocation.mapping = reserve(allocation.mapped);
  }
  const bool check = settings().check;
  const size_t inner = pages(bytes);
  unsigned char* low = static_cast<unsigned char*>(allocation.mapping) + PAGE;
  if (allocation.mapping == MAP_FAILED || mprotect(low, inner, PROT_READ | PROT_WRITE) != 0) {
    std::lock_guard guard(memory().lock);
    memory().used[device] -= bytes;
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const size_t rounded = (bytes + CHECK_ALIGNMENT - 1) / CHECK_ALIGNMENT * CHECK_ALIGNMENT;
  allocation.base = reinterpret_cast<uint64_t>(check ? low + inner - rounded : low);
  poisonMemory(low, inner);
  std::lock_guard guard(memory().lock);
  memory().live[allocation.base] = allocation;
  *address = allocation.base;
  return CUDA_SUCCESS;
}

}  // namespace

bool isDeviceRange(uint64_t address, size_t bytes) {
  std::lock_guard guard(memory().lock);
  const Allocation* found = find(address);
  return found != nullptr && bytes <= found->base + found->bytes - address;
}

bool isPinned(const void* pointer, size_t bytes) {
  std::lock_guard guard(memory().lock);
  const auto address = reinterpret_cast<uint64_t>(pointer);
  auto next = memory().pinned.upper_bound(address);
  if (next == memory().pinned.begin()) return false;
  const auto& [base, size] = *std::prev(next);
  return address + bytes <= base + size;
}

std::string describeAddress(uint64_t address) {
  std::lock_guard guard(memory().lock);
  char text[256];
  for (const Allocation& freed : memory().freed) {
    if (address >= freed.base && address < freed.base + freed.bytes) {
      snprintf(text, sizeof text, ": byte %llu of memory of %zu bytes that was freed",
               static_cast<unsigned long long>(address - freed.base), freed.bytes);
      return text;
    }
  }
  const Allocation* nearest = nullptr;
  uint64_t best = 1 << 20;
  bool before = false;
  for (const auto& [base, allocation] : memory().live) {
    const uint64_t end = base + allocation.bytes;
    const uint64_t away = address < base ? base - address : address >= end ? address - end : 0;
    if (away >= best) continue;
    best = away;
    nearest = &allocation;
    before = address < base;
  }
  if (nearest == nullptr) return ", where no memory of the device is near";
  if (before)
    snprintf(text, sizeof text, ": %llu bytes before the begin of an allocation of %zu bytes",
             static_cast<unsigned long long>(best), nearest->bytes);
  else
    snprintf(text, sizeof text, ": %llu bytes beyond the end of an allocation of %zu bytes",
             static_cast<unsigned long long>(best), nearest->bytes);
  return text;
}

bool findOverrun(std::string& message) {
  if (!settings().check) return false;
  std::lock_guard guard(memory().lock);
  for (const auto& [base, allocation] : memory().live) {
    const uint64_t end = base + allocation.bytes;
    const size_t rest = (CHECK_ALIGNMENT - end % CHECK_ALIGNMENT) % CHECK_ALIGNMENT;
    for (size_t i = 0; i < rest; i++) {
      const auto expected = static_cast<unsigned char>(((end + i) & 1) != 0 ? POISON >> 8 : POISON & 255);
      auto* at = reinterpret_cast<unsigned char*>(end + i);
      if (*at == expected) continue;
      message = "byte " + std::to_string(i) + " beyond the end of an allocation of " + std::to_string(allocation.bytes) +
                " bytes was written";
      poisonMemory(reinterpret_cast<void*>(end), rest);
      return true;
    }
  }
  return false;
}

void freeAllOf(int device) {
  std::lock_guard guard(memory().lock);
  auto& live = memory().live;
  for (auto entry = live.begin(); entry != live.end();) {
    if (entry->second.device == device) {
      retire(entry->second);
      entry = live.erase(entry);
    } else {
      ++entry;
    }
  }
}

void memoryCounts(size_t& allocations, size_t& bytes, size_t& hostAllocations) {
  std::lock_guard guard(memory().lock);
  allocations = memory().live.size();
  bytes = 0;
  for (const auto& [_, used] : memory().used) bytes += used;
  hostAllocations = memory().mappedHost.size();
}

// ------------------------------------------------------------------------------------------------------------------------ device

DRIVER(cuMemAlloc_v2, CUdeviceptr* address, size_t bytes) {
  ENTER(cuMemAlloc_v2);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  REQUIRE(address != nullptr && bytes > 0);
  TRY(checkUnsafe());
  return allocate(context->device, bytes, address);
}
DRIVER(cuMemAllocManaged, CUdeviceptr* address, size_t bytes, unsigned) {
  ENTER(cuMemAllocManaged);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  REQUIRE(address != nullptr && bytes > 0);
  TRY(checkUnsafe());
  return allocate(context->device, bytes, address);
}
DRIVER(cuMemFree_v2, CUdeviceptr address) {
  ENTER(cuMemFree_v2);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  if (address == 0) return CUDA_SUCCESS;
  TRY(checkUnsafe());
  {
    std::lock_guard guard(memory().lock);
    if (memory().live.count(address) == 0) return CUDA_ERROR_INVALID_VALUE;
  }
  // As the driver does it: nothing that was asked for before loses its memory.
  drainContext(context);
  std::lock_guard guard(memory().lock);
  const auto found = memory().live.find(address);
  if (found == memory().live.end()) return CUDA_ERROR_INVALID_VALUE;
  retire(found->second);
  memory().live.erase(found);
  return usable(context);
}
DRIVER(cuMemAllocAsync, CUdeviceptr* address, size_t bytes, CUstream handle) {
  ENTER(cuMemAllocAsync);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  REQUIRE(address != nullptr && bytes > 0);
  if (stream->capturing) return CUDA_ERROR_NOT_SUPPORTED;
  return allocate(stream->context->device, bytes, address);
}
DRIVER(cuMemFreeAsync, CUdeviceptr address, CUstream handle) {
  ENTER(cuMemFreeAsync);
  CUstream stream = nullptr;
  TRY(findStream(handle, stream));
  if (stream->capturing) return CUDA_ERROR_NOT_SUPPORTED;
  REQUIRE(isDeviceRange(address, 1));
  return enqueue(stream, {Operation::HOST,
                          [address]() -> LaunchResult {
                            std::lock_guard guard(memory().lock);
                            const auto found = memory().live.find(address);
                            if (found == memory().live.end()) return {CUDA_ERROR_ILLEGAL_ADDRESS, "memory was freed twice"};
                            retire(found->second);
                            memory().live.erase(found);
                            return {};
                          },
                          nullptr});
}
DRIVER(cuMemGetInfo_v2, size_t* free, size_t* total) {
  ENTER(cuMemGetInfo_v2);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  std::lock_guard guard(memory().lock);
  const size_t limit = settings().memory, used = memory().used[context->device];
  *free = used < limit ? limit - used : 0;
  *total = TOTAL_MEMORY;
  return CUDA_SUCCESS;
}
DRIVER(cuMemGetAddressRange_v2, CUdeviceptr* base, size_t* size, CUdeviceptr address) {
  ENTER(cuMemGetAddressRange_v2);
  std::lock_guard guard(memory().lock);
  const Allocation* found = find(address);
  if (found == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (base != nullptr) *base = found->base;
  if (size != nullptr) *size = found->bytes;
  return CUDA_SUCCESS;
}
DRIVER(cuPointerGetAttribute, void* data, int attribute, CUdeviceptr address) {
  ENTER(cuPointerGetAttribute);
  std::lock_guard guard(memory().lock);
  const Allocation* found = find(address);
  if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case 2: *static_cast<unsigned*>(data) = 2; return CUDA_SUCCESS;
    case 3: *static_cast<CUdeviceptr*>(data) = address; return CUDA_SUCCESS;
    case 9: *static_cast<int*>(data) = found->device; return CUDA_SUCCESS;
    case 11: *static_cast<CUdeviceptr*>(data) = found->base; return CUDA_SUCCESS;
    case 12: *static_cast<size_t*>(data) = found->bytes; return CUDA_SUCCESS;
    default: return CUDA_ERROR_NOT_SUPPORTED;
  }
}

// -------------------------------------------------------------------------------------------------------------------------- host

DRIVER(cuMemHostAlloc, void** pointer, size_t bytes, unsigned flags) {
  ENTER(cuMemHostAlloc);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  REQUIRE(pointer != nullptr && bytes > 0 && flags < 8);
  TRY(checkUnsafe());
  const size_t inner = pages(bytes);
  void* mapping = mmap(nullptr, inner + 2 * PAGE, PROT_NONE, RESERVED, -1, 0);
  if (mapping == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  unsigned char* low = static_cast<unsigned char*>(mapping) + PAGE;
  mprotect(low, inner, PROT_READ | PROT_WRITE);
  poisonMemory(low, inner);
  std::lock_guard guard(memory().lock);
  memory().pinned[reinterpret_cast<uint64_t>(low)] = inner;
  memory().mappedHost[reinterpret_cast<uint64_t>(low)] = mapping;
  *pointer = low;
  return CUDA_SUCCESS;
}
DRIVER(cuMemAllocHost_v2, void** pointer, size_t bytes) {
  ENTER(cuMemAllocHost_v2);
  return cuMemHostAlloc(pointer, bytes, 0);
}
DRIVER(cuMemFreeHost, void* pointer) {
  ENTER(cuMemFreeHost);
  CUcontext context = nullptr;
  TRY(currentContext(context));
  TRY(checkUnsafe());
  drainContext(context);
  std::lock_guard guard(memory().lock);
  const auto found = memory().mappedHost.find(reinterpret_cast<uint64_t>(pointer));
  if (found == memory().mappedHost.end()) return CUDA_ERROR_INVALID_VALUE;
  munmap(found->second, memory().pinned[found->first] + 2 * PAGE);
  memory().pinned.erase(found->first);
  memory().mappedHost.erase(found);
  return usable(context);
}
DRIVER(cuMemHostRegister_v2, void* pointer, size_t bytes, unsigned) {
  ENTER(cuMemHostRegister_v2);
  REQUIRE(pointer != nullptr && bytes > 0);
  if (isPinned(pointer, bytes)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  std::lock_guard guard(memory().lock);
  memory().pinned[reinterpret_cast<uint64_t>(pointer)] = bytes;
  return CUDA_SUCCESS;
}
DRIVER(cuMemHostUnregister, void* pointer) {
  ENTER(cuMemHostUnregister);
  std::lock_guard guard(memory().lock);
  return memory().pinned.erase(reinterpret_cast<uint64_t>(pointer)) == 1 ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}
DRIVER(cuMemHostGetDevicePointer_v2, CUdeviceptr* address, void* pointer, unsigned) {
  ENTER(cuMemHostGetDevicePointer_v2);
  if (!isPinned(pointer, 1)) return CUDA_ERROR_INVALID_VALUE;
  *address = reinterpret_cast<CUdeviceptr>(pointer);
  return CUDA_SUCCESS;
}
