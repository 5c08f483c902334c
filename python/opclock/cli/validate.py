"""opclock validate: estimates against real inference."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.output import check_json, progress_bar, say, show_table, write_json
from opclock.errors import OptionError
from opclock.files import prepare_folder, write_whole

if TYPE_CHECKING:
    from opclock.models.loading import Model
    from opclock.validation.results import Validation

TOO_FAR = 1  # exit code where an error is beyond --max-error


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
@click.option(
    "--explain", is_flag=True, help="Say which part of each error is due to kernels' condition, host, and neither."
)
@click.option("--max-error", type=float, help="Exit with 1 if any model's error is beyond this fraction.")
@click.option(
    "--report", type=click.Path(path_type=Path), help="Folder for the table as CSV and Markdown, and the JSON."
)
@options.json_option
def validate(
    models: tuple[str, ...],
    input_text: str | None,
    dtype: str,
    device: str,
    threads: int | None,
    profile_path: Path | None,
    weights: Path | None,
    data: Path | None,
    real: bool,
    seed: int,
    explain: bool,
    max_error: float | None,
    report: Path | None,
    json_to: str | None,
) -> None:
    """Estimate each MODEL, really run it in the same rounds, and say how far apart they are, and others would be."""
    from opclock.models.cifar100 import with_images
    from opclock.models.loading import load_model

    check_json(json_to)
    device = options.checked_device(device)
    if max_error is not None and not 0 < max_error < float("inf"):
        raise OptionError(f"--max-error {max_error}: give a fraction above 0, such as 0.1")
    if report is not None:
        prepare_folder(report)
    loaded = [
        with_images(load_model(name, input_text=input_text, dtype=dtype, device=device, weights=weights), data)
        for name in models
    ]
    made = run(loaded, profile_path, options.checked_threads(threads), seed, real=real, explain=explain)
    if report is not None:
        _write(made, report)
    if json_to:
        write_json(json_to, made.to_json())
    _show(made, json_to)
    if explain:
        _explain(made, json_to)
    worst = max(abs(row.error) for row in made.rows)
    if max_error is not None and worst > max_error:
        say(f"the worst error, {worst:.1%}, is beyond --max-error {max_error:.1%}", json_to)
        sys.exit(TOO_FAR)


def run(
    models: Sequence[Model],
    profile_path: Path | None,
    threads: int,
    seed: int,
    *,
    real: bool = False,
    explain: bool = False,
) -> Validation:
    """Validate into the profile, or a temporary one."""
    from opclock.board.identity import read_board
    from opclock.profiles.profile import Profile
    from opclock.validation.validate import validate as compare

    with tempfile.TemporaryDirectory() as folder:
        path = profile_path or Path(folder) / "profile.sqlite"
        with Profile.create_or_open(path, read_board()) as profile, progress_bar() as progress:
            return compare(
                models, profile, threads=threads, seed=seed, real_trace=real, explain=explain, progress=progress
            )


def _write(made: Validation, folder: Path) -> None:
    import json

    from opclock.report.tables import shown
    from opclock.validation.results import class_table, validation_table

    table = validation_table(made)
    write_whole(folder / "validation.csv", table.to_csv(index=False).encode())
    write_whole(folder / "validation.md", (shown(table).to_markdown(index=False) + "\n").encode())
    write_whole(folder / "by-class.csv", class_table(made).to_csv(index_label="model").encode())
    write_whole(folder / "validation.json", (json.dumps(made.to_json(), indent=2) + "\n").encode())


def _show(made: Validation, json_to: str | None) -> None:
    from opclock.report.tables import shown
    from opclock.validation.results import validation_table

    summary = made.summary()
    title = f"{made.board['identity']}, {made.rows[0].threads} threads"
    show_table(shown(validation_table(made)), title, json_to)
    say(
        f"mean error {summary['mape']:.1%} (worst {summary['max_abs_error']:.1%}), repeatability "
        f"{summary['repeat_mape']:.1%}; back-to-back {summary['baselines']['back_to_back']['mape']:.1%}"
        + (f"; as a graph {summary['graph']['mape']:.1%}" if "graph" in summary else ""),
        json_to,
    )


def _explain(made: Validation, json_to: str | None) -> None:
    from opclock.report.tables import explanation_table, explanation_text

    for row in made.rows:
        say("", json_to)
        if row.explanation is None:
            say(f"{row.trace.model}: nothing to explain with: its op calls were measured earlier, or its Python cannot "
                "be played; give no --profile, or a new one", json_to)  # fmt: skip
            continue
        show_table(explanation_table(row.explanation), row.trace.model, json_to)
        say(explanation_text(row.explanation), json_to)
