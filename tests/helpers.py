"""Traces, pools and profiles made by hand, for tests that time nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from opclock.board.identity import Board
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.estimation.result import Coverage, Estimate, Part
from opclock.estimation.setting import Setting
from opclock.flags import Flag
from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.disturbance import Readings
from opclock.profiles.profile import Profile
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.trace import Storage, Trace, TracedCall
from opclock.validation.results import BASELINES, Row

# The command line as in a terminal: a process that was begun in the background, as tests may be, ignores Ctrl-C.
INTERRUPTIBLE = (
    sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from opclock.cli.main import main; main()",
)  # fmt: skip
# Torch is imported as late as ever.
SHORT = """
from opclock.cli import main, options
opened = options.writable_profile
def shortened(path):
    import opclock.timing.measure
    opclock.timing.measure.MAX_S = 0.2
    return opened(path)
options.writable_profile = shortened
main.main()
"""
SMALL = f"{Path(__file__).with_name('small_model.py')}:small"  # as the command line takes it
BOARD = Board("x86_64", "test board", ("cpu",), 2, (), 10**9, "6.1", "Debian", "2.13.0", "0.1.0", "abc")


def spec(*shape: int, dtype: str = "float32") -> TensorSpec:
    stride: list[int] = []
    step = 1
    for size in reversed(shape):
        stride.insert(0, step)
        step *= size
    return TensorSpec(shape, tuple(stride), dtype)


WEIGHTS = {"conv2d": spec(4, 4, 1, 1), "linear": spec(8, 8)}


def chain(*names: str, model: str = "chain", batch: int = 1) -> Trace:
    """A model whose calls each read the output of the one before: one float32[{batch}x4x8x8] all the way."""
    image = spec(batch, 4, 8, 8)
    storages = [Storage("input", image.nbytes, len(names))]
    calls = []
    last = 0
    for position, name in enumerate(names):
        args, reads = [image], [last]
        if name in WEIGHTS:
            reads.append(len(storages))
            storages.append(Storage("weight", WEIGHTS[name].nbytes, len(names)))
            args.append(WEIGHTS[name])
        last = len(storages)
        storages.append(Storage("activation", image.nbytes, min(len(names), position + 2)))
        call = OpCall(f"aten::{name}", "", tuple(args))
        calls.append(TracedCall(call, (image,), tuple(reads), (last,), f"layer{position}", name.title()))
    return Trace(model, (image,), 0, len(names), tuple(storages), tuple(calls))


def linear_trace(model: str, width: int) -> Trace:
    """One linear layer of width x width and a ReLU: width x width MACs."""
    row, weight = spec(1, width), spec(width, width)
    storages = (
        Storage("input", row.nbytes, 2),
        Storage("weight", weight.nbytes, 2),
        Storage("activation", row.nbytes, 2),
    )
    calls = (
        TracedCall(OpCall("aten::linear", "", (row, weight)), (row,), (0, 1), (2,), "head", "Linear"),
        TracedCall(OpCall("aten::relu", "", (row,)), (row,), (2,), (2,), "act", "ReLU"),
    )
    return Trace(model, (row,), weight.numel, 2, storages, calls)


def validation_row(name: str, width: int, reference_s: float, estimate_s: float, repeat: float = 1.01) -> Row:
    """A model of one linear layer and a ReLU: estimated and measured to take this long."""
    from opclock.timing.reference import Reference  # needs torch
    from opclock.timing.runs import RunSamples

    trace = linear_trace(name, width)
    parts = (
        Part(0, "head", "aten::linear", "gemm", width, estimate_s * 0.6, estimate_s * 0.1),
        Part(1, "act", "aten::relu", "activation", 0, estimate_s * 0.2, estimate_s * 0.05),
    )
    estimate = Estimate(
        name,
        Setting(2, "cpu", "float32"),
        estimate_s,
        estimate_s * 0.98,
        estimate_s * 1.02,
        parts,
        estimate_s * 0.05,
        Coverage(1, 0, 0),
        (),
    )
    first, second = (RunSamples.of(np.full(20, seconds)) for seconds in (reference_s, reference_s * repeat))
    reference = Reference((first, second))
    others = dict.fromkeys(BASELINES[:3], reference_s / 2) | {"mac_regression": None}
    return Row(trace, 2, reference, estimate, others, 1.0, ())


def filled(
    path: Path,
    trace: Trace,
    seconds: dict[str, float],
    *,
    host_s: float | None = 1e-6,
    rounds: int = 20,
    noise: float = 0.0,
    threads: int = 2,
    timing: Timing = "in_model",
    board: Board = BOARD,
    flags: tuple[Flag, ...] = (),
    waited: float = 0.0,
    controls: Mapping[str, float] | None = None,
    context: Mapping[str, Any] | None = None,
) -> None:
    """A profile in which every named operator took this long in every round, and the host this long per call.

    In every round the process waited for cores for the fraction ``waited`` of a second. Each round is a block, before
    which the ``controls`` took these seconds.
    """
    readings = replace(Readings.unknown(1), wall_s=np.ones(1), wait_s=np.full(1, waited))
    random = np.random.default_rng(0)
    condition = Condition.of(timing, trace.device, threads, trace.working_set)
    keys = [call.call.key for call in trace.calls if call.call.name in seconds]
    values = np.array([seconds[call.call.name] for call in trace.calls if call.call.name in seconds])
    with Profile.create_or_open(path, board) as profile:
        host = None if host_s is None else (host_key(trace), host_kinds(trace))
        pool = profile.start_pool(
            condition, keys, [1] * len(keys), signature="s", host=host, context=dict(context or {})
        )
        for _ in range(rounds):
            factor = 1.0 + noise * random.standard_normal()
            host_values = None if host_s is None else np.full((1, len(trace.calls) + 1), host_s)
            profile.add_rounds(pool, values[None] * factor, np.array([1e-5]), host_values, readings, controls=controls)
        profile.end_pool(pool, "settled", ["narrow"] * len(keys), {"flags": list(flags)})


def board_profile(path, calls, seconds, *, slower=(1.0,), controls=None):
    """A profile with ceilings, a sweep of these calls, and host work of another model.

    In the sweep's pools, one after the other, the machine and the ``controls`` are slower by these factors in turn.
    """
    filled(path, chain("tanh"), {"tanh": 1e-5})
    with Profile.create_or_open(path, BOARD) as profile:
        for dtype in DTYPES:
            profile.add_ceiling(f"multiply_adds_{dtype}", 0, 2, 1e11)
        for pattern in PATTERNS:
            for size in SIZES:
                profile.add_ceiling(f"{pattern}_bytes_per_s", size, 2, 1e10)
        for first in range(0, len(calls), 16):
            keys = [call.call.key for call in calls[first : first + 16]]
            condition, some = Condition("interleaved", "cpu", 2, 22), calls[first : first + 16]
            pool = profile.start_pool(condition, keys, [1] * len(keys), signature=str(first), calls=some)
            factor = slower[first // 16 % len(slower)]
            profile.add_rounds(pool, np.tile(seconds[first : first + 16], (12, 1)) * factor, np.ones(12), None,
                               controls={name: one * factor for name, one in (controls or {}).items()})  # fmt: skip
            profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})


INTERLEAVED = Condition("interleaved", "cpu", 2, 20)


def add_pool(profile, keys, seconds, *, ended="settled", rounds=13):
    """Store a pool in which each op call takes these seconds in every round. Returns its number."""
    pool = profile.start_pool(INTERLEAVED, keys, [1] * len(keys), signature="+".join(keys))
    if rounds:
        profile.add_rounds(pool, np.tile(seconds, (rounds, 1)), np.ones(rounds), None)
    if ended:
        profile.end_pool(pool, ended, ["narrow"] * len(keys), {})
    return pool


class Screen(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self):
        return True


def opclock(*arguments, cwd=None):
    """The command line in this process: nothing is imported anew."""
    from opclock.cli.main import main

    given = [str(argument) for argument in arguments]
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(errors), chdir(cwd or Path.cwd()), warnings.catch_warnings():
        try:
            main(given)
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(given, code, out.getvalue(), errors.getvalue())


def opclock_process(*arguments, env=None):
    """The command line in a process of its own, as a terminal starts it."""
    return subprocess.run([sys.executable, "-m", "opclock", *map(str, arguments)], capture_output=True, text=True,
                          check=False, env={**os.environ, **(env or {})}, timeout=300)  # fmt: skip


def opclock_short(*arguments):
    """The command line in a process of its own, where measure takes fewer rounds than a good number needs."""
    return subprocess.run([sys.executable, "-c", SHORT, *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=300)  # fmt: skip


def refused(done, *words):
    """The command ended with one line that holds these words, and exit code 2."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    complaint = done.stderr.strip().splitlines()[-1]
    assert complaint.startswith("opclock: ")
    for word in words:
        assert word in complaint, complaint
