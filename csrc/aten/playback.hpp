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
  // Ends it; returns the host's seconds before each call, and after the last.
  const std::vector<double>& end();
  // Ends it wherever it is, keeping nothing.
  void abandon();

  void play(const c10::OperatorHandle& op, torch::jit::Stack* stack);

 private:
  std::vector<PlayedCall> calls_;
  std::size_t position_ = 0;
  Clock* clock_ = nullptr;
  Rounds* company_ = nullptr;
  std::uint64_t host_start_ = 0;
  std::vector<double> host_s_;
};

}  // namespace opclock
