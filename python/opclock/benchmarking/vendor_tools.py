"""A vendor's own benchmark command against opclock, on the same converted model, in turn."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opclock.benchmarking.session import (
    Candidate,
    SamplingOptions,
    Timeouts,
    block,
    convert_all,
    guarded,
    load,
    prepare_model,
    warm_up,
    work_folder,
)
from opclock.errors import ModelError, OptionError
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.registry import find
from opclock.runtimes.runtime import Settings

TURNS = 7  # of opclock and the vendor's command: its own runs differ by more than the samples within one
COMMAND_LIMIT_S = 120.0
UNITS_S = {"ms": 1e-3, "us": 1e-6}
OWN = SamplingOptions(warmup=5, iterations=40, duration_s=1e9)  # blocks of ten


@dataclass(frozen=True)
class VendorCommand:
    """A benchmark that comes with a runtime."""

    name: str
    runtime: str
    arguments: Callable[[Job, Settings, float], Sequence[str]]  # for so many seconds
    median: re.Pattern[str]  # of one inference, in what it prints: a number and its unit

    def path(self) -> str | None:
        """Beside this Python, or on the PATH; None where it is not installed."""
        return shutil.which(self.name, path=str(Path(sys.executable).parent)) or shutil.which(self.name)


def _benchmark_app(job: Job, settings: Settings, seconds: float) -> list[str]:
    return ["-m", str(job.artefacts / "model.xml"), "-d", "CPU", "-hint", "none", "-api", "sync", "-nstreams", "1",
            "-nthreads", str(settings.threads), "-infer_precision", "f32", "-t", str(max(1, round(seconds))),
            "-shape", ",".join(f"[{','.join(map(str, array.shape))}]" for array in job.inputs())]  # fmt: skip


def _litert_benchmark(job: Job, settings: Settings, _seconds: float) -> list[str]:
    return ["--model", str(job.artefacts / "model.tflite"), "--use_cpu", "--num_threads", str(settings.threads),
            "--num_runs", "50", "--warmup_runs", "5"]  # fmt: skip


def _trtexec(job: Job, _settings: Settings, seconds: float) -> list[str]:
    return [f"--loadEngine={job.artefacts / 'model.engine'}", "--noDataTransfers", "--useSpinWait",
            f"--duration={max(1, round(seconds))}"]  # fmt: skip


COMMANDS = (
    VendorCommand("benchmark_app", "openvino", _benchmark_app, re.compile(r"Median:\s+([\d.]+) (ms|us)")),
    VendorCommand(
        "litert-benchmark", "litert", _litert_benchmark, re.compile(r"Inference \(median\):\s+([\d.]+) (ms)")
    ),
    VendorCommand("trtexec", "tensorrt", _trtexec, re.compile(r"GPU Compute Time:.*?median = ([\d.]+) (ms)")),
)


@dataclass(frozen=True)
class CrossCheck:
    """Medians of one inference in seconds, opclock's and the vendor's, turn by turn; or why there are none."""

    command: str
    runtime: str
    ours_s: tuple[float, ...] = ()
    theirs_s: tuple[float, ...] = ()
    reason: str = ""

    @property
    def deviation(self) -> float:
        """Of opclock's median from the vendor's over all turns: a fraction."""
        return float(np.median(self.ours_s) / np.median(self.theirs_s)) - 1.0

    @property
    def spread(self) -> tuple[float, float]:
        """How far one party's medians differ from turn to turn: half their range over their median, ours and theirs."""
        ours, theirs = (float(np.ptp(turns) / np.median(turns)) / 2 for turns in (self.ours_s, self.theirs_s))
        return ours, theirs

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {**vars(self), **({} if self.reason else {"deviation": self.deviation})}


def crosscheck(
    model: str, *, input_text: str | None = None, batch: int = 1, settings: Settings, turns: int = TURNS,
    seconds: float = 2.0, timeouts: Timeouts = Timeouts(), progress: Progress = silent,
) -> list[CrossCheck]:  # fmt: skip
    """Run every vendor command that is found here, in turn with opclock's own timing of the same model.

    Raises:
        ModelError: no such model, or eager PyTorch cannot run it.
        OptionError: none of the commands is installed.
    """
    found = [command for command in COMMANDS if command.path()]
    if not found:
        names = ", ".join(command.name for command in COMMANDS)
        raise OptionError(f"none of {names} is installed: pip install 'opclock[openvino]' brings the first")
    with work_folder(None, model) as place:
        job = Job(place, model, input_text, batch=batch)
        prepare_model(job, [batch], settings, timeouts)
        return [_check(command, job, settings, turns, seconds, timeouts, progress) for command in found]


def _check(
    command: VendorCommand, job: Job, settings: Settings, turns: int, seconds: float, timeouts: Timeouts,
    progress: Progress,
) -> CrossCheck:  # fmt: skip
    candidate = Candidate.of(find(command.runtime), job)
    progress(f"{job.model}: converting for {command.runtime}", 0.0)
    convert_all([candidate], settings, timeouts)
    guarded(load, candidate, settings, timeouts)
    guarded(warm_up, candidate, OWN)
    ours, theirs = [], []
    try:
        for turn in range(turns):
            progress(f"{job.model}: {command.name}", turn / turns)
            candidate.samples.clear()
            guarded(block, candidate)
            if not candidate.alive:
                break
            ours.append(float(np.median(candidate.samples)))
            theirs.append(run_command(command, candidate.job, settings, seconds))
    except ModelError as error:
        candidate.fail(str(error))
    finally:
        candidate.close()
    if not candidate.alive:
        return CrossCheck(command.name, command.runtime, reason=candidate.row.reason)
    return CrossCheck(command.name, command.runtime, tuple(ours), tuple(theirs))


def run_command(command: VendorCommand, job: Job, settings: Settings, seconds: float) -> float:
    """The median latency in seconds that the command prints. Raises ModelError where it prints none."""
    words = [str(command.path()), *command.arguments(job, settings, seconds)]
    try:
        done = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace",
                              timeout=COMMAND_LIMIT_S, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(f"{command.name} took over {COMMAND_LIMIT_S:.0f} s") from None
    return read_median_s(command, done.stdout + done.stderr)


def read_median_s(command: VendorCommand, printed: str) -> float:
    """From what a command prints. Raises ModelError where the median is not in it."""
    match = command.median.search(printed)
    if match is None:
        last = (printed.strip().splitlines() or ["nothing"])[-1]
        raise ModelError(f"{command.name} printed no median latency; its last line: {last}")
    return float(match[1]) * UNITS_S[match[2]]
