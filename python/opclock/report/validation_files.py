"""Write the files of a validation."""

from __future__ import annotations

import json
from pathlib import Path

from opclock.files import write_whole
from opclock.report.validation_tables import table
from opclock.validation.results import Validation, class_table, validation_table


def write_validation(validation: Validation, folder: Path) -> None:
    """Write validation.csv, .md and .json and by-class.csv. Raises OptionError if it cannot."""
    frame = validation_table(validation)
    write_whole(folder / "validation.csv", frame.to_csv(index=False).encode())
    write_whole(folder / "validation.md", (table(frame).to_markdown() + "\n").encode())
    write_whole(folder / "by-class.csv", class_table(validation).to_csv(index_label="model").encode())
    write_whole(folder / "validation.json", (json.dumps(validation.to_json(), indent=2) + "\n").encode())
