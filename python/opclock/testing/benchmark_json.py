"""Writes what tests measured as pytest-benchmark's JSON, so that its readers work: `pytest-benchmark compare`.

The format has no schema; its fields are those that pytest-benchmark 5 writes and reads.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from opclock.gating.repository import GitError, Repository, git
from opclock.profiles.statistics import Samples
from opclock.testing.cases import TestCase

FORMAT_VERSION = "5.0.0"  # of pytest-benchmark, whose fields these are
PLAIN = (bool, int, float, str, type(None))


def to_json(cases: Iterable[TestCase], folder: Path) -> dict[str, Any]:
    """JSON-ready data.

    Args:
        cases: the tests, in their order.
        folder: in the repository of the tests, if it is in one.
    """
    return {
        "machine_info": _machine(),
        "commit_info": _commit(folder),
        "benchmarks": [_benchmark(case) for case in cases],
        "datetime": datetime.now(UTC).isoformat(),
        "version": FORMAT_VERSION,
    }


def _benchmark(case: TestCase) -> dict[str, Any]:
    seconds = case.result.reference.samples
    return {
        "group": None,
        "name": case.name,
        "fullname": case.fullname,
        "params": {key: value if isinstance(value, PLAIN) else repr(value) for key, value in case.params.items()}
        or None,
        "param": case.param,
        "extra_info": {"opclock": _of_opclock(case)},
        "options": {
            "disable_gc": False, "timer": "perf_counter", "min_rounds": 1, "max_time": 1.0, "min_time": 0.0,
            "warmup": True,
        },
        "stats": {**statistics(seconds), "data": seconds.tolist(), "iterations": 1},
    }  # fmt: skip


def _of_opclock(case: TestCase) -> dict[str, Any]:
    result = case.result
    slowdown = result.slowdown
    return {
        "reference": result.reference.to_json(),
        "estimate_s": result.estimate.total_s,
        "by_class_s": result.estimate.by_class(),
        "threads": result.estimate.threads,
        "flags": list(result.flags),
        "baseline_s": None if slowdown is None else slowdown.baseline_s,
        "slowdown": None if slowdown is None else slowdown.ratio - 1,
        "slowdown_low": None if slowdown is None else slowdown.low - 1,
        "slowdown_high": None if slowdown is None else slowdown.high - 1,
        "verdict": case.verdict or None,
    }


def statistics(seconds: Samples) -> dict[str, Any]:
    """The statistics of pytest-benchmark: spread by standard deviation, quartiles and Tukey's fences."""
    first, median, third = (float(value) for value in np.percentile(seconds, (25, 50, 75)))
    mean, spread = float(seconds.mean()), float(seconds.std(ddof=1)) if seconds.size > 1 else 0.0
    fence = 1.5 * (third - first)
    inside = seconds[(seconds >= first - fence) & (seconds <= third + fence)]
    beyond = int(seconds.size - inside.size), int(np.count_nonzero(np.abs(seconds - mean) > spread))
    return {
        "min": float(seconds.min()), "max": float(seconds.max()), "mean": mean, "stddev": spread,
        "rounds": int(seconds.size), "median": median, "iqr": third - first, "q1": first, "q3": third,
        "iqr_outliers": beyond[0], "stddev_outliers": beyond[1], "outliers": f"{beyond[1]};{beyond[0]}",
        "ld15iqr": float(inside.min()), "hd15iqr": float(inside.max()), "ops": 1 / mean, "total": float(seconds.sum()),
    }  # fmt: skip


def _machine() -> dict[str, Any]:
    return {
        "node": platform.node(), "processor": platform.processor(), "machine": platform.machine(),
        "python_compiler": platform.python_compiler(), "python_implementation": platform.python_implementation(),
        "python_implementation_version": platform.python_version(), "python_version": platform.python_version(),
        "python_build": list(platform.python_build()), "release": platform.release(), "system": platform.system(),
        "cpu": {},
    }  # fmt: skip


def _commit(folder: Path) -> dict[str, Any]:
    """The commit of the tests; "unversioned" where they are in no repository."""
    try:
        repository = Repository.around(folder)
        return {
            "id": repository.commit("HEAD"),
            "time": git("show", "--no-patch", "--format=%cI", "HEAD", folder=folder),
            "author_time": git("show", "--no-patch", "--format=%aI", "HEAD", folder=folder),
            "dirty": repository.changed,
            "project": repository.top.name,
            "branch": git("rev-parse", "--abbrev-ref", "HEAD", folder=folder),
        }
    except GitError:
        return {"id": "unversioned", "time": None, "author_time": None, "dirty": False, "project": folder.name,
                "branch": "(unknown)"}  # fmt: skip
