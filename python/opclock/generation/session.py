"""Samples the programs of a language model in turn, and real generation in other processes with them."""

from __future__ import annotations

import math
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from opclock.board.accelerator import has_lanes
from opclock.board.system import allowed_cores
from opclock.children.process import run_at_once
from opclock.flags import Flag
from opclock.generation.programs import Program
from opclock.models.loading import Specification
from opclock.profiles.profile import Profile
from opclock.progress import Progress
from opclock.temporary import temporary_folder
from opclock.timing.block_warm_up import BlockWarmUp
from opclock.timing.budget import MIN_ROUNDS
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.interleaving import interleave_together
from opclock.timing.measure import measure
from opclock.timing.missing import all_known, condition_of
from opclock.timing.reference import MIN_RUNS
from opclock.timing.sampler import Sampler
from opclock.timing.sampling_processes import SamplingProcess
from opclock.timing.stopping import EXTENSION, is_over

PASSES = 6  # over all programs: three generations for each half of the reference
MAX_S = 3.0  # of rounds of a program of a small model
MAX_LATENCIES = 20  # for a large model: rounds of a program take at most this many times its time
# After other work, tokens with 170 MB of weights were 3 to 7 % slower until the tenth, and 1 to 2 % until the
# twentieth. In a real generation nearly all come later.
WARM_UP_S, WARM_UP_RUNS = 0.4, 30
MIN_GENERATIONS = 3  # of each half without disturbance, where they can be had


class GenerationProcess(SamplingProcess):
    """A process that generates with the model.

    Attributes:
        clean_runs: the number of generations, in the half with fewer of them, that no other program disturbed.
    """

    server = "opclock.generation.server"
    doing: ClassVar[Mapping[str, str]] = {
        "load": "loading the model", "block": "generating", "samples": "handing over its samples",
        "loops": "generating in the loops of transformers",
    }  # fmt: skip
    clean_runs = 0

    def block(self, half: int) -> None:
        """Generate for a half (0 or 1)."""
        self.clean_runs = self.request("block", half=half)["clean_runs"]


@contextmanager
def generating(specification: Specification, count: int, **request: Any) -> Iterator[list[GenerationProcess]]:  # noqa: ANN401
    """Start processes that generate with the same model. They end with the block.

    Args:
        specification: of the model.
        count: how many.
        request: threads, cache, batch, prompt and generate.

    Yields:
        The processes, with the model loaded.

    Raises:
        OpclockError: what loading the model raises, or a process ended.
    """
    with temporary_folder() as folder, ExitStack() as stack:
        names = [f"generating process {number} of {count}" for number in range(1, count + 1)]
        children = [stack.enter_context(GenerationProcess(name, folder / f"{name}.txt")) for name in names]
        path = [place or os.getcwd() for place in sys.path]  # noqa: PTH109 - "" is the current folder
        details = {"specification": asdict(specification), "path": path, **request}
        run_at_once(lambda child: child.request("load", **details), children, len(allowed_cores()))
        yield children


@dataclass(frozen=True)
class Setup:
    """How programs are timed: see ``language_model``."""

    profile: Profile
    threads: int
    seed: int
    max_s: float | None
    progress: Progress


class _Kernels:
    """One program's op calls and host, whose rounds take turns with others."""

    def __init__(self, program: Program, setup: Setup, arguments: Arguments, warm_up: BlockWarmUp) -> None:
        trace = program.trace
        self.is_prompt = program.depth is None
        host, self.remark = host_for(trace, program.forward)
        self._setup, self._warm_up = setup, warm_up
        condition = condition_of(trace, setup.threads)
        self.sampler = Sampler(
            trace, range(len(trace.calls)), arguments, setup.profile, condition, host, seed=setup.seed,
            block_warm_up=warm_up,
        )  # fmt: skip
        self.sampler.warm_up()
        self._shortest_s = math.inf
        self._spent_s = 0.0

    @property
    def usual_s(self) -> float:
        """Wall seconds that the rounds of this program usually take."""
        if self._setup.max_s is not None:
            return self._setup.max_s
        return MAX_S if math.isinf(self._shortest_s) else max(MAX_S, MAX_LATENCIES * self._shortest_s)

    @property
    def spent_share(self) -> float:
        """Seconds that were spent over the usual ones, as a fraction; it can exceed 1."""
        return self._spent_s / self.usual_s

    @property
    def is_over(self) -> bool:
        """Whether the op calls are sampled enough, or the time is up."""
        return self.sampler.rounds >= MIN_ROUNDS and is_over(
            self.spent_share,
            limited=self._setup.max_s is not None,
            clean=not self.sampler.contended,
            settled=self.sampler.settled,
        )

    def turn(self) -> None:
        """Run a block of rounds for a part of the usual time. What warms it up does not count as spent.

        One block, as a generation has its tokens in a row: after a block is stored, the host's work takes longer.
        """
        if math.isinf(self._shortest_s):
            self._shortest_s = self.sampler.usual_round_s()
        start_s = time.perf_counter()
        rounds = max(MIN_RUNS, int(self.usual_s / PASSES / self._shortest_s))
        self._shortest_s = min(self._shortest_s, self.sampler.block(rounds))
        self._spent_s += time.perf_counter() - start_s - self._warm_up.last_s


def sample(programs: Sequence[Program], setup: Setup, children: Sequence[GenerationProcess] = ()) -> list[Flag]:
    """Time what the profile lacks of the programs, and let other processes generate in turn.

    Args:
        programs: of one model, so that they share the buffers of its weights.
        setup: how.
        children: processes that generate; none where there is no reference.

    Returns:
        Flags: "host_by_table" where the model's Python could not be played, "measured_earlier" where the profile had
        everything and there is a reference.

    Raises:
        OpCallError: op calls cannot be timed, or do not fit into memory.
        ProfileError: the profile cannot be written.
    """
    distinct = {
        tuple(traced.call.key for traced in one.trace.calls): one for one in programs
    }  # static caches: one token
    missing = [one for one in distinct.values() if not all_known(one.trace, setup.profile, setup.threads)]
    flags: list[Flag] = ["measured_earlier"] if children and len(missing) < len(distinct) else []
    if missing and has_lanes(missing[0].trace.device):
        return flags + _on_a_device(missing, setup, children)
    arguments: Arguments | None = None
    kernels: list[_Kernels] = []
    of_prompt, of_tokens = (BlockWarmUp(WARM_UP_S, WARM_UP_RUNS) for _ in range(2))
    for number, program in enumerate(missing):
        setup.progress(f"binding: {program.trace.model}", 0.2 * number / len(missing))
        arguments = Arguments(program.trace, program.forward, beside=arguments)
        warm_up = of_prompt if program.depth is None else of_tokens
        kernels.append(_Kernels(program, setup, arguments, warm_up))
    _take_turns(kernels, children, setup)
    for one in kernels:
        flags += one.sampler.end()[1]
        flags += ["host_by_table"] if one.remark else []
    return flags


def _take_turns(kernels: Sequence[_Kernels], children: Sequence[GenerationProcess], setup: Setup) -> None:
    """Let each have a turn in every pass, in a new random order, until all have enough.

    Tokens follow each other, as in a generation, so that only the first of them has to warm the weights up. Beside real
    generation all go on until it ends, so that both are of the same minutes, unless others slow the rounds down.
    """
    turns, order = 0, random.Random(setup.seed)
    groups = [[one for one in kernels if one.is_prompt], [one for one in kernels if not one.is_prompt]]
    items: list[list[_Kernels] | GenerationProcess] = [*filter(None, groups), *children]

    def turn(item: list[_Kernels] | GenerationProcess) -> None:
        nonlocal turns
        if isinstance(item, list):
            order.shuffle(item)
            for one in item:
                if not one.is_over or (children and one.spent_share < EXTENSION):
                    one.turn()
        else:
            item.block(turns // len(items) % 2)
        turns += 1

    def enough() -> bool:
        passes = turns / len(items) if items else PASSES
        if not all(one.is_over for one in kernels) or (children and passes < PASSES):
            return False
        return passes >= 2 * PASSES or all(child.clean_runs >= MIN_GENERATIONS for child in children)

    def report() -> None:
        text = "kernels and real generation in turn" if children else "kernels in turn"
        setup.progress(f"timing: {text}", 0.2 + 0.8 * min(1.0, turns / (PASSES * len(items))))

    interleave_together(items, turn, enough=enough, order=order, progress=report)


def _on_a_device(programs: Sequence[Program], setup: Setup, children: Sequence[GenerationProcess]) -> list[Flag]:
    """On a device beside the host each program is timed by itself, and generation comes after each of them."""
    flags: list[Flag] = []
    for number, program in enumerate(programs):
        setup.progress(f"timing: {program.trace.model}", number / len(programs))
        summary = measure(
            program.trace, setup.profile, forward=program.forward, threads=setup.threads, seed=setup.seed,
            max_s=setup.max_s,
        )  # fmt: skip
        flags += summary.flags
        for child in children:
            child.block(0)
            child.block(1)
    return flags
