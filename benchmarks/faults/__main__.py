"""Model files with a fault: each command ends in one line, leaves nothing half-written and puts its process back.

    python -m benchmarks.faults [--verb trace,measure,validate,bench] [--kind raised|changed|ended] [--only TEXT]

A model raises every class of exception, exits, or changes its process (``kinds.py``), while its file is imported, in
its factory, its constructor, its reset, a thread, or the n-th call of its forward. Those that end or block their
process (the kind "ended"), and all of ``bench``, run in a process of their own. Rounds are cut short: times mean
nothing here.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from benchmarks.faults.judging import in_a_process, in_this_process
from benchmarks.faults.kinds import CHANGED, ENDED, PLACES, RAISED
from opclock.model_output import shorten_tracebacks
from opclock.timing import measure, sampler
from opclock.validation import session

EARLY = PLACES[:5]  # reached by every command
AT_ODDS = ("float64", "autocast", "clears sys.path")  # with the rest of the model, or with what is imported later


@dataclass(frozen=True)
class Case:
    """One statement in one place of a model's file."""

    name: str
    statement: str
    place: str
    codes: set[int]  # exit codes that are right


def cases(kind: str) -> list[Case]:
    """All of one kind."""
    if kind == "ended":
        return [Case(name, text, place, codes | (set() if place in EARLY else {0}))
                for name, (text, codes) in ENDED.items() for place in ("import", "factory", "forward 1")]  # fmt: skip
    texts = RAISED if kind == "raised" else CHANGED
    found = []
    for name, text in texts.items():
        for place in PLACES:
            codes = {0} if kind == "changed" else {130} if name == "KeyboardInterrupt" else {2}
            late = place not in EARLY or (name, place) == ("NotImplementedError", "eval")  # as exported programs do
            mixed = kind == "changed" and name in AT_ODDS
            found.append(Case(name, text, place, codes | ({0} if late else set()) | ({2} if mixed else set())))
    return found


def cut_short() -> None:
    """Let rounds take next to no time."""
    measure.MIN_S = measure.MAX_S = 0.02
    sampler.WARM_UP_S = 0.02
    session.MAX_S, session.MIN_BLOCKS = 0.02, 1


def main() -> int:
    """Run all and print what was wrong. Returns the number of cases with a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verb", default="trace", help="commands, separated by commas")
    parser.add_argument("--kind", choices=("raised", "changed", "ended"), default="raised", help="see kinds.py")
    parser.add_argument("--only", default="", help="cases whose name and place contain this")
    parser.add_argument("--every", type=int, default=1, help="each N-th case alone")
    chosen = parser.parse_args()
    cut_short()
    shorten_tracebacks()
    start, failed, count = time.monotonic(), 0, 0
    for verb in chosen.verb.split(","):
        run = in_a_process if chosen.kind == "ended" or verb == "bench" else in_this_process
        for case in [one for one in cases(chosen.kind) if chosen.only in f"{one.name} at {one.place}"][:: chosen.every]:
            count += 1
            if wrong := run(verb, case.statement, case.place, case.codes):
                failed += 1
                print(f"{verb}: {case.name} at {case.place}: {'; '.join(wrong)}", flush=True)
    print(f"{count} faults in {time.monotonic() - start:.0f} s: {failed} not answered rightly")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
