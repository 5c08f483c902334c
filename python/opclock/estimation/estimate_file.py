"""An estimate as a JSON file: what ``opclock estimate --json`` writes and ``opclock compare`` reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opclock.errors import EstimateError
from opclock.estimation.result import Coverage, Estimate, Part
from opclock.estimation.setting import Setting
from opclock.profiles.processes import ProcessTimes
from opclock.profiles.shift import Shift

SCHEMA = "opclock.estimate/1"
NEXT_STEP = "write one with 'opclock estimate MODEL --json FILE'"


def document(estimate: Estimate, depth: int = 1) -> dict[str, Any]:
    """JSON-ready data that holds an estimate with its parts.

    Args:
        estimate: the estimate.
        depth: parts of the module path in ``by_module``.

    Returns:
        The data; ``estimate_of`` is the inverse.
    """
    return {
        "schema": SCHEMA,
        "model": estimate.model,
        **estimate.setting._asdict(),
        **estimate.to_json(),
        "by_module": estimate.by_module(depth),
        "unknown": list(estimate.unknown),
        "host_tail_s": estimate.host_tail_s,
        "parts": [asdict(part) for part in estimate.parts],
    }


def estimate_of(data: dict[str, Any]) -> Estimate:
    """Rebuild an estimate from ``document``, without the timeline of a device (``lanes``).

    Raises:
        EstimateError: the data is no complete estimate.
    """
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise EstimateError(f"not an estimate: schema {schema!r}, expected {SCHEMA!r}; {NEXT_STEP}")
    if "parts" not in data:
        raise EstimateError(f"an estimate of an earlier opclock, without the times of its op calls; {NEXT_STEP}")
    try:
        parts = tuple(map(Part.from_json, data["parts"]))
        _check_numbers(data["total_s"], data["ci_low_s"], data["ci_high_s"], data["host_tail_s"])
        for part in parts:
            _check_numbers(part.position, part.macs, part.host_s, 0.0 if part.kernel_s is None else part.kernel_s)
        return Estimate(
            model=data["model"],
            setting=Setting(*(data[name] for name in Setting._fields)),
            total_s=data["total_s"],
            ci_low_s=data["ci_low_s"],
            ci_high_s=data["ci_high_s"],
            parts=parts,
            host_tail_s=data["host_tail_s"],
            coverage=Coverage(**data["coverage"]),
            unknown=tuple(data["unknown"]),
            flags=tuple(data["flags"]),
            uncounted_operators=tuple(data["uncounted_operators"]),
            processes=tuple(map(ProcessTimes.from_json, data.get("processes", ()))),
            page_fault_s=data.get("page_fault_s"),
            interrupted_after=data.get("interrupted_after"),
            shift=None if (shift := data.get("machine_state")) is None else Shift.from_json(shift),
            left_out_controls=tuple(data.get("left_out_controls", ())),
        )
    except (KeyError, TypeError) as error:
        raise EstimateError(f"a damaged estimate ({type(error).__name__}: {error}); {NEXT_STEP}") from error


def _check_numbers(*values: object) -> None:
    """Raise TypeError for what is no number."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{value!r} is no number")


def read_estimate(path: Path) -> Estimate:
    """Read an estimate's file. Raises EstimateError, which names the file, where that is not possible."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EstimateError(f"cannot read the estimate {path}: {error.strerror}; {NEXT_STEP}") from error
    except (ValueError, RecursionError) as error:
        raise EstimateError(f"{path} is not JSON ({error}); {NEXT_STEP}") from error
    try:
        return estimate_of(data)
    except EstimateError as error:
        raise EstimateError(f"{path} is {error}") from error
