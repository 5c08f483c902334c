"""Compares opclock with the vendors' benchmark commands, block by block on the same converted model."""

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

from opclock.benchmarking.candidate import Candidate
from opclock.benchmarking.conversion import convert_all, prepare_model, work_folder
from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.errors import ModelError, OptionError
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.registry import find
from opclock.runtimes.runtime import Settings

BLOCKS = 7  # of opclock, and runs of the vendor's command; runs differ by more than samples within a run
COMMAND_TIMEOUT_S = 120.0  # it runs for a few seconds, but may take a minute to load the model
UNITS_S = {"ms": 1e-3, "us": 1e-6}
OWN_SAMPLING = SamplingOptions(warmup=5, iterations=40, duration_s=1e9)  # in blocks of ten


@dataclass(frozen=True)
class VendorCommand:
    """A benchmark that comes with a runtime."""

    name: str
    runtime: str
    arguments: Callable[[Job, Settings, float], Sequence[str]]  # the command's arguments; the float: seconds to run
    median: re.Pattern[str]  # finds the median latency in its output: a number and its unit

    def path(self) -> str | None:
        """The command's path, beside this Python or on the PATH; None where it is not installed."""
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
    """Median seconds of one inference by block, of opclock and of the vendor; or the reason why there are none."""

    command: str
    runtime: str
    ours_s: tuple[float, ...] = ()
    theirs_s: tuple[float, ...] = ()
    reason: str = ""

    @property
    def deviation(self) -> float:
        """The relative deviation over all blocks: opclock's median / the vendor's median - 1."""
        return float(np.median(self.ours_s) / np.median(self.theirs_s)) - 1.0

    @property
    def spread(self) -> tuple[float, float]:
        """Half the range of the block medians over their median, for opclock and for the vendor."""
        ours, theirs = (float(np.ptp(medians) / np.median(medians)) / 2 for medians in (self.ours_s, self.theirs_s))
        return ours, theirs

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {**vars(self), **({} if self.reason else {"deviation": self.deviation})}


def crosscheck(
    model: str, *, input_text: str | None = None, batch: int = 1, settings: Settings, blocks: int = BLOCKS,
    seconds: float = 2.0, timeouts: Timeouts = Timeouts(), progress: Progress = silent,
) -> list[CrossCheck]:  # fmt: skip
    """Run every installed vendor command, block by block in turn with opclock's timing of the same model.

    Args:
        model: a name, see ``load_model``.
        input_text: shapes of random inputs, instead of the model's own.
        batch: number of items in one inference.
        settings: threads and precision.
        blocks: number of blocks of each, interleaved.
        seconds: how long the vendor's command runs in each block, if it has such an option.
        timeouts: after how long opclock's process counts as hung.
        progress: receives a text and the fraction that is done.

    Returns:
        One result a command.

    Raises:
        ModelError: there is no such model, or eager PyTorch cannot run it.
        OptionError: none of the commands is installed.
    """
    installed = [command for command in COMMANDS if command.path()]
    if not installed:
        names = ", ".join(command.name for command in COMMANDS)
        raise OptionError(f"none of {names} is installed: pip install 'opclock[openvino]' brings the first")
    with work_folder(None, model) as place:
        job = Job(place, model, input_text, batch=batch)
        prepare_model(job, [batch], settings, timeouts)
        checks = []
        for command in installed:
            candidate = Candidate.of(find(command.runtime), job, settings, timeouts)
            checks.append(_check(command, candidate, blocks, seconds, progress))
    return checks


def _check(
    command: VendorCommand, candidate: Candidate, blocks: int, seconds: float, progress: Progress
) -> CrossCheck:  # fmt: skip
    convert_all([candidate], progress=progress)
    ours_s, theirs_s = [], []
    try:
        candidate.attempt(candidate.load)
        candidate.attempt(candidate.warm_up, OWN_SAMPLING)
        for block in range(blocks):
            progress(f"{candidate.job.model}: {command.name}", block / blocks)
            candidate.clear()
            candidate.attempt(candidate.block)
            if not candidate.alive:
                break
            ours_s.append(float(np.median(candidate.samples)))
            theirs_s.append(run_command(command, candidate.job, candidate.settings, seconds))
    except ModelError as error:
        candidate.fail(str(error))
    finally:
        candidate.close()
    if not candidate.alive:
        return CrossCheck(command.name, command.runtime, reason=candidate.row.reason)
    return CrossCheck(command.name, command.runtime, tuple(ours_s), tuple(theirs_s))


def run_command(command: VendorCommand, job: Job, settings: Settings, seconds: float) -> float:
    """Run the command; returns the median latency that it prints, in seconds. Raises ModelError where there is none."""
    words = [str(command.path()), *command.arguments(job, settings, seconds)]
    try:
        done = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace",
                              timeout=COMMAND_TIMEOUT_S, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(f"{command.name} took over {COMMAND_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        last = ((done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing"])[-1]
        raise ModelError(f"{command.name} ended with {done.returncode}; its last line: {last}")
    return read_median_s(command, done.stdout + done.stderr)


def read_median_s(command: VendorCommand, printed: str) -> float:
    """Find the median latency in a command's output, in seconds. Raises ModelError where there is none."""
    match = command.median.search(printed)
    if match is None:
        last = (printed.strip().splitlines() or ["nothing"])[-1]
        raise ModelError(f"{command.name} printed no median latency; its last line: {last}")
    return float(match[1]) * UNITS_S[match[2]]
