"""Predictions from samples whose law is known."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from helpers import board_profile, chain, filled, spec

from opclock.errors import EstimateError
from opclock.estimation.estimate import estimate
from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES, Ceilings
from opclock.prediction.features import features_of
from opclock.prediction.predictor import Predictor
from opclock.prediction.training import Sample, Training
from opclock.profiles.profile import Profile
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.trace import Storage, Trace, TracedCall

CEILINGS = Ceilings(
    2,
    dict.fromkeys(DTYPES, 1e11),
    {pattern: {size: 1e11 if size < 1 << 22 else 1e10 for size in SIZES} for pattern in PATTERNS},
    dict.fromkeys(SIZES, 1e9),
)


def relu(numel: int) -> TracedCall:
    return TracedCall(OpCall("aten::relu", "", (spec(1, numel),)), (spec(1, numel),), (0,), (1,))


def linear(rows: int, inner: int, columns: int) -> TracedCall:
    weight = TensorSpec((columns, inner), (inner, 1), "float32", requires_grad=True)
    call = OpCall("aten::linear", "", (spec(rows, inner), weight))
    return TracedCall(call, (spec(rows, columns),), (0, 1), (2,))


def samples(calls, law, pools=8):
    inputs = [features_of(call, CEILINGS, 22) for call in calls]
    return [Sample(one, law(one), call.call.key, number % pools) for number, (call, one) in
            enumerate(zip(calls, inputs, strict=True))]  # fmt: skip


GEMMS = [linear(m, k, n) for m in (1, 8, 64, 200) for k in (16, 100, 256, 700) for n in (10, 64, 512, 1000)]


def test_a_share_of_the_ceiling_is_learnt_and_kept_beyond_the_samples():
    predictor = Predictor(Training(samples(GEMMS, lambda one: 4 * one.min_s)), CEILINGS)
    unseen = [linear(30, 128, 300), linear(300, 2000, 2000)]
    predictions = predictor.predict(unseen, 22)
    for call, one in zip(unseen, predictions, strict=True):
        min_s = features_of(call, CEILINGS, 22).min_s
        floor_s = 4 * float(np.median([features_of(gemm, CEILINGS, 22).min_s for gemm in GEMMS]))
        assert one.operator_class == "gemm"
        assert 3 < one.seconds / min_s < 4 * (1 + floor_s / min_s)  # never above the law
    assert 0.2 < predictor.spread("gemm").total < 0.5  # times that range over four decades


def test_errors_of_what_was_left_out_show_the_noise():
    noise = np.random.default_rng(0)
    law = {call.call.key: 5e-4 * math.exp(noise.normal(0, 0.3)) for call in GEMMS}
    loud = Predictor(Training([Sample(features_of(call, CEILINGS, 22), law[call.call.key], call.call.key, number)
                               for number, call in enumerate(GEMMS)]), CEILINGS)  # fmt: skip
    still = Predictor(Training(samples(GEMMS, lambda one: 5e-4)), CEILINGS)
    assert loud.spread("gemm").mean_error > 2 * still.spread("gemm").mean_error
    assert 0.2 < loud.spread("gemm").total < 0.4  # the noise is 0.3
    assert still.spread("gemm").total < 0.1


def test_what_the_calls_of_a_pool_share_is_separated_from_the_rest():
    shared = np.random.default_rng(1).normal(0, 0.4, 8)
    numbered = enumerate((call.call.key, features_of(call, CEILINGS, 22)) for call in [*GEMMS, *MANY[:32]])
    predictor = Predictor(Training([Sample(one, one.min_s * math.exp(shared[number % 8]), key, number % 8)
                                    for number, (key, one) in numbered]), CEILINGS)  # fmt: skip
    # The shared deviation was 0.3; each forest has seen the other calls of the pools, and so a part of it.
    assert 0.5 < predictor.spread("gemm").shared / shared.std(ddof=1) < 1


MANY = [linear(m, k, n) for m in (1, 4, 16, 64, 200) for k in (16, 64, 160, 400, 900) for n in (10, 64, 256, 1000)]


def test_products_of_shapes_beyond_the_sweep_follow_the_law_of_its_work():
    """A forest kept the share of the nearest shapes: a matrix of 400 MB was predicted at twice its time."""
    law = lambda one: 5e-6 + np.dot((3, 0, 2.5, 1.5, 1), one.work_s)  # noqa: E731
    predictor = Predictor(Training(samples(MANY, law)), CEILINGS)
    for call in (linear(1, 4096, 4096), linear(30, 300, 300)):
        assert predictor.predict([call], 22)[0].seconds == pytest.approx(law(features_of(call, CEILINGS, 22)), rel=0.1)


def test_intervals_hold_95_percent_of_calls_and_of_sums_over_pools_whatever_the_errors():
    """With normal intervals, errors with heavy tails were outside too often."""
    noise = np.random.default_rng(0).standard_t(2, len(MANY)) * 0.2
    inputs = [features_of(call, CEILINGS, 22) for call in MANY]
    made = [Sample(one, 1e-3 * math.exp(error), call.call.key, number % 20)
            for number, (call, one, error) in enumerate(zip(MANY, inputs, noise, strict=True))]  # fmt: skip
    spread = Predictor(Training(made), CEILINGS).spread("gemm")
    assert np.mean(np.abs(noise) <= spread.call_95) > 0.9
    assert spread.call_95 < np.abs(noise).max()
    assert 1.0 < spread.sum_95 < 6.0


def test_what_kernels_take_in_networks_is_predicted_and_shows_the_error():
    """In pools of unrelated kernels they take twice as long here, with three times the noise."""
    noise, made = np.random.default_rng(0), []
    for in_network, calls, factor, deviation in ((False, MANY, 2.0, 0.3), (True, GEMMS, 1.0, 0.1)):
        for number, call in enumerate(calls):
            one = features_of(call, CEILINGS, 22, in_network=in_network)
            seconds = 4 * factor * one.min_s * math.exp(noise.normal(0, deviation))
            made.append(Sample(one, seconds, call.call.key, number % 10 + 10 * in_network, in_network))
    predictor = Predictor(Training(made), CEILINGS)
    found = [predictor.predict([call], 22)[0].seconds / features_of(call, CEILINGS, 22).min_s for call in MANY]
    assert float(np.exp(np.mean(np.log(found)))) == pytest.approx(4.0, rel=0.1)
    assert predictor.spread("gemm").total < 0.2


def test_one_op_call_of_a_kind_cannot_be_left_out_and_still_trains():
    """``GroupKFold(1)`` raised."""
    one = Predictor(Training(samples([GEMMS[0]] * 12, lambda call: 3 * call.min_s)), CEILINGS)
    assert one.predict([GEMMS[0]], 22)[0] is not None
    assert one.spread("gemm").own > 0.3


def test_the_same_samples_give_the_same_digits():
    law = samples(GEMMS, lambda one: 3 * one.min_s + 1e-6)
    first, second = (Predictor(Training(law), CEILINGS).predict([linear(5, 50, 500)], 24)[0].seconds for _ in range(2))
    assert first == second


def test_classes_without_samples():
    several = [relu(numel) for numel in range(100, 100_000, 900)]
    predictor = Predictor(Training(samples(several, lambda one: 2e-6 + 2 * one.min_s)), CEILINGS)
    image = spec(1, 8, 8, 8)
    pooled = TracedCall(OpCall("aten::avg_pool2d", "", (image, (2, 2))), (spec(1, 8, 4, 4),), (0,), (1,))
    own = TracedCall(OpCall("mine::operator", "", (image,)), (image,), (0,), (1,))
    taken_in, unknown = predictor.predict([pooled, own], 22)
    assert taken_in.seconds == pytest.approx(2e-6, rel=0.5)  # small calls take the 2 µs of the law
    assert unknown is None  # never 0, never guessed


def two_layers() -> Trace:
    storages = tuple(Storage(kind, 1 << 16, 2) for kind in ("input", "weight", "activation", "activation"))
    second = TracedCall(relu(300).call, (spec(1, 300),), (2,), (3,), "act", "ReLU")
    first = TracedCall(linear(30, 128, 300).call, (spec(30, 300),), (0, 1), (2,), "head", "Linear")
    return Trace("two", (spec(30, 128),), 0, 2, storages, (first, second))


def test_estimates_say_what_is_measured_and_what_is_modelled(profile_path):
    board_profile(profile_path, [*GEMMS, relu(300)], [1e-3] * len(GEMMS) + [2e-5])
    with Profile.open(profile_path) as profile:
        estimated = estimate(two_layers(), profile, threads=2)
        strict = estimate(two_layers(), profile, threads=2, measured_only=True)
    assert [part.source for part in estimated.parts] == ["modelled", "measured"]  # the sweep has the very ReLU
    assert estimated.parts[0].kernel_s == pytest.approx(1e-3, rel=0.2)
    assert estimated.parts[1].kernel_s == pytest.approx(2e-5, rel=0.01)
    assert estimated.coverage.modelled > 0.9
    assert estimated.coverage.measured + estimated.coverage.modelled == pytest.approx(1)
    assert estimated.ci_low_s < estimated.total_s < estimated.ci_high_s
    assert estimated.complete
    assert "from_sweep" in estimated.flags
    assert not strict.complete
    assert "aten::linear" in strict.unknown[0]


def test_no_sweep_says_what_to_run(profile_path):
    filled(profile_path, chain("tanh"), {"tanh": 1e-5})
    with Profile.open(profile_path) as profile, pytest.raises(EstimateError, match="--preset board"):
        estimate(two_layers(), profile, threads=2)


def test_a_small_sweep_says_what_it_lacks(profile_path):
    """A profile with a sweep of eight op calls "has no measurement": a sweep was there."""
    board_profile(profile_path, GEMMS[:8], [1e-3] * 8)
    said = r"too small .* 8 op calls \(8 of gemm\), and a kind needs 12; this model has activation, gemm\. Run"
    with Profile.open(profile_path) as profile, pytest.raises(EstimateError, match=said):
        estimate(two_layers(), profile, threads=2)


def test_a_laptop_gives_the_same_digits_without_torch_and_compiled_part(profile_path, tmp_path):
    calls = [*MANY, *(relu(numel) for numel in range(100, 20_000, 900))]  # a Gaussian process and a forest
    board_profile(profile_path, calls, np.linspace(1e-4, 1e-3, len(calls)))
    import json

    path = tmp_path / "two.json"
    path.write_text(json.dumps(two_layers().to_json()))
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'opclock._core', 'opclock._aten'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from pathlib import Path\n"
        "from opclock.profiles.profile import Profile\n"
        "from opclock.tracing.trace import Trace\n"
        "from opclock.estimation.estimate import estimate\n"
        f"with Profile.open(Path({str(profile_path)!r})) as profile:\n"
        f"    print(repr(estimate(Trace.load(Path({str(path)!r})), profile, threads=2).total_s))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    with Profile.open(profile_path) as profile:
        assert done.stdout.strip() == repr(estimate(two_layers(), profile, threads=2).total_s)


def test_what_multiplies_is_not_predicted_from_kernels_that_only_move_memory():
    """After a sweep whose products other programs had disturbed, one was predicted at six times its time."""
    moving = [relu(size) for size in range(1000, 40_000, 3000)]
    predictor = Predictor(Training(samples(moving, lambda _one: 1e-5)), CEILINGS)
    assert predictor.predict([linear(1, 2048, 2048)], 22) == [None]
    assert predictor.predict([relu(5000)], 22) != [None]
