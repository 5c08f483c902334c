"""Exports sweeps to formats of other programs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from opclock.errors import OptionError
from opclock.files import json_text
from opclock.sweeps.results import SweepRow, sweep_table

SUFFIXES = (".csv", ".parquet", ".json")


def exported(rows: Sequence[SweepRow], board: dict[str, Any], suffix: str) -> bytes:
    """Export a sweep.

    Args:
        rows: of the sweep.
        board: the board's facts.
        suffix: ".csv", ".parquet", or ".json" for google-benchmark's format, which has every sample.

    Returns:
        The content of the file.

    Raises:
        OptionError: another suffix, or Parquet's package is not installed.
    """
    if suffix == ".csv":
        return sweep_table(rows).to_csv(index=False).encode()
    if suffix == ".parquet":
        return _parquet(sweep_table(rows))
    if suffix == ".json":
        return (json_text(google_benchmark(rows, board), indent=2) + "\n").encode()
    raise OptionError(f"'{suffix}' is not a format for sweeps; choose one of: {', '.join(SUFFIXES)}")


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    texts = {name: str for name in table if table[name].map(type).nunique() > 1 and table[name].dtype == object}
    try:
        table.astype(texts).to_parquet(buffer, index=False)
    except ImportError as error:
        raise OptionError("Parquet needs pyarrow: pip install 'opclock[parquet]', or export to .csv") from error
    return buffer.getvalue()


def google_benchmark(rows: Iterable[SweepRow], board: dict[str, Any]) -> dict[str, Any]:
    """Data in google-benchmark's JSON format. Each sample is a repetition, so that its compare.py can test them."""
    return {
        "context": {"host_name": board["model"], "num_cpus": board["cores"], "library_build_type": "release"},
        "benchmarks": [repetition for row in rows for repetition in _repetitions(row)],
    }


def _repetitions(row: SweepRow) -> Iterator[dict[str, Any]]:
    samples = row.measurement.samples
    for index, seconds in enumerate(samples):
        yield {
            "name": row.name, "run_name": row.name, "run_type": "iteration", "repetitions": samples.size,
            "repetition_index": index, "threads": row.threads, "iterations": row.measurement.calls_per_sample,
            "real_time": seconds * 1e9, "cpu_time": seconds * 1e9, "time_unit": "ns",
        }  # fmt: skip
