#include "aten/handed_back.hpp"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "aten/call.hpp"
#include "aten/known_operators.hpp"
#include "aten/playback.hpp"
#include "aten/playback_keys.hpp"

namespace opclock {
namespace {

thread_local Playback* active = nullptr;
thread_local bool dry_running = false;

// The playback on this thread. torch.jit.fork takes kKey along to a thread that has none.
Playback& playing(const c10::OperatorHandle& op) {
  if (active == nullptr) {
    throw std::runtime_error("it calls " + toString(op.operator_name()) + " in another thread");
  }
  return *active;
}

// Autograd notes in what it gets how it was made: it gets a tensor of its own.
c10::IValue fresh(const c10::IValue& output) {
  if (output.isTensor() && output.toTensor().defined()) return output.toTensor().variable_data();
  if (!output.isTensorList()) return output;
  c10::List<at::Tensor> list;
  for (const at::Tensor& tensor : output.toTensorVector()) list.push_back(tensor.variable_data());
  return list;
}

void hand_back(const c10::OperatorHandle& op, torch::jit::Stack* stack, bool for_autograd = false) {
  const PlayedCall& call = playing(op).arrive(op);
  if (active->observing()) {
    const KernelsOn kernels_on;
    active->enter_kernel();
    op.callBoxed(stack);
    active->leave_kernel();
    return;
  }
  const std::size_t first = stack->size() - op.schema().arguments().size();
  torch::jit::Stack outputs;
  outputs.reserve(call.outputs.size());
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    if (call.from_argument[i]) {
      outputs.push_back((*stack)[first + *call.from_argument[i]]);
    } else {
      outputs.push_back(for_autograd ? fresh(call.outputs[i]) : call.outputs[i]);
    }
  }
  stack->resize(first);
  for (auto& output : outputs) stack->push_back(std::move(output));
  active->leave();
}

void write_out(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::size_t count = op.schema().arguments().size();
  for (std::size_t i = stack->size() - count; i < stack->size(); ++i) {
    auto& argument = (*stack)[i];
    if (!argument.isTensor() || !argument.toTensor().defined()) continue;
    const at::Tensor& tensor = argument.toTensor();
    if (tensor.is_conj() || tensor.is_neg()) argument = tensor.clone(tensor.suggest_memory_format());
  }
}

void boxed(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  if (dry_running) {
    torch::jit::drop(*stack, op.schema().arguments().size());
    stack->resize(stack->size() + op.schema().returns().size());
  } else if (hidden() || marks(op)) {
    const KernelsOn kernels_on;
    op.callBoxed(stack);
  } else if (keys.has_any(kCallAgain)) {
    op.redispatchBoxed(keys & kAfter, stack);
  } else if (keys.has_any(kGoBelow)) {
    const AtBelow below;
    op.redispatchBoxed(AtBelow::of(keys), stack);
  } else {
    if (keys.has_any(kWriteOut)) write_out(op, stack);
    hand_back(op, stack);
  }
}

void boxed_below(const c10::OperatorHandle& op, c10::DispatchKeySet /*keys*/, torch::jit::Stack* stack) {
  if (hidden() || marks(op)) {
    const KernelsOn kernels_on;
    op.callBoxed(stack);
  } else {
    hand_back(op, stack, true);
  }
}

template <class First, class... Rest>
at::Tensor& first_written(First&& first, Rest&&... rest) {
  if constexpr (std::is_same_v<First, at::Tensor&>) {
    return first;
  } else {
    return first_written(std::forward<Rest>(rest)...);
  }
}

void read(const std::vector<c10::IValue>& recorded, at::Tensor& output) { output = recorded[0].toTensor(); }
void read(const std::vector<c10::IValue>& recorded, std::vector<at::Tensor>& output) {
  output = recorded[0].toTensorVector();
}
template <class... Tensors>
void read(const std::vector<c10::IValue>& recorded, std::tuple<Tensors...>& output) {
  std::size_t next = 0;
  std::apply([&](auto&... tensor) { ((tensor = recorded[next++].toTensor()), ...); }, output);
}

void make_fresh(at::Tensor& output) {
  if (output.defined()) output = output.variable_data();
}
void make_fresh(std::vector<at::Tensor>& output) {
  for (auto& tensor : output) make_fresh(tensor);
}
template <class... Tensors>
void make_fresh(std::tuple<Tensors...>& output) {
  std::apply([](auto&... tensor) { (make_fresh(tensor), ...); }, output);
}

// The same for an operator whose signature is known: nothing is boxed. A class for each signature, not for each
// operator: most of the time to compile this file goes into them.
template <class Schema>
class Unboxed;

template <class Return, class... Arguments>
class Unboxed<Return(Arguments...)> {
 public:
  template <class Operator>
  static Unboxed of() {
    return {find_operator(Operator::name, Operator::overload_name), &Operator::call, &Operator::redispatch,
            std::is_same_v<Operator, at::_ops::alias>};
  }

  Return play(c10::DispatchKeySet keys, Arguments... arguments) const {
    if (dry_running) {
      if constexpr (std::is_reference_v<Return>) {
        return first_written(std::forward<Arguments>(arguments)...);
      } else {
        return Return();
      }
    }
    const bool calls_again = keys.has_any(kCallAgain);
    if (hidden() || (!calls_again && wraps())) return run(std::forward<Arguments>(arguments)...);
    if (calls_again) return redispatch_(keys & kAfter, std::forward<Arguments>(arguments)...);
    if (keys.has_any(kGoBelow)) {
      const AtBelow below;
      return redispatch_(AtBelow::of(keys), std::forward<Arguments>(arguments)...);
    }
    if (keys.has_any(kWriteOut)) {
      constexpr auto kernel = &c10::impl::BoxedKernelWrapper<Return(Arguments...)>::call;
      return kernel(c10::BoxedKernel::makeFromFunction<&boxed>(), op_, keys, std::forward<Arguments>(arguments)...);
    }
    return hand_back(false, std::forward<Arguments>(arguments)...);
  }

  Return play_below(Arguments... arguments) const {
    if (hidden() || wraps()) return run(std::forward<Arguments>(arguments)...);
    return hand_back(true, std::forward<Arguments>(arguments)...);
  }

 private:
  Unboxed(c10::OperatorHandle op, Return (*call)(Arguments...), Return (*redispatch)(c10::DispatchKeySet, Arguments...),
          bool is_alias)
      : op_(std::move(op)), call_(call), redispatch_(redispatch), is_alias_(is_alias) {}

  // torch.Tensor.as_subclass, which gives results the class of an argument, calls alias() hidden from Python dispatch
  // modes, and leaves no sign of that: it is the one alias() that no trace has.
  bool wraps() const { return is_alias_ && !playing(op_).expects(op_); }

  Return run(Arguments... arguments) const {
    const KernelsOn kernels_on;
    return call_(std::forward<Arguments>(arguments)...);
  }

  Return hand_back(bool for_autograd, Arguments... arguments) const {
    const PlayedCall& call = playing(op_).arrive(op_);
    if (active->observing()) {
      const KernelsOn kernels_on;
      active->enter_kernel();
      Return output = call_(std::forward<Arguments>(arguments)...);
      active->leave_kernel();
      return output;
    }
    if constexpr (std::is_reference_v<Return>) {
      active->leave();
      return first_written(std::forward<Arguments>(arguments)...);
    } else {
      Return output;
      read(call.outputs, output);
      if (for_autograd) make_fresh(output);
      active->leave();
      return output;
    }
  }

  c10::OperatorHandle op_;
  Return (*call_)(Arguments...);
  Return (*redispatch_)(c10::DispatchKeySet, Arguments...);
  bool is_alias_;
};

template <class Return, class... Arguments>
torch::CppFunction kernel(Unboxed<Return(Arguments...)> own) {
  return torch::CppFunction([own](c10::DispatchKeySet keys, Arguments... arguments) -> Return {
    return own.play(keys, std::forward<Arguments>(arguments)...);
  });
}

template <class Return, class... Arguments>
torch::CppFunction kernel_below(Unboxed<Return(Arguments...)> own) {
  return torch::CppFunction(
      [own](Arguments... arguments) -> Return { return own.play_below(std::forward<Arguments>(arguments)...); });
}

template <class Operator>
std::string full_name() {
  const std::string name = Operator::name, overload = Operator::overload_name;
  return overload.empty() ? name : name + "." + overload;
}

template <class... Operators>
void implement(torch::Library& library, OperatorList<Operators...> /*known*/) {
  (library.impl(full_name<Operators>().c_str(), kernel(Unboxed<typename Operators::schema>::template of<Operators>())),
   ...);
}

template <class... Operators>
void implement_below(torch::Library& library, OperatorList<Operators...> /*known*/) {
  (library.impl(full_name<Operators>().c_str(),
                kernel_below(Unboxed<typename Operators::schema>::template of<Operators>())),
   ...);
}

}  // namespace

void register_playback() {
  static const auto libraries = [] {
    auto any = std::make_unique<torch::Library>(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
    any->fallback(torch::CppFunction::makeFromBoxedFunction<&boxed>());
    auto aten = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", kKey, __FILE__, __LINE__);
    implement(*aten, Known{});
    auto below = std::make_unique<torch::Library>(torch::Library::IMPL, "_", kBelow, __FILE__, __LINE__);
    below->fallback(torch::CppFunction::makeFromBoxedFunction<&boxed_below>());
    auto aten_below = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", kBelow, __FILE__, __LINE__);
    implement_below(*aten_below, KnownBelow{});
    return std::make_tuple(std::move(any), std::move(aten), std::move(below), std::move(aten_below));
  }();
  static_cast<void>(libraries);
}

void register_below(const c10::OperatorHandle& op) {
  static std::vector<c10::RegistrationHandleRAII> kept;
  const bool defined = op.hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd) ||
                       op.hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutogradNonFunctional);
  if (!defined || op.hasKernelForDispatchKey(kBelow)) return;
  kept.push_back(c10::Dispatcher::singleton().registerImpl(op.operator_name(), kBelow,
                                                           c10::KernelFunction::makeFromBoxedFunction<&boxed_below>(),
                                                           std::nullopt, nullptr, "playback"));
}

bool plays_here() { return active != nullptr; }

void play_here(Playback& playback) {
  active = &playback;
  c10::impl::tls_set_dispatch_key_included(kKey, true);
}

bool stop_here(const Playback& playback) {
  if (active != &playback) return false;
  c10::impl::tls_set_dispatch_key_included(kKey, false);
  active = nullptr;
  return true;
}

DryRun::DryRun() : was_excluded_(c10::impl::tls_is_dispatch_key_excluded(kKey)) {
  register_playback();
  c10::impl::tls_set_dispatch_key_excluded(kKey, false);
  c10::impl::tls_set_dispatch_key_included(kKey, true);
  dry_running = true;
}

DryRun::~DryRun() {
  dry_running = false;
  c10::impl::tls_set_dispatch_key_included(kKey, active != nullptr);
  c10::impl::tls_set_dispatch_key_excluded(kKey, was_excluded_);
}

}  // namespace opclock
