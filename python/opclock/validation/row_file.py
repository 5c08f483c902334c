"""A validated model as JSON, whole: the trace, the estimate and every run of the model."""

from __future__ import annotations

from typing import Any

from opclock.errors import OpclockError, ReportError
from opclock.estimation.estimate_file import document, estimate_of
from opclock.timing.reference import Reference
from opclock.tracing.trace import Trace
from opclock.validation.results import Row

SCHEMA = "opclock.row/1"


def can_be_stored(row: Row) -> bool:
    """Whether the data would hold all of it: an explanation, and a device's timeline and graph, are left out."""
    return row.explanation is None and row.graph is None and row.estimate.lanes is None


def row_to_json(row: Row) -> dict[str, Any]:
    """JSON-ready data of a row that ``can_be_stored``; ``row_from_json`` is the inverse."""
    return {
        "schema": SCHEMA,
        "trace": row.trace.to_json(),
        "threads": row.threads,
        "reference": row.reference.samples_to_json(),
        "estimate": document(row.estimate),
        "baselines_s": row.baselines_s,
        "measure_s": row.measure_s,
        "flags": list(row.flags),
        "unknown": list(row.unknown),
    }


def row_from_json(data: dict[str, Any]) -> Row:
    """Rebuild a row. Raises ReportError for data that is not a complete row."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ReportError(f"not a validated model of this opclock (schema {SCHEMA!r})")
    try:
        return Row(
            trace=Trace.from_json(data["trace"]),
            threads=data["threads"],
            reference=Reference.from_samples(data["reference"]),
            estimate=estimate_of(data["estimate"]),
            baselines_s=dict(data["baselines_s"]),
            measure_s=data["measure_s"],
            flags=tuple(data["flags"]),
            unknown=tuple(data["unknown"]),
        )
    except (KeyError, TypeError, ValueError, OpclockError) as error:
        raise ReportError(f"a damaged validated model ({type(error).__name__}: {error})") from error
