// Something that can be timed.
#pragma once

#include <cstdint>

namespace opclock {

class Task {
 public:
  virtual ~Task() = default;
  // Untimed, as soon as the task before has run: writes what that one would have written, before the host comes
  // between.
  virtual void prepare() {}
  // Untimed, directly before each sample: what the host does last.
  virtual void approach() {}
  virtual void run() = 0;
};

// A fixed amount of dependent integer arithmetic that touches no memory: its time is the core's own speed.
class Chain final : public Task {
 public:
  explicit Chain(std::uint64_t steps) : steps_(steps) {}
  void run() override {
    std::uint64_t state = state_;
    for (std::uint64_t step = 0; step < steps_; ++step) {
      state ^= state >> 29U;
      state *= 0xBF58476D1CE4E5B9U;
      asm volatile("" : "+r"(state));
    }
    state_ = state;  // the next run depends on this one: two in a row cannot overlap in the core
  }

 private:
  std::uint64_t steps_;
  std::uint64_t state_ = 0x9E3779B97F4A7C15U;
};

// The anchor is a chain of this length, visited once a round: a change of it is the machine's, not the kernels'.
// About 10 us at 2 GHz: well above every clock's shortest sample.
constexpr std::uint64_t kAnchorSteps = 4096;

}  // namespace opclock
