"""JSON has no NaN: what is not a number is null."""

from __future__ import annotations

import json
import math

from helpers import BOARD, validation_row

from opclock.files import json_text
from opclock.validation.results import Validation


def test_json_of_a_validation_holds_no_nan():
    rows = (validation_row("a", 8, 1e-3, math.nan), validation_row("b", 16, 2e-3, math.inf))
    text = json_text(Validation(BOARD.to_json(), rows).to_json())

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads(text, parse_constant=refuse)
    assert [row["error"] for row in read["rows"]] == [None, None]
