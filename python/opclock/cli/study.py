"""opclock study: repeat a published study on this board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.groups import WholeHelp
from opclock.cli.on import on_boards, on_options
from opclock.cli.outputs import output_folder
from opclock.cli.reporting import Reporter, note, progress_display
from opclock.errors import OptionError
from opclock.flags import joined
from opclock.formatting import counted

if TYPE_CHECKING:
    from opclock.runtimes.runtime import Precision
    from opclock.studies.hidden_costs_results import HiddenCosts
    from opclock.studies.landscape_results import Landscape
    from opclock.studies.unfinished import Unfinished


@click.group(cls=WholeHelp)
def study() -> None:
    """Repeat a published study on this board."""


@study.command("landscape")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--report", type=click.Path(path_type=Path), default="landscape", show_default=True,
              help="Folder for landscape.json, tables, figures and index.html.")  # fmt: skip
@click.option("--combine", is_flag=True, help="Measure nothing; compare boards by their landscape.json FILES.")
@click.option("--models", help="Models to measure, separated by commas.  [default: two of each task]")
@click.option("--runtime", "runtimes", metavar="NAME,...", default="all", show_default=True,
              help="Runtimes to use, separated by commas, or 'all'.")  # fmt: skip
@click.option("--batches", default="1,2,4,8", show_default=True, help="Batch sizes, for runtimes that take any.")
@click.option("--label", default="", help="Name of this board in the report.  [default: its name and threads]")
@options.precision_option
@options.threads_option
@options.cpus_option
@click.option("--data-only", is_flag=True, help="Write landscape.json alone: no tables, figures and page.")
@strict_option
@options.markdown_option
@on_options
def landscape(
    files: tuple[Path, ...],
    report: Path,
    combine: bool,
    models: str | None,
    runtimes: str,
    batches: str,
    label: str,
    precision: Precision,
    threads: int | None,
    data_only: bool,
    strict: bool,
    on: str | None,
    wait_cool: bool,
    limit_s: float,
) -> None:
    """Measure the latency and throughput of this board in each runtime, or compare boards.

    Times models for classification, detection and segmentation in every installed runtime. Results are stored after
    each model, so the same command continues after an interruption. With --combine, FILES are the landscape.json files
    of several boards, and all boards are compared with the first. With --on, each board's is in a folder of its own.
    """
    from opclock.studies.landscape_results import Landscape

    if combine != bool(files) or (combine and len(files) < 2):
        raise OptionError(
            "--combine takes the landscape.json files of at least two boards, and nothing else takes files"
        )
    if on is not None and combine:
        raise OptionError("--combine measures nothing: leave out --on")
    if combine:
        boards = [Landscape.load(path) for path in files]
        output_folder(report)
    elif on is not None:
        from opclock.cli.landscape_on import landscapes_on
        from opclock.studies.landscape import MODELS

        output_folder(report)
        chosen = models.split(",") if models else MODELS
        boards = landscapes_on(on, report, chosen, options.checked_runtimes(runtimes), wait=wait_cool, limit_s=limit_s)
        combine = True
    else:
        boards = [_measure_landscape(report, models, runtimes, batches, label, precision, threads)]
    reporter = Reporter(markdown_to=options.markdown_file())
    if data_only:
        reporter.say(f"written to {report}")
        return
    _report_landscape(boards, report, reporter, combine=combine)
    check_strict(reporter, [flag for board in boards for flag in board.flags], strict=strict)


@options.needs_core
def _measure_landscape(
    report: Path, models: str | None, runtimes: str, batches: str, label: str, precision: Precision, threads: int | None
) -> Landscape:
    from opclock.runtimes.runtime import Settings
    from opclock.studies.landscape import MODELS, run
    from opclock.studies.landscape_results import FILE, Landscape

    settings = Settings(options.checked_threads(threads), precision)
    names = options.checked_runtimes(runtimes)
    chosen = models.split(",") if models else MODELS
    output_folder(report)
    try:
        with progress_display() as progress:
            return run(report, models=chosen, runtimes=names, batches=_sizes(batches), settings=settings, label=label,
                       progress=progress)  # fmt: skip
    except KeyboardInterrupt as interruption:
        if (report / FILE).is_file():
            finished = counted(len(Landscape.load(report / FILE).entries), "finished model")
            interruption.add_note(f"{finished} kept in {report / FILE}: the same command goes on with the others")
        raise


def _report_landscape(boards: list[Landscape], folder: Path, reporter: Reporter, *, combine: bool) -> None:
    from opclock.report.landscape import failure_lines, words
    from opclock.report.landscape_page import write_page
    from opclock.report.landscape_tables import latencies
    from opclock.studies.landscape_results import FILE

    reporter.file(lambda: write_page(boards, folder))
    for board in boards:
        reporter.table(latencies(board))
        for sentence in words(board):
            reporter.say(f"- {sentence}")
        for line in failure_lines(board):
            reporter.say(line)
    show_flags(reporter, [flag for board in boards for flag in board.flags])
    reporter.say(
        f"The whole report: {folder / 'index.html'}" + ("" if combine else f"; for --combine: {folder / FILE}")
    )


def _sizes(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise OptionError(f"--batches {text!r}: write whole numbers above 0 by commas, such as 1,2,4,8")
    return tuple(sorted({1, *map(int, parts)}))


@study.command("hidden-costs")
@click.option("--report", type=click.Path(path_type=Path), default="report", show_default=True,
              help="Folder for tables, figures and index.html.")  # fmt: skip
@options.threads_option
@options.cpus_option
@options.profile_option(None)
@options.data_option
@options.seed_option
@options.usual_processes_option
@strict_option
@options.reporter_option
@on_boards
@options.needs_core
def hidden_costs(
    report: Path, threads: int | None, profile_path: Path | None, data: Path | None, seed: int,
    processes: int | None, strict: bool, reporter: Reporter,
) -> None:  # fmt: skip
    """Test on ten CIFAR-100 models whether MACs explain the time on this board, and show where the rest goes."""
    from opclock.studies.hidden_costs import run
    from opclock.studies.processes import PROCESSES, usual_processes

    count = options.checked_threads(threads)
    settings = {"study": "hidden-costs", "threads": count, "images": data, "seed": seed, "processes": processes}
    if processes is None:
        processes = usual_processes()
        if processes == 1:
            reporter.say(
                f"memory is short for {PROCESSES} processes with kernels and as many with the model: one takes all"
            )
    output_folder(report)
    with _unfinished(report, settings) as unfinished:
        with options.writable_profile(profile_path or unfinished.profile) as profile, progress_display() as progress:
            findings = run(profile, threads=count, images=data, seed=seed, processes=processes, unfinished=unfinished,
                           progress=progress)  # fmt: skip
        _report_hidden_costs(findings, report, count, reporter)
        unfinished.remove()
    check_strict(reporter, joined(findings.table["flags"]), strict=strict)


@contextmanager
def _unfinished(report: Path, settings: dict[str, Any]) -> Iterator[Unfinished]:
    """What an interrupted study in these settings has left; says what is kept."""
    from opclock.studies.unfinished import Unfinished

    with Unfinished(report, settings) as unfinished:
        if unfinished.models:
            note(f"going on: {unfinished.finished} kept in {unfinished.folder}; remove it to measure all again")
        try:
            yield unfinished
        except KeyboardInterrupt as interruption:
            if unfinished.models and not getattr(interruption, "__notes__", None):
                interruption.add_note(
                    f"{unfinished.finished} kept in {unfinished.folder}: the same command goes on with the others"
                )
            raise


def _report_hidden_costs(findings: HiddenCosts, folder: Path, threads: int, reporter: Reporter) -> None:
    from opclock.report.hidden_costs_page import write_report
    from opclock.report.process_sentences import of_validation
    from opclock.report.validation_tables import table

    reporter.file(lambda: write_report(findings, folder))
    reporter.json(findings.to_json())
    reporter.table(table(findings.table, f"{findings.validation.board['identity']}, {counted(threads, 'thread')}"))
    for sentence in findings.words():
        reporter.say(f"- {sentence}")
    for row in findings.validation.rows:
        if row.layouts is not None:
            reporter.say(f"{row.trace.model}: {of_validation(row)}")
    show_flags(reporter, joined(findings.table["flags"]))
    reporter.say(f"The whole report: {folder / 'index.html'}")


@study.command("tokens")
@click.option("--report", type=click.Path(path_type=Path), default="tokens", show_default=True,
              help="Folder for tables and index.html.")  # fmt: skip
@click.option("--models", help="Models to measure, separated by commas.  [default: all four]")
@options.threads_option
@options.cpus_option
@options.profile_option(None)
@options.seed_option
@strict_option
@options.reporter_option
@on_boards
@options.needs_core
def tokens(
    report: Path, models: str | None, threads: int | None, profile_path: Path | None, seed: int, strict: bool,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Show what limits the tokens of four language models on this board: bandwidth, multiply-adds, kernels or host."""
    from opclock.report.tokens_page import table, write_page
    from opclock.studies.tokens import MODELS, run

    count = options.checked_threads(threads)
    output_folder(report)
    with _unfinished(report, {"study": "tokens", "threads": count, "seed": seed}) as unfinished:
        with options.writable_profile(profile_path or unfinished.profile) as profile, progress_display() as progress:
            chosen = models.split(",") if models else tuple(MODELS)
            findings = run(profile, threads=count, models=chosen, seed=seed, progress=progress)
        reporter.file(lambda: write_page(findings, report))
        reporter.json(findings.to_json())
        reporter.table(table(findings, f"{findings.board['identity']}, {counted(count, 'thread')}"))
        for sentence in findings.words():
            reporter.say(f"- {sentence}")
        show_flags(reporter, findings.flags)
        reporter.say(f"The whole report: {report / 'index.html'}")
        unfinished.remove()
    check_strict(reporter, findings.flags, strict=strict)
