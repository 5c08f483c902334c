"""What a study keeps in its report's folder until it ends, so that it goes on after an interruption."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from opclock.board.identity import read_board
from opclock.errors import OpclockError, OptionError
from opclock.files import json_text, prepare_folder, text_of, write_json, write_whole
from opclock.validation.results import Row
from opclock.validation.row_file import can_be_stored, row_from_json, row_to_json
from opclock.version import VERSION

FOLDER = "unfinished"
SETTINGS = "study.json"
PROFILE = "profile.sqlite"


class Unfinished:
    """A study's own profile and the rows of the models that it has finished."""

    def __init__(self, report: Path, settings: dict[str, Any]) -> None:
        """Open the folder in the report's folder. What a study in other settings left there is removed.

        Args:
            report: the report's folder.
            settings: what must be equal for a study to go on, as JSON-ready data; this board and opclock's release are
                added.

        Raises:
            OptionError: the folder cannot be written, or holds something else.
        """
        self.folder = report / FOLDER
        own = json_text({**settings, "board": read_board().identity, "opclock": VERSION}, sort_keys=True)
        earlier = text_of(self.folder / SETTINGS)
        if earlier and earlier != own:
            self.remove()
        prepare_folder(self.folder)
        if any(self.folder.iterdir()) and not earlier:
            raise OptionError(f"{self.folder} is not of an unfinished study: name another folder for the report")
        write_whole(self.folder / SETTINGS, own.encode())

    @property
    def profile(self) -> Path:
        """Where the study stores what it measures, if the user names no profile."""
        return self.folder / PROFILE

    @property
    def models(self) -> list[str]:
        """The models that an earlier run finished."""
        return sorted(path.stem for path in self.folder.glob("*.json") if path.name != SETTINGS)

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

    def remove(self) -> None:
        """Remove the folder: the study is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)
