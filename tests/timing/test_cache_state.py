"""Which buffers are rewritten before an op call."""

from __future__ import annotations

import torch
from torch import nn

from opclock.timing.cache_state import fed, fills_a_place, results
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
    rewritten = results(traced, bound, {})
    names = [call.call.name for call in traced.calls]
    adds = bound[names.index("add")].tensors
    assert [tensor.data_ptr() for tensor in rewritten[names.index("exp") + 1]] == [adds[0].data_ptr()]
    assert [tensor.data_ptr() for tensor in rewritten[names.index("tanh") + 1]] == [adds[1].data_ptr()]
    assert len(rewritten) == 2  # views write nothing, and nothing reads the sum


def test_a_cache_that_stays_is_neither_rewritten_nor_restored():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("keys", torch.zeros(1, 2, 8, 4))

        def forward(self, x):
            self.keys.index_copy_(2, torch.tensor([3]), x * 2.0)
            return self.keys.sum()

    traced = trace(Keeps(), (torch.randn(1, 2, 1, 4),))
    arguments = Arguments(traced)
    bound = {position: arguments.bind(call) for position, call in enumerate(traced.calls)}
    placing = [call for call in traced.calls if fills_a_place(traced, call)]
    assert [call.call.name for call in placing] == ["index_copy_"]
    keys = bound[traced.calls.index(placing[0])].tensors[0]
    assert all(
        tensor.data_ptr() != keys.data_ptr() for tensors in results(traced, bound, {}).values() for tensor in tensors
    )


def test_what_is_fed_is_not_rewritten():
    class Chain(nn.Module):
        def forward(self, x):
            return x.exp().tanh() + 1.0

    traced = trace(Chain(), (torch.randn(2, 4),))
    arguments = Arguments(traced)
    bound = {position: arguments.bind(call) for position, call in enumerate(traced.calls)}
    assert [(feed.source, feed.target) for feed in fed(traced, bound)] == [(0, 1), (1, 2)]
    assert list(results(traced, bound, {1: {0}})) == [2]  # for the sum; what tanh reads is fed
    assert fed(traced, [0, 2]) == []  # the op call between them is not timed


def test_integers_and_what_an_operator_reshapes_in_place_are_not_fed():
    class Picks(nn.Module):
        def forward(self, x):
            rows = x.argmax(1)  # its result among random values is another row than the model's
            return x.exp().t_()[:, rows]

    traced = trace(Picks(), (torch.randn(4, 4),))
    names = [call.call.name for call in traced.calls]
    targets = {(names[feed.target], feed.argument) for feed in fed(traced, range(len(names)))}
    assert ("index", 1) not in targets
    assert not any(name == "t_" for name, _ in targets)
