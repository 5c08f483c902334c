"""Which output is which argument: on chains made by hand, and on real models."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import chain
from hypothesis import given
from hypothesis import strategies as st

from opclock.models.zoo import ZOO
from opclock.tracing.dataflow import Feed, feeds
from opclock.tracing.op_call import tensors
from opclock.tracing.recorder import trace


@given(st.lists(st.sampled_from(("conv2d", "relu", "tanh")), min_size=1, max_size=12))
def test_in_a_chain_each_call_takes_what_the_one_before_returned(names):
    assert feeds(chain(*names)) == tuple(Feed(i, 0, i + 1, 0) for i in range(len(names) - 1))


@pytest.mark.parametrize("name", ["shufflenetv2", "mobilenetv2", "inceptionv3"])
def test_every_activation_of_a_model_comes_from_some_call(name):
    traced = trace(ZOO[name]().eval(), (torch.randn(1, 3, 96, 96),))
    by_target = {(feed.target, feed.argument): feed for feed in feeds(traced)}
    for position, call in enumerate(traced.calls):
        for argument, (number, spec) in enumerate(zip(call.reads, call.call.tensors(), strict=True)):
            if traced.storages[number].kind != "activation":
                assert (position, argument) not in by_target or traced.storages[number].kind == "input"
                continue
            feed = by_target[position, argument]
            returned = list(tensors(traced.calls[feed.source].outputs))[feed.output]
            assert replace(spec, same_as=None) == returned
            assert feed.source < position


class Halves(torch.nn.Module):
    def forward(self, image):
        left, right = image.add(1).chunk(2, 1)
        left.mul_(2)
        return torch.cat([right, left], 1)


def test_views_and_what_is_changed_in_place_are_followed():
    traced = trace(Halves(), (torch.randn(1, 4, 2),))
    names = [call.call.name for call in traced.calls]
    assert names == ["add", "chunk", "mul_", "cat"]
    assert Feed(0, 0, 1, 0) in feeds(traced)
    assert Feed(1, 1, 2, 0) in feeds(traced)  # a half is known by its shape: the later one
    assert [feed.source for feed in feeds(traced) if feed.target == 3] == [2, 2]
