// Where in PyTorch's dispatch a playback takes the calls of a model.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace opclock {

// A key above every backend that only PyTorch's own tests use: nothing else listens there.
inline constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;
inline constexpr auto kAfter = c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kKey);

// Keys whose kernels call the operator again: autocast's with arguments that were cast, those of torch.vmap and
// torch.func with the tensors inside theirs. A trace has the second call. kKey comes first, so the playback passes on.
inline constexpr auto kCallAgain =
    c10::autocast_dispatch_keyset |
    c10::DispatchKeySet({c10::DispatchKey::FuncTorchDynamicLayerFrontMode, c10::DispatchKey::FuncTorchGradWrapper,
                         c10::DispatchKey::FuncTorchVmapMode, c10::DispatchKey::FuncTorchBatched,
                         c10::DispatchKey::FuncTorchDynamicLayerBackMode});

// Outside inference mode, autograd comes before the kernels and calls what is below itself: a trace has these calls.
inline constexpr auto kGoBelow = c10::autograd_dispatch_keyset;
// Below autograd. Only backends outside PyTorch use it.
inline constexpr auto kBelow = c10::DispatchKey::CustomRNGKeyId;

// Most operators take no conjugated or negated tensors: PyTorch writes these out before.
inline constexpr auto kWriteOut = c10::DispatchKeySet({c10::DispatchKey::Conjugate, c10::DispatchKey::Negative});

// While it exists, calls on this thread are handed back at kBelow.
class AtBelow : c10::impl::ForceDispatchKeyGuard {
  static c10::impl::LocalDispatchKeySet changed() {
    auto keys = c10::impl::tls_local_dispatch_key_set();
    keys.included_ = keys.included_.remove(kKey).add(kBelow);
    keys.excluded_ = keys.excluded_.add(c10::DispatchKey::BackendSelect);  // it would call past kBelow
    return keys;
  }

 public:
  AtBelow() : ForceDispatchKeyGuard(changed()) {}
  // The keys of a call at kKey for the rest of its way.
  static c10::DispatchKeySet of(c10::DispatchKeySet keys) { return (keys & kAfter).add(kBelow); }
};

// While it exists, kernels are on for this thread.
class KernelsOn : c10::impl::ForceDispatchKeyGuard {
  static c10::impl::LocalDispatchKeySet changed() {
    auto keys = c10::impl::tls_local_dispatch_key_set();
    keys.excluded_ = keys.excluded_.add(kKey).add(kBelow).remove(c10::DispatchKey::BackendSelect);
    return keys;
  }

 public:
  KernelsOn() : ForceDispatchKeyGuard(changed()) {}
};

// PyTorch hides what its own constructors call (the empty() inside torch.tensor()) from Python dispatch, so no trace
// has it. It is the host's work, and runs.
inline bool hidden() { return c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::Python); }

// Marks of a profile (torch.profiler.record_function) run no kernel, and no trace has them.
inline bool marks(const c10::OperatorHandle& op) { return op.operator_name().name.rfind("profiler::", 0) == 0; }

}  // namespace opclock
