#include "aten/playback.hpp"

#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "aten/handed_back.hpp"
#include "aten/playback_keys.hpp"

namespace opclock {
namespace {

std::optional<std::size_t> argument_handed_back(const c10::FunctionSchema& schema, const c10::Argument& output) {
  const auto* alias = output.alias_info();
  if (alias == nullptr || !alias->isWrite()) return std::nullopt;
  for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
    const auto* argument = schema.arguments()[i].alias_info();
    if (argument != nullptr && argument->beforeSets() == alias->beforeSets()) return i;
  }
  return std::nullopt;
}

}  // namespace

PlayedCall::PlayedCall(c10::OperatorHandle handle, std::vector<c10::IValue> recorded)
    : op(std::move(handle)), outputs(std::move(recorded)) {
  const auto& schema = op.schema();
  if (outputs.size() != schema.returns().size()) {
    throw std::invalid_argument(toString(op.operator_name()) + " returns " + std::to_string(schema.returns().size()) +
                                " values, " + std::to_string(outputs.size()) + " were recorded");
  }
  for (const auto& output : schema.returns()) from_argument.push_back(argument_handed_back(schema, output));
}

Playback::Playback(std::vector<PlayedCall> calls) : calls_(std::move(calls)) {
  register_playback();
  for (const auto& call : calls_) register_below(call.op);
}

Playback::~Playback() { abandon(); }

void Playback::begin(Clock& clock, Rounds* co_run) {
  if (begun_ || plays_here()) throw std::runtime_error("a playback has already begun: they cannot be nested");
  begun_ = true;
  position_ = 0;
  host_s_.clear();
  clock_ = &clock;
  co_run_ = co_run;
  play_here(*this);
  host_start_ = clock_->start();
}

const std::vector<double>& Playback::end() {
  host_s_.push_back(clock_->elapsed_s(host_start_, clock_->stop()));
  abandon();
  if (position_ != calls_.size()) {
    throw std::runtime_error("the model made " + std::to_string(position_) + " calls, the trace has " +
                             std::to_string(calls_.size()));
  }
  return host_s_;
}

void Playback::abandon() {
  if (!stop_here(*this)) return;
  begun_ = false;
  observing_ = false;
}

void Playback::begin_observing(Clock& clock) {
  begin(clock, nullptr);
  kernel_s_.clear();
  observing_ = true;
}

void Playback::leave_kernel() {
  kernel_s_.push_back(clock_->elapsed_s(kernel_start_, clock_->stop()));
  leave();
}

bool Playback::expects(const c10::OperatorHandle& op) const {
  return position_ < calls_.size() && calls_[position_].op == op;
}

const PlayedCall& Playback::arrive(const c10::OperatorHandle& op) {
  if (co_run_ != nullptr) co_run_->free_earlier();  // a model frees them between its calls
  host_s_.push_back(clock_->elapsed_s(host_start_, clock_->stop()));
  if (!expects(op)) {
    const std::string traced =
        position_ < calls_.size() ? toString(calls_[position_].op.operator_name()) : std::string("the end");
    throw std::runtime_error("call " + std::to_string(position_) + " is " + toString(op.operator_name()) +
                             ", the trace has " + traced);
  }
  if (co_run_ != nullptr) {
    // The pool's op call has its own dtypes: the model's autocast must not cast its arguments.
    const KernelsOn kernels_on;
    const c10::impl::ExcludeDispatchKeyGuard uncast(c10::autocast_dispatch_keyset);
    const c10::InferenceMode inference;
    co_run_->visit();
  }
  return calls_[position_++];
}

}  // namespace opclock
