"""A profile's way to another architecture: `make FOLDER` measures and estimates, `check FOLDER` estimates it again.

python tests/arm/trip.py make FOLDER     # on one
python tests/arm/trip.py check FOLDER    # on the other: the same estimate to the last digit
"""

from __future__ import annotations

import json
import random
import sys
import zlib
from pathlib import Path
from typing import Any

import torch

import opclock
from opclock.profiles.profile import Profile
from opclock.progress import silent
from opclock.sweeps.amount import Amount
from opclock.sweeps.binding import plan_all
from opclock.sweeps.configuration import grid
from opclock.sweeps.grouping import grouped
from opclock.sweeps.run import Manner, learn, time_pools
from opclock.timing import controls
from opclock.timing.ceiling_runs import ALL_CEILINGS
from opclock.timing.host_standin import KindsHost
from opclock.timing.threads import thread_team
from opclock.tracing.trace import Trace

# What a predictor learns the second model from: it is never measured.
SWEPT: dict[str, dict[str, Any]] = {
    "conv2d": {"in_channels": [3, 8], "out_channels": [8, 16], "size": [8, 16], "kernel": [1, 3], "bias": True},
    "elementwise": {"channels": [8, 16], "size": [7, 8, 15, 16], "operator": ["relu", "add"]},
    "gemm": {"m": [1, 4], "n": [8, 10], "k": [8, 16, 64], "operator": "linear"},
    "pool": {"channels": [8, 16], "size": [8, 16], "operator": "adaptive"},
    "view": {"rows": [8, 16], "columns": [8, 16], "operator": ["flatten", "view"]},
}
# Few and small, since a block takes half a minute under an emulator.
WORKING_SETS = (1 << 22,)
AMOUNT = Amount(blocks=3, block_s=0.25, fewest=3, most=3)


def light_controls() -> None:
    """In this process, control workloads take a moment: an emulator takes half a minute for those of a board."""
    numbers = torch.ones(64)
    light = {name: lambda: torch.relu(numbers) for name in controls.workloads()}
    controls.workloads = lambda: light  # type: ignore[assignment]
    controls.sample_far_workloads = lambda contention: {}  # type: ignore[assignment]


class Small(torch.nn.Module):
    """A network of a few layers and one shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, width, 3, padding=1)
        self.second = torch.nn.Conv2d(width, width, 3, padding=1)
        self.last = torch.nn.Linear(width, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.first(image))
        found = torch.relu(self.second(found) + found)
        return self.last(torch.nn.functional.adaptive_avg_pool2d(found, 1).flatten(1))


def make(folder: Path) -> None:
    """A profile with one model measured and kernels swept, the traces of two models, and their estimates."""
    folder.mkdir()
    light_controls()
    image = torch.randn(1, 3, 12, 12)
    models = {"measured": Small(8).eval(), "predicted": Small(12).eval()}
    with opclock.open_profile(folder / "board.sqlite") as profile:
        for name, nbytes in ALL_CEILINGS:  # made up: measuring them takes minutes under an emulator
            profile.add_ceiling(name, nbytes, 1, 1e9 + zlib.crc32(f"{name} {nbytes}".encode()) / 7)
        for name, model in models.items():
            (folder / f"{name}.json").write_text(json.dumps(opclock.trace(model, (image,), name=name).to_json()))
        traced = Trace.load(folder / "measured.json")
        opclock.measure(traced, profile, forward=lambda: models["measured"](image), threads=1, max_s=1)
        sweep(profile)
    (folder / "estimates.json").write_text(json.dumps(estimates(folder)))


def sweep(profile: Profile) -> None:
    """Time the kernels as in models, with one thread, and learn from them."""
    planned, _ = plan_all(one for name, parameters in SWEPT.items() for one in grid(name, parameters)[0])
    pools = grouped(planned, WORKING_SETS, random.Random(0), max(WORKING_SETS))
    with thread_team(1):
        time_pools(pools, profile, Manner(AMOUNT, KindsHost()), count=len(planned), threads=1)
    learn(profile, 1, "cpu", silent)


def estimates(folder: Path) -> dict[str, object]:
    """Of both models, from the profile in the folder, as they stand in JSON."""
    with Profile.open(folder / "board.sqlite") as profile:
        made = {name: opclock.estimate(Trace.load(folder / f"{name}.json"), profile, threads=1)
                for name in ("measured", "predicted")}  # fmt: skip
        emulated = bool(profile.board()["emulator"])
    for source, one in zip(("measured", "modelled"), made.values(), strict=True):
        assert all(part.source == source for part in one.parts), one.parts
    assert all(("emulated" in one.flags) == emulated for one in made.values())
    found: dict[str, object] = json.loads(json.dumps({name: one.to_json() for name, one in made.items()}))
    return found


def check(folder: Path) -> None:
    """Raise AssertionError unless the estimates are the same here."""
    assert estimates(folder) == json.loads((folder / "estimates.json").read_text())


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
