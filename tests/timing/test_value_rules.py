"""Rebuilt arguments have values that kernels accept: every op call of these uses runs on them, and is timed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from opclock.estimation.estimate import estimate
from opclock.timing.binding import BoundPool
from opclock.timing.inputs import Arguments, RefusedError
from opclock.timing.measure import measure
from opclock.timing.missing import condition_of
from opclock.timing.reference import forward_of
from opclock.timing.value_rules import RULES, values_of
from opclock.timing.values import Values
from opclock.timing.verification import overwritten, pytorch_answer
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

r = torch.randn


class Function(nn.Module):
    """A module that calls a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def whole(*numbers):
    return torch.tensor(numbers)


def covariance(x):
    return x.mT @ x + torch.eye(x.shape[-1])


def unpooled(x):
    pooled, where = functional.max_pool2d(x, 2, return_indices=True)
    return functional.max_unpool2d(pooled, where, 2)


def packed_and_back(model, x):
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([7, 4]))
    return nn.utils.rnn.pad_packed_sequence(model(packed)[0])[0]


LSTM = nn.LSTM(3, 5)

# By what goes wrong with random values: a function and its inputs.
USES = {
    "bag_offsets": (functional.embedding_bag, (torch.randint(0, 100, (20,)), r(100, 4), torch.arange(0, 20, 5))),
    "bag_offsets_of_many": (
        functional.embedding_bag, (torch.randint(0, 100, (6000,)), r(100, 4), torch.arange(0, 6000, 3)),
    ),
    "deviation": (lambda x: torch.normal(x, x.exp()), (r(8, 4),)),
    "probability": (lambda x: torch.bernoulli(torch.sigmoid(x)), (r(8, 4),)),
    "weights_of_draws": (lambda x: torch.multinomial(torch.softmax(x, -1), 2), (r(8, 4),)),
    "rates": (lambda x: torch.poisson(x.exp()), (r(8, 4),)),
    "whole_divisor": (lambda x, y: torch.div(x, y, rounding_mode="floor") + x % y + x // y, (whole(7, 9), whole(2, 3))),
    "computed_divisor": (lambda x: 1000 // (x.argmax(-1) + 1), (r(8, 4),)),
    "cholesky": (lambda x: torch.linalg.cholesky(covariance(x)), (r(8, 4),)),
    "cholesky_of_batch": (lambda x: torch.linalg.cholesky(covariance(x)), (r(3, 8, 4),)),
    "solve": (lambda x: torch.linalg.solve(covariance(x), x.mT), (r(8, 4),)),
    "inverse": (lambda x: torch.linalg.inv(covariance(x)) + torch.inverse(covariance(x)), (r(8, 4),)),
    "cholesky_solve": (lambda x: torch.cholesky_solve(x.mT, torch.linalg.cholesky(covariance(x))), (r(8, 4),)),
    "lu_solve": (lambda x: torch.linalg.lu_solve(*torch.linalg.lu_factor(covariance(x)), x.mT), (r(8, 4),)),
    "gather": (lambda x: x.gather(1, x.argsort(1)[:, :2]), (r(3, 9),)),
    "take_along_top": (lambda x: torch.index_select(x, 0, x[:, 0].topk(2).indices), (r(9, 4),)),
    "advanced_index": (lambda x: x[x.argmax(0), torch.arange(4)], (r(9, 4),)),
    "scatter": (lambda x: torch.zeros(2, 9).scatter_(1, x.topk(2).indices, 1.0), (r(2, 9),)),
    "scatter_add": (lambda x, i: torch.zeros(3, 4).scatter_add(0, i, x), (r(5, 4), torch.randint(0, 3, (5, 4)))),
    "index_add": (lambda x, i: torch.zeros(3, 4).index_add(0, i, x), (r(5, 4), torch.randint(0, 3, (5,)))),
    "permutation": (lambda x: x[:, torch.randperm(9)], (r(2, 9),)),
    "inverse_permutation": (lambda x: x.argsort(-1).argsort(-1).gather(-1, x.argmax(-1, keepdim=True)), (r(2, 9),)),
    "one_hot": (lambda x: functional.one_hot(x.argmax(-1), 9), (r(2, 9),)),
    "one_hot_known": (functional.one_hot, (whole(0, 3, 1),)),
    "unpooled": (unpooled, (r(1, 2, 8, 8),)),
    "classes": (functional.cross_entropy, (r(6, 3), torch.randint(0, 3, (6,)))),
    "repeats": (lambda x: torch.repeat_interleave(x, whole(2, 1, 3), dim=0), (r(3, 4),)),
    "packed": (lambda x: packed_and_back(LSTM, x), (r(7, 2, 3),)),
    "group_ends": (
        lambda x, w, ends: torch._grouped_mm(x, w, offs=ends),
        (r(16, 32).bfloat16(), r(2, 32, 8).bfloat16(), torch.tensor([6, 16], dtype=torch.int32)),
    ),
    "search": (lambda x: torch.searchsorted(x.flatten().sort().values, x), (r(3, 9),)),
    "buckets": (lambda x: torch.bucketize(x, x.flatten().sort().values), (r(3, 9),)),
    "negative_indices": (lambda x: x[whole(-1, 0)], (r(3, 4),)),
    "expanded_indices": (lambda x, i: x.gather(0, i[None].expand(3, 4)), (r(5, 4), torch.randint(0, 5, (4,)))),
    "shares": (lambda x: torch.quantile(x, torch.tensor([0.1, 0.5]), dim=1) + torch.quantile(x, x[0, 0].sigmoid()),
               (r(4, 16),)),
    "views_in_place": (lambda x: (x * 1).unsqueeze_(1).transpose_(1, 2).squeeze_(2).t_() + 1, (r(3, 4),)),
    "labels": (
        lambda x, y: functional.ctc_loss(x.log_softmax(-1), y, whole(12, 10), whole(4, 3)),
        (r(12, 2, 5), torch.randint(1, 5, (2, 4))),
    ),
    "labels_in_a_row": (
        lambda x, y, n, m: torch.ctc_loss(x.log_softmax(-1), y, n, m),
        (r(12, 2, 5), torch.randint(1, 5, (7,)), whole(12, 10), whole(4, 3)),
    ),
    "masked_scatter": (lambda x, y: y.masked_scatter(x > x.median(), x), (r(60, 40), r(60, 40))),
    "masked_scatter_few": (
        lambda x, m, y: y.masked_scatter(m[..., None].expand_as(y), x),
        (r(3, 4), torch.arange(1200) % 400 == 0, r(1200, 4)),
    ),
    "masked_select": (lambda x: x[x[:, 0] > 0].sum() + x.masked_select(x > 0).sum(), (r(1200, 4),)),
    "masked_put": (lambda x, m, y: x.clone().index_put_((m,), y), (r(1200, 4), torch.arange(1200) % 400 == 0, r(3, 4))),
    "masked_put_one": (lambda x, m: x.clone().index_put_((m,), x[0, 0]), (r(1200, 4), torch.arange(1200) % 400 == 0)),
    "nonzero": (lambda x: (x > 0).nonzero().sum(), (r(1200),)),
    "ldl_solve": (
        lambda x: torch.linalg.ldl_solve(*torch.linalg.ldl_factor(covariance(x)), x.mT), (r(8, 4),),
    ),
    "binned": (lambda x, i: torch.bincount(i, minlength=4).sum() + x, (r(1), torch.randint(0, 4, (9,)))),
}  # fmt: skip


def faults(traced, arguments):
    for one in traced.calls:
        bound = arguments.bind(one)
        restored = [(bound.tensors[i], arguments.first(bound.tensors[i], one.call.tensors()[i], one.call))
                    for i in overwritten(one)]  # fmt: skip
        try:
            pytorch_answer(one.call, bound, restored)
        except RefusedError as error:
            yield f"{one.call}: {error}"


@pytest.mark.parametrize("use", USES)
def test_every_op_call_runs_on_rebuilt_arguments(use):
    function, inputs = USES[use]
    traced = trace(Function(function), inputs)
    arguments = Arguments(traced)
    assert not list(faults(traced, arguments))
    assert not list(faults(traced, arguments))  # what a call has overwritten is restored


@pytest.mark.parametrize("use", USES)
def test_rules_help_where_the_trace_knows_no_values(use):
    function, inputs = USES[use]
    traced = trace(Function(function), inputs)
    traced = replace(traced, calls=tuple(replace(one, values=()) for one in traced.calls))
    assert not list(faults(traced, Arguments(traced)))


class All(nn.Module):
    """Every use in one model."""

    def forward(self):
        return [function(*inputs) for function, inputs in USES.values()]


def test_all_of_them_are_timed(profile):
    traced = trace(All(), ())
    done = measure(traced, profile, forward=forward_of(All(), ()), threads=1, max_s=0.1)
    assert done.unknown == ()
    assert estimate(traced, profile, threads=1).complete


def test_values_are_those_of_the_model_and_travel_with_the_trace():
    ids, offsets = whole(5, 1, 7, 7, 0), whole(0, 2, 2)
    traced = trace(Function(functional.embedding_bag), (ids, r(9, 4), offsets))
    again = Trace.from_json(traced.to_json())
    assert again == traced
    bag = next(one for one in again.calls if "embedding_bag" in one.call.name)
    tensors = Arguments(again).bind(bag).tensors
    assert [tensor.tolist() for tensor in tensors if not tensor.is_floating_point()] == [ids.tolist(), offsets.tolist()]


def test_large_integers_keep_their_range():
    ids = torch.randint(40, 60, (5000,))
    traced = trace(Function(functional.embedding), (ids, r(1000, 4)))
    rebuilt = Arguments(traced).bind(traced.calls[-1]).tensors[1]
    assert (rebuilt.min(), rebuilt.max()) == (ids.min(), ids.max())


def test_weights_with_rules_and_without_have_a_buffer_each():
    matrix = nn.Parameter(covariance(r(8, 4)).detach())
    model = Function(lambda x: torch.linalg.cholesky(matrix) + x @ matrix)
    traced = trace(model, (r(4, 4),))
    assert not list(faults(traced, Arguments(traced)))


def test_an_op_call_that_accepts_no_values_is_unknown_and_the_rest_is_timed(profile):
    traced = trace(Function(lambda x: torch.relu(torch.linalg.cholesky(covariance(x)))), (r(8, 4),))
    broken = OpCall("aten::linalg_cholesky", "", (TensorSpec((4, 3), (3, 1), "float32"),))  # no square
    calls = tuple(
        replace(one, call=broken) if one.call.name == "linalg_cholesky" else one for one in traced.calls
    )  # fmt: skip
    traced = replace(traced, calls=calls)
    done = measure(traced, profile, threads=1, max_s=0.1)
    assert len(done.unknown) == 1
    assert done.unknown[0].startswith("aten::linalg_cholesky(float32[4x3]): ")
    assert "incomplete" in done.flags
    assert done.timed == len(traced.unique) - 1
    made = estimate(traced, profile, threads=1)
    assert made.unknown == ("aten::linalg_cholesky(float32[4x3])",)
    assert made.total_s > 0
    assert made.coverage.unknown > 0
    again = measure(traced, profile, threads=1)
    assert (again.timed, again.known, again.ended) == (0, len(traced.unique) - 1, "nothing_to_do")
    assert again.unknown == done.unknown
    assert "incomplete" in again.flags


def test_a_stand_in_keeps_the_positions_of_the_others():
    traced = trace(Function(lambda x: torch.relu(x) + 1), (r(8, 4),))
    arguments = Arguments(traced)
    first = traced.calls[0].call.key
    arguments.unknown[first] = "made up"
    pool = BoundPool(traced, range(len(traced.calls)), arguments, condition_of(traced, 1), 0)
    assert len(pool.keys) == len(traced.calls)
    assert pool.keys[0] != first
    assert pool.keys[1:] == [one.call.key for one in traced.calls[1:]]


def test_rules_name_arguments_that_exist():
    names = {name for name, _ in RULES}
    for name in names:
        if not hasattr(torch.ops.aten, name):
            continue
        operator = getattr(torch.ops.aten, name)
        given = {
            argument.name
            for overload in operator.overloads()
            for argument in getattr(operator, overload)._schema.arguments
        }
        wanted = {argument for operator_name, argument in RULES if operator_name == name}
        assert wanted <= given, name


def test_a_divisor_that_may_be_zero_is_none():
    divisors = torch.randint(1, 4, (2000,)) * whole(1, -1).repeat(1000)
    divided = trace(Function(lambda x, y: x // y), (torch.arange(2000), divisors)).calls[0]
    assert values_of(divided)[1] == Values("between", (1, 8))
