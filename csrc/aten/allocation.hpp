// What a model's own allocations cost: the page faults of output blocks that the C library hands out anew.
#pragma once

#include <c10/core/Allocator.h>

#include <cstddef>
#include <vector>

#include "clock/clock.hpp"

namespace opclock {

// The blocks that one op call makes, and the earlier ones (by number, in order of making) freed just before it.
struct AllocationStep {
  std::vector<std::size_t> frees;
  std::vector<std::size_t> makes_bytes;
};

struct AllocationCost {
  double seconds = 0.0;  // first touches, less touching the same pages again
  long faults = 0;       // minor page faults of the whole pass
};

// Makes, touches and frees blocks in a model's order, through PyTorch's CPU allocator. A kernel timed by itself
// gets the block back that it has just freed; in a model the block may have gone back to the system meanwhile.
class Allocation {
 public:
  explicit Allocation(std::vector<AllocationStep> steps) : steps_(std::move(steps)) {}
  AllocationCost pass(Clock& clock);

 private:
  std::vector<AllocationStep> steps_;
};

}  // namespace opclock
