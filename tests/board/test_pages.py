"""How memory in pieces is compared with large pages."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from opclock import doctor
from opclock.board import pages


@pytest.fixture
def blocks(monkeypatch):
    """Reading a small page's block takes 3 s, a large one's 2 s; the kernel gives large pages."""
    made = [np.zeros(64, dtype=np.uint8), np.ones(64, dtype=np.uint8)]
    given = itertools.count(0, pages.READ_BYTES)
    monkeypatch.setattr(pages, "_block", lambda advice: made.pop(0))
    monkeypatch.setattr(pages, "_large_bytes", lambda: next(given))
    monkeypatch.setattr(pages, "_read_s", lambda block: 2.0 if block[0] else 3.0)


def test_the_ratio_is_that_of_the_medians(blocks):
    assert pages.small_over_large() == pytest.approx(1.5)


def test_without_large_pages_nothing_is_compared(blocks, monkeypatch):
    monkeypatch.setattr(pages, "_large_bytes", lambda: 0)
    assert pages.small_over_large() is None


def test_another_system_has_none(monkeypatch):
    monkeypatch.setattr(pages.sys, "platform", "darwin")
    assert pages.small_over_large() is None


def test_a_kernel_that_knows_no_large_pages_is_no_error(monkeypatch):
    def refuse(_advice):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(pages, "_block", refuse)
    assert pages.small_over_large() is None


def test_memory_is_really_read():
    block = np.ones(pages.LINE * 4, dtype=np.uint8)
    assert pages._read_s(block) > 0.0
    ratio = pages.small_over_large()
    assert ratio is None or ratio > 0.0


@pytest.mark.parametrize(
    ("ratio", "status", "finding"),
    [
        (1.2, "ok", "takes 1.2 times as long as from large pages"),
        (1.8, "warning", "takes 1.8 times as long as from large pages: free memory lies in pieces"),
        (None, "ok", "not compared: no large ones to be seen"),
    ],
)
def test_the_doctor_says_what_is_slower_and_what_mends_it(monkeypatch, ratio, status, finding):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(doctor, "small_over_large", lambda: ratio)
    monkeypatch.setattr(doctor, "read_state", lambda: SimpleNamespace(available_bytes=10**10))
    check = doctor._pages()
    assert check.status == status
    assert finding in check.finding
    assert ("GLIBC_TUNABLES=glibc.malloc.hugetlb=1" in check.remedy) == (status == "warning")


@pytest.mark.parametrize(
    ("value", "asked"),
    [("glibc.malloc.hugetlb=1", True), ("a.b=3:glibc.malloc.hugetlb=2", True), ("glibc.malloc.hugetlb=0", False),
     ("glibc.malloc.hugetlb=", False), ("nonsense", False), ("", False)],
)  # fmt: skip
def test_who_asks_for_large_pages_already_is_told_no_more(monkeypatch, value, asked):
    monkeypatch.setenv("GLIBC_TUNABLES", value)
    assert pages.asks_for_large_pages() == asked
    monkeypatch.setattr(doctor, "small_over_large", lambda: 1.0)
    assert (doctor._pages().finding == "glibc.malloc.hugetlb asks for large pages") == asked


def test_on_a_board_with_little_memory_none_is_taken(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(doctor, "read_state", lambda: SimpleNamespace(available_bytes=10**8))
    assert doctor._pages().finding == "not compared: memory is short"
