// Numbers in the largest pages that the system gives: the ceiling is then the memory's, not the address translation's.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>

namespace opclock {

class Memory {
 public:
  Memory() = default;
  // `place` keeps several of one team apart: at equal distances from a page's begin they would share cache sets.
  Memory(std::size_t count, std::size_t place, double value) {
    if (count > kMaxCount) throw std::bad_alloc();
    const std::size_t bytes = (count * sizeof(double) + place * kStagger + kHugePage) / kHugePage * kHugePage;
    block_.reset(std::aligned_alloc(kHugePage, bytes));
    if (block_ == nullptr) throw std::bad_alloc();
    madvise(block_.get(), bytes, MADV_HUGEPAGE);  // only a request: without it, pages are small
    first_ = reinterpret_cast<double*>(static_cast<char*>(block_.get()) + place * kStagger);
    std::fill(first_, first_ + count, value);
  }
  double* data() const { return first_; }

 private:
  static constexpr std::size_t kHugePage = std::size_t{1} << 21U;
  static constexpr std::size_t kStagger = 1344;  // bytes: whole cache lines, and no divisor of a page

  static constexpr std::size_t kMaxCount = std::numeric_limits<std::size_t>::max() / 2 / sizeof(double);

  struct Free {
    void operator()(void* block) const { std::free(block); }
  };
  std::unique_ptr<void, Free> block_;
  double* first_ = nullptr;
};

}  // namespace opclock
