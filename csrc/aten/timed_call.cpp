#include "aten/timed_call.hpp"

#include <stdexcept>
#include <string>
#include <utility>

#include "aten/handed_back.hpp"

namespace opclock {

TimedCall::TimedCall(std::unique_ptr<Call> call, std::vector<at::Tensor> written_before, std::vector<Restored> restored)
    : call_(std::move(call)), written_before_(std::move(written_before)) {
  for (auto& pair : restored) {
    auto& kind = pair.first.is_alias_of(pair.argument) ? reshaped_ : overwritten_;
    kind.push_back(std::move(pair));
  }
}

void TimedCall::restore() {
  for (auto& pair : overwritten_) pair.argument.copy_(pair.first);
}

// Nanoseconds, and no dispatch: it is part of the sample, since each of a sample's calls needs it.
void TimedCall::restore_layouts() {
  for (auto& [argument, first] : reshaped_) {
    auto* changed = argument.unsafeGetTensorImpl();
    changed->set_storage_keep_dtype(first.storage());
    changed->set_sizes_and_strides(first.sizes(), first.strides(), first.storage_offset());
  }
}

void TimedCall::prepare() {
  if (device_ != nullptr) return;
  restore();
  // Negation keeps the distribution of the values, cannot overflow and settles into no denormals.
  for (auto& tensor : written_before_) tensor.neg_();
}

void TimedCall::put_on(Queue* device, Lane lane) {
  device_ = device;
  lane_ = lane;
}

void TimedCall::dry_run() {
  if (lane_ == Lane::both) device_->wait();
  call_->unpack();
  const DryRun dry_run;
  call_->run();
  call_->release();
}

void TimedCall::run() {
  for (auto* other : releases_) other->call_->release();
  const bool fed = take_fed();
  restore_layouts();
  call_->run();
  if (fed) take_own();
  if (!keeps_outputs_) call_->release();
  if (lane_ == Lane::both) device_->wait();
}

void TimedCall::release_first(TimedCall* other) {
  other->keeps_outputs_ = true;
  releases_.push_back(other);
}

void TimedCall::feed(std::size_t argument, TimedCall* other, std::size_t output) {
  auto own = call_->argument(argument);
  if (!own.defined()) throw std::out_of_range("the op call has no tensor argument " + std::to_string(argument));
  feeds_.push_back({argument, other, output, std::move(own)});
}

bool TimedCall::take_fed() {
  bool fed = false;
  for (const auto& feed : feeds_) {
    const auto outputs = tensors_in(feed.other->call_->outputs());
    if (feed.output >= outputs.size()) continue;  // not kept just now
    call_->set_argument(feed.argument, outputs[feed.output]);
    fed = true;
  }
  if (fed) call_->take_arguments();
  return fed;
}

void TimedCall::take_own() {
  for (const auto& feed : feeds_) call_->set_argument(feed.argument, feed.own);
  call_->take_arguments();
}

torch::jit::Stack TimedCall::answer() {
  restore_layouts();
  call_->run();
  auto outputs = call_->outputs();
  call_->release();
  return outputs;
}

}  // namespace opclock
