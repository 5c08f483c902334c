"""The timed path's answer against PyTorch's: what counts as the same."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from opclock.errors import OpCallError
from opclock.extension import load_aten
from opclock.timing.binding import BoundPool
from opclock.timing.inputs import Arguments
from opclock.timing.missing import condition_of
from opclock.timing.verification import check_answer, overwritten, pytorch_answer
from opclock.tracing.recorder import trace

NAN = float("nan")


def check(forward, answer_of=None, position=0):
    """Check the op call at a position of a model; ``answer_of`` changes what the timed path answers."""

    class Model(nn.Module):
        def forward(self, x):
            return forward(x)

    traced = trace(Model(), (torch.randn(6, 4),))
    first = traced.calls[position]
    arguments = Arguments(traced)
    bound = arguments.bind(first)
    restored = [(bound.tensors[i], arguments.first(bound.tensors[i], first.call.tensors()[i], first.call))
                for i in overwritten(first)]  # fmt: skip
    pool = load_aten().Pool(0, True)
    number = pool.add(first.call.operator, first.call.overload, bound.args, bound.kwargs, 0, [], restored)
    asked = pool if answer_of is None else SimpleNamespace(answer=lambda n: answer_of(pool.answer(n)))
    theirs, _ = pytorch_answer(first.call, bound, restored)
    check_answer(asked, number, first.call, restored, theirs)
    return bound.tensors[0]


LISTS = {
    "split": lambda x: x.split(2)[0],
    "chunk": lambda x: x.chunk(3)[0],
    "unbind": lambda x: x.unbind()[0],
}


@pytest.mark.parametrize("forward", LISTS.values(), ids=LISTS)
def test_list_outputs_are_compared_one_by_one(forward):
    check(forward)
    for wrong in (lambda parts: [*parts[:-1], parts[-1] + 1], lambda parts: parts[:-1], lambda parts: parts[::-1]):
        with pytest.raises(OpCallError, match="gives another answer"):
            check(forward, lambda answer, wrong=wrong: [wrong(answer[0])])


def test_nan_in_one_answer_alone_is_another_answer():
    for value in (NAN, float("inf")):
        with pytest.raises(OpCallError, match="gives another answer"):
            check(lambda x: x + 1, lambda answer, value=value: [torch.full_like(answer[0], value)])
    check(lambda x: x * NAN)  # in both


def test_large_indices_are_compared_exactly():
    check(lambda x: x.argmax() + 0)
    with pytest.raises(OpCallError, match="gives another answer"):
        check(lambda x: torch.full_like(x, 1_000_000, dtype=torch.int64), lambda answer: [answer[0] + 1])


def test_outputs_of_another_shape_or_dtype_are_another_answer():
    for wrong in (lambda output: output[:1], lambda output: output.double()):
        with pytest.raises(OpCallError, match="gives another answer"):
            check(lambda x: x * 0, lambda answer, wrong=wrong: [wrong(answer[0])])


def test_floating_point_numbers_may_be_rounded_differently():
    check(lambda x: x + 1, lambda answer: [answer[0] * (1 + 1e-6)])


VIEWS = {
    "t_": lambda x: x.clone().t_(),
    "unsqueeze_": lambda x: x.clone().unsqueeze_(0),
    "transpose_": lambda x: x.clone().transpose_(0, 1),
    "as_strided_": lambda x: x.clone().as_strided_((2, 2), (1, 2)),
}


@pytest.mark.parametrize("forward", VIEWS.values(), ids=VIEWS)
def test_in_place_views_are_compared_and_get_their_shape_back(forward):
    check(forward, position=1)
    with pytest.raises(OpCallError, match="gives another answer"):
        check(forward, lambda answer: [answer[0] + 1], position=1)


def test_each_distinct_op_call_runs_once_through_pytorch_and_once_on_the_timed_path_and_then_the_model_once():
    runs = Counter()

    class Counted(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            runs[func.overloadpacket.__name__] += 1
            return func(*args, **(kwargs or {}))

    class Model(nn.Module):
        def forward(self, x):
            return torch.sin(x) + torch.sin(x)

    traced = trace(Model(), (torch.randn(6, 4),))
    arguments = Arguments(traced)
    with Counted():
        BoundPool(traced, range(len(traced.calls)), arguments, condition_of(traced, 1), 0)
    assert (runs["sin"], runs["add"]) == (2 + 2, 2 + 1)
