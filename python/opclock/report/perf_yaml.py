"""perf.yaml: times, versions and layer counts by device and runtime, as Qualcomm's AI Hub Models publish them.

The layout is that of the perf.yaml files in github.com/quic/ai-hub-models: precisions, components, performance_metrics,
devices, runtimes. The key "opclock" in each entry holds what that layout has no place for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from opclock.errors import ReportError, first_line
from opclock.files import write_whole
from opclock.version import VERSION

if TYPE_CHECKING:
    from opclock.benchmarking.bench import Bench
    from opclock.benchmarking.result import BenchRow

PRECISIONS = {"float32": "float"}  # AI Hub's names where they differ
RUNTIMES = {"litert": "tflite", "onnxruntime": "onnx"}
TOOLS = {"ai-edge-litert": "tflite", "onnxruntime": "onnx_runtime"}
DIGITS = 4  # of milliseconds: 0.1 µs


class PerfEntry(NamedTuple):
    """One entry of a perf.yaml file."""

    precision: str
    model: str
    device: str
    runtime: str
    details: dict[str, Any]


def document(bench: Bench) -> dict[str, Any]:
    """The content of the file."""
    device = str(bench.board["identity"])
    precision = PRECISIONS.get(bench.settings.precision, bench.settings.precision)
    metrics = {RUNTIMES.get(row.runtime, row.runtime): _details(row, bench) for row in bench.rows}
    components = {bench.model: {"performance_metrics": {device: metrics}}}
    return {"supported_devices": [device], "precisions": {precision: {"components": components}}}


def _details(row: BenchRow, bench: Bench) -> dict[str, Any]:
    versions = {TOOLS.get(name, name): version for name, version in row.versions.items()}
    if row.status != "ok":
        return {"job_status": f"{row.status.capitalize()} ({row.reason})", "tool_versions": versions}
    peak_mb = round(row.peak_bytes / 1e6)
    low_s, high_s = row.interval_s
    layers = len(row.operators)
    delegated = {"delegated": sum(bool(one.delegated) for one in row.operators),
                 "fallbacks": [f"{one.kind} {one.name}" for one in row.fallbacks]}  # fmt: skip
    return {
        "job_status": "Passed",
        "inference_time_milliseconds": _ms(row.median_s),
        "estimated_peak_memory_range_mb": {"min": peak_mb, "max": peak_mb},
        "primary_compute_unit": "CPU",
        **({"layer_counts": {"total": layers, "cpu": layers}} if layers else {}),
        "tool_versions": versions,
        "opclock": {
            "version": VERSION, "batch": row.batch, "threads": bench.settings.threads, "runs": len(row.samples),
            "inference_time_interval_milliseconds": {"min": _ms(low_s), "max": _ms(high_s)},
            **(delegated if any(one.delegated is not None for one in row.operators) else {}),
            "flags": list(row.flags),
        },
    }  # fmt: skip


def _ms(seconds: float) -> float:
    return round(float(seconds) * 1e3, DIGITS)


def write(bench: Bench, path: Path) -> None:
    """Write the file, whole or not at all. Raises OptionError where it cannot be written."""
    import yaml

    write_whole(path, yaml.safe_dump(document(bench), sort_keys=False, allow_unicode=True, width=120).encode())


def read(path: Path) -> list[PerfEntry]:
    """Read a perf.yaml file, opclock's own or a published one. Raises ReportError where it is none."""
    import yaml

    try:
        return list(_entries(yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ReportError(f"{path} is no perf.yaml: {first_line(error)}") from error


def _entries(data: dict[str, Any]) -> Iterator[PerfEntry]:
    for precision, parts in data["precisions"].items():
        for model, component in parts["components"].items():
            for device, runtimes in component["performance_metrics"].items():
                for runtime, details in runtimes.items():
                    yield PerfEntry(precision, model, device, runtime, details)
