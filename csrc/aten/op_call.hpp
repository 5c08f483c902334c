// One ATen operator bound to its arguments, as a task that can be sampled.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "aten/call.hpp"
#include "sampling/queue.hpp"
#include "sampling/task.hpp"

namespace opclock {

// Whose time is taken where there is a device: the host's until the call is handed over, the device's, or both.
enum class Lane { host, device, both };

class OpCall final : public Task {
 public:
  // `written_before`: arguments that another operator of the model has just written when this call comes; they
  // are rewritten in place before each sample. `restored`: pairs (argument, pristine copy) for arguments that
  // the call itself writes, so that their values do not run away over many samples.
  struct Restored {
    at::Tensor argument;
    at::Tensor pristine;
  };
  OpCall(std::unique_ptr<Call> call, std::vector<at::Tensor> written_before, std::vector<Restored> restored);

  void prepare() override;
  // Goes the whole way to the kernel and back without it, as Python has just gone most of it in a model.
  void approach() override;
  // Outputs are freed before it returns, as eager PyTorch frees an output nobody keeps; or held, see below.
  void run() override;
  // From now on `other` holds its outputs until this call begins, as a model holds an output that is still to be
  // read. The C library then hands out memory, and takes it back, in the order it does under the model.
  void release_first(OpCall* other);
  // From now on this argument is what the other call has returned, as long as that is held: it is then as new in the
  // caches as in the model, and no kernel is needed to make it so.
  void feed(std::size_t argument, OpCall* other, std::size_t output);
  // Lets go of outputs that are still held.
  void release() { call_->release(); }
  // What it overwrites gets its first values back.
  void restore();
  // On a device every kernel stands in one line with what is timed: prepare() does nothing there, and restore() serves
  // a whole round. With `both` lanes a call begins on an idle device and ends when that is idle again.
  void put_on(Queue* device, Lane lane);
  // The outputs of one call, for comparing with PyTorch's own answer.
  torch::jit::Stack answer();

 private:
  struct Feed {
    std::size_t argument;
    OpCall* other;
    std::size_t output;
    at::Tensor own;  // the stand-in: fed ones live no longer than in the model
  };
  bool take_fed();
  void take_own();

  std::unique_ptr<Call> call_;
  std::vector<Feed> feeds_;
  std::vector<OpCall*> releases_;
  bool holds_ = false;
  Queue* device_ = nullptr;
  Lane lane_ = Lane::host;
  std::vector<at::Tensor> written_before_;
  std::vector<Restored> restored_;
};

}  // namespace opclock
