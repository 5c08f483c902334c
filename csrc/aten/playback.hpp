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

  // Begins one inference. Every call then makes one visit of the round that `co_run` (may be null) has begun, because
  // in a real inference host and kernels displace each other from the caches. Throws std::runtime_error where this or
  // another playback has begun on this thread.
  void begin(Clock& clock, Rounds* co_run);
  // Begins one real inference with the kernels on, to show where an estimate differs from it.
  void begin_observing(Clock& clock);
  // Ends it; returns the host's seconds before each call, and after the last.
  const std::vector<double>& end();
  // Ends it early, without a result. Does nothing where nothing has begun.
  void abandon();
  // Of an observed inference: seconds by call.
  const std::vector<double>& kernel_s() const { return kernel_s_; }

  // Called in place of the model's kernel, at each call of the model: stops the host's time, makes the visit and
  // returns what was recorded.
  const PlayedCall& arrive(const c10::OperatorHandle& op);
  // Whether the trace's next call is of this operator.
  bool expects(const c10::OperatorHandle& op) const;
  std::size_t size() const { return calls_.size(); }
  bool observing() const { return observing_; }
  void enter_kernel() { kernel_start_ = clock_->start(); }
  void leave_kernel();
  // The host's time continues.
  void leave() { host_start_ = clock_->start(); }

 private:
  std::vector<PlayedCall> calls_;
  std::size_t position_ = 0;
  Clock* clock_ = nullptr;
  Rounds* co_run_ = nullptr;
  bool begun_ = false;
  bool observing_ = false;
  std::uint64_t host_start_ = 0;
  std::uint64_t kernel_start_ = 0;
  std::vector<double> host_s_;
  std::vector<double> kernel_s_;
};

}  // namespace opclock
