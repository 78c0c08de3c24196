#include "allocator.h"

#include <algorithm>

namespace kindling {

// A piece of a segment, free or not; or a cell of a slab.
struct Block {
  CUdeviceptr address;
  uint64_t bytes;
  Segment* segment;
  Slab* slab = nullptr;  // of a cell
  // Neighbours in the segment. A free cell's `next` is the next free one.
  Block* previous = nullptr;
  Block* next = nullptr;
  uint64_t used = 0;  // what was asked for, rounded; 0: free
};

// One of the driver's allocations, divided into pieces without gaps.
struct Segment {
  CUdeviceptr address;
  uint64_t bytes;
  bool small;
  Pool* pool;
  Block* first;
};

// A piece that is divided into cells of one size.
struct Slab {
  Block* piece;
  int size_class;
  std::vector<Block> cells;
  Block* free = nullptr;
  size_t in_use = 0;
  // In the list of slabs with free cells.
  Slab* previous = nullptr;
  Slab* next = nullptr;
};

bool BlockOrder::operator()(const Block* a, const Block* b) const {
  return a->bytes != b->bytes ? a->bytes < b->bytes : a->address < b->address;
}

namespace {

constexpr uint64_t KIBI = 1024, MEBI = 1024 * KIBI;
constexpr uint64_t ROUND = 512;
constexpr uint64_t LARGEST_CELL = 32 * KIBI;
constexpr uint64_t LARGEST_SMALL = MEBI;
constexpr uint64_t SMALL_SEGMENT = 2 * MEBI;
constexpr uint64_t MEDIUM_SEGMENT = 20 * MEBI;
constexpr uint64_t SMALLEST_OWN_SEGMENT = 10 * MEBI;
constexpr uint64_t MOST_BYTES = uint64_t(1) << 52;

// Steps of a half: no cell wastes more than a third.
constexpr uint64_t CLASS_BYTES[SIZE_CLASSES] = {512,      1024,     1536,     2048,      3 * KIBI,  4 * KIBI,
                                                6 * KIBI, 8 * KIBI, 12 * KIBI, 16 * KIBI, 24 * KIBI, 32 * KIBI};

uint64_t rounded(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

int class_of(uint64_t bytes) { return int(std::lower_bound(CLASS_BYTES, CLASS_BYTES + SIZE_CLASSES, bytes) - CLASS_BYTES); }

uint64_t slab_bytes(int size_class) { return std::clamp(CLASS_BYTES[size_class] * 32, 64 * KIBI, 512 * KIBI); }

uint64_t segment_bytes(uint64_t bytes) {
  if (bytes <= LARGEST_SMALL) return SMALL_SEGMENT;
  return bytes < SMALLEST_OWN_SEGMENT ? MEDIUM_SEGMENT : rounded(bytes, SMALL_SEGMENT);
}

void link(Slab*& list, Slab* slab) {
  slab->previous = nullptr;
  slab->next = list;
  if (list) list->previous = slab;
  list = slab;
}

void unlink(Slab*& list, Slab* slab) {
  if (slab->next) slab->next->previous = slab->previous;
  if (slab->previous) slab->previous->next = slab->next;
  else list = slab->next;
}

}  // namespace

Allocator::Allocator(const Driver& driver, Options options) : driver_(driver), options_(std::move(options)) {}

Allocator::~Allocator() {
  const auto give_back = [this](Pool& pool) {
    for (Segment* segment : pool.segments_) {
      driver_.memory_free(segment->address);
      for (Block* block = segment->first; block;) {
        Block* const next = block->next;
        delete block->slab;
        delete block;
        block = next;
      }
      delete segment;
    }
  };
  give_back(own_);
  for (const auto& pool : private_) give_back(*pool);
}

CUdeviceptr Allocator::allocate(uint64_t bytes) {
  if (bytes == 0 || bytes > MOST_BYTES) invalid("allocate: %llu bytes; expected 1 to 2^52", (unsigned long long)bytes);
  Block* block = place(bytes);
  if (!block && !reclaiming_ && options_.reclaim) {
    reclaiming_ = true;
    struct Done {
      bool& flag;
      ~Done() { flag = false; }
    } done{reclaiming_};
    options_.reclaim();
    block = place(bytes);
  }
  if (!block) {
    stats_.retries++;
    flush();
    block = place(bytes);
  }
  if (!block) fail(bytes);
  live_.add(block->address, block);
  stats_.allocated += block->used;
  stats_.peak_allocated = std::max(stats_.peak_allocated, stats_.allocated);
  stats_.blocks++;
  stats_.allocations++;
  return block->address;
}

void Allocator::fail(uint64_t bytes) {
  stats_.failures++;
  size_t free = 0, total = 0;
  std::string driver;
  if (driver_.memory_info(&free, &total) == CUDA_SUCCESS) {
    driver = format("; the device has %s free of %s", in_bytes(free).c_str(), in_bytes(total).c_str());
  }
  const std::string limit = options_.limit ? format(", and may reserve %s", in_bytes(*options_.limit).c_str()) : std::string();
  throw Failure{Code::OutOfMemory,
                format("out of memory: %s (%llu bytes) were asked for; %s are allocated in %llu blocks of %s reserved%s%s. "
                       "Idle memory was given back %llu times, the last time in vain",
                       in_bytes(bytes).c_str(), (unsigned long long)bytes, in_bytes(stats_.allocated).c_str(),
                       (unsigned long long)stats_.blocks, in_bytes(stats_.reserved).c_str(), limit.c_str(), driver.c_str(),
                       (unsigned long long)stats_.retries),
                CUDA_ERROR_OUT_OF_MEMORY, "cuMemAlloc"};
}

// Null where there is no room.
Block* Allocator::place(uint64_t asked) {
  if (options_.exact) return place_exact(asked);
  const uint64_t bytes = rounded(asked, ROUND);
  Block* block = bytes <= LARGEST_CELL ? take_cell(class_of(bytes), bytes) : nullptr;
  // A piece of its own where no slab has room.
  if (!block) block = take(bytes);
  if (block) block->used = bytes;
  return block;
}

Block* Allocator::place_exact(uint64_t bytes) {
  Segment* const segment = grow(bytes, true);
  if (!segment) return nullptr;
  segment->first->used = bytes;
  return segment->first;
}

Block* Allocator::take_cell(int size_class, uint64_t bytes) {
  Slab*& list = active_->slabs_[size_class];
  if (!list) {
    Block* const piece = take(slab_bytes(size_class));
    if (!piece) return nullptr;
    piece->used = piece->bytes;
    Slab* const slab = new Slab{piece, size_class, {}};
    piece->slab = slab;
    const uint64_t size = CLASS_BYTES[size_class];
    slab->cells.resize(piece->bytes / size);
    for (size_t i = slab->cells.size(); i-- > 0;) {
      Block& cell = slab->cells[i];
      cell.address = piece->address + i * size;
      cell.bytes = size;
      cell.segment = piece->segment;
      cell.slab = slab;
      cell.next = slab->free;
      slab->free = &cell;
    }
    link(list, slab);
  }
  Slab* const slab = list;
  Block* const cell = slab->free;
  slab->free = cell->next;
  slab->in_use++;
  if (!slab->free) unlink(list, slab);
  cell->used = bytes;
  return cell;
}

Block* Allocator::take(uint64_t bytes) {
  const bool small = bytes <= LARGEST_SMALL;
  FreeBlocks& free = active_->free_of(small);
  Block wanted{0, bytes, nullptr};
  auto found = free.lower_bound(&wanted);
  if (found == free.end()) {
    const uint64_t preferred = segment_bytes(bytes);
    Segment* segment = grow(preferred, small);
    // Where there is no room for a segment that others can share there may be for this alone.
    if (!segment && bytes < preferred) segment = grow(bytes, small);
    if (!segment) return nullptr;
    found = free.find(segment->first);
  }
  Block* const block = *found;
  free.erase(found);
  return divide(block, bytes);
}

// Leaves the rest of a free piece to others if it is worth it.
Block* Allocator::divide(Block* block, uint64_t bytes) {
  const uint64_t rest = block->bytes - bytes;
  if (block->segment->small ? rest < ROUND : rest <= LARGEST_SMALL) return block;
  Block* const other = new Block{block->address + bytes, rest, block->segment};
  other->previous = block;
  other->next = block->next;
  if (other->next) other->next->previous = other;
  block->next = other;
  block->bytes = bytes;
  block->segment->pool->free_of(block->segment->small).insert(other);
  return block;
}

// A new segment, free as a whole; null where the driver has no room for it, or the limit does not allow it.
Segment* Allocator::grow(uint64_t bytes, bool small) {
  options_.enter();
  if (options_.limit && stats_.reserved + bytes > *options_.limit) return nullptr;
  CUdeviceptr address = 0;
  stats_.slabs++;
  const CUresult result = driver_.memory_alloc(&address, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) return nullptr;
  options_.check(result, "cuMemAlloc");
  Segment* const segment = new Segment{address, bytes, small, active_, nullptr};
  segment->first = new Block{address, bytes, segment};
  active_->segments_.push_back(segment);
  if (!options_.exact) active_->free_of(small).insert(segment->first);
  stats_.reserved += bytes;
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  return segment;
}

void Allocator::free(CUdeviceptr address) {
  Block* const block = address ? live_.take(address) : nullptr;
  if (!block) invalid("free: 0x%llx is not an address that `allocate` returned, or was freed already", address);
  stats_.allocated -= block->used;
  stats_.blocks--;
  block->used = 0;
  if (options_.exact) {
    // What a graph may use stays until the graph is gone.
    if (block->segment->pool != &own_) return;
    options_.synchronize();
    drop(block->segment);
  } else if (block->slab) {
    free_cell(block);
  } else {
    free_piece(block);
  }
}

void Allocator::free_cell(Block* cell) {
  Slab* const slab = cell->slab;
  Slab*& list = cell->segment->pool->slabs_[slab->size_class];
  if (!slab->free) link(list, slab);
  cell->next = slab->free;
  slab->free = cell;
  // One idle slab of a size is kept at hand.
  if (--slab->in_use == 0 && (slab->previous || slab->next)) {
    unlink(list, slab);
    Block* const piece = slab->piece;
    piece->slab = nullptr;
    piece->used = 0;
    delete slab;
    free_piece(piece);
  }
}

void Allocator::free_piece(Block* block) {
  Segment* const segment = block->segment;
  FreeBlocks& free = segment->pool->free_of(segment->small);
  if (Block* const next = block->next; next && next->used == 0) {
    free.erase(next);
    block->bytes += next->bytes;
    block->next = next->next;
    if (block->next) block->next->previous = block;
    delete next;
  }
  if (Block* const previous = block->previous; previous && previous->used == 0) {
    free.erase(previous);
    previous->bytes += block->bytes;
    previous->next = block->next;
    if (previous->next) previous->next->previous = previous;
    delete block;
    block = previous;
  }
  free.insert(block);
}

void Allocator::empty_slabs(Pool& pool) {
  for (Slab*& list : pool.slabs_) {
    for (Slab* slab = list; slab;) {
      Slab* const next = slab->next;
      if (slab->in_use == 0) {
        unlink(list, slab);
        Block* const piece = slab->piece;
        piece->slab = nullptr;
        piece->used = 0;
        delete slab;
        free_piece(piece);
      }
      slab = next;
    }
  }
}

void Allocator::flush() {
  empty_slabs(own_);
  const auto idle = [](const Segment* segment) { return segment->first->used == 0 && !segment->first->next; };
  std::vector<Segment*> segments;
  std::copy_if(own_.segments_.begin(), own_.segments_.end(), std::back_inserter(segments), idle);
  if (segments.empty()) return;
  options_.synchronize();
  for (Segment* segment : segments) {
    own_.free_of(segment->small).erase(segment->first);
    drop(segment);
  }
}

void Allocator::drop(Segment* segment) {
  std::vector<Segment*>& all = segment->pool->segments_;
  all.erase(std::find(all.begin(), all.end(), segment));
  stats_.reserved -= segment->bytes;
  const CUdeviceptr address = segment->address;
  delete segment->first;
  delete segment;
  options_.check(driver_.memory_free(address), "cuMemFree");
}

Pool* Allocator::begin_private() {
  private_.push_back(std::make_unique<Pool>());
  return active_ = private_.back().get();
}

void Allocator::dissolve(Pool* pool) {
  if (active_ == pool) active_ = &own_;
  for (int size_class = 0; size_class < SIZE_CLASSES; size_class++) {
    while (Slab* const slab = pool->slabs_[size_class]) {
      unlink(pool->slabs_[size_class], slab);
      link(own_.slabs_[size_class], slab);
    }
  }
  for (Segment* segment : pool->segments_) {
    segment->pool = &own_;
    own_.segments_.push_back(segment);
  }
  own_.small_.merge(pool->small_);
  own_.large_.merge(pool->large_);
  std::vector<Segment*> idle;
  if (options_.exact) {
    std::copy_if(pool->segments_.begin(), pool->segments_.end(), std::back_inserter(idle),
                 [](const Segment* segment) { return segment->first->used == 0; });
  }
  private_.erase(std::find_if(private_.begin(), private_.end(), [&](const auto& entry) { return entry.get() == pool; }));
  if (!idle.empty()) options_.synchronize();
  for (Segment* segment : idle) drop(segment);
}

void Allocator::reset_peaks() {
  stats_.peak_allocated = stats_.allocated;
  stats_.peak_reserved = stats_.reserved;
}

}  // namespace kindling
