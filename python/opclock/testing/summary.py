"""Collects what the tests of a session measured: a table at its end, and pytest-benchmark's JSON."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, ClassVar

import pytest

from opclock.errors import OpclockError
from opclock.files import write_json
from opclock.flags import explained
from opclock.formatting import SECONDS, counted, percent, quantity
from opclock.testing.cases import TestCase

if TYPE_CHECKING:
    from opclock.report.table import Table

NOT_TIMED = "opclock_not_timed"  # a test's property in its report, which comes from the worker that ran it


class Summary:
    """The plugin of one session.

    Attributes:
        cases: the tests that measured something.
        kept: names of those whose measurement became their baseline.
    """

    NAME: ClassVar[str] = "opclock-summary"

    def __init__(self, config: pytest.Config) -> None:
        self.cases: list[TestCase] = []
        self.kept: set[str] = set()
        self._config = config
        self._not_timed = 0
        self._notes: list[str] = []

    @staticmethod
    def of(config: pytest.Config) -> Summary:
        """The one of this session."""
        found = config.pluginmanager.get_plugin(Summary.NAME)
        assert isinstance(found, Summary)
        return found

    @staticmethod
    def not_timed(item: pytest.Item) -> None:
        """Note that a test was run and not timed."""
        item.user_properties.append((NOT_TIMED, True))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the tests that workers of pytest-xdist did not time. A report has several phases."""
        if report.when == "call":
            self._not_timed += any(name == NOT_TIMED for name, _ in report.user_properties)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the JSON. After Ctrl-C it holds the tests that ended."""
        file = self._config.getoption("--opclock-json")
        if file is None or hasattr(self._config, "workerinput") or self._config.option.collectonly:
            return
        if not self.cases:
            self._notes.append(f"no test measured anything, and {file} is not written")
            return
        from opclock.testing.benchmark_json import to_json

        path = self._config.invocation_params.dir / file
        try:
            write_json(path, to_json(self.cases, self._config.rootpath))
            self._notes.append(f"{counted(len(self.cases), 'test')} in {file}")
        except OpclockError as error:
            self._notes.append(str(error))
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was measured."""
        if self._not_timed:
            self._notes.append(
                f"{counted(self._not_timed, 'test')} ran without timing, because several processes run tests at once: "
                "leave out -n"
            )
        if not self.cases and not self._notes:
            return
        from opclock.report.table import fold

        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        terminalreporter.section("opclock")
        lines = _table(self.cases).lines(width) if self.cases else []
        flags = {flag for case in self.cases for flag in case.result.flags}
        for text in [*_remarks(self.cases), *explained(flags), *self._kept(), *self._notes]:
            lines += fold(text, width, "  ")
        for line in lines:
            terminalreporter.write_line(line)

    def _kept(self) -> list[str]:
        """What the baseline took in, and what it did not."""
        file = self._config.getoption("--opclock-baseline")
        if file is None:
            return []
        without = [case.result.reference for case in self.cases
                   if case.result.slowdown is None and case.fullname not in self.kept]  # fmt: skip
        disturbed = sum(reference.contended for reference in without)
        counts = {
            f"had no baseline in {file}: these times are now theirs": len(self.kept),
            "got no baseline: other programs disturbed the rounds": disturbed,
            "got no baseline: a test that fails gets none": len(without) - disturbed,
        }
        return [f"{counted(count, 'test')} {text}" for text, count in counts.items() if count]


def _remarks(cases: list[TestCase]) -> list[str]:
    """How "slower by" follows from the times, and which baselines say little."""
    slowdowns = [(case.fullname, case.result.slowdown) for case in cases if case.result.slowdown is not None]
    lines = []
    if slowdowns:
        lines.append('machine: how much slower the machine itself is than for the baseline; "slower by" is without it')
    if imprecise := [name for name, one in slowdowns if one.imprecise]:
        lines.append(
            f"{counted(len(imprecise), 'test')} with an imprecise baseline, first {imprecise[0]}: take a new baseline, "
            "into a new profile, on a quiet machine"
        )
    return lines


def _table(cases: list[TestCase]) -> Table:
    from opclock.report.table import Table, numbers, ready, texts

    references = [case.result.reference for case in cases]
    slowdowns = [case.result.slowdown for case in cases]
    verdicts = [case.verdict for case in cases]
    return Table([
        texts("test", [case.fullname for case in cases]),
        numbers("baseline", [None if one is None else one.baseline_s / one.machine for one in slowdowns], SECONDS, 2),
        numbers("median", [one.median_s for one in references], SECONDS),
        ready("95 % interval", [_interval(*one.interval_s) for one in references], priority=3),
        ready("machine", ["" if one is None else percent(one.machine - 1, signed=True) for one in slowdowns], 2),
        ready("slower by", ["" if one is None else percent(one.ratio - 1, signed=True) for one in slowdowns], 1),
        ready("95 % of that", ["" if one is None else f"[{percent(one.low - 1, signed=True)}, "
                               f"{percent(one.high - 1, signed=True)}]" for one in slowdowns], 1),
        texts("verdict", verdicts, 1),
    ])  # fmt: skip


def _interval(low_s: float, high_s: float) -> str:
    return f"[{quantity(low_s, SECONDS)}, {quantity(high_s, SECONDS)}]"
