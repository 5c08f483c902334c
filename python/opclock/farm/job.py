"""One command for one board, and what came of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal

# done: the command ended with exit code 0 or 1. failed: it ended with 2, crashed, hung or found no room. skipped: the
# board is not fit to measure now. refused: it is not what was asked for. lost: it never answered.
Status = Literal["done", "failed", "skipped", "refused", "lost"]

RESULT = "result.json"  # in the job's folder
PROFILE = "profile.sqlite"  # likewise, of a command that keeps none: if its board is lost, it goes on from there
TAKEN_UP_S = 86_400.0  # within so many seconds, the same command goes on with a job that was given before
SLOT = "board"  # the resource of which each board has one: one measurement at a time, whoever asks


@dataclass(frozen=True)
class Job:
    """A command, the files that travel with it, and where it may run.

    Attributes:
        words: the command line without ``opclock``. The names of files in it are those in the archive.
        where: dask's resources that the board must have beside its slot, such as ``name:pi5-a``.
        versions: that the board must have.
        files: an archive.
        profile: the profile to go on with; empty for a new one.
        profile_name: of the command's profile; "" where it has none.
        outputs: files and folders that come back, by their names in the job's folder.
        wait: whether a board that is not fit waits until it is.
        limit_s: seconds after which the command counts as hung.
        columns: of the screen on which the text will be shown; 0 where nobody looks.
        id: as ``with_id`` makes it.
    """

    words: tuple[str, ...]
    where: str
    versions: tuple[tuple[str, str], ...]
    files: bytes = b""
    profile: bytes = b""
    profile_name: str = ""
    outputs: tuple[str, ...] = ()
    wait: bool = False
    limit_s: float = 3600.0
    columns: int = 0
    id: str = ""

    @property
    def digest(self) -> str:
        """Equal for equal commands with equal files on one board. A profile that has grown since does not count."""
        text = repr((self.words, self.where, self.versions, self.outputs, self.limit_s, self.wait))
        return hashlib.sha256(text.encode() + self.files).hexdigest()[:16]

    def with_id(self, moment_s: float) -> Job:
        """The same job, named by its digest and the time at which it was given."""
        return replace(self, id=f"opclock-{self.digest}-{int(moment_s * 1000):x}")


def given_at_s(key: str) -> float:
    """When a job was given, by its id."""
    return int(key.rpartition("-")[2], 16) / 1000


@dataclass(frozen=True)
class Outcome:
    """What a board answers.

    Attributes:
        board: the board's name.
        code: the command's exit code, negative for a signal; None where it did not run.
        text: what the command printed.
        result: its JSON; None where it wrote none.
        profile: the profile as it is now; empty where there is none, or it is as it was sent.
        profile_sha256: of it.
        files: an archive of the outputs.
        seconds: from the command's start to its end.
    """

    board: str
    status: Status
    reason: str = ""
    code: int | None = None
    text: str = ""
    result: dict[str, Any] | None = None
    profile: bytes = b""
    profile_sha256: str = ""
    files: bytes = b""
    seconds: float = 0.0
