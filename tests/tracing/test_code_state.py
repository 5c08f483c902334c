"""Caches outside the model, which tracing would fill with tensors that have no values, are as before."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from opclock.tracing.recorder import trace

WAYS = pytest.mark.parametrize("real", [None, False, True])
TABLES = {}
LATEST = None
RUNS = 0


@functools.lru_cache
def turned(weight):
    return weight.mT.contiguous()


def names(traced):
    return [traced_call.call.name for traced_call in traced.calls]


class Tables(nn.Module):
    """Keeps results in a global dictionary, a global name, its class, and cached functions."""

    latest = None
    by_length = {}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    @staticmethod
    @functools.lru_cache(maxsize=4)
    def scaled(weight):
        return weight * 2

    def forward(self, x):
        global LATEST, RUNS  # noqa: PLW0603
        RUNS += 1
        if "exp" not in TABLES:
            TABLES["exp"] = self.weight.exp()
        if x.shape[0] not in self.by_length:
            self.by_length[x.shape[0]] = self.weight.sin()
        if Tables.latest is None:
            Tables.latest = LATEST = self.weight.cos()
        return x @ turned(self.weight) @ self.scaled(self.weight) + TABLES["exp"] + self.by_length[x.shape[0]] + LATEST


@WAYS
def test_globals_class_attributes_and_cached_functions_are_as_before(real):
    model = Tables()
    traced = trace(model, (torch.randn(4, 4),), real=real)
    assert names(traced) == ["matmul", "matmul", "add", "add", "add"]
    assert TABLES == {}
    assert Tables.by_length == {}
    assert Tables.latest is None
    assert LATEST is None
    assert RUNS == 0
    assert turned.cache_info().currsize == Tables.scaled.cache_info().currsize == 0
    with torch.no_grad():
        assert not isinstance(model(torch.randn(4, 4)), FakeTensor)


def test_what_was_cached_before_stays():
    model = Tables()
    model(torch.randn(4, 4))  # with gradients, as a user who trains
    kept = TABLES["exp"]
    trace(model, (torch.randn(4, 4),))
    assert TABLES["exp"] is kept
    assert turned.cache_info().currsize == 1


@pytest.fixture(autouse=True)
def empty():
    global LATEST, RUNS
    TABLES.clear()
    Tables.by_length.clear()
    Tables.latest, LATEST, RUNS = None, None, 0
    turned.cache_clear()
    Tables.scaled.cache_clear()


class Makes(dict):
    """Makes a new object at each reading, as the table of activations in transformers does."""

    def __getitem__(self, key):
        raise TypeError(f"{key} needs an argument")

    def values(self):
        return [self[key] for key in self]

    def copy(self):
        return Makes((key, self[key]) for key in self)


MAKERS = Makes(relu=nn.ReLU)


def test_a_global_table_that_makes_its_values_is_left_alone():
    class Chooses(Tables):
        def __init__(self):
            super().__init__()
            self.makers = MAKERS

    assert trace(Chooses(), (torch.randn(4, 4),)).calls


class Grows(nn.Module):
    def forward(self, x):
        TABLES[len(TABLES)] = x
        return torch.cat(list(TABLES.values()))


def test_a_global_cache_that_fills_is_told():
    with pytest.raises(Exception, match="does not do the same twice"):
        trace(Grows(), (torch.randn(2),))
    assert TABLES == {}
