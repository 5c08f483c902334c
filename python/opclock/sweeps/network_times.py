"""Times random networks beside the kernels of a sweep: predictors learn from them what kernels take in a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from opclock.errors import OpCallError, TraceError
from opclock.profiles.profile import Profile
from opclock.sweeps.parts import Part
from opclock.sweeps.random_networks import name_of
from opclock.temporary import temporary_folder
from opclock.timing.sampling_processes import SamplingProcess

IN_PROCESS = 20  # networks that one process times: it takes a few seconds to start


class NetworkProcess(SamplingProcess):
    """A process that times some of them."""

    server: ClassVar[str] = "opclock.sweeps.network_server"


class Networks:
    """The random networks of a sweep on the CPU that a profile lacks, timed in fresh processes. A context.

    Attributes:
        count: how many the profile lacks.
        timed: how many were timed now.
        skipped: by reason: networks that do not run on this machine.
    """

    def __init__(self, count: int, profile: Profile, threads: int, seed: int, part: Part | None = None) -> None:
        """Look up those that the profile has.

        Args:
            count: of the whole sweep.
            profile: stores every finished round.
            threads: PyTorch's threads.
            seed: for the rounds.
            part: of the sweep, that is timed here; all if None.
        """
        known = profile.finished_networks("cpu", threads)
        numbers = range(count) if part is None else range(part.number, count, part.of)
        self._left = [number for number in numbers if name_of(number) not in known]
        self.count = len(self._left)
        self._request = {"profile": str(profile.path), "threads": threads, "seed": seed}
        self._asked = 0  # networks of the process that runs now
        self._process: NetworkProcess | None = None
        self._folder: Path | None = None
        self._stack = ExitStack()
        self.timed = 0
        self.skipped: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_process()
        self._stack.close()

    @property
    def tried(self) -> int:
        """How many of them were timed, or do not run here."""
        return self.count - len(self._left)

    def until(self, share: float, report: Callable[[], object] = lambda: None) -> None:
        """Time as many as belong to this share of the sweep; ``report`` is called before each."""
        while self._left and len(self._left) > (1.0 - share) * self.count:
            number = self._left[0]
            report()
            try:
                self.timed += self._time(number)
            except (OpCallError, TraceError) as error:
                self.skipped[str(error)] += 1
                self._end_process()
            self._left.pop(0)

    def _time(self, number: int) -> bool:
        """Whether it was timed, and is not too large."""
        if self._asked == IN_PROCESS:
            self._end_process()
        if self._process is None:
            self._process = self._started()
        self._asked += 1
        return bool(self._process.request("time", number=number, **self._request)["timed"])

    def _started(self) -> NetworkProcess:
        if self._folder is None:
            self._folder = self._stack.enter_context(temporary_folder())
        return NetworkProcess("a random network", self._folder / "log")

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.close()
        self._process, self._asked = None, 0
