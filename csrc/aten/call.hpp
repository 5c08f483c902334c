// The call of an operator, without its preparation and sampling.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <memory>
#include <string>
#include <vector>

namespace opclock {

// Throws std::invalid_argument that names the operator and its known overloads.
c10::OperatorHandle find_operator(const std::string& name, const std::string& overload);

class Call {
 public:
  virtual ~Call() = default;
  // Unpacks and touches the arguments, as Python's argument parser has just done when a model makes the call.
  virtual void unpack() = 0;
  // Its outputs live until release().
  virtual void run() = 0;
  virtual void release() = 0;
  virtual torch::jit::Stack outputs() const = 0;
  // A tensor argument by its number. They are numbered from the first argument to the last, each tensor of a list by
  // itself. A plain number in a tensor's place is not counted. Undefined where there is no such argument.
  at::Tensor argument(std::size_t number);
  // Replaces it, from the next take_arguments() on. Does nothing where shape, strides, dtype or device differ.
  void set_argument(std::size_t number, const at::Tensor& tensor);
  virtual void take_arguments() = 0;

 protected:
  virtual torch::jit::Stack& boxed() = 0;
};

// The tensors in a stack, lists unrolled.
std::vector<at::Tensor> tensors_in(const torch::jit::Stack& stack);

// Unboxed where the operator is a known one, through the boxed dispatcher elsewhere. Throws c10::Error where the
// arguments do not fit the operator.
std::unique_ptr<Call> bind_call(const c10::OperatorHandle& op, const torch::jit::Stack& arguments);

}  // namespace opclock
