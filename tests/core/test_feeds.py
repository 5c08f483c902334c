"""Outputs that become arguments of later op calls in the compiled pool."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from opclock.extension import load_aten

_aten = load_aten()


def add(pool, operator, args, group=0):
    return pool.add(operator, "", args, {}, group, [], [])


def chain(first):
    """A pool of exp(first), tanh() of the result, and sin() of that, each fed to the next in place of ones."""
    pool = _aten.Pool(0, False)
    add(pool, "aten::exp", (first,), group=0)
    add(pool, "aten::tanh", (torch.ones(4),), group=1)
    add(pool, "aten::sin", (torch.ones(4),), group=2)
    for number in (1, 2):
        pool.feed(number, 0, number - 1, 0)
    pool.hold_outputs(0, 2)
    pool.hold_outputs(1, 0)
    return pool


def test_outputs_are_passed_on_in_a_round():
    pool, changed = chain(torch.zeros(4)), torch.zeros(4)
    add(pool, "aten::copy_", (changed, torch.ones(4)), group=3)
    pool.feed(3, 1, 1, 0)
    assert pool.unusual_feeds() == []
    pool.warm_up(0.0)
    pool.begin_round()
    pool.end_round(np.empty(4))
    torch.testing.assert_close(changed, torch.full((4,), 0.7615942))  # tanh(exp(0))


@pytest.mark.parametrize(
    ("first", "unusual"),
    [
        (torch.tensor([0.0, 1.0, 2.0, 3.0]), []),
        (torch.tensor([0.0, -float("inf"), 2.0, 3.0]), []),  # exp gives 0
        (torch.tensor([0.0, 1.0, 2.0, 100.0]), [(1, 0)]),  # exp gives infinity; tanh of ones is usual again
        (torch.tensor([0.0, 1.0, float("nan"), 3.0]), [(1, 0)]),
        (torch.tensor([0.0, 1.0, 2.0, -100.0]), [(1, 0)]),  # exp gives a subnormal number
        (torch.zeros(3), [(1, 0)]),  # another shape than the op call's own argument
        (torch.zeros(4, dtype=torch.float16), [(1, 0)]),
    ],
)
def test_feeds_that_change_the_time_of_a_kernel_are_found_and_left_out(first, unusual):
    pool = chain(first)
    assert pool.unusual_feeds() == unusual
    assert pool.unusual_feeds() == []


def test_an_argument_after_a_list_of_indices_is_found_by_its_number():
    pool, rows, changed = _aten.Pool(0, False), torch.tensor([1, 2]), torch.zeros(4)
    add(pool, "aten::exp", (torch.zeros(2),))
    add(pool, "aten::index_put_", (changed, [rows], torch.full((2,), 9.0)))
    pool.feed(1, 2, 0, 0)
    pool.hold_outputs(0, 0)
    assert pool.unusual_feeds() == []
    assert changed.tolist() == [0, 1, 1, 0]


def test_feeds_without_an_output_are_found():
    pool = _aten.Pool(0, False)
    add(pool, "aten::exp", (torch.zeros(4),))
    add(pool, "aten::tanh", (torch.ones(4),))
    pool.feed(1, 0, 0, 0)  # nobody keeps the output
    assert pool.unusual_feeds() == [(1, 0)]
