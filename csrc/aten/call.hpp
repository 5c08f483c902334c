// The bare call of an operator, apart from how it is prepared and sampled.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <memory>
#include <string>

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
};

// Unboxed where the operator is a known one, through the boxed dispatcher elsewhere. Throws c10::Error where the
// arguments do not fit the operator.
std::unique_ptr<Call> bind_call(const c10::OperatorHandle& op, const torch::jit::Stack& arguments);

}  // namespace opclock
