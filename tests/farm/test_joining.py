"""A board that looks for its farm."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a board needs Linux")

from opclock.errors import FarmError  # noqa: E402
from opclock.farm import worker  # noqa: E402
from opclock.farm.address import Address  # noqa: E402

ADDRESS = Address.of("tcp://nobody.invalid:8786")


class Attempts:
    """Of a board without a way to its scheduler: each fails for the same reason, the third ends the test."""

    def __init__(self, monkeypatch, code):
        self.said, self.count = [], 0
        self._error = socket.gaierror(code, "no name")
        monkeypatch.setattr(worker, "connect", self._connect)
        monkeypatch.setattr(worker, "REJOIN_S", 0.0)

    async def _connect(self, *_arguments, **_options):
        self.count += 1
        if self.count == 3:
            raise KeyboardInterrupt
        raise OSError("Timed out trying to connect") from self._error

    def make(self, *, joined):
        asyncio.run(worker._reached(ADDRESS, self.said.append, joined=joined))


def test_a_name_of_no_machine_ends_the_board(monkeypatch):
    """It tried again for ever."""
    attempts = Attempts(monkeypatch, socket.EAI_NONAME)
    with pytest.raises(FarmError, match=r"cannot join tcp://nobody\.invalid:8786: no machine of this name is known"):
        attempts.make(joined=False)
    assert attempts.count == 1


@pytest.mark.parametrize(("code", "joined"), [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False)])
def test_a_network_that_is_away_may_come_back(monkeypatch, code, joined):
    attempts = Attempts(monkeypatch, code)
    with pytest.raises(KeyboardInterrupt):
        attempts.make(joined=joined)
    assert attempts.said == ["tcp://nobody.invalid:8786 does not answer (no name); trying again"]
