"""Runs the corpus. Results are kept in a file, so that the same command goes on where it stopped."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.corpus.kinds import KINDS
from opclock.errors import OpclockError
from opclock.timing.host_playback import PlayedHost
from opclock.timing.reference import forward_of
from opclock.tracing.program import first_difference
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

LIMIT_S = 180  # for one model: it is then counted as slow


def _attempt(model: torch.nn.Module, inputs: Any, *, real: bool | None) -> Trace | str:  # noqa: ANN401
    try:
        return trace(model, inputs, real=real)
    except OpclockError as error:
        return str(error)


def examine(kind: str, name: str) -> dict[str, Any]:
    """Trace one model both ways and play it.

    Args:
        kind: one of ``KINDS``.
        name: its name there.

    Returns:
        JSON-ready: ``outcome`` ("same", "differs", "fake fails", "real fails", "both fail", "not built"), ``why``,
        the numbers of op calls, ``note`` (that of the trace that opclock takes by itself), ``played`` and seconds.
    """
    start = time.perf_counter()
    torch.manual_seed(0)
    try:
        model, inputs = KINDS[kind][1](name)
    except Exception as error:  # whatever an architecture needs that is not here
        return {"outcome": "not built", "why": f"{type(error).__name__}: {str(error)[:200]}"}
    model = model.eval()
    built_s = time.perf_counter() - start
    fake, real = _attempt(model, inputs, real=False), _attempt(model, inputs, real=True)
    row: dict[str, Any] = {"built_s": round(built_s, 1)}
    if isinstance(fake, Trace) and isinstance(real, Trace):
        why = first_difference(fake, real)
        row |= {"outcome": "differs" if why else "same", "why": why}
    elif isinstance(real, Trace):
        row |= {"outcome": "fake fails", "why": fake}
    else:
        row |= {"outcome": "real fails" if isinstance(fake, Trace) else "both fail", "why": real}
    row |= {f"{way}_calls": len(one.calls) for way, one in (("fake", fake), ("real", real)) if isinstance(one, Trace)}
    taken = _attempt(model, inputs, real=None) if row["outcome"] != "same" else fake
    if isinstance(taken, Trace):
        row |= {"note": taken.note, "right": isinstance(real, Trace) and not first_difference(taken, real)}
        row["played"] = _played(taken, model, inputs)
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def _played(traced: Trace, model: torch.nn.Module, inputs: Any) -> str:  # noqa: ANN401
    try:
        PlayedHost(traced, forward_of(model, inputs))
    except OpclockError as error:
        return str(error)
    return "yes"


def _child(kind: str, name: str, to: Connection) -> None:
    torch.set_num_threads(1)
    try:
        to.send(examine(kind, name))
    except BaseException as error:  # the corpus goes on
        to.send({"outcome": "traceback", "why": f"{type(error).__name__}: {str(error)[:300]}"})


def _in_child(kind: str, name: str) -> dict[str, Any]:
    """Examine in a process of its own: a crash or a hang is one row."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(kind, name, there))
    child.start()
    there.close()
    try:
        return dict(here.recv()) if here.poll(LIMIT_S) else {"outcome": "slow", "why": f"over {LIMIT_S} s"}
    except EOFError:
        return {"outcome": "crash", "why": "the process ended"}
    finally:
        child.kill()
        child.join()


def _print(rows: list[dict[str, Any]]) -> None:
    outcomes = sorted({row["outcome"] for row in rows})
    print("| kind | " + " | ".join(outcomes) + " | right by itself | played |")
    print("| --- |" + " ---: |" * (len(outcomes) + 2))
    for kind in KINDS:
        some = [row for row in rows if row["kind"] == kind]
        if some:
            count = Counter(row["outcome"] for row in some)
            right, played = (sum(row.get(key) in (True, "yes") for row in some) for key in ("right", "played"))
            print(f"| {kind} | " + " | ".join(str(count[one]) for one in outcomes) + f" | {right} | {played} |")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind")
    parser.add_argument("--name", action="append", help="only this model; it is examined again")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth model")
    parser.add_argument("--max-s", type=float, default=1e9, help="stop after so many seconds")
    parser.add_argument("--results", type=Path, default=Path("corpus.jsonl"), help="file that keeps the rows")
    options = parser.parse_args()
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    rows = {(row["kind"], row["name"]): row for row in map(json.loads, lines)}
    start = time.perf_counter()
    torch.set_num_threads(1)  # children are forked
    for kind in options.kind or KINDS:
        names = options.name or KINDS[kind][0]()[:: options.every]
        KINDS[kind][1](names[0] if kind != "transformers" else "bert")  # imports once what all children need
        for name in names:
            if time.perf_counter() - start > options.max_s or (not options.name and (kind, name) in rows):
                continue
            row = {"kind": kind, "name": name, **_in_child(kind, name)}
            rows[kind, name] = row
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{kind}:{name}: {row['outcome']} {row.get('why', '')[:200]}", flush=True)
    _print(list(rows.values()))


if __name__ == "__main__":
    main()
