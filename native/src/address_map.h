// From addresses to what is there: open addressing, since an allocation asks this once and a free once.
#pragma once

#include <cstdint>
#include <vector>

namespace kindling {

template <class T>
class AddressMap {
 public:
  AddressMap() : cells_(1024) {}
  size_t size() const { return size_; }

  // `address` is not 0 and not in it yet.
  void add(uint64_t address, T* value) {
    if (++size_ * 2 > cells_.size()) grow();
    put(address, value);
  }

  // Null where there is nothing.
  T* take(uint64_t address) {
    size_t at = place(address);
    while (cells_[at].address != address) {
      if (cells_[at].address == 0) return nullptr;
      at = next(at);
    }
    T* const value = cells_[at].value;
    size_--;
    // What follows moves up, so that no search ends at the gap.
    for (size_t hole = at;;) {
      at = next(at);
      if (cells_[at].address == 0) {
        cells_[hole].address = 0;
        return value;
      }
      const size_t home = place(cells_[at].address);
      const size_t mask = cells_.size() - 1;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        cells_[hole] = cells_[at];
        hole = at;
      }
    }
  }

 private:
  struct Cell {
    uint64_t address = 0;
    T* value = nullptr;
  };

  // Addresses are multiples of 256 and often neighbours; the product spreads them.
  size_t place(uint64_t address) const { return ((address * 0x9e3779b97f4a7c15u) >> 32) & (cells_.size() - 1); }
  size_t next(size_t at) const { return (at + 1) & (cells_.size() - 1); }

  void put(uint64_t address, T* value) {
    size_t at = place(address);
    while (cells_[at].address != 0) at = next(at);
    cells_[at] = {address, value};
  }

  void grow() {
    std::vector<Cell> old(cells_.size() * 2);
    old.swap(cells_);
    for (const Cell& cell : old) {
      if (cell.address != 0) put(cell.address, cell.value);
    }
  }

  std::vector<Cell> cells_;
  size_t size_ = 0;
};

}  // namespace kindling
