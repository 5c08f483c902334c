"""Flags: what was unusual about the board while something was timed. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opclock.board.state import BoardState
from opclock.extension import load_core

DRIFT_LIMIT = 0.05  # between the halves of the samples, as a fraction: beyond it the machine changed under them
MAX_IDLE_SHARE = 0.1  # of the rounds: in more, a device that waited for its host says little of its own time

# With one of these a time is not trusted; the worst comes first.
UNTRUSTED = ("emulated", "throttled", "device_slowed", "device_idle", "clock_disagrees", "drifting")


def throttle_flags(*states: BoardState) -> tuple[str, ...]:
    """("throttled",) where the board was slowed down in one of these states."""
    return ("throttled",) if any(state.throttled for state in states) else ()


def drift_flags(samples: Sequence[float]) -> tuple[str, ...]:
    """("drifting",) where the halves of these samples, in seconds and in the order they were taken, differ too much."""
    return ("drifting",) if abs(load_core().drift(list(samples))) > DRIFT_LIMIT else ()


def clock_flags(*clocks: dict[str, Any]) -> tuple[str, ...]:
    """("clock_disagrees",) where one of these proofs of the clock (see ``clock_facts``) failed."""
    return () if all(clock["agrees"] for clock in clocks) else ("clock_disagrees",)


def device_flags(reading: dict[str, Any], idle_rounds: int, rounds: int) -> tuple[str, ...]:
    """Of a device beside the host.

    Args:
        reading: of the device after the rounds, see ``read_device``.
        idle_rounds: in which the device waited for its host.
        rounds: all of them.
    """
    slowed = ("device_slowed",) if reading.get("slowed") else ()
    return (*slowed, "device_idle") if idle_rounds > MAX_IDLE_SHARE * rounds else slowed
