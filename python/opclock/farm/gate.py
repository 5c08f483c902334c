"""Whether a board is fit to measure at this moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import psutil

from opclock.board.state import read_state
from opclock.board.system import allowed_cores
from opclock.doctor import BUSY_LOAD, HOT_C, Check, check_governor
from opclock.formatting import counted

WATCH_S = 1.0  # of the cores' use: the load of the last minute holds the job before
AGAIN_S = 10.0  # from one look to the next while a board cools
WAIT_S = 1800.0  # for a board to cool and to be left alone


def _throttling() -> Check:
    """Whether the board is slowed now; what has been since it booted does not matter here."""
    state = read_state()
    now = [flag for flag in state.throttle if not flag.endswith("has occurred")]
    if now:
        return Check("throttling", "warning", ", ".join(now), "check power supply and cooling")
    if state.temperature_c is not None and state.temperature_c >= HOT_C:
        return Check("throttling", "warning", f"temperature {state.temperature_c:.0f} °C", "let it cool, or add a fan")
    return Check("throttling", "ok", "")


def _load() -> Check:
    """Whether other programs use the board's cores now."""
    used = psutil.cpu_percent(WATCH_S, percpu=True)
    cores = sum(used[core] for core in allowed_cores() if core < len(used)) / 100
    if cores <= BUSY_LOAD:
        return Check("load", "ok", "")
    return Check(
        "load",
        "warning",
        f"other programs use {cores:.1f} of {counted(len(allowed_cores()), 'core')}",
        "stop them, or wait",
    )


CHECKS: dict[str, Callable[[], Check]] = {"throttling": _throttling, "governor": check_governor, "load": _load}


def unfit(accepted: Collection[str]) -> str:
    """Why nothing should be measured now; "" where the board is fit.

    Args:
        accepted: names of checks that may fail here: throttling, governor, load.
    """
    found = [check() for name, check in CHECKS.items() if name not in accepted]
    return "; ".join(f"{one.name}: {one.finding} (remedy: {one.remedy})" for one in found if one.status != "ok")


def wait_until_fit(accepted: Collection[str], *, wait: bool, ended: Callable[[], bool]) -> str:
    """Why nothing should be measured; "" once the board is fit.

    Args:
        accepted: names of checks that may fail.
        wait: whether to wait for it, up to half an hour.
        ended: whether nobody waits for the board any more.
    """
    until = time.monotonic() + (WAIT_S if wait else 0.0)
    while (reason := unfit(accepted)) and time.monotonic() < until and not ended():
        time.sleep(min(AGAIN_S, max(0.0, until - time.monotonic())))
    return reason
