"""Numbers on screen keep their digits, whatever their size."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opclock.formatting import (
    BYTES,
    COUNT,
    MACS_PER_SECOND,
    SECONDS,
    column_texts,
    digits,
    memory,
    percent,
    quantity,
    speedup,
)

FACTORS = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
seconds = st.floats(1e-10, 1e5)


def read(text, unit):
    """The number that a text stands for."""
    number, _, symbol = text.partition(" ")
    return float(number) * FACTORS[symbol.removesuffix(unit)]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (20.1e-6, SECONDS, "20.1 µs"),
        (8.034e-3, SECONDS, "8.03 ms"),
        (1.4949, SECONDS, "1.49 s"),
        (999.6e-6, SECONDS, "1.00 ms"),
        (1490.0, SECONDS, "1490 s"),
        (4e-10, SECONDS, "0.400 ns"),
        (0.0, SECONDS, "0 s"),
        (20_500, COUNT, "20.5 k"),
        (1_300_000_000, COUNT, "1.30 G"),
        (7, COUNT, "7"),
        (999_900, COUNT, "1.00 M"),
        (512, BYTES, "512 B"),
        (1_500_000, BYTES, "1.50 MB"),
        (12.34e9, MACS_PER_SECOND, "12.3 GMAC/s"),
        (None, SECONDS, ""),
        (math.nan, SECONDS, ""),
    ],
)
def test_quantities(value, unit, text):
    assert quantity(value, unit) == text


def test_a_sign_where_one_is_asked_for():
    assert quantity(4e-3, SECONDS, signed=True) == "+4.00 ms"
    assert quantity(-4e-3, SECONDS, signed=True) == "-4.00 ms"


@pytest.mark.parametrize(
    ("fraction", "plain", "signed"),
    [(0.0226, "2.3 %", "+2.3 %"), (-0.5, "-50.0 %", "-50.0 %"), (1.0, "100 %", "+100 %"), (0.0, "0 %", "0 %"),
     (0.0004, "<0.1 %", "+0.04 %"), (-6e-16, "<0.1 %", "<0.01 %"), (12.0, "1200 %", "+1200 %"), (math.nan, "", "")],
)  # fmt: skip
def test_percents(fraction, plain, signed):
    assert percent(fraction) == plain
    assert percent(fraction, signed=True) == signed


def test_sizes_and_factors():
    assert [memory(1 << n) for n in (4, 15, 20, 28)] == ["16 B", "32 KiB", "1 MiB", "256 MiB"]
    assert [speedup(value) for value in (1.234, 0.5, 12.0, math.nan)] == ["1.23x", "0.500x", "12.0x", ""]


@given(seconds)
def test_what_is_shown_is_within_half_a_percent(value):
    assert read(quantity(value, SECONDS), "s") == pytest.approx(value, rel=0.005)
    assert float(digits(value)) == pytest.approx(value, rel=0.005)


@given(st.integers(1, 10**14))
def test_counts_are_within_half_a_percent(value):
    assert read(quantity(value, COUNT), "") == pytest.approx(value, rel=0.005)


@given(st.lists(seconds, min_size=1, max_size=20))
def test_a_column_keeps_the_digits_of_every_row(values):
    unit, cells = column_texts(values, SECONDS)
    for value, cell in zip(values, cells, strict=True):
        assert read(f"{cell} {unit}" if unit else cell, "s") == pytest.approx(value, rel=0.005)
        assert len(cell) <= len("0.123 ms"), cell


@given(st.lists(st.floats(1e-4, 9e-4), min_size=1))
def test_a_column_of_like_numbers_has_its_unit_in_the_heading(values):
    assert column_texts(values, SECONDS)[0] == "µs"


@given(st.floats(-100, 100).filter(lambda fraction: abs(fraction) >= 1e-4))
def test_a_percentage_is_never_zero_for_what_is_not(fraction):
    text = percent(fraction, signed=True).removesuffix(" %")
    assert float(text) != 0
    assert float(text) / 100 == pytest.approx(fraction, abs=0.0006 if abs(fraction) < 1 else 0.006)
