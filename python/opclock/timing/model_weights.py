"""The weights of a model in the memory where the model itself has them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from opclock.tracing.forward import Forward
from opclock.tracing.op_call import TensorSpec
from opclock.tracing.specs import spec_of
from opclock.tracing.storages import own_tensors
from opclock.tracing.trace import Trace

SUMMED = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class ModelWeights:
    """A model's weights, for its op calls to be timed on.

    How long reading a weight takes depends on where its pages lie. On a virtual machine whose free memory was in small
    pieces, products with weights in memory of opclock's own took 4 to 11 % less time than in the model, whose pages
    were spread over more of the machine's memory (``docs/method.md``, where pages lie). Parameters alone are lent: some
    operators change buffers and do not say so, as batch_norm does its running statistics. A parameter that the model
    changes is not lent, and neither is a part of one.
    """

    def __init__(self, trace: Trace, forward: Callable[[], object] | None) -> None:
        """Find the storages of a trace in the model that was traced. There are none without a model."""
        self._tensors: dict[int, torch.Tensor] = {}
        if not isinstance(forward, Forward):
            return
        changed = {number for traced in trace.calls for number in traced.writes}
        tensors: dict[
            int, torch.Tensor
        ] = {}  # parameters come first, so that a buffer that shares one's memory is none
        for tensor in own_tensors(forward.model):
            tensors.setdefault(tensor.untyped_storage()._cdata, tensor)
        for number, (tensor, storage) in enumerate(zip(tensors.values(), trace.storages, strict=False)):
            if storage.kind != "weight" or storage.nbytes != tensor.untyped_storage().nbytes():
                self._tensors.clear()  # another model than the trace's
                return
            if isinstance(tensor, torch.nn.Parameter) and number not in changed and not tensor.is_meta:
                self._tensors[number] = tensor

    def elements(self, number: int) -> torch.Tensor | None:
        """All numbers in a storage, in a row; None where it is not lent, or has numbers that PyTorch cannot add up."""
        tensor = self._tensors.get(number)
        if tensor is None or tensor.dtype not in SUMMED:
            return None
        with torch.inference_mode(mode=False):
            return torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(tensor.untyped_storage())

    def tensor(self, number: int, spec: TensorSpec) -> torch.Tensor | None:
        """A tensor with this spec in the memory of a storage; None unless it fills the storage."""
        tensor = self._tensors.get(number)
        if tensor is None or spec.conjugate or spec.span * tensor.element_size() != tensor.untyped_storage().nbytes():
            return None
        with torch.inference_mode(mode=False):
            same = torch.empty(0, dtype=tensor.dtype, device=tensor.device)  # no view: it would require no gradient
            same.set_(tensor.untyped_storage(), 0, spec.shape, spec.stride)
            same.requires_grad_(spec.requires_grad)
        return same if spec_of(same) == spec else None
