"""Options that are refused on the laptop, before a board measures."""

from __future__ import annotations

from helpers import opclock, refused


def test_a_profile_that_would_have_no_place_is_refused_before_boards_measure(tmp_path):
    """Hours of boards were measured first, and could not be stored."""
    done = opclock("measure", "zoo:mobilenet", "--on", "all", "--profile", tmp_path / "none" / "x.sqlite")
    refused(done, f"--profile {tmp_path / 'none' / 'x.sqlite'}: there is no folder")


def test_a_time_that_is_no_number_is_refused():
    """With nan a command that hung held its board for ever."""
    for words in (("measure", "zoo:mobilenet", "--on", "all", "--limit"), ("bench", "zoo:mobilenet", "--duration"),
                  ("sweep", "--for", "zoo:mobilenet", "--minutes")):  # fmt: skip
        refused(opclock(*words, "nan"), words[-1], "nan is no number")
