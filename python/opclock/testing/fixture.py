"""What the fixture ``opclock_bench`` is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from opclock.argument_checks import shown
from opclock.errors import OpclockError
from opclock.testing.cases import TestCase
from opclock.testing.doubts import OpclockWarning, UndecidedWarning, UnusedWarning
from opclock.testing.summary import Summary

if TYPE_CHECKING:
    import torch

    from opclock.testing.baseline import Baseline
    from opclock.testing.benchmark import Benchmark

FIXTURE, MARKER = "opclock_bench", "opclock"
ARGUMENTS = ("max_slowdown", "threads", "max_s")  # that the marker takes
MAX_SLOWDOWN = 0.05  # a fraction; processes of one model differ by up to as much
PASSED = pytest.StashKey[bool]()  # whether a test passed, in its stash once it ran


class OpclockBench:
    """Times a model. Call it once in a test."""

    def __init__(self, item: pytest.Item, folder: Path) -> None:
        """Read the test's marker. The test fails where that has other arguments than ``ARGUMENTS``.

        Args:
            item: the test.
            folder: empty; it receives the measurement.
        """
        self._item = item
        self._file = folder / "now.sqlite"
        self._called = False
        self._case: TestCase | None = None
        marker = item.get_closest_marker(MARKER)
        self._marked: Mapping[str, Any] = {} if marker is None else marker.kwargs
        if marker is not None and (unknown := [*map(shown, marker.args), *sorted(set(marker.kwargs) - set(ARGUMENTS))]):
            _fail(f"@pytest.mark.{MARKER} does not take {', '.join(unknown)}: give {', '.join(ARGUMENTS)} by name")

    def __call__(
        self, model: torch.nn.Module, inputs: object, max_slowdown: float | None = None, *, threads: int | None = None,
        max_s: float | None = None,
    ) -> Benchmark | None:  # fmt: skip
        """Time a model. With --opclock-baseline, the test fails where the model is slower than its baseline.

        An argument that is None is the marker's, where the test has one.

        Args:
            model: in eager mode, on the device of its inputs.
            inputs: a tuple of positional arguments, a mapping, or one argument.
            max_slowdown: the allowed slowdown, a fraction; 0.05 by default. The test fails where the whole 95 %
                interval of the slowdown is above it.
            threads: PyTorch's threads; the current setting by default.
            max_s: largest number of seconds of kernel rounds; by default 3.8 s or 25 times the model's latency.

        Returns:
            The measurement; None where pytest-xdist runs tests in several processes at once: the model is then run
            once, and not timed.
        """
        __tracebackhide__ = True
        if self._called:
            _fail(f"{self._item.name} calls {FIXTURE} twice: parametrize the test, or make it two")
        self._called = True
        allowed = self._chosen("max_slowdown", max_slowdown, MAX_SLOWDOWN)
        if isinstance(allowed, bool) or not isinstance(allowed, int | float) or not 0 <= allowed < float("inf"):
            _fail(f"max_slowdown={shown(allowed)}: give a fraction of 0 or more, such as {MAX_SLOWDOWN}")
        try:
            if hasattr(self._item.config, "workerinput"):
                self._run_once(model, inputs)
                return None
            result = self._timed(model, inputs, self._chosen("threads", threads), self._chosen("max_s", max_s))
        except OpclockError as error:
            _fail(str(error))
        self._keep(result, float(allowed))
        return result

    def _chosen(self, name: str, given: object, default: object = None) -> Any:  # noqa: ANN401 - of either kind
        return self._marked.get(name, default) if given is None else given

    def _timed(self, model: torch.nn.Module, inputs: object, threads: Any, max_s: Any) -> Benchmark:  # noqa: ANN401
        from opclock.testing.benchmark import benchmark

        baseline = baseline_of(self._item.config)
        return benchmark(
            model, inputs, name=self._item.nodeid, file=self._file, threads=threads, max_s=max_s, baseline=baseline
        )

    def _run_once(self, model: torch.nn.Module, inputs: object) -> None:
        """Run the model, so that the test still finds a model that raises."""
        from opclock.errors import model_errors
        from opclock.timing.reference import forward_of
        from opclock.tracing.forward import prepared

        Summary.not_timed(self._item)
        forward = forward_of(model, inputs)
        with model_errors(f"on real data, {type(model).__name__}"), prepared(forward):
            forward()

    def _keep(self, result: Benchmark, allowed: float) -> None:
        """Keep the result for the summary. The test fails where the model is too slow."""
        __tracebackhide__ = True
        call = getattr(self._item, "callspec", None)
        param, params = (None, {}) if call is None else (call.id, call.params)
        self._case = case = TestCase(self._item.name, self._item.nodeid, result, allowed, param, params)
        Summary.of(self._item.config).cases.append(case)
        if case.verdict == "slower":
            _fail(case.complaint)
        if case.complaint:
            warn(self._item, UndecidedWarning(case.complaint))

    def end(self) -> None:
        """Make the measurement the baseline of a test that has none, and passed. Warn where nothing was measured."""
        if not self._item.stash.get(PASSED, False):
            return
        baseline, case = baseline_of(self._item.config), self._case
        if not self._called:
            warn(self._item, UnusedWarning(f"{self._item.name} asks for {FIXTURE} and never calls it"))
        if case is None or baseline is None or case.result.slowdown is not None or case.result.reference.contended:
            return
        try:
            baseline.keep(self._file)
        except OpclockError as error:
            _fail(str(error))
        Summary.of(self._item.config).kept.add(case.fullname)


def baseline_of(config: pytest.Config) -> Baseline | None:
    """The baseline of this session, if it has one."""
    file = config.getoption("--opclock-baseline")
    if file is None:
        return None
    from opclock.testing.baseline import Baseline

    return Baseline(config.invocation_params.dir / file)


def warn(item: pytest.Item, warning: OpclockWarning) -> None:
    """Warn of a test; fail it with one line where the user made such warnings errors."""
    __tracebackhide__ = True
    try:
        item.warn(warning)
    except OpclockWarning as error:
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    """Fail the test with one line."""
    __tracebackhide__ = True
    pytest.fail(text, pytrace=False)
