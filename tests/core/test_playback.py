"""Null playback: the model's Python with its kernels switched off."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from opclock.extension import load_aten

_aten = load_aten()


def warm_pool():
    pool = _aten.Pool(0, False)
    for _ in range(3):
        pool.add("aten::tanh", "", (torch.ones(100),), {}, 0, [], [])
    pool.warm_up(0.0)
    return pool


def played(model, x, outputs):
    calls = [
        ("aten::linear", "", (outputs[0],)),
        ("aten::relu_", "", (outputs[0],)),
        ("aten::add", "Tensor", (outputs[1],)),
    ]
    return _aten.Playback(calls), lambda: model(x)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def forward(self, x):
        self.seen = torch.nn.functional.relu(self.linear(x), inplace=True) + 1
        return self.seen


def test_playback_hands_back_what_was_recorded_and_computes_nothing():
    model, x = Small(), torch.ones(2, 3)
    outputs = torch.full((2, 3), 7.0), torch.full((2, 3), 8.0)
    playback, forward = played(model, x, outputs)
    with torch.inference_mode():
        host_s = np.zeros(4)
        playback.run(forward, host_s)
        assert (host_s > 0).all()
        assert model.seen.eq(8).all()
        assert outputs[0].eq(7).all()  # relu_ was not run on it
        assert model(x).ne(8).any()  # and kernels are on again


def test_playback_among_a_round():
    model, x = Small(), torch.ones(2, 3)
    playback, forward = played(model, x, (torch.ones(2, 3), torch.ones(2, 3)))
    pool = warm_pool()
    with torch.inference_mode():
        pool.begin_round()
        assert pool.visits_left == 4
        playback.run(forward, np.empty(4), pool)
        assert pool.visits_left == 1  # the control's
        seconds = np.zeros(3)
        pool.end_round(seconds)
    assert (seconds > 0).all()


def test_playback_of_another_model_is_refused():
    x = torch.ones(2, 3)
    playback, _ = played(Small(), x, (x, x))
    with torch.inference_mode():
        with pytest.raises(RuntimeError, match="call 0 is aten::tanh, the trace has aten::linear"):
            playback.run(lambda: x.tanh(), np.empty(4))
        with pytest.raises(RuntimeError, match="made 0 calls, the trace has 3"):
            playback.run(lambda: None, np.empty(4))
        assert torch.ones(1).tanh() < 1  # kernels are on after both


def test_playback_needs_as_many_outputs_as_the_operator_has():
    with pytest.raises(ValueError, match="returns 1 values, 0 were recorded"):
        _aten.Playback([("aten::relu", "", ())])


def test_several_playbacks_make_one_round():
    x = torch.ones(2, 3)
    playback, forward = played(Small(), x, (x, x))
    pool = _aten.Pool(0, False)
    for _ in range(5):
        pool.add("aten::tanh", "", (torch.ones(100),), {}, 0, [], [])
    pool.warm_up(0.01)
    with torch.inference_mode():
        pool.begin_round()
        left = []
        for _ in range(3):
            playback.run(forward, np.empty(4), pool)
            left.append(pool.visits_left)
    assert left == [3, 0, 0]


def test_observing_a_model_that_swallows_an_error_is_refused():
    def forward():
        try:
            torch.mm(torch.ones(2, 3), torch.ones(2, 3))
        except RuntimeError:
            torch.ones(2).relu()

    x = torch.ones(2)
    playback = _aten.Playback([("aten::ones", "", (x,))] * 2 + [("aten::mm", "", (x,)), ("aten::ones", "", (x,)),
                                                                ("aten::relu", "", (x,))])  # fmt: skip
    with torch.inference_mode(), pytest.raises(RuntimeError, match="a call raised an error, and the model went on"):
        playback.observe(forward, np.empty(5), np.empty(6))


def test_observing_runs_the_model_for_real():
    model, x = Small(), torch.ones(2, 3)
    playback, forward = played(model, x, (x, x))
    kernel_s, host_s = np.zeros(3), np.zeros(4)
    with torch.inference_mode():
        expected = model(x)
        playback.observe(forward, kernel_s, host_s)
        assert torch.equal(model.seen, expected)
        assert (kernel_s > 0).all()
        assert (host_s > 0).all()
        with pytest.raises(RuntimeError, match="made 0 calls"):
            playback.observe(lambda: None, kernel_s, host_s)
        playback.run(forward, host_s)  # kernels off again: what was recorded comes back
        assert model.seen.eq(1).all()


def test_playback_of_every_kind_of_answer():
    """Known operators are played unboxed, others boxed; one tensor, a list, a tuple, an argument, a new tensor."""
    x, part, pair = torch.full((2, 4), 3.0), torch.full((2, 2), 4.0), (torch.full((2,), 5.0), torch.zeros(2).long())
    playback = _aten.Playback([
        ("aten::relu", "", (x,)),
        ("aten::chunk", "", ([part, part],)),
        ("aten::max", "dim", pair),
        ("aten::mul_", "Tensor", (x,)),
        ("aten::zeros", "", (part,)),
        ("aten::cosh", "", (x,)),  # not among the known ones
        ("aten::kthvalue", "", pair),  # neither
    ])  # fmt: skip
    seen = []

    given = torch.ones(2, 4)

    def forward():
        seen.extend([given.relu(), *given.chunk(2, 1), *given.max(1), given.mul_(2.0), torch.zeros(2, 2), given.cosh()])
        seen.extend(given.kthvalue(1))

    with torch.inference_mode():
        playback.run(forward, np.empty(8))
    relu, left, right, largest, _, scaled, zeros, cosh, kth, _ = seen
    assert relu.eq(3).all()
    assert left.eq(4).all()
    assert right.eq(4).all()
    assert largest.eq(5).all()
    assert scaled.eq(1).all()  # handed back, not multiplied
    assert zeros.eq(4).all()
    assert cosh.eq(3).all()
    assert kth.eq(5).all()


def test_playback_keeps_its_pool_and_itself_to_itself():
    x = torch.ones(2, 3)
    playback, _ = played(Small(), x, (x, x))
    pool = warm_pool()
    with torch.inference_mode():
        pool.begin_round()
        with pytest.raises(RuntimeError, match="the pool is running"):
            playback.run(lambda: pool.begin_round(), np.empty(4), pool)
        with pytest.raises(RuntimeError, match="has already begun"):
            playback.run(lambda: playback.run(lambda: None, np.empty(4)), np.empty(4))
        with pytest.raises(RuntimeError, match="made 0 calls"):  # and goes on afterwards
            playback.run(lambda: None, np.empty(4))


def test_playback_refuses_arrays_and_outputs_that_do_not_fit():
    model, x = Small(), torch.ones(2, 3)
    playback, forward = played(model, x, (x, x))
    with torch.inference_mode():
        with pytest.raises(ValueError, match="host_s must be an array of 4 float64, this one has 3"):
            playback.run(forward, np.empty(3))
        with pytest.raises(ValueError, match="kernel_s must be an array of 3 float64"):
            playback.observe(forward, np.empty(4), np.empty(4))
    with pytest.raises(ValueError, match="returns 1 values, 2 were recorded"):
        _aten.Playback([("aten::relu", "", (x, x))])
    with pytest.raises(ValueError, match="aten::relu"):
        _aten.Playback([("aten::relu", "", ("text",))])
