"""The flags' table is whole, and its functions choose from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest

from opclock.flags import BY_FLAG, MEANINGS, UNTRUSTED, Flag, ordered, precision_flags, untrusted

PAGE = Path(__file__).resolve().parents[2] / "docs/flags.md"


def test_every_flag_that_a_type_checker_lets_pass_has_a_meaning():
    assert tuple(BY_FLAG) == get_args(Flag)
    assert len(MEANINGS) == len(BY_FLAG)


def test_untrusted_flags_are_the_most_serious():
    assert tuple(one.flag for one in MEANINGS[: len(UNTRUSTED)]) == UNTRUSTED


@pytest.mark.parametrize("one", MEANINGS, ids=lambda one: one.flag)
def test_a_meaning_is_two_short_sentences(one):
    assert one.sentence.endswith(".")
    assert one.remedy.endswith(".")
    assert len(one.sentence) < 100
    assert len(one.remedy) < 110


def test_flags_are_ordered_by_seriousness_each_once():
    assert ordered(["from_sweep", "drifting", "nonsense", "contended", "drifting"]) == (
        "contended", "drifting", "from_sweep"
    )  # fmt: skip
    assert untrusted(["from_sweep", "drifting", "contended"]) == ("contended", "drifting")
    assert untrusted(["no_graph"]) == ()


@pytest.mark.parametrize(("low", "high", "flags"), [
    (0.91, 1.09, ()),
    (0.89, 1.12, ("imprecise",)),
    (0.0, 0.1, ("imprecise",)),  # however narrow: a time of 0 s is not possible
    (math.nan, math.nan, ("imprecise",)),
    (0.9, math.inf, ("imprecise",)),
])  # fmt: skip
def test_a_wide_interval_is_imprecise(low, high, flags):
    assert precision_flags(1.0, low, high) == flags


def test_the_page_of_flags_is_the_table_in_the_code():
    page = PAGE.read_text(encoding="utf-8")
    rows = [
        f"| `{one.flag}` | {'no' if one.untrusted else 'yes'} | {one.sentence} | {one.remedy} |" for one in MEANINGS
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
