// Device memory. The driver's allocations (segments) are slow and are kept; blocks are cut from them. A block may be handed out again as soon
// as it was freed, because everything on the device happens in the order of one stream.
//
// Up to 32 KiB blocks are cells of slabs, one kind of slab for each of twelve sizes. Larger ones are the best fitting free piece of a segment,
// divided, and joined with free neighbours again when they are freed. Up to 1 MiB they come from segments of 2 MiB, then from segments of
// 20 MiB, from 10 MiB on from segments of their own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "address_map.h"
#include "driver.h"

namespace kindling {

struct Block;
struct Segment;
struct Slab;

struct BlockOrder {
  bool operator()(const Block* a, const Block* b) const;
};
using FreeBlocks = std::set<Block*, BlockOrder>;

constexpr int SIZE_CLASSES = 12;

// Memory that is handed out together: the device's own, or that of one graph.
class Pool {
 public:
  FreeBlocks& free_of(bool small) { return small ? small_ : large_; }

 private:
  friend class Allocator;
  FreeBlocks small_, large_;
  // Slabs with free cells, by size; the first of a list is served first.
  Slab* slabs_[SIZE_CLASSES] = {};
  std::vector<Segment*> segments_;
};

// AllocatorStats of gpu/cuda/addon.ts.
struct MemoryStats {
  uint64_t allocated = 0, peak_allocated = 0, reserved = 0, peak_reserved = 0;
  uint64_t blocks = 0, allocations = 0, slabs = 0, retries = 0, failures = 0;
};

class Allocator {
 public:
  struct Options {
    std::optional<uint64_t> limit;
    // Every block is a segment, which goes back to the driver when the block is freed.
    bool exact = false;
    // Frees what is dead.
    std::function<void()> reclaim;
    // Called before the driver is: makes the context current.
    std::function<void()> enter;
    // The same, and returns when nothing that was freed is in use any more.
    std::function<void()> synchronize;
    // Throws what the driver reported.
    std::function<void(CUresult, const char*)> check;
  };

  Allocator(const Driver& driver, Options options);
  // Gives back everything, also what is in use.
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  CUdeviceptr allocate(uint64_t bytes);
  void free(CUdeviceptr address);
  // Gives idle segments back to the driver.
  void flush();

  // From now on memory comes from a new pool, where nobody else gets any until it is dissolved.
  Pool* begin_private();
  void end_private() { active_ = &own_; }
  // What is free in it, and what will be, is for everybody.
  void dissolve(Pool* pool);

  const MemoryStats& stats() const { return stats_; }
  void reset_peaks();

 private:
  Block* place(uint64_t bytes);
  Block* place_exact(uint64_t bytes);
  Block* take_cell(int size_class, uint64_t bytes);
  Block* take(uint64_t bytes);
  Block* divide(Block* block, uint64_t bytes);
  Segment* grow(uint64_t bytes, bool small);
  void free_cell(Block* cell);
  void free_piece(Block* block);
  void empty_slabs(Pool& pool);
  void drop(Segment* segment);
  [[noreturn]] void fail(uint64_t bytes);

  const Driver& driver_;
  const Options options_;
  Pool own_;
  std::vector<std::unique_ptr<Pool>> private_;
  Pool* active_ = &own_;
  AddressMap<Block> live_;
  MemoryStats stats_;
  bool reclaiming_ = false;
};

}  // namespace kindling
