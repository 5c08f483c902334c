"""How far two sweeps of one board agree kernel by kernel, as measured and in one state of the machine.

    python -m benchmarks.predictor.agreement FIRST.sqlite SECOND.sqlite [--threads N]

A kernel's difference is the logarithm of its median in the second sweep over that in the first. "In one state": each
pool's seconds are scaled by its control workloads to the usual state of the first sweep, as a predictor learns them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from opclock.prediction.training import training_pools, training_state
from opclock.profiles.machine_state import MachineState
from opclock.profiles.profile import Profile
from opclock.profiles.reader import ProfileReader
from opclock.profiles.state_change import StateChange
from opclock.tracing.operator_classes import class_of

ALL = "all kernels"


def seconds_by_key(profile: ProfileReader, threads: int, state: MachineState | None) -> dict[str, float]:
    """By op call: the median of its newest pool, as measured or in a state of the machine."""
    change = None if state is None else StateChange(profile, threads, state)
    seconds: dict[str, float] = {}
    for number in training_pools(profile, threads, "cpu"):
        pool = profile.pool(number)
        pool = pool if change is None else change.of(pool)
        for key in pool.positions:
            seconds.setdefault(key, pool.measurement(key).median_s)
    return seconds


def differences(first: ProfileReader, second: ProfileReader, threads: int) -> pd.DataFrame:
    """One row a kernel that both sweeps have.

    Args:
        first: a profile with a sweep.
        second: another of the same board.
        threads: of both sweeps.

    Returns:
        Columns: ``operator_class``, ``seconds`` (in the first sweep), ``measured`` and ``in_one_state``, which are
        logarithms of second over first.
    """
    state = training_state(first, threads, "cpu")
    measured = [seconds_by_key(one, threads, None) for one in (first, second)]
    corrected = [seconds_by_key(one, threads, state) for one in (first, second)]
    calls = first.traced(set(measured[0]) & set(measured[1]))
    return pd.DataFrame(
        {
            "operator_class": class_of(traced.call),
            "seconds": measured[0][key],
            "measured": np.log(measured[1][key] / measured[0][key]),
            "in_one_state": np.log(corrected[1][key] / corrected[0][key]),
        }
        for key, traced in calls.items()
    )


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """By operator class, and for all: the median difference, its usual size, and the fraction within 5 %."""
    groups = [(ALL, rows), *rows.groupby("operator_class")]
    return pd.DataFrame(
        {
            "kernels": name,
            "count": len(some),
            **{
                f"{kind} {word}": value
                for kind in ("measured", "in_one_state")
                for word, value in (
                    ("bias", some[kind].median()),
                    ("typical", some[kind].abs().median()),
                    ("within 5 %", (some[kind].abs() <= 0.05).mean()),
                )
            },
        }
        for name, some in groups
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    with Profile.open(chosen.first) as first, Profile.open(chosen.second) as second:
        print(table(differences(first, second, chosen.threads)).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
