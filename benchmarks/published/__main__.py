"""How well whole models follow from published times of their op calls.

    python -m benchmarks.published FILE...

Each FILE is a table of mobile phones (X_ops_gpu.csv with X_e2e.csv beside it), a folder or an archive of NeuSight's
tables of GPUs, or a log of TFLite's benchmark_model. The data is not part of opclock. A row of the table is a device:
for each method the mean error of its models, and the share within 10 % in brackets. Then come the largest error of each
method, how often a sum is too low, and the errors of op calls of models left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.published import mobile, neusight, tflite_log
from benchmarks.published.methods import Estimates, estimate
from benchmarks.published.models import Device, PublishedDataError
from opclock.formatting import percent
from opclock.report.table import Column, Table, ready, texts

READERS = (mobile, neusight, tflite_log)
METHODS = ("sum", "sum + host", "predicted + host", "nn-Meter's way", "line through FLOPs")
CLOSE = 0.1


def devices(paths: Sequence[Path]) -> list[Device]:
    """Read all files. Models of one device stand together. Raises PublishedDataError where no reader knows a file."""
    found: dict[str, Device] = {}
    for path in paths:
        reader = next((one for one in READERS if one.recognises(path)), None)
        if reader is None or not path.exists():
            raise PublishedDataError(f"{path}: no such file, or no name that a reader knows; see --help")
        for device in reader.read(path):
            before = found[device.name].models if device.name in found else ()
            found[device.name] = Device(device.name, (*before, *device.models))
    return list(found.values())


def errors(estimates: Estimates, method: str) -> np.ndarray:
    """Relative errors of the models for which the method has an answer."""
    pairs = zip(estimates.by_method.get(method, []), estimates.models, strict=False)
    return np.array([seconds / model.whole_s - 1 for seconds, model in pairs if seconds is not None])


def _mean(away: np.ndarray) -> str:
    size = np.abs(away)
    return f"{percent(float(size.mean()))} ({(size <= CLOSE).mean():.0%})" if len(away) else ""


def models_table(names: Sequence[str], results: Sequence[Estimates]) -> Table:
    """By device: models, and the mean error of each method with the share within 10 %."""
    columns = [Column(method, [_mean(errors(one, method)) for one in results], align="right") for method in METHODS]
    return Table([
        texts("device", names),
        ready("models", [str(len(one.models)) for one in results]),
        *columns,
        ready("sum too low", [f"{(errors(one, 'sum') < 0).mean():.0%}" for one in results]),
    ], "mean error of whole models (share within 10 %)")  # fmt: skip


def worst_table(names: Sequence[str], results: Sequence[Estimates]) -> Table:
    """By device: the largest error of each method."""

    def largest(one: Estimates, method: str) -> str:
        away = errors(one, method)
        return percent(float(away[np.abs(away).argmax()]), signed=True) if len(away) else ""

    return Table([
        texts("device", names), *(ready(method, [largest(one, method) for one in results]) for method in METHODS)
    ], "largest error of whole models")  # fmt: skip


def calls_table(names: Sequence[str], results: Sequence[Estimates]) -> Table:
    """By device: the mean error of single op calls of models left out, with the share within 10 %."""

    def cell(one: Estimates, method: str) -> str:
        return _mean(one.calls_by_method[method] / one.calls_s - 1) if method in one.calls_by_method else ""

    return Table([
        texts("device", names),
        ready("op calls", [str(len(one.calls_s)) for one in results]),
        *(ready(method, [cell(one, method) for one in results]) for method in ("predicted", "nn-Meter's way")),
    ], "mean error of op calls of models left out (share within 10 %)")  # fmt: skip


def main() -> int:
    """Read, estimate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    try:
        found = devices(parser.parse_args().files)
    except PublishedDataError as error:
        print(f"published: {error}", file=sys.stderr)
        return 2
    names, results = [device.name for device in found], [estimate(device) for device in found]
    for table in (models_table(names, results), worst_table(names, results), calls_table(names, results)):
        print("\n".join([table.title, *table.lines(None), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
