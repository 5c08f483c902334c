// A device that is the CPU itself: it finishes each piece of work before the host goes on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "clock/clock.hpp"
#include "device/queue.hpp"

namespace opclock {

// For tests of the device path where there is no device. The clock is borrowed.
class SimulatedQueue final : public Queue {
 public:
  explicit SimulatedQueue(Clock& clock) : clock_(clock) {}

  void record(std::size_t event) override {
    if (ticks_.size() <= event) ticks_.resize(event + 1);
    ticks_[event] = clock_.start();
  }
  // The host does the device's work itself, so it can never fall behind the device.
  bool reached(std::size_t /*event*/) const override { return false; }
  double between_s(std::size_t from, std::size_t to) const override {
    return std::max(0.0, clock_.elapsed_s(ticks_.at(from), ticks_.at(to)));
  }
  void wait() override {}
  void block(double /*seconds*/) override {}
  double resolution_s() override { return clock_.resolution_s(); }

 private:
  Clock& clock_;
  std::vector<std::uint64_t> ticks_;  // by event
};

}  // namespace opclock
