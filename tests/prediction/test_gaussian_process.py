"""Gaussian-process regression on laws that are known."""

from __future__ import annotations

import numpy as np
import pytest

from opclock.prediction.gaussian_process import GaussianProcess

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.uniform(-1, 1, (200, 3))


def law(inputs):
    return np.sin(inputs[:, 0]) + inputs[:, 1]


LEARNT = GaussianProcess.train(INPUTS, law(INPUTS) + RANDOM.normal(0, 0.05, len(INPUTS)))


def test_a_smooth_law_is_found_below_the_noise():
    unseen = RANDOM.uniform(-0.8, 0.8, (50, 3))
    assert np.abs(LEARNT.predict(unseen) - law(unseen)).mean() < 0.05


def test_far_from_all_samples_it_is_their_mean():
    assert LEARNT.predict(np.full((1, 3), 1e3)) == pytest.approx(LEARNT.mean, abs=1e-6)


def test_one_call_gets_the_answer_that_it_gets_among_others():
    alone = np.concatenate([LEARNT.predict(INPUTS[[row]]) for row in range(20)])
    assert np.array_equal(alone, LEARNT.predict(INPUTS)[:20])


def test_a_feature_that_never_varied_does_not_matter():
    constant = np.column_stack([INPUTS, np.full(len(INPUTS), 7.0)])
    assert np.isfinite(GaussianProcess.train(constant, law(INPUTS)).predict(constant)).all()


def test_its_bytes_are_the_same_one_and_damage_is_seen():
    data = LEARNT.to_bytes()
    assert np.array_equal(GaussianProcess.from_bytes(data).predict(INPUTS), LEARNT.predict(INPUTS))
    for damaged in (b"", data[:-1], data[:99] + bytes([data[99] ^ 1]) + data[100:]):
        with pytest.raises(ValueError, match="Gaussian process"):
            GaussianProcess.from_bytes(damaged)


def test_a_feature_that_never_differed_says_nothing():
    inputs = np.column_stack([np.zeros(50), np.linspace(0, 1, 50)])
    process = GaussianProcess.train(inputs, inputs[:, 1] ** 2)
    other = inputs + np.array([1.0, 0.0])
    assert (process.predict(other) == process.predict(inputs)).all()
    again = GaussianProcess.from_bytes(process.to_bytes())
    assert (again.predict(other) == process.predict(inputs)).all()
