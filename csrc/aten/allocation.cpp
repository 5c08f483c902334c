#include "aten/allocation.hpp"

#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <sys/resource.h>
#include <unistd.h>

namespace opclock {
namespace {

// As far apart as the threads of PyTorch's element-wise kernels split: 32768 fp32 elements.
constexpr std::size_t kGrainBytes = 131072;

long minor_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

double touch_s(Clock& clock, char* block, std::size_t bytes, std::size_t page) {
  const auto pages = static_cast<std::int64_t>((bytes + page - 1) / page);
  const auto start = clock.start();
  at::parallel_for(0, pages, static_cast<std::int64_t>(kGrainBytes / page + 1), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) *static_cast<volatile char*>(block + static_cast<std::size_t>(i) * page) = 0;
  });
  return clock.elapsed_s(start, clock.stop());
}

}  // namespace

AllocationCost Allocation::pass(Clock& clock) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  c10::Allocator* allocator = c10::GetCPUAllocator();
  std::vector<c10::DataPtr> blocks;
  AllocationCost cost;
  const long before = minor_faults();
  for (const auto& step : steps_) {
    for (const std::size_t number : step.frees) blocks[number].clear();
    for (const std::size_t bytes : step.makes_bytes) {
      blocks.push_back(allocator->allocate(bytes));
      if (bytes < page) continue;
      auto* block = static_cast<char*>(blocks.back().get());
      const double first_s = touch_s(clock, block, bytes, page);
      cost.seconds += std::max(0.0, first_s - touch_s(clock, block, bytes, page));
    }
  }
  cost.faults = minor_faults() - before;
  return cost;
}

}  // namespace opclock
