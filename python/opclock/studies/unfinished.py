"""What a study keeps in its report's folder until it ends, so that it goes on after an interruption."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from opclock.board.identity import read_board
from opclock.errors import OpclockError, OptionError
from opclock.files import json_text, prepare_folder, text_of, write_json, write_whole
from opclock.formatting import counted
from opclock.validation.results import Row
from opclock.validation.row_file import can_be_stored, row_from_json, row_to_json
from opclock.version import VERSION

FOLDER = "unfinished"
SETTINGS = "study.json"
PROFILE = "profile.sqlite"
LOCK = "lock"


class Unfinished:
    """A study's own profile and the rows of the models that it has finished. A context."""

    def __init__(self, report: Path, settings: dict[str, Any]) -> None:
        """Open the folder in the report's folder; no other process may use it until this one ends.

        Args:
            report: the report's folder.
            settings: what must be equal for a study to go on, as JSON-ready data; this board and opclock's release are
                added.

        Raises:
            OptionError: the folder cannot be written, or holds something else, or finished models of a study in other
                settings; or another process measures into it.
        """
        self.folder = report / FOLDER
        prepare_folder(self.folder)
        earlier = text_of(self.folder / SETTINGS)
        if not earlier and any(path.name != LOCK for path in self.folder.iterdir()):
            raise OptionError(f"{self.folder} is not of an unfinished study: name another folder for the report")
        self._lock = _locked(self.folder / LOCK)
        own = json_text({**settings, "board": read_board().identity, "opclock": VERSION}, sort_keys=True)
        if earlier and earlier != own:
            if self.models:
                self.close()
                raise OptionError(
                    f"{self.folder} keeps {self.finished} of an interrupted study with {_differences(earlier, own)}: "
                    "go on with that, remove the folder, or name another one for the report"
                )
            self._clear()
        write_whole(self.folder / SETTINGS, own.encode())

    @property
    def profile(self) -> Path:
        """Where the study stores what it measures, if the user names no profile."""
        return self.folder / PROFILE

    @property
    def models(self) -> list[str]:
        """The models that are finished."""
        return sorted(path.stem for path in self.folder.glob("*.json") if path.name != SETTINGS)

    @property
    def finished(self) -> str:
        """How many these are, in words."""
        return counted(len(self.models), "finished model")

    def row(self, model: str) -> Row | None:
        """The model's row; None where it is not finished, or its file is damaged."""
        try:
            return row_from_json(json.loads((self.folder / f"{model}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, OpclockError):
            return None

    def keep(self, model: str, row: Row) -> None:
        """Store a finished row, if a file can hold all of it. Raises OptionError where it cannot be written."""
        if can_be_stored(row):
            write_json(self.folder / f"{model}.json", row_to_json(row), indent=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.close()

    def remove(self) -> None:
        """Remove what the study kept, as it is finished, and the folder, unless it holds something else."""
        self._clear()
        (self.folder / LOCK).unlink(missing_ok=True)
        self.close()
        with suppress(OSError):
            self.folder.rmdir()

    def _clear(self) -> None:
        """Remove what a study kept."""
        for path in (*self.folder.glob("*.json"), *self.folder.glob(f"{PROFILE}*")):
            path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[bytes]:
    """A file that no other process can lock until it is closed, where the file system has locks.

    Raises OptionError where another process has locked it.
    """
    import fcntl  # not on Windows, where nothing is measured

    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise OptionError(
            f"another process measures a study into {path.parent}: wait for it, or name another folder for the report"
        ) from error
    except OSError:  # some network file systems have no locks
        pass
    return file


def _differences(earlier: str, own: str) -> str:
    """What two studies' settings differ in, in words."""
    try:
        before, now = json.loads(earlier), json.loads(own)
        names = [name for name in now if before.get(name) != now[name]]
        return ", ".join(f"{name} {before.get(name)} (now {now[name]})" for name in names) or "other settings"
    except (ValueError, AttributeError):
        return "other settings"
