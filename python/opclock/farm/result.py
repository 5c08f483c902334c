"""What came of a command on each board."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opclock.errors import ProfileError
from opclock.farm.archive import unpack
from opclock.farm.board import FarmBoard
from opclock.farm.job import Outcome, Status
from opclock.files import prepare_folder, write_whole
from opclock.profiles.maintenance import merge
from opclock.profiles.profile import Profile
from opclock.temporary import temporary_folder

SCHEMA = "opclock.farm/1"


@dataclass(frozen=True)
class Result:
    """One board's answer."""

    board: FarmBoard
    job: str  # "" where none was given
    outcome: Outcome
    profile: Path | None = None  # this machine's file, into which the board's was merged

    @property
    def status(self) -> Status:
        """See ``job.Status``."""
        return self.outcome.status

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        one = self.outcome
        profile = None if self.profile is None else {"file": str(self.profile), "sha256": one.profile_sha256}
        return {"board": self.board.to_json(), "job": self.job, "status": one.status, "reason": one.reason,
                "code": one.code, "seconds": one.seconds, "profile": profile, "result": one.result}  # fmt: skip


def to_json(results: list[Result]) -> dict[str, Any]:
    """The data of schema "opclock.farm/1"."""
    return {"schema": SCHEMA, "results": [result.to_json() for result in results]}


def of_board(path: Path, name: str) -> Path:
    """This machine's file for one board: "board.sqlite" is "board-pi5-a.sqlite" for the board pi5-a."""
    return path.with_name(f"{path.stem}-{name}{path.suffix}")


def take_profile(outcome: Outcome, target: Path) -> None:
    """Merge the profile that a board has sent into this machine's file. To do it again changes nothing.

    Raises:
        ProfileError: it did not arrive whole, or the file is of another board.
        OptionError: the file cannot be written.
    """
    if hashlib.sha256(outcome.profile).hexdigest() != outcome.profile_sha256:
        raise ProfileError(f"the profile of {outcome.board} did not arrive whole: give the same command again")
    if not target.exists():
        write_whole(target, outcome.profile)
        return
    with temporary_folder() as folder:
        (folder / "profile.sqlite").write_bytes(outcome.profile)
        with Profile.edit(target) as opened:
            merge(opened, folder / "profile.sqlite")


def take_files(outcome: Outcome, name_in_job: str, target: Path) -> None:
    """Write an output that a board has sent to its place: a file, or a folder with all in it.

    Raises OptionError where it cannot be written.
    """
    with temporary_folder() as folder:
        unpack(outcome.files, folder)
        sent = folder / name_in_job
        if sent.is_file():
            write_whole(target, sent.read_bytes())
            return
        for path in sorted(sent.rglob("*")):
            if path.is_file():
                place = target / path.relative_to(sent)
                prepare_folder(place.parent)
                write_whole(place, path.read_bytes())
