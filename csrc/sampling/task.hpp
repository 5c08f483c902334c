// Something that can be timed.
#pragma once

#include <cstdint>

namespace opclock {

class Task {
 public:
  virtual ~Task() = default;
  // Untimed, before each sample: brings caches and arguments to the condition wanted.
  virtual void prepare() {}
  virtual void run() = 0;
};

// A fixed amount of dependent integer arithmetic that touches no memory: its time is the core's own speed,
// so a change of it across rounds is the machine's, not the kernel's.
class Anchor final : public Task {
 public:
  void run() override {
    std::uint64_t state = 0x9E3779B97F4A7C15U;
    for (int step = 0; step < kSteps; ++step) {
      state ^= state >> 29U;
      state *= 0xBF58476D1CE4E5B9U;
      asm volatile("" : "+r"(state));
    }
  }

 private:
  static constexpr int kSteps = 4096;  // about 10 us at 2 GHz: well above every clock's shortest sample
};

// Spins until the clock says that `seconds` have passed: a work of known length, for checking the harness.
template <typename ClockType>
class Spin final : public Task {
 public:
  Spin(ClockType& clock, double seconds) : clock_(clock), seconds_(seconds) {}
  void run() override {
    const auto start = clock_.start();
    while (clock_.elapsed_s(start, clock_.stop()) < seconds_) {
    }
  }

 private:
  ClockType& clock_;
  double seconds_;
};

}  // namespace opclock
