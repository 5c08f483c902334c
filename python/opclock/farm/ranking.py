"""The candidates of ``opclock rank`` on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from opclock.farm.address import Address
from opclock.farm.cluster import Cluster
from opclock.profiles.profile import Profile
from opclock.ranking.candidates import Specification
from opclock.ranking.processes import Candidate, Finished, estimating
from opclock.ranking.rows import Row
from opclock.temporary import temporary_folder

PROFILE = "profile.sqlite"  # among the files that travel


@dataclass(frozen=True)
class _Estimating:
    """Makes the processes on a worker that estimate candidates, as many as it does tasks at a time."""

    specification: Specification
    travels: bool  # whether the specification names files that travel
    threads: int | None

    def __call__(self, folder: Path, count: int) -> AbstractContextManager[Callable[[Candidate], Row]]:
        text = self.specification.text
        here = replace(self.specification, text=str(folder / text) if self.travels else text)
        return estimating(here, folder / PROFILE, self.threads, count)


def estimate_on_cluster(
    address: Address, specification: Specification, files: Mapping[str, Path], profile: Profile, threads: int | None,
    candidates: Sequence[Candidate], finished: Finished,
) -> None:  # fmt: skip
    """Estimate candidates on a cluster.

    Args:
        address: the scheduler's.
        specification: what the user named, as the names of the files that travel say it.
        files: that travel, by their names there.
        profile: the board's measurements. They travel, too.
        threads: PyTorch's threads; None: as measured.
        candidates: which.
        finished: receives each candidate's number and row.

    Raises:
        FarmError: there is no cluster, or it does not answer any more.
    """
    if not candidates:
        return
    with Cluster(address) as cluster, temporary_folder() as folder:
        (folder / PROFILE).write_bytes(profile.image())
        prepared = _Estimating(specification, bool(files), threads)
        for candidate, row, reason in cluster.work(prepared, {**files, PROFILE: folder / PROFILE}, candidates):
            finished(candidate[0], row if row is not None else Row(candidate[1], error=reason))
