// Null playback: a model's own Python runs while its kernels are switched off, so that what is left is the host.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "sampling/rounds.hpp"

namespace opclock {

// One call as it was traced: which operator, and what to hand back for it.
struct PlayedCall {
  c10::OperatorHandle op;
  std::vector<c10::IValue> outputs;
  // By output: the argument that is handed back instead (in-place and out= operators), if any.
  std::vector<std::optional<std::size_t>> from_argument;

  PlayedCall(c10::OperatorHandle op, std::vector<c10::IValue> outputs);
};

// While it is active on this thread, every dispatcher call pops its arguments and pushes the recorded outputs.
// Throws std::runtime_error where the model calls something other than what was traced.
class Playback {
 public:
  explicit Playback(std::vector<PlayedCall> calls);
  ~Playback();
  Playback(const Playback&) = delete;
  Playback& operator=(const Playback&) = delete;

  // Begins one inference. With `company`, one visit of the round it has begun is made at every call: host and kernels
  // then displace each other from the caches as they do in a real inference, which neither does when run alone.
  void begin(Clock& clock, Rounds* company);
  // Begins one real inference, kernels on: for seeing where an estimate differs from it, and nothing else.
  void begin_observing(Clock& clock);
  // Ends it; returns the host's seconds before each call, and after the last.
  const std::vector<double>& end();
  // Ends it wherever it is, keeping nothing.
  void abandon();
  // Of an observed inference: seconds by call.
  const std::vector<double>& kernel_s() const { return kernel_s_; }

  // For the kernels that stand in for the model's. One call of the model has come: stops the host's time, makes the
  // visit, and says what was recorded.
  const PlayedCall& arrive(const c10::OperatorHandle& op);
  bool observing() const { return observing_; }
  void enter_kernel() { kernel_start_ = clock_->start(); }
  void leave_kernel();
  // The host goes on.
  void leave() { host_start_ = clock_->start(); }

 private:
  std::vector<PlayedCall> calls_;
  std::size_t position_ = 0;
  Clock* clock_ = nullptr;
  Rounds* company_ = nullptr;
  bool observing_ = false;
  std::uint64_t host_start_ = 0;
  std::uint64_t kernel_start_ = 0;
  std::vector<double> host_s_;
  std::vector<double> kernel_s_;
};

// While it lives, calls on this thread end where their kernel would begin, and give back nothing: what is left of a
// call is the way there, which a rehearsal brings into the caches as the host does in a model.
class Rehearsal {
 public:
  Rehearsal();
  ~Rehearsal();
  Rehearsal(const Rehearsal&) = delete;
  Rehearsal& operator=(const Rehearsal&) = delete;

 private:
  bool was_excluded_;
};

}  // namespace opclock
