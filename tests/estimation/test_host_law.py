"""The law of the host's work finds what scripted networks were made from, and is kept in the profile."""

from __future__ import annotations

import random

import numpy as np
import pytest
from helpers import BOARD, linear_trace

from opclock.errors import ProfileError
from opclock.estimation import host_law
from opclock.estimation.host_law import HostLaw, NetworkHost
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile

KINDS = {"Linear/aten::linear": 3e-6, "ReLU/aten::relu": 1e-6, "Block/aten::add": 2e-6, "end": 1e-6}


def made(number: int, *, counted: bool = True, power: float = 0.3, noise: float = 0.0) -> NetworkHost:
    """A network whose work takes a cost of its kind, 0.5 µs a function, and a power of the bytes."""
    random_ = random.Random(number)
    kinds = (*(random_.choice(list(KINDS)[:3]) for _ in range(30)), "end")
    calls = tuple(random_.randint(0, 20) for _ in kinds)
    moved = 10 ** random_.uniform(4, 7)
    factor = (moved / 1e6) ** power
    seconds = [
        factor * (KINDS[kind] + 0.5e-6 * count) * (1 + noise * random_.gauss(0, 1))
        for kind, count in zip(kinds, calls, strict=True)
    ]
    return NetworkHost(kinds, np.array(seconds), calls if counted else (), moved)


def test_the_law_is_found():
    law = HostLaw.learnt([made(number) for number in range(60)])
    assert law.power == 0.3
    assert law.python_call_s == pytest.approx(0.5e-6, rel=0.02)
    assert law.deviation < 0.02
    new = made(99)
    assert law.seconds(new.kinds, new.python_calls, new.moved).sum() == pytest.approx(new.seconds.sum(), rel=0.02)


def test_more_python_takes_longer_and_less_data_a_shorter_time():
    law = HostLaw.learnt([made(number, noise=0.1) for number in range(60)])
    kinds = ("Linear/aten::linear", "end")
    usual = law.seconds(kinds, (5, 1), 1e6).sum()
    assert law.seconds(kinds, (25, 1), 1e6).sum() - usual == pytest.approx(10e-6, rel=0.1)
    assert law.seconds(kinds, (5, 1), 1e4).sum() == pytest.approx(usual * 0.01**law.power, rel=1e-3)


def test_what_no_network_has_costs_as_its_operator_or_as_usual():
    law = HostLaw.learnt([made(number) for number in range(60)])
    known, other, unknown = law.seconds(("Linear/aten::linear", "Mine/aten::linear", "Mine/aten::mine"), (3, 3, 3), 1e6)
    assert known == pytest.approx(4.5e-6, rel=0.05)
    assert other > unknown > 0


def test_a_trace_without_counts_takes_the_usual_ones():
    law = HostLaw.learnt([made(number) for number in range(60)])
    kinds = made(7).kinds
    usual = [law.python_calls[kind.rpartition("/")[2]] for kind in kinds]
    assert law.seconds(kinds, (), 1e6) == pytest.approx(law.seconds(kinds, usual, 1e6))


def test_networks_without_counts_teach_what_they_can():
    law = HostLaw.learnt([made(number, counted=False) for number in range(60)])
    assert law.python_call_s == 0.0
    mean = law.seconds(made(99).kinds, (), made(99).moved).sum() / made(99).seconds.sum()
    assert 0.7 < mean < 1.4


def test_an_interval_holds_the_networks_that_were_left_out():
    law = HostLaw.learnt([made(number, noise=0.2) for number in range(60)])
    held = 0
    for number in range(1000, 1400):
        new = made(number, noise=0.2)
        ratio = law.seconds(new.kinds, new.python_calls, new.moved).sum() / new.seconds.sum()
        held += 1 / law.factor <= ratio <= law.factor
    assert held >= 360


@pytest.fixture
def profile(tmp_path):
    with Profile.create_or_open(tmp_path / "board.sqlite", BOARD) as opened:
        yield opened


def damage(profile) -> None:
    with profile.changing() as connection:
        connection.execute("UPDATE predictor SET facts = '{}'")


def stored(profile, count: int) -> None:
    """So many networks in a profile."""
    key = linear_trace("m", 8).calls[0].call.key
    for number in range(count):
        one = made(number)
        pool = profile.start_pool(
            Condition.of("in_network", "cpu", 1, 1 << 20), [key], [1], signature=str(number),
            host=(f"key{number}", one.kinds),
            context={"bytes_per_call": one.moved, "python_calls": list(one.python_calls)},
        )  # fmt: skip
        profile.add_rounds(pool, np.full((8, 1), 1e-6), np.ones(8), np.tile(one.seconds, (8, 1)))
        profile.end_pool(pool, "settled", ["narrow"], {})


def test_the_profile_keeps_the_law(profile, monkeypatch):
    stored(profile, 29)
    assert HostLaw.read(profile, "cpu", 1) is None  # too few
    stored(profile, 30)
    law = HostLaw.read(profile, "cpu", 1)
    assert law is not None
    assert law.python_call_s == pytest.approx(0.5e-6, rel=0.05)
    monkeypatch.setattr(HostLaw, "learnt", lambda _networks: pytest.fail("it is kept"))
    assert HostLaw.read(profile, "cpu", 1) == law
    assert HostLaw.read(profile, "cpu", 2) is None


def test_damage_is_said(profile):
    stored(profile, 30)
    HostLaw.read(profile, "cpu", 1)
    damage(profile)
    with pytest.raises(ProfileError, match=r"damaged \(predictor\)"):
        HostLaw.read(profile, "cpu", 1)


def test_other_code_learns_anew(profile, monkeypatch):
    stored(profile, 30)
    HostLaw.read(profile, "cpu", 1)
    monkeypatch.setattr(host_law.predictor_table, "code_of", lambda *_modules: "other code")
    damage(profile)
    assert HostLaw.read(profile, "cpu", 1) is not None
