"""Which flags the readings of a measurement set. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opclock.board.state import BoardState
from opclock.extension import load_core
from opclock.flags import Flag

DRIFT_LIMIT = 0.05  # between the medians of the samples' halves, a fraction: above it, the machine changed meanwhile
MAX_IDLE_SHARE = 0.1  # fraction of rounds in which the device waited for the host; above it, its time is not reliable


def throttle_flags(before: BoardState, after: BoardState) -> tuple[Flag, ...]:
    """("throttled",) where the board was throttled before or after the rounds, or in between; else ()."""
    meanwhile = set(after.throttle) - set(before.throttle)  # the firmware remembers that it throttled
    return ("throttled",) if before.throttled or after.throttled or meanwhile else ()


def drift_flags(samples: Sequence[float]) -> tuple[Flag, ...]:
    """("drifting",) where the halves of these samples, seconds in the order taken, differ too much; else ()."""
    return ("drifting",) if abs(load_core().drift(list(samples))) > DRIFT_LIMIT else ()


def clock_flags(*clocks: dict[str, Any]) -> tuple[Flag, ...]:
    """("clock_disagrees",) where one of these checks of the clock (see ``clock_facts``) failed; else ()."""
    return () if all(clock["agrees"] for clock in clocks) else ("clock_disagrees",)


def device_flags(reading: dict[str, Any], idle_rounds: int, rounds: int) -> tuple[Flag, ...]:
    """Compute the flags of a device beside the host.

    Args:
        reading: the device's state after the rounds, see ``read_device``.
        idle_rounds: the number of rounds in which the device waited for the host.
        rounds: the number of all rounds.

    Returns:
        The flags.
    """
    slowed: tuple[Flag, ...] = ("device_slowed",) if reading.get("slowed") else ()
    return (*slowed, "device_idle") if idle_rounds > MAX_IDLE_SHARE * rounds else slowed
