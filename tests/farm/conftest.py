from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def sockets_that_dask_leaves_open() -> Iterator[None]:
    """Collect them here. One was collected in the middle of another package's test, whose warnings are errors."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three boards that answer at once: a and b are equal, late is odd in every way."""
    from benchmarks.farm.small_farm import SmallFarm

    farm = SmallFarm(tmp_path_factory.mktemp("farm"))
    cores = sorted(os.sched_getaffinity(0))
    farm.begin("a", cpus=cores[:1], tags=["first"])
    farm.begin("b", cpus=cores[-1:], tags=["second"])
    farm.begin("late", ahead_s=86_400.0, versions={"torch": "2.9.1"}, tags=["odd"], identity="another board")
    try:
        farm.wait_for("a", "b", "late")
        yield farm
    finally:
        farm.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("opclock.farm.session.POLL_S", 0.02)


@pytest.fixture
def farm(small, impatient):
    with small.connect() as connected:
        yield connected


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger"
