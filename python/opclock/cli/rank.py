"""opclock rank: many models that were never measured, by their estimated latency."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opclock.board.cores import default_threads
from opclock.cli import options
from opclock.cli.flags import show_flags
from opclock.cli.outputs import check_output
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import EstimateError, OptionError
from opclock.formatting import counted
from opclock.models.output import model_output_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opclock.profiles.profile import Profile
    from opclock.ranking.candidates import Specification
    from opclock.ranking.processes import Candidate, Finished
    from opclock.ranking.rows import Row
    from opclock.ranking.run import Elsewhere

SCHEMA = "opclock.rank/1"
SHOWN_FAILURES = 10
OWN_COLUMNS = {"macs": False, "parameters": False}  # whether larger values are better


@click.command()
@click.argument("candidates", metavar="CANDIDATES")
@click.option("--grid", metavar="NAME=VALUES,...", help="Call the factory with all combinations of these arguments: "
              "width=16:64:16,depth=2,3 (start:end:step with the end included).")  # fmt: skip
@options.input_option
@click.option("--threads", type=click.IntRange(min=1), help="PyTorch's threads.  [default: the most with a sweep]")
@options.profile_option("opclock.sqlite")
@click.option("--columns", "columns_path", metavar="FILE.csv", type=click.Path(path_type=Path),
              help="What you know of the candidates, such as their accuracy: a heading, and the name first in each "
              "line.")  # fmt: skip
@click.option("--pareto", metavar="COLUMN[:min]", help="Mark the candidates of which no faster one has a larger (with "
              ":min a smaller) value in this column; macs and parameters are there, too.")  # fmt: skip
@click.option("--keep", type=click.Path(path_type=Path), metavar="FILE",
              help="Keeps every finished candidate; the same command goes on from there.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at the same time.  [default: one for each core]")
@click.option("--cluster", metavar="tcp://HOST:PORT", help="Estimate on the workers of this dask scheduler in place of "
              "this machine's cores.")  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True,
              help="Fastest candidates in the table, beside those on the Pareto front.")  # fmt: skip
@options.reporter_option
def rank(
    candidates: str, grid: str | None, input_text: str | None, threads: int | None, profile_path: Path,
    columns_path: Path | None, pareto: str | None, keep: Path | None, jobs: int | None, cluster: str | None, top: int,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Estimate many models that were never measured, and order them by latency.

    CANDIDATES is a folder of traces (FILE.json), FILE.py:GENERATOR, or FILE.py:FACTORY with --grid. A generator takes
    no arguments and yields factories, or pairs of a name and a factory. Modules are built and traced, but not run. A
    candidate that cannot be estimated is one line below the table.
    """
    from opclock.profiles.profile import Profile
    from opclock.ranking.candidates import Specification
    from opclock.ranking.columns import read_columns
    from opclock.ranking.rows import kept_rows
    from opclock.ranking.run import rank as estimate_all

    check_output("--keep", keep)
    if cluster is not None and jobs is not None:
        raise OptionError(f"--jobs {jobs} is for this machine; with --cluster its workers decide: leave one out")
    known = read_columns(columns_path)
    column, largest = _pareto_column(pareto, known)
    with Profile.open(profile_path) as profile, progress_display() as progress:
        try:
            with model_output_apart():
                named = Specification(candidates, grid, input_text)
                rows = estimate_all(named, profile, threads=threads, jobs=jobs or default_threads(), keep=keep,
                                    elsewhere=_on(cluster, named, profile), progress=progress)  # fmt: skip
        except KeyboardInterrupt as interruption:
            if keep is not None:
                finished = counted(len(kept_rows(keep)), "candidate")
                interruption.add_note(f"{finished} kept in {keep}: the same command goes on with the others")
            raise
    rows = [replace(row, columns=known.get(row.candidate, {})) for row in rows]
    _report(rows, column, top, reporter, largest=largest)
    _say_unmatched(rows, known, columns_path, reporter)


def _on(cluster: str | None, named: Specification, profile: Profile) -> Elsewhere | None:
    """What estimates the candidates on a cluster; None without one. Raises FarmError where that is no address."""
    if cluster is None:
        return None
    from opclock.cli.shipping import Shipment
    from opclock.farm.address import Address
    from opclock.farm.ranking import estimate_on_cluster

    shipped, address = Shipment(), Address.of(cluster)
    there = replace(named, text=shipped.take(named.text))

    def estimate(threads: int | None, candidates: Sequence[Candidate], finished: Finished) -> None:
        estimate_on_cluster(address, named.text, there, shipped.files, profile, threads, candidates, finished)

    return estimate


def _say_unmatched(
    rows: Sequence[Row], known: dict[str, dict[str, Any]], path: Path | None, reporter: Reporter
) -> None:
    """Say which lines of --columns name no candidate: a name is misspelt, or not all candidates are ranked."""
    names = {row.candidate for row in rows}
    if others := [name for name in known if name not in names]:
        reporter.say(f"{path}: {counted(len(others), 'line')} without a candidate of that name, first {others[0]}")


def _pareto_column(text: str | None, known: dict[str, dict[str, Any]]) -> tuple[str | None, bool]:
    """The column of the Pareto front, and whether larger values are better. Raises OptionError where there is none."""
    if text is None:
        return None, True
    name, _, direction = text.partition(":")
    columns = list(dict.fromkeys([*OWN_COLUMNS, *(column for values in known.values() for column in values)]))
    if name not in columns:
        raise OptionError(f"--pareto {name}: there is no such column; choose one of {', '.join(columns)}")
    if direction not in ("", "min", "max"):
        raise OptionError(f"--pareto {text}: write {name} where larger is better, {name}:min where smaller is")
    return name, direction == "max" if direction else OWN_COLUMNS.get(name, True)


def _report(rows: Sequence[Row], column: str | None, top: int, reporter: Reporter, *, largest: bool) -> None:
    from opclock.ranking.rows import front, values_of
    from opclock.report.rank_table import table

    ranked = sorted((row for row in rows if not row.error), key=lambda row: row.total_s)
    failed = [row for row in rows if row.error]
    values = {} if column is None else values_of(ranked, column)
    best = front(ranked, values, largest=largest)
    unplaced = [] if column is None else [row.candidate for row in ranked if row.candidate not in values]
    reporter.json({
        "schema": SCHEMA,
        "pareto": column,
        "without_value": unplaced,
        "rows": [row.to_json() | ({} if column is None else {"on_front": row.candidate in best}) for row in ranked],
        "failed": [{"candidate": row.candidate, "error": row.error} for row in failed],
    })  # fmt: skip
    shown = [(number, row) for number, row in enumerate(ranked, 1) if number <= top or row.candidate in best]
    if shown:
        reporter.table(table(shown, best, column))
    show_flags(reporter, [flag for row in ranked for flag in row.flags])
    if hidden := len(ranked) - len(shown):
        reporter.say(f"and {counted(hidden, 'slower candidate')}: --top shows more, --json has all")
    if unplaced:
        count = counted(len(unplaced), "candidate")
        reporter.say(f"without a number in {column}, so on no front: {count}, first {unplaced[0]}")
    alike: dict[str, list[str]] = {}
    for row in failed:
        # What a profile lacks is the same for all candidates, and the message names one.
        alike.setdefault(row.error.replace(f" {row.candidate} ", " this model "), []).append(row.candidate)
    for error, (first, *others) in list(alike.items())[:SHOWN_FAILURES]:
        count = f"{counted(len(others) + 1, 'candidate')}, first " if others else "candidate "
        reporter.say(f"{count}{first}: {error}")
    if more := sum(map(len, list(alike.values())[SHOWN_FAILURES:])):
        reporter.say(f"and {counted(more, 'candidate')} more without an estimate: --json has all")
    if not ranked:
        raise EstimateError(f"none of {counted(len(rows), 'candidate')} could be estimated")
