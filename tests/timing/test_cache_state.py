"""Which buffers are rewritten before an op call."""

from __future__ import annotations

import torch
from torch import nn

from opclock.timing.cache_state import results
from opclock.timing.inputs import Arguments
from opclock.tracing.recorder import trace


def test_inputs_are_rewritten_when_the_model_writes_them():
    class Skips(nn.Module):
        def forward(self, x):
            kept = x.exp()  # 0: read by 2
            other = x.view(4, 2).tanh()  # 1 (view) and 2 (tanh)
            return kept + other.view(2, 4)  # 3 (view), 4: reads what 0 and 2 wrote

    traced = trace(Skips(), (torch.randn(2, 4),))
    arguments = Arguments(traced)
    bound = {position: arguments.bind(call) for position, call in enumerate(traced.calls)}
    rewritten = results(traced, bound)
    names = [call.call.name for call in traced.calls]
    adds = bound[names.index("add")].tensors
    assert [tensor.data_ptr() for tensor in rewritten[names.index("exp") + 1]] == [adds[0].data_ptr()]
    assert [tensor.data_ptr() for tensor in rewritten[names.index("tanh") + 1]] == [adds[1].data_ptr()]
    assert len(rewritten) == 2  # views write nothing, and nothing reads the sum
