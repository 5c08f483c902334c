#include "aten/playback.hpp"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "aten/call.hpp"
#include "aten/known_operators.hpp"

namespace opclock {
namespace {

// A key above every backend that only PyTorch's own tests use: nothing else listens there.
constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

thread_local Playback* active = nullptr;
thread_local bool dry_running = false;

// The playback on this thread. torch.jit.fork takes kKey along to a thread that has none.
Playback& playing(const c10::OperatorHandle& op) {
  if (active == nullptr) {
    throw std::runtime_error("it calls " + toString(op.operator_name()) + " in another thread");
  }
  return *active;
}

// PyTorch hides what its own constructors call (the empty() inside torch.tensor()) from Python dispatch, so no trace
// has it. It is the host's work, and runs.
bool hidden() { return c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::Python); }

// Inside torch.autocast, the kernel that casts an operator's arguments and calls it again: a trace has the casts and
// the second call. kKey comes before autocast, so that the playback calls it; none where nothing is cast.
c10::DispatchKey casting(const c10::OperatorHandle& op) {
  for (const auto key : {c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA}) {
    if (!c10::impl::tls_is_dispatch_key_excluded(key) && op.hasKernelForDispatchKey(key)) return key;
  }
  return c10::DispatchKey::Undefined;
}

// Marks of a profile (torch.profiler.record_function) run no kernel, and no trace has them.
bool marks(const c10::OperatorHandle& op) { return op.operator_name().name.rfind("profiler::", 0) == 0; }

// torch.Tensor.as_subclass, which gives results the class of an argument, calls alias() hidden from Python dispatch
// modes, and leaves no sign of that: it is the one alias() that no trace has.
template <class Operator>
bool wraps(const c10::OperatorHandle& op) {
  return std::is_same_v<Operator, at::_ops::alias> && !playing(op).expects(op);
}

void boxed(const c10::OperatorHandle& op, c10::DispatchKeySet /*keys*/, torch::jit::Stack* stack) {
  if (dry_running) {
    torch::jit::drop(*stack, op.schema().arguments().size());
    stack->resize(stack->size() + op.schema().returns().size());
    return;
  }
  if (hidden() || marks(op)) {
    const c10::impl::ExcludeDispatchKeyGuard kernels_on(kKey);
    op.callBoxed(stack);
    return;
  }
  if (const auto key = casting(op); key != c10::DispatchKey::Undefined) {
    op.redispatchBoxed(c10::DispatchKeySet(key), stack);
    return;
  }
  const PlayedCall& call = playing(op).arrive(op);
  if (active->observing()) {
    const c10::impl::ExcludeDispatchKeyGuard kernels_on(kKey);
    active->enter_kernel();
    op.callBoxed(stack);
    active->leave_kernel();
    return;
  }
  const std::size_t first = stack->size() - op.schema().arguments().size();
  torch::jit::Stack outputs;
  outputs.reserve(call.outputs.size());
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    outputs.push_back(call.from_argument[i] ? (*stack)[first + *call.from_argument[i]] : call.outputs[i]);
  }
  stack->resize(first);
  for (auto& output : outputs) stack->push_back(std::move(output));
  active->leave();
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

// The same for an operator whose signature is known: nothing is boxed.
template <class Operator, class Schema>
struct Unboxed;

template <class Operator, class Return, class... Arguments>
struct Unboxed<Operator, Return(Arguments...)> {
  static Return play(Arguments... arguments) {
    if (dry_running) {
      if constexpr (std::is_reference_v<Return>) {
        return first_written(std::forward<Arguments>(arguments)...);
      } else {
        return Return();
      }
    }
    static const c10::OperatorHandle op = find_operator(Operator::name, Operator::overload_name);
    if (hidden() || wraps<Operator>(op)) {
      const c10::impl::ExcludeDispatchKeyGuard kernels_on(kKey);
      return Operator::call(std::forward<Arguments>(arguments)...);
    }
    if (const auto key = casting(op); key != c10::DispatchKey::Undefined) {
      return Operator::redispatch(c10::DispatchKeySet(key), std::forward<Arguments>(arguments)...);
    }
    const PlayedCall& call = playing(op).arrive(op);
    if (active->observing()) {
      const c10::impl::ExcludeDispatchKeyGuard kernels_on(kKey);
      active->enter_kernel();
      Return output = Operator::call(std::forward<Arguments>(arguments)...);
      active->leave_kernel();
      return output;
    }
    if constexpr (std::is_reference_v<Return>) {
      active->leave();
      return first_written(std::forward<Arguments>(arguments)...);
    } else {
      Return output;
      read(call.outputs, output);
      active->leave();
      return output;
    }
  }
};

template <class... Operators>
void implement(torch::Library& library, OperatorList<Operators...> /*known*/) {
  const auto full = [](const char* name, const char* overload) {
    return *overload == 0 ? std::string(name) : std::string(name) + "." + overload;
  };
  (library.impl(full(Operators::name, Operators::overload_name).c_str(),
                torch::CppFunction(&Unboxed<Operators, typename Operators::schema>::play)),
   ...);
}

// Registered on first use and kept: the key is inert while no thread includes it.
void register_playback() {
  static const auto libraries = [] {
    auto any = std::make_unique<torch::Library>(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
    any->fallback(torch::CppFunction::makeFromBoxedFunction<&boxed>());
    auto aten = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", kKey, __FILE__, __LINE__);
    implement(*aten, Known{});
    return std::make_pair(std::move(any), std::move(aten));
  }();
  static_cast<void>(libraries);
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

PlayedCall::PlayedCall(c10::OperatorHandle handle, std::vector<c10::IValue> recorded)
    : op(std::move(handle)), outputs(std::move(recorded)) {
  const auto& schema = op.schema();
  if (outputs.size() != schema.returns().size()) {
    throw std::invalid_argument(toString(op.operator_name()) + " returns " + std::to_string(schema.returns().size()) +
                                " values, " + std::to_string(outputs.size()) + " were recorded");
  }
  for (const auto& output : schema.returns()) from_argument.push_back(argument_handed_back(schema, output));
}

Playback::Playback(std::vector<PlayedCall> calls) : calls_(std::move(calls)) { register_playback(); }

Playback::~Playback() { abandon(); }

void Playback::begin(Clock& clock, Rounds* co_run) {
  if (begun_ || active != nullptr) throw std::runtime_error("a playback has already begun: they cannot be nested");
  begun_ = true;
  position_ = 0;
  host_s_.clear();
  clock_ = &clock;
  co_run_ = co_run;
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
  host_s_.push_back(clock_->elapsed_s(host_start_, clock_->stop()));
  if (!expects(op)) {
    const std::string traced =
        position_ < calls_.size() ? toString(calls_[position_].op.operator_name()) : std::string("the end");
    throw std::runtime_error("call " + std::to_string(position_) + " is " + toString(op.operator_name()) +
                             ", the trace has " + traced);
  }
  if (co_run_ != nullptr) {
    // The pool's op call has its own dtypes: the model's autocast must not cast its arguments.
    const c10::impl::ExcludeDispatchKeyGuard alone(c10::DispatchKeySet(kKey) | c10::autocast_dispatch_keyset);
    co_run_->visit();
  }
  return calls_[position_++];
}

}  // namespace opclock
