"""The parent's view of several fresh processes that sample one model in turn. Never do two of them work at once.

One process is one layout of memory, which its model keeps as long as the process lives. So each is started for one
measurement. ``sampling_server`` is the child.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from opclock.board.system import allowed_cores
from opclock.children.named_process import NamedProcess
from opclock.children.process import RuntimeFailedError, run_at_once
from opclock.errors import OpCallError, OpclockError, OptionError
from opclock.flags import Flag
from opclock.models.loading import Model, Specification
from opclock.profiles.disturbance import contended
from opclock.profiles.profile import Profile
from opclock.temporary import temporary_folder
from opclock.timing.reference import Reference
from opclock.tracing.trace import Trace

Child = TypeVar("Child", "KernelProcess", "ReferenceProcess")


class SamplingProcess(NamedProcess):
    """One of the processes, with the model loaded.

    Attributes:
        server: the module that the child runs.
    """

    server: ClassVar[str] = "opclock.timing.sampling_server"
    doing: ClassVar[Mapping[str, str]] = {
        "load": "loading and tracing the model", "bind": "preparing the op calls", "block": "timing the op calls",
        "end": "storing the last of its rounds", "run": "warming up the model", "reference_block": "timing the model",
        "samples": "handing over its samples",
    }  # fmt: skip

    failure: ClassVar[type[OpclockError]] = OpCallError

    def __init__(self, name: str, log: Path) -> None:
        """Start it.

        Args:
            name: for messages: "process 2 of 3".
            log: receives what it prints.

        Raises:
            OpCallError: it cannot be started.
        """
        # -P: a folder that happens to be the working directory must not stand in for the installed opclock.
        super().__init__(name, [sys.executable, "-P", "-m", self.server], log)

    def failed(self, error: RuntimeFailedError) -> OpclockError:
        """What opclock raised in the child, as if it was raised here; else an OpCallError."""
        return error.refusal or super().failed(error)


class KernelProcess(SamplingProcess):
    """Times op calls, as a ``Sampler`` does.

    Attributes:
        rounds: that are finished.
        earlier_rounds: of its pool, that were taken before an interruption; 0 in those that did not start the pool.
        clean_rounds: those of them that no other program disturbed.
        settled: whether every op call and the whole round have been sampled enough here.
        seconds: wall time of its warm-up and rounds.
        process: its number in the pool.
        model_faults: page faults of one inference in it; None where they were not counted.
    """

    rounds = earlier_rounds = clean_rounds = 0
    settled = False
    seconds = 0.0
    process = 0
    model_faults: float | None = None

    @property
    def contended(self) -> bool:
        """Whether too few of its rounds are clean."""
        return contended(self.clean_rounds, self.rounds)

    def bind(self, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        """Bind op calls and warm them up, see ``bind`` below."""
        answer = self.request("bind", **details)
        self.earlier_rounds = answer["earlier_rounds"]
        self.seconds = answer["seconds"]
        self.process, self.model_faults = answer["process"], answer["model_faults"]
        return answer

    def block(self, rounds: int) -> float:
        """Time a block of rounds. Returns the seconds of the shortest."""
        answer = self.request("block", rounds=rounds)
        self.rounds, self.clean_rounds = answer["rounds"], answer["clean_rounds"]
        self.settled, self.seconds = answer["settled"], answer["seconds"]
        return float(answer["shortest_s"])


class ReferenceProcess(SamplingProcess):
    """Runs the model, as a ``ReferenceRun`` does.

    Attributes:
        runs: how many make a block.
        contended: whether too few of all runs so far are clean.
    """

    runs = 0
    contended = False

    def warm_up(self) -> None:
        """Run the model a few times."""
        self.runs = self.request("run")["runs"]

    def blocks(self) -> None:
        """Run a block for each half."""
        for half in (0, 1):
            self.contended = self.request("reference_block", half=half)["contended"]

    def reference(self) -> Reference:
        """The samples so far."""
        return Reference.from_samples(self.request("samples")["reference"])


@dataclass(frozen=True)
class Bound:
    """What is known once the processes have bound op calls.

    Attributes:
        pool: the number of their pool.
        unknown: the op calls that cannot be timed, and why.
        remark: why the host's cost comes from a table by kind of call; "" where the model's Python is played.
    """

    pool: int
    unknown: tuple[str, ...]
    remark: str


@contextmanager
def started(
    trace: Trace, specification: Specification | None, threads: int, *, kernels: int, references: int = 0
) -> Iterator[tuple[list[KernelProcess], list[ReferenceProcess]]]:
    """Start processes with the same model. They end with the block.

    Args:
        trace: what each of them must find when it traces the model.
        specification: of the model; None where there is no model to play, only a trace.
        threads: PyTorch's threads.
        kernels: how many time its op calls.
        references: how many others run it.

    Yields:
        Both kinds, with the model loaded.

    Raises:
        OpclockError: what loading the model raises, or a process ended.
    """
    with temporary_folder() as folder, ExitStack() as stack:
        trace.save(folder / "trace.json")

        def start(kind: type[Child], name: str, count: int) -> list[Child]:
            numbers = range(1, count + 1)
            names = [f"{name} {number} of {count}" for number in numbers]
            return [stack.enter_context(kind(name, folder / f"{name}.txt")) for name in names]

        of_kernels = start(KernelProcess, "process", kernels)
        of_references = start(ReferenceProcess, "reference process", references)
        request = {
            "trace": str(folder / "trace.json"),
            "specification": None if specification is None else asdict(specification),
            "threads": threads,
            "path": [place or os.getcwd() for place in sys.path],  # noqa: PTH109 - "" is the current folder
        }
        children: list[SamplingProcess] = [*of_kernels, *of_references]
        run_at_once(lambda child: child.request("load", **request), children, len(allowed_cores()))
        yield of_kernels, of_references


def bind(children: Sequence[KernelProcess], profile: Profile, positions: range, seed: int) -> Bound:
    """Bind op calls in all processes, one after the other, for one pool.

    Args:
        children: loaded.
        profile: open for writing; the children write into its file.
        positions: of the op calls.
        seed: for every random order.

    Returns:
        What the first of them found; it started the pool.

    Raises:
        OpclockError: as ``Sampler`` does, or a child ended.
    """
    request = {"profile": str(profile.path.resolve()), "owner": profile.owner, "seed": seed,
               "positions": [positions.start, positions.stop]}  # fmt: skip
    first = children[0].bind(pool=None, process=1, **request)
    for number, child in enumerate(children[1:], start=2):
        child.bind(pool=first["pool"], process=number, **request)
    return Bound(first["pool"], tuple(first["unknown"]), first["remark"])


def end(children: Sequence[KernelProcess], model_flags: Sequence[Flag]) -> tuple[str, int, tuple[Flag, ...]]:
    """End the pool of all processes, with the flags of the model.

    Returns why sampling stopped, the number of its rounds, and the flags.
    """
    faults = {child.process: child.model_faults for child in children if child.model_faults is not None}
    answer = children[0].request(
        "end", settled=all(child.settled for child in children), model_faults=faults, model_flags=model_flags
    )
    return answer["ended"], int(answer["rounds"]), tuple(answer["flags"])


def checked_specification(
    trace: Trace, forward: object | None, model: Model | None, processes: int
) -> Specification | None:
    """How other processes load a model.

    Args:
        trace: of the model.
        forward: calls it; None where there is only the trace.
        model: as ``load_model`` returned it, or None.
        processes: how many there shall be.

    Returns:
        What they need; None where they need no model.

    Raises:
        OptionError: the model was not loaded by a name, or is on a device beside the host.
    """
    if processes == 1:
        return None
    if trace.device != "cpu":
        raise OptionError(f"processes={processes}: op calls on {trace.device} are sampled in one process; leave it out")
    if forward is None:
        return None
    if model is None or model.specification is None:
        raise OptionError(
            f"processes={processes}: other processes load a model by its name: load it by opclock.load_model"
        )
    return model.specification
