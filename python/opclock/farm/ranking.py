"""The candidates of ``opclock rank`` on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    named: str  # what the user named, as messages say it
    specification: Specification  # as the files that travel are named
    travels: bool  # whether it names one of them
    threads: int | None

    @contextmanager
    def __call__(self, folder: Path, count: int) -> Iterator[Callable[[Candidate], Row]]:
        text = self.specification.text
        place = str(folder / text) if self.travels else text
        with estimating(replace(self.specification, text=place), folder / PROFILE, self.threads, count) as estimated:

            def row(candidate: Candidate) -> Row:
                found = estimated(candidate)
                return replace(found, error=found.error.replace(place, self.named))

            yield row


def estimate_on_cluster(
    address: Address, named: str, specification: Specification, files: Mapping[str, Path], profile: Profile,
    threads: int | None, candidates: Sequence[Candidate], finished: Finished,
) -> None:  # fmt: skip
    """Estimate candidates on a cluster.

    Args:
        address: the scheduler's.
        named: what the user named.
        specification: the same, as the files that travel are named.
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
        prepared = _Estimating(named, specification, bool(files), threads)
        for candidate, row, reason in cluster.work(prepared, {**files, PROFILE: folder / PROFILE}, candidates):
            finished(candidate[0], row if row is not None else Row(candidate[1], error=reason))
