"""A sweep that boards of one identity share."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import board_profile, linear_trace

from opclock.errors import FarmError, OptionError
from opclock.farm.splitting import agreements, check_equal, in_words, join, nothing_shared_out
from opclock.profiles.profile import Profile
from opclock.sweeps.parts import SHARED_EVERY, Part

CALLS = [call for width in range(4, 36, 4) for call in linear_trace("m", width).calls]
SECONDS = np.linspace(1e-6, 1e-4, len(CALLS))


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_pool_is_in_one_part_and_a_tenth_in_all(of):
    parts = [Part(number, of) for number in range(of)]
    for pool in range(50):
        has = sum(part.has(pool) for part in parts)
        assert has == (of if pool % SHARED_EVERY == 0 else 1)
    counts = [sum(part.has(pool) for pool in range(100)) for part in parts]
    assert max(counts) - min(counts) <= 1


def test_a_part_is_read_as_it_is_written():
    assert str(Part.parse("2/3")) == "2/3"
    assert Part.parse("2/3") == Part(1, 3)
    for text in ("0/3", "4/3", "1", "a/b"):
        with pytest.raises(OptionError, match="write NUMBER/PARTS"):
            Part.parse(text)


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """Of three boards, of which c takes a fifth longer."""
    folder = tmp_path_factory.mktemp("boards")
    for name, factor in {"a": 1.0, "b": 1.01, "c": 1.2}.items():
        board_profile(folder / f"{name}.sqlite", CALLS, SECONDS * factor)
    return {name: folder / f"{name}.sqlite" for name in "abc"}


def test_a_board_that_differs_is_kept_apart(profiles, tmp_path):
    found = {one.board: one for one in agreements(profiles)}
    assert {one.reference for one in found.values()} == {"b"}
    assert {name: one.kept for name, one in found.items()} == {"a": True, "b": True, "c": False}
    assert json.loads(json.dumps([one.to_json() for one in found.values()]))  # it had a bool of NumPy
    assert found["c"].ratio == pytest.approx(1.2 / 1.01)
    assert found["c"].kernels == len({call.call.key for call in CALLS})
    target = tmp_path / "boards.sqlite"
    for _ in range(2):
        join([profiles[name] for name, one in found.items() if one.kept], target)
    with Profile.open(target) as joined, Profile.open(profiles["a"]) as alone:
        count = "SELECT count(*) FROM pool WHERE signature != ''"
        assert joined.ask(count)[0][0] == 2 * alone.ask(count)[0][0]


def test_boards_without_a_shared_kernel_are_kept_apart(profiles, tmp_path):
    board_profile(tmp_path / "d.sqlite", linear_trace("m", 777).calls, np.array([1e-6, 1e-6]))
    found = agreements({"a": profiles["a"], "d": tmp_path / "d.sqlite"})
    assert [(one.board, one.kernels, one.kept) for one in found] == [("a", 0, True), ("d", 0, False)]


def test_it_is_said_whether_boards_agree(profiles, tmp_path):
    """The limit was not shown, and a board that answered alone seemed to agree."""
    count = len({call.call.key for call in CALLS})
    assert in_words(agreements(profiles), profiles) == [
        f"a takes 0.990 times as long as b, the median of {count} shared kernels; they agree within 5 %",
        f"c takes 1.188 times as long as b, the median of {count} shared kernels; they differ by over 5 %: kept apart, "
        f"in {profiles['c']}",
    ]
    alone = {"a": profiles["a"]}
    assert in_words(agreements(alone), alone) == ["a alone has answered: nothing was compared"]
    board_profile(tmp_path / "d.sqlite", linear_trace("m", 777).calls, np.array([1e-6, 1e-6]))
    two = {**alone, "d": tmp_path / "d.sqlite"}
    assert in_words(agreements(two), two) == [f"d shares no kernel with a: kept apart, in {two['d']}"]


def test_only_boards_of_one_identity_share():
    one = SimpleNamespace(name="a", equals="x", board={"identity": "Pi 5"})
    other = SimpleNamespace(name="b", equals="y", board={"identity": "Pi 4"})
    check_equal([one, one])
    with pytest.raises(FarmError, match="a is Pi 5; b is Pi 4"):
        check_equal([one, other])


def test_a_sweep_with_one_pool_is_not_shared_out():
    whole, half = ({"part": {"part": "1/2", "kernels": count, "of_kernels": 4}} for count in (4, 2))
    assert nothing_shared_out([whole, whole])
    assert not nothing_shared_out([whole, half])
    assert not nothing_shared_out([whole, None])
    assert not nothing_shared_out([{"rows": []}] * 2)
