"""Measures the op calls that two profiles share again in turn, and compares the new measurements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from opclock.comparing.repeats import Profiles, repeats_table
from opclock.comparing.shared import Shared
from opclock.comparing.side import Side, check_interpreter
from opclock.comparing.turns import Refused, Turns
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.temporary import temporary_folder

# Processes of one side. A kernel of one process differs from that of another by 2 to 3 %, one in ten by 6 to 28 %: five
# tell that from a change of 10 %.
SIDES = ("first", "second")
PROCESSES = 5
BLOCKS = 4  # of rounds in each process


@dataclass(frozen=True)
class Remeasured:
    """What both sides measured in turn."""

    profiles: tuple[Profiles, ...]  # of each pair of processes
    boards: tuple[dict[str, Any], dict[str, Any]]  # each side's environment
    refused: tuple[dict[str, Any], ...]  # rows of op calls that were not measured, with the reason

    def table(self) -> pd.DataFrame:
        """One row an op call, as ``profiles.comparison.compare`` returns them."""
        tables = [repeats_table(self.profiles), pd.DataFrame(self.refused)]
        return pd.concat([table for table in tables if len(table)], ignore_index=True)


@contextmanager
def remeasured(
    first: Path, second: Path, pythons: tuple[str, str], progress: Progress = silent
) -> Iterator[Remeasured]:
    """Measure the op calls that two profiles share again, in turn, each side in processes of its own.

    ``PROCESSES`` pairs of processes follow each other. The profiles stay as they are. All op calls are timed in
    interleaved rounds, those of models too. The new profiles exist until the end of the ``with`` block.

    Args:
        first: the profile to compare with.
        second: the profile to judge.
        pythons: the interpreters of both environments.
        progress: receives a text and the fraction that is done.

    Yields:
        The new measurements.

    Raises:
        ProfileError: a profile cannot be read, or they have no op call in common.
        ComparisonError: an interpreter lacks opclock or has one of another version, a profile is of another machine or
            torch, or a side fails.
    """
    with (
        temporary_folder() as made,
        Profile.open(first) as one,
        Profile.open(second) as two,
    ):
        shared = Shared.of(one, two)
        for name, python in zip(SIDES, pythons, strict=True):
            check_interpreter(name, python)
        pairs: list[Profiles] = []
        refused: Refused = {}
        for number in range(PROCESSES):
            folder = made / str(number)
            folder.mkdir()

            def report(text: str, done: float, number: int = number) -> None:
                progress(f"compare, process {number + 1} of {PROCESSES}: {text}", (number + done) / PROCESSES)

            report("starting both sides", 0.0)
            with Side(SIDES[0], pythons[0], folder) as left, Side(SIDES[1], pythons[1], folder) as right:
                for side in (left, right):
                    side.check()
                boards = left.open(one, BLOCKS, seed=number), right.open(two, BLOCKS, seed=number)
                refused |= Turns((left, right), shared, report).run()
                for side in (left, right):
                    side.request("close")
            pairs.append((left.profile, right.profile))
            if len(refused) == shared.count:
                break
        progress("compare: measured in turn", 1.0)
        rows = [shared.row(team, key, reason) for (team, key), reason in refused.items()]
        yield Remeasured(tuple(pairs), boards, tuple(rows))
