"""The entry point: lists commands, imports the one that is used, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from opclock.board.system import drop_refused
from opclock.cli.crashes import crash_line
from opclock.cli.explaining import BAD_INPUT, explained
from opclock.cli.groups import check_command
from opclock.cli.outputs import remember_words
from opclock.cli.signals import end_by_signals

# Command NAME is the function NAME in opclock.cli.NAME. The short helps are here so that --help imports no command.
VERBS = {
    "Measure": {
        "doctor": "Check whether this board can be measured well.",
        "trace": "Record a model's op calls.",
        "measure": "Time a model's op calls that the profile lacks.",
        "sweep": "Time a family of kernels over a grid of parameters.",
        "ceilings": "Measure the highest rates that this board reaches.",
    },
    "Estimate": {
        "estimate": "Estimate a model's latency and where the time goes.",
        "validate": "Compare estimates with real inference.",
        "llm": "Estimate a language model's time per token, by depth.",
        "rank": "Order many models by their estimated latency.",
        "explore": "Write an interactive page about where the time goes.",
        "compare": "Compare two profiles or two estimates.",
        "profile": "Inspect, merge and prune profile files.",
    },
    "Benchmark": {
        "gate": "Fail where a change makes models slower.",
        "bench": "Time a model in several runtimes.",
        "batch": "Find the smallest batch with nearly the best throughput.",
        "crosscheck": "Compare opclock's timing with vendors' benchmarks.",
    },
    "Several boards": {
        "farm": "Measure on several boards from one machine.",
    },
    "Studies": {
        "study": "Repeat a published study on this board.",
    },
}


@contextmanager
def _reader_may_end() -> Iterator[None]:
    """End with code 0 where the reader of a pipe wants no more, such as head. Click would end with 1."""
    try:
        yield
    except BrokenPipeError:
        _drop_output()
        raise click.exceptions.Exit(0) from None


class Verbs(click.Group):
    """A group that imports the module of a command only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of VERBS."""
        return [name for verbs in VERBS.values() for name in verbs]

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:  # noqa: ANN401 - as in click
        """Parse the arguments, and print help where they ask for it."""
        with _reader_may_end():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever a command returns
        """Run the command, and see to it that standard output has taken everything."""
        with _reader_may_end(), crash_line():
            code = super().invoke(ctx)
            sys.stdout.flush()
            return code

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words begin with."""
        remember_words(ctx, args)
        check_command(self, ctx, args[0])
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of this name, or None if there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = getattr(importlib.import_module(f"opclock.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by group, with the short helps in VERBS."""
        widest = max(len(name) for verbs in VERBS.values() for name in verbs)
        for group, verbs in VERBS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(widest), text) for name, text in verbs.items()])


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print the version and exit. The version is looked up only here, because that takes longer than all of --help."""
    if wanted:
        from opclock.version import VERSION

        click.echo(f"opclock, version {VERSION}")
        context.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version,
              help="Show the version and exit.")  # fmt: skip
def commands() -> None:
    """Measure and estimate how long a PyTorch model takes on this board, and where the time goes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code: 0 done, 1 done and the answer is no, 2 bad input, 130 interrupted."""
    drop_refused()
    warnings.filterwarnings(
        "ignore", module=r"torch\..*|torchvision\..*|opclock\.cli\..*"
    )  # commands print remarks themselves
    _prepare_streams()
    try:
        with end_by_signals():
            code = commands.main(arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = BAD_INPUT
    except BaseException as error:
        message, code = explained(error)
        if message is None:
            raise
        if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
            _drop_output()
        from opclock.report.printable import printable

        click.echo(f"opclock: {' '.join(printable(message).split())}", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _prepare_streams() -> None:
    """Make standard streams take any character, and be there where the caller has closed them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Discard what standard output still holds and cannot take, so that Python's last flush does not complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
