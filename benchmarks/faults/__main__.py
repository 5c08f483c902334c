"""Model files with a fault: each command ends in one line, leaves nothing half-written and puts its process back.

    python -m benchmarks.faults                                    # all; answers are kept, and the same command goes on
    python -m benchmarks.faults --verb trace --only "os._exit"     # these again

A model raises every class of exception, exits, or changes its process (``kinds.py``), while its file is imported, in
its factory, its constructor, its reset, a thread, or the n-th call of its forward. Those that end or block their
process (the kind "ended"), and all of ``bench``, run in a process of their own. Rounds are cut short: times mean
nothing here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.judging import VERBS, in_a_process, in_this_process
from benchmarks.faults.kinds import CHANGED, ENDED, PLACES, RAISED
from opclock.models.output import shorten_tracebacks
from opclock.timing import budget, measure, sampler
from opclock.validation import session

KINDS = ("raised", "changed", "ended")
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
    budget.MIN_S = measure.MAX_S = 0.02
    sampler.WARM_UP_S = 0.02
    session.MAX_S, session.MIN_BLOCKS = 0.02, 1


def _chosen(options: argparse.Namespace) -> Iterator[tuple[str, str, Case]]:
    """Each command with a kind of fault and one case of it."""
    for verb in options.verb or VERBS:
        for kind in options.kind or KINDS:
            some = [one for one in cases(kind) if options.only in f"{one.name} at {one.place}"][:: options.every]
            yield from ((verb, kind, case) for case in some)


def _answer(verb: str, kind: str, case: Case) -> list[str]:
    """What was wrong with a command's answer to one fault."""
    run = in_a_process if kind == "ended" or verb == "bench" else in_this_process
    return run(verb, case.statement, case.place, case.codes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verb", choices=VERBS, action="append", help="only this command")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind, see kinds.py")
    parser.add_argument("--only", default="", help="cases whose name and place contain this, even with an answer")
    parser.add_argument("--every", type=int, default=1, help="each N-th case alone")
    parser.add_argument("--max-s", type=float, default=1e9, help="begin no case after so many seconds")
    parser.add_argument("--results", type=Path, default=Path("build", "faults.jsonl"), help="keeps the answers")
    return parser.parse_args()


def main() -> int:
    """Run those without an answer and print what is wrong. Returns the number of cases with a fault."""
    options = _options()
    file: Path = options.results
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    answers = {tuple(row["case"]): row["wrong"] for row in map(json.loads, lines)}
    cut_short()
    shorten_tracebacks()
    start, chosen = time.monotonic(), {(v, k, case.name, case.place): (v, k, case) for v, k, case in _chosen(options)}
    for key, one in chosen.items():
        if (key in answers and not options.only) or time.monotonic() - start > options.max_s:
            continue
        answers[key] = _answer(*one)
        with file.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps({"case": key, "wrong": answers[key]}) + "\n")
    answered = [key for key in chosen if key in answers]
    failed = [key for key in answered if answers[key]]
    for key in failed:
        print(f"{' '.join(key)}: {'; '.join(answers[key])}")
    print(f"{len(answered)} of {len(chosen)} faults answered, {len(failed)} of them not rightly")
    return len(failed)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
