"""The page faults of a model's outputs, by a played heap: traces whose page faults are counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import board_profile, chain, spec

from opclock.estimation.estimate import estimate
from opclock.estimation.heap import ALIGNMENT, KEPT_AT_END, PAGE, Heap, page_faults
from opclock.profiles.profile import Profile
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import TracedCall

LARGE = chain("relu", "tanh", batch=512)  # two outputs of 512 KB, of which the first is freed after the second comes
SMALL = chain("relu", "tanh")


def by_hand():
    """Both blocks lie at the end of the heap, which is given back but for 128 KB after each inference."""
    taken = sum(LARGE.storages[number].nbytes + ALIGNMENT for new in LARGE.allocations for number in new)
    return -(-taken // PAGE) - KEPT_AT_END // PAGE


def test_memory_at_the_end_of_the_heap_is_given_back_and_comes_anew():
    assert page_faults(LARGE) == by_hand() > 200


def test_weights_that_were_made_or_read_and_freed_keep_the_heap():
    """Of 24 torchvision models one took page faults, where 18 of them were to take some by their outputs alone."""
    weight = replace(spec(1, 1 << 20), requires_grad=True)  # 4 MB
    first, second = LARGE.calls
    weighed = replace(first, call=replace(first.call, args=(*first.call.args, weight)))
    assert page_faults(replace(LARGE, calls=(weighed, second))) == 0


def test_small_outputs_stay():
    assert page_faults(SMALL) == 0


def test_a_freed_block_is_used_again_without_page_faults():
    heap = Heap(1 << 20)
    first, _above = heap.allocate(1 << 18), heap.allocate(1 << 10)
    before = heap.faults
    heap.free(first)
    assert heap.allocate((1 << 18) - 4096) == (0, (1 << 18) - 4096 + ALIGNMENT)
    assert heap.faults == before


def test_a_block_above_the_threshold_takes_all_its_pages_each_time():
    heap = Heap(1 << 20)
    for _ in range(2):
        heap.free(heap.allocate(1 << 21))
    assert heap.faults == 2 * (1 << 21) // PAGE


@pytest.fixture
def swept():
    return [TracedCall(OpCall(f"aten::{name}", "", (spec(1, size),)), (spec(1, size),), (0,), (1,), "act", "ReLU")
            for name in ("relu", "tanh") for size in range(1000, 40_000, 3000)]  # fmt: skip


def test_a_predicted_estimate_has_them(profile_path, tmp_path, swept):
    totals = []
    for path, controls in ((profile_path, {}), (tmp_path / "other.sqlite", {"page fault": 2e-6})):
        board_profile(path, swept, np.full(len(swept), 1e-4), controls=controls)
        with Profile.open(path) as profile:
            done = estimate(LARGE, profile, threads=2)
        assert sum(part.kernel_s + part.host_s for part in done.parts) + done.host_tail_s == pytest.approx(done.total_s)
        totals.append(done)
    without, with_faults = totals
    added_s = 10 / 18 * by_hand() * 0.75 * 2e-6
    assert with_faults.total_s == pytest.approx(without.total_s + added_s)
    assert with_faults.ci_high_s - with_faults.total_s > added_s  # whether they come is a matter of layout
