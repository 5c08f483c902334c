// A counter that time is read from. One file beside this one for each kind.
#pragma once

#include <cstdint>
#include <memory>

namespace opclock {

class TickSource {
 public:
  virtual ~TickSource() = default;
  virtual const char* name() const = 0;
  // Ordered so that the work timed cannot begin before start() or end after stop().
  virtual std::uint64_t start() = 0;
  virtual std::uint64_t stop() = 0;
  // The counter's rate as the machine reports it; 0 where it reports none. Emulators report wrong ones.
  // Recorded only: Clock measures the rate.
  virtual double nominal_hz() const { return 0.0; }
};

// Each returns nothing where this machine has no such counter.
std::unique_ptr<TickSource> x86_tsc();
std::unique_ptr<TickSource> arm_cntvct();
// Always available: CLOCK_MONOTONIC_RAW, in nanoseconds.
std::unique_ptr<TickSource> posix_clock();

}  // namespace opclock
