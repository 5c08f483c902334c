"""The Python functions that a model calls between its op calls are counted; those of the recording are not."""

from __future__ import annotations

import cProfile
import sys

import pytest
import torch
from torch import nn

from opclock.errors import TraceError
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace


class Roundabout(nn.Module):
    """Adds one, through so many functions."""

    def __init__(self, functions: int) -> None:
        super().__init__()
        self.functions = functions

    def further(self, x, left):
        return x + 1 if left == 0 else self.further(x, left - 1)

    def forward(self, x):
        return self.further(x, self.functions - 1).view(-1)


def counts(model, *, real):
    return trace(model, (torch.zeros(2, 3),), real=real).python_calls


@pytest.mark.parametrize("real", [False, True])
def test_each_function_counts_once(real):
    few, many = counts(Roundabout(3), real=real), counts(Roundabout(13), real=real)
    assert len(few) == 3  # add, view, after the last
    assert many[0] - few[0] == 10
    assert few[1] == many[1] == 0


def test_fake_tensors_and_a_real_run_count_alike():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), Roundabout(2))
    assert counts(model, real=False) == counts(model, real=True)


def test_the_users_profiler_goes_on_and_nothing_is_counted():
    profiler = cProfile.Profile()
    with profiler:
        before = sys.getprofile()
        traced = trace(Roundabout(2), (torch.zeros(2, 3),), real=True)
        assert sys.getprofile() is before
    if before is not None:  # before Python 3.12, cProfile is the only profiler that there is room for
        assert traced.python_calls == ()


def test_no_profiler_is_left_behind_where_a_model_raises():
    class Raises(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    with pytest.raises(TraceError):
        trace(Raises(), (torch.zeros(1),), real=True)
    assert sys.getprofile() is None


def test_a_trace_file_keeps_them_and_refuses_too_few(tmp_path):
    traced = trace(Roundabout(2), (torch.zeros(2, 3),), real=False)
    traced.save(tmp_path / "trace.json")
    assert Trace.load(tmp_path / "trace.json") == traced
    data = traced.to_json()
    assert Trace.from_json({**data, "python_calls": []}).python_calls == ()
    for wrong, said in (([1], "one more"), ([1.5] * 3, "1.5 is no number"), ([1, -1, 1], "-1 is no number")):
        with pytest.raises(TraceError, match=f"damaged trace .*{said}"):
            Trace.from_json({**data, "python_calls": wrong})


@pytest.mark.parametrize("damage", [
    {"inputs": "q"}, {"parameters": "x"}, {"module_calls": -3}, {"calls": 1},
])  # fmt: skip
def test_other_damage_is_said(damage):
    data = trace(Roundabout(2), (torch.zeros(2, 3),), real=False).to_json()
    with pytest.raises(TraceError, match="damaged trace"):
        Trace.from_json({**data, **damage})
    data["calls"][0]["operator"] = 5
    with pytest.raises(TraceError, match=r"damaged trace .*5 is no name"):
        Trace.from_json(data)
