#include "aten/call.hpp"

#include <ATen/MemoryOverlap.h>
#include <ATen/core/boxing/impl/make_boxed_from_unboxed_functor.h>
#include <torch/library.h>

#include <cstring>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aten/known_operators.hpp"

namespace opclock {
namespace {

// Reads the part of a tensor that a kernel reads before its data.
std::size_t touched(const at::Tensor& tensor) {
  if (!tensor.defined()) return 0;
  const auto dimensions = static_cast<std::size_t>(tensor.dim());
  const std::size_t shape = dimensions == 0 ? 0 : tensor.sizes()[0] + tensor.strides()[dimensions - 1];
  const std::size_t storage = tensor.has_storage() ? tensor.storage().nbytes() : 0;
  return shape + storage + tensor.key_set().raw_repr() + static_cast<std::size_t>(tensor.storage_offset());
}

void touch(const torch::jit::Stack& arguments) {
  std::size_t sum = 0;
  for (const auto& argument : arguments) {
    if (argument.isTensor()) sum += touched(argument.toTensor());
    if (argument.isTensorList()) {
      for (const at::Tensor& tensor : argument.toTensorList()) sum += touched(tensor);
    }
  }
  asm volatile("" : : "r"(sum));  // the compiler must not drop the reads
}

class BoxedCall final : public Call {
 public:
  BoxedCall(c10::OperatorHandle op, torch::jit::Stack arguments)
      : op_(std::move(op)), arguments_(std::move(arguments)) {
    stack_.reserve(arguments_.size() + op_.schema().returns().size());
  }
  void unpack() override { touch(arguments_); }
  void run() override {
    stack_ = arguments_;
    op_.callBoxed(&stack_);
  }
  void release() override { stack_.clear(); }
  torch::jit::Stack outputs() const override { return stack_; }
  void take_arguments() override {}  // every run does

 protected:
  torch::jit::Stack& boxed() override { return arguments_; }

 private:
  c10::OperatorHandle op_;
  torch::jit::Stack arguments_;
  torch::jit::Stack stack_;
};

// How an argument is kept between calls: as the type that PyTorch's own wrappers unpack it to.
template <class Argument>
struct Kept {
  using Type = decltype(c10::impl::ivalue_to_arg<typename c10::impl::decay_if_not_tensor<Argument>::type, true>::call(
      std::declval<c10::IValue&>()));
  static Type from(c10::IValue& value) {
    return c10::impl::ivalue_to_arg<typename c10::impl::decay_if_not_tensor<Argument>::type, true>::call(value);
  }
};

// Python hands over a plain array of tensors, not a boxed list.
template <>
struct Kept<const at::ITensorListRef&> {
  using Type = std::vector<at::Tensor>;
  static Type from(c10::IValue& value) { return value.toTensorVector(); }
};

// A class for each signature, not for each operator: most of the time to compile this file goes into them.
template <class Schema>
class UnboxedCall;

template <class Return, class... Arguments>
class UnboxedCall<Return(Arguments...)> final : public Call {
 public:
  using Function = Return (*)(Arguments...);
  UnboxedCall(Function function, torch::jit::Stack boxed) : function_(function), boxed_(std::move(boxed)) {
    unpack_all();
  }

  void unpack() override {
    touch(boxed_);
    unpack_all();
  }

  void run() override {
    std::apply([this](auto&... arguments) { outputs_.emplace(function_(arguments...)); }, *arguments_);
  }
  void release() override { outputs_.reset(); }
  torch::jit::Stack outputs() const override {
    torch::jit::Stack stack;
    if (outputs_) {
      std::decay_t<Return> copy = *outputs_;
      c10::impl::push_outputs<std::decay_t<Return>, true>::call(std::move(copy), &stack);
    }
    return stack;
  }
  void take_arguments() override { unpack_all(); }

 protected:
  torch::jit::Stack& boxed() override { return boxed_; }

 private:
  void unpack_all() {
    values_ = boxed_;
    unpack_each(std::index_sequence_for<Arguments...>{});
  }
  template <std::size_t... Positions>
  void unpack_each(std::index_sequence<Positions...> /*positions*/) {
    arguments_.emplace(Kept<Arguments>::from(values_[Positions])...);
  }

  Function function_;
  torch::jit::Stack boxed_;
  torch::jit::Stack values_;  // unpacking may empty it, and tensors among the arguments are references into it
  std::optional<std::tuple<typename Kept<Arguments>::Type...>> arguments_;
  std::optional<std::decay_t<Return>> outputs_;
};

template <class Operator>
std::unique_ptr<Call> make_unboxed(torch::jit::Stack arguments) {
  return std::make_unique<UnboxedCall<typename Operator::schema>>(&Operator::call, std::move(arguments));
}

using Maker = std::unique_ptr<Call> (*)(torch::jit::Stack);

template <class... Operators>
std::unordered_map<c10::OperatorName, Maker> makers(OperatorList<Operators...> /*known*/) {
  struct Entry {
    const char* name;
    const char* overload;
    Maker maker;
  };
  // Plain values: the compiler is slow at a long list of what has a destructor.
  const Entry entries[] = {{Operators::name, Operators::overload_name, &make_unboxed<Operators>}...};
  std::unordered_map<c10::OperatorName, Maker> found;
  for (const auto& [name, overload, maker] : entries) found.emplace(c10::OperatorName(name, overload), maker);
  return found;
}

// Calls `visit(tensor, put)` for each tensor argument in turn, where put(other) puts another one in its place.
template <class Visit>
void each_argument(torch::jit::Stack& stack, Visit&& visit) {
  for (auto& value : stack) {
    if (value.isTensor()) {
      const at::Tensor tensor = value.toTensor();
      if (!tensor.defined() || tensor.unsafeGetTensorImpl()->is_wrapped_number()) continue;
      visit(tensor, [&value](const at::Tensor& other) { value = other; });
    } else if (value.isTensorList()) {
      auto list = value.toTensorList();
      for (std::size_t i = 0; i < list.size(); ++i) {
        visit(list.get(i), [&list, i](const at::Tensor& other) { list.set(i, other); });
      }
    } else if (value.isOptionalTensorList()) {  // indices, where nothing stands for a whole dimension
      auto list = value.toOptionalTensorList();
      for (std::size_t i = 0; i < list.size(); ++i) {
        const std::optional<at::Tensor> tensor = list.get(i);
        if (tensor) visit(*tensor, [&list, i](const at::Tensor& other) { list.set(i, other); });
      }
    }
  }
}

}  // namespace

at::Tensor Call::argument(std::size_t number) {
  at::Tensor wanted;
  each_argument(boxed(), [&](const at::Tensor& tensor, const auto& /*put*/) {
    if (number-- == 0) wanted = tensor;
  });
  return wanted;
}

void Call::set_argument(std::size_t number, const at::Tensor& tensor) {
  each_argument(boxed(), [&](const at::Tensor& there, const auto& put) {
    if (number-- != 0) return;
    const bool alike = tensor.defined() && there.sizes() == tensor.sizes() && there.strides() == tensor.strides() &&
                       there.dtype() == tensor.dtype() && there.device() == tensor.device();
    if (alike) put(tensor);
  });
}

std::vector<at::Tensor> tensors_in(const torch::jit::Stack& stack) {
  std::vector<at::Tensor> tensors;
  for (const auto& value : stack) {
    if (value.isTensor()) tensors.push_back(value.toTensor());
    if (!value.isTensorList()) continue;
    for (const at::Tensor& tensor : value.toTensorList()) tensors.push_back(tensor);
  }
  return tensors;
}

namespace {

void check_layouts(const at::Tensor& source, const at::Tensor& destination) {
  TORCH_CHECK(source.nbytes() == destination.nbytes(), "memcpy between tensors of different bytes");
  TORCH_CHECK(source.is_non_overlapping_and_dense() && destination.is_non_overlapping_and_dense(),
              "memcpy between tensors with gaps or overlaps in memory");
}

// An operator of our own, so that the C library's copy is timed in the same rounds as PyTorch's.
void copy_bytes(const at::Tensor& source, const at::Tensor& destination) {
  check_layouts(source, destination);
  at::assert_no_overlap(source, destination);
  std::memcpy(destination.mutable_data_ptr(), source.const_data_ptr(), destination.nbytes());
}

}  // namespace

TORCH_LIBRARY(opclock, library) { library.def("memcpy(Tensor source, Tensor(a!) destination) -> ()"); }
TORCH_LIBRARY_IMPL(opclock, CPU, library) { library.impl("memcpy", copy_bytes); }
TORCH_LIBRARY_IMPL(opclock, Meta, library) { library.impl("memcpy", check_layouts); }

c10::OperatorHandle find_operator(const std::string& name, const std::string& overload) {
  const c10::OperatorName wanted(name, overload);
  if (auto op = c10::Dispatcher::singleton().findSchema(wanted)) return *op;
  std::string overloads;
  for (const auto& known : c10::Dispatcher::singleton().getAllOpNames()) {
    if (known.name != name) continue;
    overloads += (overloads.empty() ? "" : ", ") + (known.overload_name.empty() ? "(none)" : known.overload_name);
  }
  const std::string shown = overload.empty() ? name : name + "." + overload;
  throw std::invalid_argument("PyTorch has no operator '" + shown + "'" +
                              (overloads.empty() ? "" : "; its overloads are: " + overloads));
}

std::unique_ptr<Call> bind_call(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) {
  static const auto known = makers(Known{});
  const auto maker = known.find(op.operator_name());
  if (maker == known.end()) return std::make_unique<BoxedCall>(op, arguments);
  return maker->second(arguments);
}

}  // namespace opclock
