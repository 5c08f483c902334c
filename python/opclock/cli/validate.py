"""opclock validate: compare estimates with real inference."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.on import on_boards
from opclock.cli.outputs import output_folder
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError
from opclock.formatting import counted, percent
from opclock.models.output import model_output_apart

if TYPE_CHECKING:
    from opclock.validation.results import Row, Validation

TOO_FAR = 1  # exit code if an error exceeds --max-error


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@options.input_option
@options.dtype_option
@options.device_option
@options.threads_option
@options.cpus_option
@options.profile_option(None)
@options.weights_option
@options.data_option
@options.real_option
@options.seed_option
@options.processes_option
@click.option("--explain", is_flag=True,
              help="Split each error into kernel condition, host and the rest.")  # fmt: skip
@click.option("--max-error", type=float, help="Exit with 1 if any model's error exceeds this fraction.")
@click.option("--report", "folder", type=click.Path(path_type=Path),
              help="Folder for the table (CSV, Markdown) and the JSON.")  # fmt: skip
@strict_option
@options.timeline_option
@options.reporter_option
@on_boards
@options.needs_core
def validate(
    models: tuple[str, ...], input_text: str | None, dtype: str, device: str, threads: int | None,
    profile_path: Path | None, weights: Path | None, data: Path | None, real: bool | None, seed: int, processes: int,
    explain: bool, max_error: float | None, folder: Path | None, strict: bool,
    timeline_to: Path | None, reporter: Reporter,
) -> None:  # fmt: skip
    """Estimate each MODEL, run it in the same rounds, and compare the two.

    The table also shows the errors of simpler estimates.
    """
    from opclock.models.cifar100 import with_images
    from opclock.models.loading import load_model
    from opclock.tracing.torch_state import torch_kept
    from opclock.validation.validate import validate as compare

    device = options.checked_device(device)
    if explain and processes > 1:
        raise OptionError("--explain observes the op calls of one process: leave out --processes")
    if max_error is not None and not 0 < max_error < float("inf"):
        raise OptionError(f"--max-error {max_error}: give a fraction above 0, such as 0.1")
    if folder is not None:
        output_folder(folder)
    with model_output_apart():
        loaded = []
        for name in models:
            with torch_kept():  # the next model must not meet what this one has set
                model = load_model(name, input_text=input_text, dtype=dtype, device=device, weights=weights)
            loaded.append(with_images(model, data))
        count = options.checked_threads(threads)
        with options.writable_profile(profile_path) as profile, progress_display() as progress:
            validation = compare(loaded, profile, threads=count, seed=seed, real_trace=real, explain=explain,
                                 progress=progress, processes=processes)  # fmt: skip
    if timeline_to is not None:
        from opclock.report.timelines import of_validation

        reporter.file(partial(of_validation(validation).write, timeline_to))
    _report(validation, folder, reporter, explain=explain)
    worst = max(abs(row.error) for row in validation.rows)
    if max_error is not None and worst > max_error:
        reporter.say(f"the worst error, {percent(worst)}, is beyond --max-error {percent(max_error)}")
        sys.exit(TOO_FAR)
    check_strict(reporter, [flag for row in validation.rows for flag in row.flags], strict=strict)


def _report(validation: Validation, folder: Path | None, reporter: Reporter, *, explain: bool) -> None:
    from opclock.report.process_sentences import of_validation
    from opclock.report.validation_files import write_validation
    from opclock.report.validation_tables import summary_sentence, table
    from opclock.validation.results import validation_table

    if folder is not None:
        reporter.file(partial(write_validation, validation, folder))
    reporter.json(validation.to_json())
    for row in validation.rows:
        if row.trace.note:
            reporter.say(f"note: {row.trace.model}: {row.trace.note}")
    title = f"{validation.board['identity']}, {counted(validation.rows[0].threads, 'thread')}"
    reporter.table(table(validation_table(validation), title))
    reporter.say(summary_sentence(validation.summary()))
    for row in validation.rows:
        for one in row.unknown:
            reporter.say(f"{row.trace.model}: unknown, not timed: {one}")
        if sentence := of_validation(row):
            reporter.say(f"{row.trace.model}: {sentence}")
    if explain:
        for row in validation.rows:
            _explain(row, reporter)
    show_flags(reporter, [flag for row in validation.rows for flag in row.flags])


def _explain(row: Row, reporter: Reporter) -> None:
    from opclock.report.validation_tables import explanation_sentence, explanation_table

    reporter.say("")
    if row.explanation is None:
        reporter.say(f"{row.trace.model}: no explanation: its op calls were measured earlier, or its Python cannot be "
                     "played; give no --profile, or a new one")  # fmt: skip
        return
    reporter.table(explanation_table(row.explanation))
    reporter.say(explanation_sentence(row.explanation))
