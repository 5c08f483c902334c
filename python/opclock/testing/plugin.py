"""The pytest plugin: the fixture ``opclock_bench``, the marker ``opclock``, and two options.

pytest imports this in every session of an environment that has opclock, so it imports no torch.

It has no asserts, and may be imported before pytest: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from opclock.errors import OpclockError
from opclock.files import check_writable
from opclock.temporary import temporary_folder
from opclock.testing.doubts import UnusedWarning
from opclock.testing.fixture import FIXTURE, MARKER, PASSED, OpclockBench, baseline_of, warn
from opclock.testing.summary import Summary


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("opclock", "opclock: latency of PyTorch models")
    group.addoption("--opclock-json", metavar="FILE",
                    help="write what opclock_bench measured, in the format of pytest-benchmark")  # fmt: skip
    group.addoption("--opclock-baseline", metavar="PROFILE",
                    help="compare with this profile; a test that it lacks is measured into it")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, check the options before any test runs, and collect what tests measure."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(max_slowdown=0.05, threads=None, max_s=None): how opclock_bench measures in this test; each test "
        "with that fixture has this marker",
    )
    for option in ("--opclock-json", "--opclock-baseline"):
        text = config.getoption(option)
        if text is not None:
            _check_file(option, text)
    config.pluginmanager.register(Summary(config), Summary.NAME)


def _check_file(option: str, text: str) -> None:
    """Raise UsageError where no file of this name can be written."""
    path = Path(text)
    if not text.strip() or path.is_dir() or not path.absolute().parent.is_dir():
        raise pytest.UsageError(f"{option} {text!r}: name a file in a folder that exists")
    if option == "--opclock-json":
        try:
            check_writable(path)
        except OpclockError as error:
            raise pytest.UsageError(f"{option}: {error}") from error


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark tests that use the fixture, so that ``-m opclock`` finds them."""
    if FIXTURE in _fixtures(item) and item.get_closest_marker(MARKER) is None:
        item.add_marker(MARKER)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Warn of a marked test without the fixture. A class's or module's marker is for those tests that use it."""
    if FIXTURE not in _fixtures(item) and any(marker.name == MARKER for marker in item.own_markers):
        warn(item, UnusedWarning(f"{item.name} has the marker {MARKER} and does not ask for {FIXTURE}"))


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look at the baseline once, before any test that needs it. Raises UsageError where it cannot be used."""
    config = session.config
    baseline = baseline_of(config)
    idle = config.option.collectonly or hasattr(config, "workerinput")
    if baseline is None or idle or not any(FIXTURE in _fixtures(item) for item in session.items):
        return
    try:
        baseline.check()
    except OpclockError as error:
        raise pytest.UsageError(f"--opclock-baseline: {error}") from error


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test itself passed, for the fixture's end."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture
def opclock_bench(request: pytest.FixtureRequest) -> Iterator[OpclockBench]:
    """Time a model's inference, in a test that calls ``opclock_bench(model, inputs, max_slowdown=0.05)``."""
    with temporary_folder() as folder:
        bench = OpclockBench(request.node, folder)
        yield bench
        bench.end()
