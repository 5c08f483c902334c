// One ATen operator bound to its arguments, as a task that can be sampled.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "aten/call.hpp"
#include "device/queue.hpp"
#include "sampling/task.hpp"

namespace opclock {

// Whose time is taken where there is a device: the host's until the call is queued, the device's, or both.
enum class Lane { host, device, both };

class TimedCall final : public Task {
 public:
  // An argument that the call changes, as it was at first. Where `first` is a copy, the call overwrites data, which are
  // restored before each sample. Where it shares the argument's memory, the call changes shape and strides in place, as
  // t_() does: these are put back before each call, and no data are moved. The argument must then belong to this call
  // alone.
  struct Restored {
    at::Tensor argument;
    at::Tensor first;
  };
  // `written_before`: arguments that another operator of the model has just written when this call comes; they are
  // rewritten in place before each sample. Without `restored`, values would grow over many samples.
  TimedCall(std::unique_ptr<Call> call, std::vector<at::Tensor> written_before, std::vector<Restored> restored);

  void prepare() override;
  void free_earlier() override;
  void begin() override;
  void end() override;
  // Takes the whole way to the kernel without running it, as Python has just taken most of it in a model.
  void dry_run() override;
  // Frees the outputs before it returns, as eager PyTorch frees an output that nobody keeps. Keeps them where
  // release_first() says so. On a device, whose queue has no moments between two calls, it frees earlier outputs and
  // takes arguments itself.
  void run() override;
  // From now on `other` keeps its outputs until this call begins, as a model keeps an output that is still to be read.
  // The C library then allocates and frees memory in the model's order.
  void release_first(TimedCall* other);
  // From now on this argument is an output of the other call, while that output is kept. It is then as recent in the
  // caches as in the model, without a kernel that rewrites it. Throws std::out_of_range where the call has no such
  // tensor argument.
  void feed(std::size_t argument, TimedCall* other, std::size_t output);
  // Makes the call once in its round, with what it is fed. Returns the arguments that have no output to take just now,
  // or one with NaN, infinity or many subnormal numbers, which take longer; these are no longer fed.
  std::vector<std::size_t> unusual_feeds();
  // Frees outputs that are still kept.
  void release() { call_->release(); }
  void restore() override;
  // On a device every kernel goes through the queue that is timed: prepare() does nothing there, and restore() is
  // called between rounds. With both lanes a call begins on an idle device and ends when the device is idle again.
  void put_on(Queue* device, Lane lane);
  // The outputs of one call, for comparing with PyTorch's own answer.
  torch::jit::Stack answer();

 private:
  struct Feed {
    std::size_t argument;
    TimedCall* other;
    std::size_t output;
    at::Tensor own;  // the argument while no output is fed: a fed output must not live longer than in the model
  };
  bool take_fed();
  void take_own();
  bool is_usual(const Feed& feed);
  void restore_layouts();

  std::unique_ptr<Call> call_;
  std::vector<Feed> feeds_;
  std::vector<TimedCall*> releases_;
  bool keeps_outputs_ = false;
  bool fed_ = false;  // between begin() and end()
  Queue* device_ = nullptr;
  Lane lane_ = Lane::host;
  std::vector<at::Tensor> written_before_;
  std::vector<Restored> overwritten_;
  std::vector<Restored> reshaped_;
};

}  // namespace opclock
