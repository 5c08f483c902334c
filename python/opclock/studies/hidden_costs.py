"""Study A: do MACs explain this board's time, and where is the rest?"""

from __future__ import annotations

from pathlib import Path

from opclock.models.cifar100 import with_images
from opclock.models.loading import load_model
from opclock.models.zoo import ZOO
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent, step
from opclock.studies.hidden_costs_results import HiddenCosts
from opclock.studies.processes import PROCESSES
from opclock.studies.unfinished import Unfinished
from opclock.validation.results import Validation
from opclock.validation.validate import validate_model, with_regression


def run(
    profile: Profile, *, threads: int, images: Path | None = None, seed: int = 0,
    processes: int = PROCESSES, unfinished: Unfinished | None = None, progress: Progress = silent,
) -> HiddenCosts:  # fmt: skip
    """Validate the ten published CIFAR-100 models, one image at a time, and compare MACs with time.

    Args:
        profile: open for writing; op calls it has already are not timed again.
        threads: PyTorch's threads.
        images: the folder of CIFAR-100's binary version; random images if None.
        seed: for the random order of blocks.
        processes: how many fresh processes take turns, see ``validate``.
        unfinished: has the models that an earlier run finished, which are not measured again, and keeps those of this
            one.
        progress: receives a text and the fraction that is done.

    Returns:
        The findings.

    Raises:
        OpclockError: see ``validate``, and ``with_images`` for the folder.
    """
    rows = []
    for number, name in enumerate(ZOO, start=1):
        row = unfinished.row(name) if unfinished else None
        if row is None:
            model = with_images(load_model(f"zoo:{name}"), images)
            row = validate_model(model, profile, threads=threads, seed=seed, processes=processes,
                                 progress=step(progress, number, len(ZOO)))  # fmt: skip
            if unfinished:
                unfinished.keep(name, row)
        rows.append(row)
    return HiddenCosts.of(Validation(profile.board(), with_regression(rows)))
