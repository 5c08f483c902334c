"""What runs between two runs of an operator: by hand, and what predictions make of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from helpers import spec

from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES, Ceilings
from opclock.prediction.features import features_of
from opclock.prediction.predictor import Predictor
from opclock.prediction.surroundings import Between, in_any_order, in_order
from opclock.prediction.training import Sample, Training
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import TracedCall

CEILINGS = Ceilings(
    2,
    dict.fromkeys(DTYPES, 1e11),
    {pattern: dict.fromkeys(SIZES, 1e10) for pattern in PATTERNS},
    dict.fromkeys(SIZES, 1e9),
)


def unary(operator: str, numel: int) -> TracedCall:
    """Moves 8 bytes an element."""
    return TracedCall(OpCall(f"aten::{operator}", "", (spec(1, numel),)), (spec(1, numel),), (0,), (1,))


def log(bytes_: float) -> float:
    return math.log2(1 + bytes_)


def test_what_runs_between_counts_from_the_last_op_call_of_the_operator_around_the_end():
    relu, large, sigmoid = unary("relu", 10), unary("relu", 100), unary("sigmoid", 50)
    assert in_order([relu, sigmoid, large, sigmoid]) == {
        relu.call.key: Between(log(400), log(400 + 800 + 400)),  # large ran last in the inference before
        sigmoid.call.key: Between(*[(log(80) + log(800)) / 2] * 2),
        large.call.key: Between(log(400), log(400 + 80 + 400)),
    }
    assert in_order([]) == {}
    assert in_order([relu]) == {relu.call.key: Between(0.0, 0.0)}


def test_an_operator_in_place_is_the_same_operator():
    relu, in_place, sigmoid = unary("relu", 10), unary("relu_", 10), unary("sigmoid", 50)
    assert in_order([relu, sigmoid, in_place])[in_place.call.key].operator == log(400)


def test_in_any_order_the_other_op_calls_are_shared_out():
    relu, sigmoid = unary("relu", 10), unary("sigmoid", 50)
    positions = [relu.call.key, sigmoid.call.key, relu.call.key, "another"]
    found = in_any_order(positions, {one.call.key: one for one in (relu, sigmoid)})
    assert found == {relu.call.key: Between(log(200), log(200)), sigmoid.call.key: Between(log(160), log(160))}


def test_the_same_op_call_takes_longer_where_more_runs_between():
    """A normalisation took 10 µs in one network and 37 in another. The working set alone had said the wrong thing."""
    samples = []
    for number in range(60):
        call = unary("relu", 100 + 7 * number)
        between = Between(float(10 + number % 15), float(10 + number % 15))
        one = features_of(call, CEILINGS, 20 + number % 7, between)
        samples.append(Sample(one, one.min_s + between.operator * 1e-6, call.call.key, number, in_network=True))
    predictor = Predictor(Training(samples), CEILINGS)
    relu, little, much = unary("relu", 300), unary("sigmoid", 200), unary("sigmoid", 1_000_000)
    first, second = (predictor.predict([relu], 22, [relu, other])[0].seconds for other in (little, much))
    assert first == pytest.approx(11e-6, rel=0.1)
    assert second == pytest.approx(23e-6, rel=0.1)
    alone = predictor.predict([relu], 22)[0].seconds
    assert (
        alone == predictor.predict([relu], 22, [relu, replace(relu)])[0].seconds
    )  # nothing of another operator between
