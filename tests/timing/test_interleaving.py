"""Scripted blocks in turn: who runs when, and who has enough."""

from __future__ import annotations

import random

from opclock.timing.interleaving import interleave, interleave_together


def test_an_item_that_has_enough_takes_no_further_part():
    ran: list[str] = []
    wanted = {"a": 1, "b": 3, "c": 2}
    interleave(wanted, ran.append, enough=lambda item: ran.count(item) >= wanted[item])
    assert ran == ["a", "b", "c", "b", "c", "b"]


def test_an_item_that_needs_nothing_never_runs():
    ran: list[str] = []
    interleave("ab", ran.append, enough=lambda item: item == "a" or "b" in ran)
    assert ran == ["b"]
    interleave([], ran.append, enough=lambda _: False)
    assert ran == ["b"]


def test_together_all_get_as_many_blocks():
    ran: list[str] = []
    interleave_together("abc", ran.append, enough=lambda: len(ran) >= 4)
    assert ran == ["a", "b", "c", "a", "b", "c"]
    interleave_together("abc", ran.append, enough=lambda: True)
    assert len(ran) == 6


def test_each_pass_has_a_fresh_order():
    ran: list[int] = []
    interleave_together(range(6), ran.append, enough=lambda: len(ran) >= 18, order=random.Random(1))
    passes = [tuple(ran[start : start + 6]) for start in (0, 6, 12)]
    assert len(set(passes)) == 3
    assert all(set(one) == set(range(6)) for one in passes)
    again: list[int] = []
    interleave_together(range(6), again.append, enough=lambda: len(again) >= 18, order=random.Random(1))
    assert again == ran


def test_the_items_of_the_caller_keep_their_order():
    items = list(range(8))
    ran: list[int] = []
    interleave(items, ran.append, enough=lambda item: item in ran, order=random.Random(0))
    assert items == list(range(8))
    assert sorted(ran) == items


def test_progress_follows_each_block():
    ran: list[str] = []
    seen: list[int] = []
    interleave("ab", ran.append, enough=lambda item: ran.count(item) == 2, progress=lambda: seen.append(len(ran)))
    assert seen == [1, 2, 3, 4]
