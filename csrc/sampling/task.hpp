// Something that can be timed.
#pragma once

#include <cstdint>

namespace opclock {

class Task {
 public:
  virtual ~Task() = default;
  // Untimed, as soon as the task before it has run and before the host continues: restores, and writes what that task
  // would have written.
  virtual void prepare() {}
  // Untimed: gives the memory that the task itself overwrites its first values back.
  virtual void restore() {}
  // The host's time, before the task: frees the outputs of earlier tasks that a model frees before this call.
  virtual void free_earlier() {}
  // Untimed, directly before each sample: takes the outputs of earlier tasks as arguments.
  virtual void begin() {}
  // Untimed, then: brings the dispatch code into the caches, as the host does in a model.
  virtual void dry_run() {}
  virtual void run() = 0;
  // Untimed, directly after each sample: lets go of the arguments that begin() took.
  virtual void end() {}
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

// The control workload is a chain of this length, visited once a round: where its time changes, the machine's speed
// has changed and not the kernels'. About 10 us at 2 GHz: well above every clock's shortest sample.
constexpr std::uint64_t kControlSteps = 4096;

}  // namespace opclock
