#include "aten/op_call.hpp"

#include <stdexcept>
#include <utility>

namespace opclock {

c10::OperatorHandle find_operator(const std::string& name, const std::string& overload) {
  const c10::OperatorName wanted(name, overload);
  if (auto found = c10::Dispatcher::singleton().findSchema(wanted)) return *found;
  std::string overloads;
  for (const auto& known : c10::Dispatcher::singleton().getAllOpNames()) {
    if (known.name != name) continue;
    overloads += (overloads.empty() ? "" : ", ") + (known.overload_name.empty() ? "(none)" : known.overload_name);
  }
  const std::string shown = overload.empty() ? name : name + "." + overload;
  throw std::invalid_argument("PyTorch has no operator '" + shown + "'" +
                              (overloads.empty() ? "" : "; its overloads are: " + overloads));
}

OpCall::OpCall(c10::OperatorHandle op, torch::jit::Stack arguments, std::vector<at::Tensor> written_before,
               std::vector<Restored> restored)
    : op_(std::move(op)),
      arguments_(std::move(arguments)),
      written_before_(std::move(written_before)),
      restored_(std::move(restored)) {
  stack_.reserve(arguments_.size() + op_.schema().returns().size());
}

void OpCall::prepare() {
  for (auto& pair : restored_) pair.argument.copy_(pair.pristine);
  // Negation keeps the distribution of the values, cannot overflow and settles into no denormals.
  for (auto& tensor : written_before_) tensor.neg_();
}

void OpCall::run() {
  for (auto* other : releases_) other->held_.clear();
  stack_ = arguments_;
  op_.callBoxed(&stack_);
  if (holds_) held_.swap(stack_);
  stack_.clear();
}

void OpCall::release_first(OpCall* other) {
  other->holds_ = true;
  releases_.push_back(other);
}

torch::jit::Stack OpCall::answer() {
  torch::jit::Stack stack = arguments_;
  op_.callBoxed(&stack);
  return stack;
}

}  // namespace opclock
