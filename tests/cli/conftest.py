"""Widths of the terminal."""

from __future__ import annotations

import pytest
from screens import WIDTHS


@pytest.fixture(params=WIDTHS)
def width(request, monkeypatch):
    """Of the terminal."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


@pytest.fixture
def no_width(monkeypatch):
    """As through a pipe: nobody says how wide it is."""
    monkeypatch.delenv("COLUMNS", raising=False)
