"""The flags: what was unusual while a number was taken, what that means for the number, and what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

# A flag is one of these names, so that a type checker finds a name without a meaning.
Flag = Literal[
    "emulated", "contended", "throttled", "device_slowed", "device_idle", "clock_disagrees", "drifting", "unresolved",
    "imprecise", "interrupted", "incomplete", "subnormal", "layout",
    "unlike_cores", "spans_clusters", "other_device", "other_dtype", "other_working_set", "from_sweep", "host_by_table",
    "other_code", "code_unknown", "measured_earlier", "no_graph", "slower_than_float32",
]  # fmt: skip

# The half width of a 95 % interval, as a fraction of the number; above it the number is imprecise. On a quiet machine
# intervals are within 1 to 3 %, and repeated measurements differ by up to 10 %: a wider interval says less than one
# repetition would.
MAX_HALF_WIDTH = 0.10


@dataclass(frozen=True)
class Meaning:
    """One flag's meaning.

    Attributes:
        flag: its name.
        sentence: what it means for the number.
        remedy: what to do.
        untrusted: whether a number with this flag is not reliable.
    """

    flag: Flag
    sentence: str
    remedy: str
    untrusted: bool = True

    def __str__(self) -> str:
        return f"{self.flag}: {self.sentence} {self.remedy}"


# The most serious comes first.
MEANINGS = (
    Meaning("emulated", "The instructions were emulated: no time means anything.", "Measure on the board itself."),
    Meaning("contended", "Other processes took the cores in nearly all rounds: the true time is lower.",
            "Stop other processes, or choose cores ('opclock measure --cpus'), and measure into a new profile."),
    Meaning("throttled", "The board ran slower than it was set to: heat, or too little power.",
            "Improve cooling or the power supply, then measure into a new profile."),
    Meaning("device_slowed", "The device reported a reason for a lower clock rate: heat or its power limit.",
            "Let it cool, or raise its power limit; then measure again."),
    Meaning("device_idle", "In more than one round of ten the device waited for the host: its own times are too long.",
            "Use a larger batch, or stop other load on the host."),
    Meaning("clock_disagrees", "The clock's rate differed from the operating system's before or after the rounds.",
            "Run 'opclock doctor', stop other load, and measure again, into a new profile."),
    Meaning("drifting", "The machine's speed changed by more than 5 % between the halves of the rounds.",
            "Stop other processes, let the board cool, and measure again, into a new profile."),
    Meaning("unresolved", "The samples were too short for the clock.",
            "Measure a larger size of this kernel; 'opclock doctor' shows the clock."),
    Meaning("imprecise", f"The 95 % interval is wider than {MAX_HALF_WIDTH * 100:.0f} % to each side, or reaches 0.",
            "Stop other processes and measure again, into a new profile; for a prediction, 'opclock sweep --for'."),
    Meaning("interrupted", "The measurement did not end: it was interrupted, or still goes on.",
            "Give the same command again: it goes on from the rounds that the profile has."),
    Meaning("incomplete", "Some op calls have no time, and the total leaves them out.",
            "Run 'opclock measure' for this model and this number of threads; for a language model 'opclock llm'."),
    Meaning("subnormal", "The model computes many subnormal numbers, which take longer than those its op calls had.",
            "Give the model trained weights, or call torch.set_flush_denormal(True) here and where it runs."),
    Meaning("layout", "Processes with many page faults are slower than others; the number is the mean of both.",
            "Keep freed memory, here and where the model runs: MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1 (glibc).",
            untrusted=False),
    Meaning("unlike_cores", "The threads could run on cores of several kinds, and waited for the slowest.",
            "Choose the cores of one cluster, such as 'opclock measure --cpus 4-7'.", untrusted=False),
    Meaning("spans_clusters", "The threads could run on equal cores that share neither clock nor cache.",
            "Choose one cluster ('opclock measure --cpus'), or accept it: the board runs like this by default.",
            untrusted=False),
    Meaning("other_device", "The profile has this model on another device only, and the estimate is for that one.",
            "Name the device ('opclock estimate --device') if you expected another.", untrusted=False),
    Meaning("other_dtype", "The profile has this model in another dtype only, and the estimate is for that one.",
            "Name the dtype ('opclock estimate --dtype') if you expected another.", untrusted=False),
    Meaning("other_working_set", "Some kernels were measured among a smaller or larger working set than the model's.",
            "Run 'opclock measure' for this model into the profile; for a language model 'opclock llm'.",
            untrusted=False),
    Meaning("from_sweep", "Some kernels were measured in a sweep, not in this model.",
            "Run 'opclock measure' for this model into the profile; for a language model 'opclock llm'.",
            untrusted=False),
    Meaning("host_by_table", "The host's cost comes from other models: this model's Python was not played.",
            "Nothing to do for a prediction. Where a remark says why, the estimate is likely too low.",
            untrusted=False),
    Meaning("other_code", "The profile has this model's host with other code of the model, which does not count.",
            "Run 'opclock measure' for this model into the profile.", untrusted=False),
    Meaning("code_unknown", "Nothing says whether the model's code is the one that was measured.",
            "If you have changed the code since, trace the model and measure it into a new profile.", untrusted=False),
    Meaning("measured_earlier", "The profile had the kernels already: they and the model were not timed in turn.",
            "Give no profile, or a new one, to time both in turn.", untrusted=False),
    Meaning("no_graph", "The model cannot be captured as a CUDA graph, so there is no time for one.",
            "None is needed: the other times do not depend on it.", untrusted=False),
    Meaning("slower_than_float32", "A narrower dtype reached fewer multiply-adds than float32.",
            "Run 'opclock ceilings --again'; if it stays, this processor has no faster instructions for the dtype.",
            untrusted=False),
)  # fmt: skip

OF_A_COMMAND = re.compile(r"\('opclock [a-z ]+ (--[a-z-]+)'\)")
INTO_A_PROFILE = re.compile(r"measure (?:again, )?into a new profile")
RENAMED = {"device_starved": "device_idle"}  # in profiles of earlier versions
BY_FLAG = {meaning.flag: meaning for meaning in MEANINGS}
UNTRUSTED = tuple(meaning.flag for meaning in MEANINGS if meaning.untrusted)


def ordered(names: Iterable[str]) -> tuple[Flag, ...]:
    """The flags among these names, each once, the most serious first. Names that are no flags are left out."""
    given = {RENAMED.get(name, name) for name in names}
    return tuple(meaning.flag for meaning in MEANINGS if meaning.flag in given)


def untrusted(names: Iterable[str]) -> tuple[Flag, ...]:
    """Those flags among these names that make a number unreliable, the most serious first."""
    return tuple(flag for flag in ordered(names) if BY_FLAG[flag].untrusted)


def explained(names: Iterable[str]) -> list[str]:
    """One line for each of these flags: its name, what it means and what to do."""
    return [str(BY_FLAG[flag]) for flag in ordered(names)]


def fitted(advice: str, options: Collection[str]) -> str:
    """The advice for a command with these options: its own "--cpus", and no profile where it times into none."""
    advice = OF_A_COMMAND.sub(lambda found: f"({found[1]})" if found[1] in options else found[0], advice)
    times_into_none = "--cpus" in options and "--profile" not in options
    return INTO_A_PROFILE.sub("run the command again", advice) if times_into_none else advice


def joined(names: Iterable[str]) -> set[str]:
    """The flags in a column of a table, in which names are separated by blanks."""
    return {flag for cell in names for flag in cell.split()}


def validity(names: Iterable[str]) -> Flag | Literal["valid"]:
    """The most serious of these flags that make a number unreliable; "valid" where there is none."""
    return next(iter(untrusted(names)), "valid")


def precision_flags(middle: float, low: float, high: float) -> tuple[Flag, ...]:
    """("imprecise",) where an interval is too wide for its number; else ().

    Args:
        middle: the number, such as a median in seconds.
        low: the lower end of its 95 % interval, in the same unit. At 0 or below it says nothing.
        high: the upper end.
    """
    return () if low > 0 and (high - low) / 2 <= MAX_HALF_WIDTH * middle else ("imprecise",)
