"""Models that assign to the data of their parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from opclock.tracing.recorder import trace


@pytest.mark.parametrize("real", [False, True, None])
def test_a_parameter_whose_data_a_forward_replaces_keeps_its_values(real):
    """The next run of such a model raised: its parameter held a fake tensor."""

    class Replaced(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(8, 8))
            self.register_buffer("scale", torch.rand(8))

        def forward(self, x):
            self.weight.data = self.weight.data.clone()
            self.scale.data = self.scale.data * 1.0
            return x @ self.weight * self.scale

    model, rows = Replaced(), torch.rand(2, 8)
    before, answer = {name: value.clone() for name, value in model.state_dict().items()}, model(rows)
    traced = trace(model, (rows,), real=real)
    assert [call.call.name for call in traced.calls if "matmul" in call.call.name]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model(rows), answer)
