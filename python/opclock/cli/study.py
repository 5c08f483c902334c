"""opclock study: the published studies, repeated on this board."""

from __future__ import annotations

from pathlib import Path

import click

from opclock.cli import options
from opclock.cli.output import check_json, say, show_table, write_json
from opclock.cli.validate import run, with_images
from opclock.files import prepare_folder


@click.group()
def study() -> None:
    """Repeat a published study on this board."""


@study.command("hidden-costs")
@click.option("--report", type=click.Path(path_type=Path), default="report", show_default=True,
              help="Folder for tables, figures and index.html.")  # fmt: skip
@options.threads_option
@options.cpus_option
@options.profile_option(None)
@options.data_option
@options.seed_option
@options.json_option
def hidden_costs(
    report: Path, threads: int | None, profile_path: Path | None, data: Path | None, seed: int, json_to: str | None
) -> None:
    """Ten CIFAR-100 models: do MACs explain this board's time, and where is the rest?"""
    from opclock.model import load_model
    from opclock.report.page import write_report
    from opclock.report.tables import shown
    from opclock.zoo import ZOO

    check_json(json_to)
    count = options.checked_threads(threads)
    prepare_folder(report)
    models = [with_images(load_model(f"zoo:{name}"), data) for name in ZOO]
    made = run(models, profile_path, count, seed)
    findings = write_report(made, report)
    if json_to:
        write_json(json_to, {**findings.to_json(), "validation": made.to_json()})
    show_table(shown(findings.table), f"{made.board['identity']}, {count} threads", json_to)
    for sentence in findings.words():
        say(f"- {sentence}", json_to)
    say(f"The whole report: {report / 'index.html'}", json_to)
