#include "aten/timed_call.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "aten/handed_back.hpp"

namespace opclock {
namespace {

constexpr double kFewSubnormals = 1e-3;  // of the elements: a softmax has some

// The elements of an expanded tensor once each: such a view may have millions of times the elements of its memory.
at::Tensor memory_of(const at::Tensor& tensor) {
  if (static_cast<std::size_t>(tensor.numel()) * tensor.element_size() <= tensor.storage().nbytes()) return tensor;
  return at::empty({0}, tensor.options()).set_(tensor.storage());
}

double smallest_normal(at::ScalarType type) {
  return type == at::kDouble ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
}

// Minus infinity is usual: masks have it.
bool has_usual_values(const at::Tensor& tensor) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return true;
  const at::Tensor values = memory_of(tensor);
  if (!values.lt(std::numeric_limits<double>::infinity()).all().item<bool>()) return false;  // so is no NaN
  if (values.scalar_type() != at::kFloat && values.scalar_type() != at::kDouble) return true;
  const at::Tensor sizes = values.abs();
  const at::Tensor subnormal = sizes.lt(smallest_normal(values.scalar_type())).logical_and_(sizes.gt(0));
  return subnormal.sum().item<double>() <= kFewSubnormals * static_cast<double>(values.numel());
}

}  // namespace

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

void TimedCall::free_earlier() {
  for (auto* other : releases_) other->call_->release();
}

void TimedCall::begin() { fed_ = take_fed(); }

void TimedCall::end() {
  if (fed_) take_own();
  fed_ = false;
}

void TimedCall::run() {
  if (device_ != nullptr) {
    free_earlier();
    begin();
  }
  restore_layouts();
  call_->run();
  if (device_ != nullptr) end();
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

bool TimedCall::is_usual(const Feed& feed) {
  const auto outputs = tensors_in(feed.other->call_->outputs());
  return feed.output < outputs.size() && call_->argument(feed.argument).is_same(outputs[feed.output]) &&
         has_usual_values(outputs[feed.output]);
}

std::vector<std::size_t> TimedCall::unusual_feeds() {
  std::vector<std::size_t> unusual;
  free_earlier();
  begin();
  for (const auto& feed : feeds_) {
    if (!is_usual(feed)) unusual.push_back(feed.argument);
  }
  end();
  const auto is_unusual = [&](const Feed& feed) {
    return std::find(unusual.begin(), unusual.end(), feed.argument) != unusual.end();
  };
  feeds_.erase(std::remove_if(feeds_.begin(), feeds_.end(), is_unusual), feeds_.end());
  begin();
  run();
  end();
  return unusual;
}

torch::jit::Stack TimedCall::answer() {
  restore_layouts();
  call_->run();
  auto outputs = call_->outputs();
  call_->release();
  return outputs;
}

}  // namespace opclock
