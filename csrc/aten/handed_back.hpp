// What a model's calls get back while a playback has begun on their thread: recorded outputs in place of kernels.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

namespace opclock {

class Playback;

// Takes the calls of every operator. Done on first use and kept: the key is inert while no thread includes it.
void register_playback();
// The same below autograd. PyTorch takes kBelow for a backend: an operator that it defines for all backends at once has
// a kernel there, which would call others. This one comes before it.
void register_below(const c10::OperatorHandle& op);

// Whether calls on this thread go to a playback.
bool plays_here();
// From now on, calls on this thread go to this playback.
void play_here(Playback& playback);
// They no longer do. Returns whether they went to this one.
bool stop_here(const Playback& playback);

// While it exists, calls on this thread end where their kernel would begin, and return nothing. They still run the
// dispatch, and so bring its code and data into the caches, as the host does in a model.
class DryRun {
 public:
  DryRun();
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

 private:
  bool was_excluded_;
};

}  // namespace opclock
