#include "aten/playback.hpp"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace opclock {
namespace {

// A key above every backend that only PyTorch's own tests use: nothing else listens there.
constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

thread_local Playback* active = nullptr;

void fallback(const c10::OperatorHandle& op, c10::DispatchKeySet /*keys*/, torch::jit::Stack* stack) {
  active->play(op, stack);
}

// Registered on first use and kept: the key is inert while no thread includes it.
void register_fallback() {
  static const auto library = [] {
    auto made = std::make_unique<torch::Library>(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
    made->fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
    return made;
  }();
  static_cast<void>(library);
}

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

Playback::Playback(std::vector<PlayedCall> calls) : calls_(std::move(calls)) { register_fallback(); }

Playback::~Playback() { abandon(); }

void Playback::begin(Clock& clock, Rounds* company) {
  if (active != nullptr) throw std::runtime_error("a playback is already active on this thread");
  position_ = 0;
  host_s_.clear();
  clock_ = &clock;
  company_ = company;
  active = this;
  c10::impl::tls_set_dispatch_key_included(kKey, true);
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
  if (active != this) return;
  c10::impl::tls_set_dispatch_key_included(kKey, false);
  active = nullptr;
}

void Playback::play(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  // PyTorch hides what its own constructors do (the empty() inside torch.tensor()) from Python dispatch, so no
  // trace holds it: it is host work, and runs.
  if (c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::Python)) {
    const c10::impl::ExcludeDispatchKeyGuard kernels_on(kKey);
    op.callBoxed(stack);
    return;
  }
  host_s_.push_back(clock_->elapsed_s(host_start_, clock_->stop()));
  if (position_ >= calls_.size() || !(calls_[position_].op == op)) {
    const std::string traced =
        position_ < calls_.size() ? toString(calls_[position_].op.operator_name()) : std::string("the end");
    throw std::runtime_error("call " + std::to_string(position_) + " is " + toString(op.operator_name()) +
                             ", the trace has " + traced);
  }
  if (company_ != nullptr) {
    const c10::impl::ExcludeDispatchKeyGuard kernels_on(kKey);
    company_->visit();
  }
  const PlayedCall& call = calls_[position_++];
  const std::size_t first = stack->size() - op.schema().arguments().size();
  torch::jit::Stack outputs;
  outputs.reserve(call.outputs.size());
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    outputs.push_back(call.from_argument[i] ? (*stack)[first + *call.from_argument[i]] : call.outputs[i]);
  }
  stack->resize(first);
  for (auto& output : outputs) stack->push_back(std::move(output));
  host_start_ = clock_->start();
}

}  // namespace opclock
