"""Weights of a pool lie where those of a model lie: one after the other, the largest apart."""

from __future__ import annotations

import gc
from itertools import pairwise

import torch

from opclock.estimation.heap import MOST_MAPPED
from opclock.timing.inputs import Arguments, new_weight
from opclock.timing.weight_memory import AT_ONCE, BEHIND_PAGE, HEADER, WeightMemory
from opclock.tracing.op_call import TensorSpec
from opclock.tracing.recorder import trace

MEBI = 1 << 20
PAGE = 4096


def test_weights_follow_each_other_with_the_heap_s_header_between_them():
    """Mapped apart, products with weights of 1 MB took up to 6 % longer than a model's."""
    memory = WeightMemory()
    places = [memory.elements(MEBI // 4, torch.float32).data_ptr() for _ in range(3)]
    assert [after - before for before, after in pairwise(places)] == [MEBI + 64] * 2
    assert HEADER <= 64
    assert places[0] % PAGE == BEHIND_PAGE
    assert all(place % 64 == 0 for place in places)


def test_the_largest_are_mapped_apart():
    memory = WeightMemory()
    small = memory.elements(MEBI, torch.float32)
    large = memory.elements(MOST_MAPPED // 4, torch.float32)
    after = memory.elements(16, torch.float32)
    assert large.data_ptr() % PAGE == BEHIND_PAGE
    assert after.data_ptr() == small.data_ptr() + small.nbytes + 64


def test_more_than_one_mapping_holds_goes_into_the_next():
    memory = WeightMemory()
    each = (MOST_MAPPED - 1) // 2
    blocks = [memory.elements(each, torch.float16) for _ in range(AT_ONCE // MOST_MAPPED + 1)]
    for number, block in enumerate(blocks):
        block.fill_(number)
    del memory
    gc.collect()
    assert [float(block[-1]) for block in blocks] == [0.0, 1.0, 2.0]  # alive, and none in another's place


def test_programs_of_one_model_share_its_weights_and_their_memory():
    model = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Linear(256, 256)).eval()
    short, long = (trace(model, (torch.randn(rows, 256),)) for rows in (1, 4))
    first = Arguments(short)
    second = Arguments(long, beside=first)
    weights = [[arguments.bind(one).tensors[1].data_ptr() for one in traced.calls if one.call.name == "linear"]
               for arguments, traced in ((first, short), (second, long))]  # fmt: skip
    assert weights[0] == weights[1]
    assert weights[0][1] - weights[0][0] == 256 * 256 * 4 + 64


def test_a_weight_alone_has_a_mapping_of_its_own():
    assert new_weight(TensorSpec((64, 64), (64, 1), "float32"), 1).data_ptr() % PAGE == BEHIND_PAGE
