"""Write the files of a validation."""

from __future__ import annotations

from pathlib import Path

from opclock.files import write_json, write_whole
from opclock.flags import joined
from opclock.report.table import flagged_markdown
from opclock.report.validation_tables import table
from opclock.validation.results import Validation, class_table, validation_table


def write_validation(validation: Validation, folder: Path) -> None:
    """Write validation.csv, .md and .json and by-class.csv. Raises OptionError if it cannot."""
    frame = validation_table(validation)
    write_whole(folder / "validation.csv", frame.to_csv(index=False).encode())
    write_whole(folder / "validation.md", flagged_markdown(table(frame), joined(frame["flags"])).encode())
    write_whole(folder / "by-class.csv", class_table(validation).to_csv(index_label="model").encode())
    write_json(folder / "validation.json", validation.to_json())
