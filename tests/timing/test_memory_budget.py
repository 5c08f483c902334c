"""Which op calls fit into memory together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from opclock.errors import OpCallError
from opclock.timing import memory_budget
from opclock.timing.memory_budget import check_fit, split
from opclock.tracing.recorder import trace


def test_pools_are_split_at_the_memory_bound():
    model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(6)])
    traced = trace(model, (torch.randn(1, 64),))
    runs = split(traced, 3 * (64 * 64 + 64 + 64) * 4)
    assert [position for run in runs for position in run] == list(range(6))
    assert len(runs) == 2
    with pytest.raises(OpCallError, match="smaller input"):
        split(traced, 1000)


def test_a_model_beyond_the_budget_is_refused(monkeypatch):
    traced = trace(nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)), (torch.randn(1, 64),), name="two")
    check_fit(traced)
    monkeypatch.setattr(memory_budget, "free_bytes", lambda _device: 60_000)
    with pytest.raises(OpCallError, match=r"two needs more than .* smaller input or batch"):
        check_fit(traced)


def test_outputs_count_as_long_as_the_model_keeps_them():
    class Branches(nn.Module):
        def forward(self, x):
            return sum(one * 2 for one in [x + number for number in range(8)])

    traced = trace(Branches(), (torch.randn(1000),))
    alive = 8 * 4000  # the eight sums live until each is used
    assert len(split(traced, alive // 2)) > 1
    assert len(split(traced, 3 * alive)) == 1


def test_copies_of_overwritten_arguments_count():
    class InPlace(nn.Module):
        def forward(self, x):
            return x.relu_()

    traced = trace(InPlace(), (torch.randn(1000),))
    assert len(split(traced, 8000)) == 1
    with pytest.raises(OpCallError, match="needs 8"):
        split(traced, 7999)


def test_two_equal_arguments_of_one_call_have_two_buffers():
    class Adds(nn.Module):
        def forward(self, x, y):
            return x + y

    traced = trace(Adds(), (torch.randn(1000), torch.randn(1000)))
    assert len(split(traced, 12000)) == 1
    with pytest.raises(OpCallError, match="needs 12"):
        split(traced, 11999)
