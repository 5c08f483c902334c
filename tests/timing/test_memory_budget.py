"""Which op calls fit into memory together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from opclock.errors import OpCallError
from opclock.models.loading import Model
from opclock.timing import binding, memory_budget
from opclock.timing.binding import BoundPool
from opclock.timing.inputs import Arguments
from opclock.timing.measure import measure
from opclock.timing.memory_budget import check_fit, split
from opclock.timing.missing import condition_of
from opclock.tracing.recorder import trace
from opclock.validation.request import Request
from opclock.validation.session import InterleavedSession


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


class Convolves(nn.Module):
    """A convolution of an image whose pixels share memory."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.conv(x.expand(1, 1, 500, 500).transpose(2, 3))


def test_copies_of_expanded_arguments_count():
    """A kernel copies them: 20 GB were taken for an image whose memory was a few bytes, and the process was killed."""
    traced = trace(Convolves(), (torch.randn(1, 1, 1, 1),))
    image = 500 * 500 * 4
    assert len(split(traced, 3 * image)) == 1
    with pytest.raises(OpCallError, match=r"conv2d.*smaller input"):
        split(traced, 2 * image - 1)
    assert traced.run_bytes == 2 * image


def test_what_does_not_fit_is_refused_before_anything_runs(monkeypatch, profile):
    inputs = (torch.randn(1, 1, 1, 1),)
    traced = trace(Convolves(), inputs)
    monkeypatch.setattr(memory_budget, "free_bytes", lambda _device: 1_500_000)

    def runs(*_args):
        raise AssertionError("it ran")

    monkeypatch.setattr(binding, "pytorch_answer", runs)
    with pytest.raises(OpCallError, match=r"conv2d.* needs 2\.00 MB, .* may be used"):
        measure(traced, profile, threads=1)
    module = Convolves()
    module.forward = runs
    request = Request(Model("wide", module, inputs), traced, profile, 1, 0, explain=False, max_s=None)
    with pytest.raises(OpCallError, match=r"a run of Convolves needs 2.* MB for its activations, 1.* MB are free"):
        InterleavedSession(request)


def test_a_view_with_more_elements_than_memory_is_verified_without_a_copy_of_each():
    class Expands(nn.Module):
        def forward(self, x):
            windows = x.unfold(0, 1 << 19, 1)
            return x.expand(1 << 20, 1 << 20)[0, 0] + windows[0, 0]

    traced = trace(Expands(), (torch.randn(1 << 20),))
    arguments = Arguments(traced)
    BoundPool(traced, range(len(traced.calls)), arguments, condition_of(traced, 1), 0)
    assert not arguments.unknown
