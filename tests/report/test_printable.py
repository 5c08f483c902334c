"""Text without what would control a terminal."""

from __future__ import annotations

import pytest

from opclock.report.printable import printable


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m and \x1b[2Jempty", "red and empty"),
        ("title \x1b]0;mine\x07 set", "title  set"),
        ("cut off \x1b]0;mine", "cut off "),
        ("cut off \x1b[31", "cut off "),
        ("\x1b[?1049hother screen\x1bc", "other screen"),
        ("bell\x07, back\b and \r", "bell, back and "),
        ("µs\tand\nlines", "µs\tand\nlines"),
    ],
)
def test_nothing_controls_the_terminal(said, shown):
    assert printable(said) == shown
