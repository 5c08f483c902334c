"""opclock sweep: time kernels over grids of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.groups import WholeHelp
from opclock.cli.number_range import NumberRange
from opclock.cli.on import on_boards
from opclock.cli.outputs import check_output
from opclock.cli.reporting import Display, Reporter, progress_display, waiting
from opclock.cli.sweep_for import sweep_for_models
from opclock.errors import OptionError, SweepError
from opclock.extension import load_core
from opclock.files import write_whole
from opclock.sweeps import FAMILIES, Family
from opclock.sweeps.configuration import grid, parse
from opclock.sweeps.export import SUFFIXES, exported
from opclock.sweeps.families import Parameter

if TYPE_CHECKING:
    from opclock.profiles.profile import Profile
    from opclock.sweeps.binding import Planned
    from opclock.sweeps.parts import Part
    from opclock.sweeps.results import SweepRow

MIN_S = 1.0  # seconds that the shortest sweep is said to take: starting takes about as long
MINUTES = 1.0  # for models
PRESET_NAMES = ("quick", "board")

_shared = (
    click.option("--threads", "threads_text", metavar="N[,N...]", help="Thread counts to time.  [default: all cores]"),
    click.option("--device", default="cpu", show_default=True, help="Device that the kernels run on."),
    options.cpus_option,
    options.profile_option("opclock.sqlite"),
    click.option("--export", "export_to", type=click.Path(path_type=Path),
                 help="Write a .csv, .parquet or (in google-benchmark's format) .json file."),
    options.seed_option,
    click.option("--split", is_flag=True, help="With --on: boards of one identity share the work. A tenth of the pools "
                 "is timed on each; a board that differs there by over 5 % is kept apart."),
    click.option("--part", "part_text", hidden=True, help="The part of a board of a split sweep, such as 2/3."),
    strict_option,
    options.reporter_option,
)  # fmt: skip


def _with_shared(function: Any) -> Any:  # noqa: ANN401
    for option in reversed(_shared):
        function = option(function)
    return function


class Families(WholeHelp):
    """The kernel families."""

    heading = "Families"


@click.group(cls=Families, invoke_without_command=True, subcommand_metavar="[FAMILY [PARAMETERS]...]")
@click.option("--preset", type=click.Choice(PRESET_NAMES), help="quick: a few kernels of every family; "
              "board: all that estimates of unmeasured models need.")  # fmt: skip
@click.option("--for", "models", metavar="MODEL", multiple=True, help="Time the op calls of this model, or trace file, "
              "that would narrow its estimate most. Repeat for several models.")  # fmt: skip
@click.option("--minutes", type=NumberRange(min=0.0, min_open=True),
              help="How long --for times at most, about, with each number of threads.  [default: 1]")  # fmt: skip
@_with_shared
@on_boards
@click.pass_context
def sweep(
    context: click.Context, preset: str | None, models: tuple[str, ...], minutes: float | None,
    threads_text: str | None, device: str, profile_path: Path, export_to: Path | None, seed: int, split: bool,
    part_text: str | None, strict: bool, reporter: Reporter,
) -> None:  # fmt: skip
    """Time a FAMILY of kernels over a grid of parameters, a preset or models, and store the times in a profile.

    A value is a number, a word, or a size by dimension such as 1x7. Separate several by commas (16,32), or give a range
    as START:END:STEP with its end included (8:64:8). After an interruption, the same command continues where it
    stopped.
    """
    if context.invoked_subcommand is not None:
        if preset or models:
            raise OptionError(f"{'--preset' if preset else '--for'} is a sweep of its own: leave the family out")
        return
    if preset is None and not models:
        raise OptionError(f"name a family ({', '.join(FAMILIES)}), or give --preset quick or board, or --for MODEL")
    load_core()
    if models:
        _check_for(preset, device, export_to, split=split or part_text is not None)
        sweep_for_models(models, minutes or MINUTES, _threads(threads_text), profile_path, seed, reporter,
                         strict=strict)  # fmt: skip
        return
    if minutes is not None:
        raise OptionError(
            f"--minutes {minutes:g} is for --for: the preset is timed whole, and goes on where it stopped"
        )
    from opclock.sweeps.presets import NETWORKS
    from opclock.sweeps.presets import preset as planned_preset

    check_output("--export", export_to, SUFFIXES)
    part = _part(part_text, split=split)
    device = options.checked_device(device)
    with waiting("planning the preset's kernels"):
        planned, missing = planned_preset(str(preset), device)
    for reason, count in missing.items():
        reporter.say(f"skipped {count}: {reason}")
    _run(planned, threads_text, device, profile_path, export_to, seed, reporter, part, strict=strict,
         networks=NETWORKS if preset == "board" else 0)  # fmt: skip


def _check_for(preset: str | None, device: str, export_to: Path | None, *, split: bool) -> None:
    """Raise OptionError for an option that --for does not go with."""
    if preset is not None:
        raise OptionError("--for and --preset are two sweeps: run the preset first, then --for with its profile")
    if device != "cpu":
        raise OptionError(f"--for is for predictions, which exist for the CPU only: leave --device {device} out, or "
                          "run 'opclock measure' with the model itself")  # fmt: skip
    if export_to is not None:
        raise OptionError("--export writes the kernels of families: --json has the models' estimates")
    if split:
        raise OptionError("--split shares the kernels of a preset or a family: leave it out with --for")


class FamilyCommand(click.Command):
    """A command that explains how to write a parameter where somebody writes m=8."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Raises OptionError for a parameter that is written without its dashes."""
        for text in args:
            name, equals, value = text.partition("=")
            if equals and name in {parameter.name for parameter in self.params}:
                raise OptionError(f"{text}: write --{name.replace('_', '-')} {value or 'VALUES'}")
        return super().parse_args(ctx, args)


def _shown(default: Any) -> str:  # noqa: ANN401
    """A parameter's default as it is written on the command line."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _parsed(name: str, text: str, default: Any) -> list[Parameter]:  # noqa: ANN401
    """A parameter's values. Raises OptionError, which names the option."""
    option = f"--{name.replace('_', '-')} {text}"
    try:
        values = parse(text, default)
    except SweepError as error:
        raise OptionError(f"{option}: {error}") from error
    if not values:
        raise OptionError(f"{option}: no value from the start to the stop; write start:stop:step, such as 8:64:8")
    return values


def _command(family: Family) -> click.Command:
    @_with_shared
    @on_boards
    @options.needs_core
    def run(
        threads_text: str | None, device: str, profile_path: Path, export_to: Path | None, seed: int, split: bool,
        part_text: str | None, strict: bool, reporter: Reporter, **texts: tuple[str, ...],
    ) -> None:  # fmt: skip
        from opclock.sweeps.binding import plan_all

        check_output("--export", export_to, SUFFIXES)
        part = _part(part_text, split=split)
        given = {name: _parsed(name, ",".join(some), family.parameters[name]) for name, some in texts.items() if some}
        points, skipped = grid(family.name, given)
        device = options.checked_device(device)
        planned, refused = plan_all(points, device)
        for reason, count in (skipped + refused).items():
            reporter.say(f"skipped {count}: {reason}")
        if not planned:
            raise SweepError(f"PyTorch accepts no combination of {family.name}'s parameters: {next(iter(refused))}")
        _run(planned, threads_text, device, profile_path, export_to, seed, reporter, part, strict=strict,
             networks=0)  # fmt: skip

    for name, default in reversed(family.parameters.items()):
        needed = name in family.required
        text = None if needed or default == "" else f"[default: {_shown(default)}]"
        run = click.option("--" + name.replace("_", "-"), name, metavar="VALUES", required=needed, multiple=True,
                           help=text)(run)  # fmt: skip
    return click.command(family.name, cls=FamilyCommand, help=family.summary)(run)


for _family in FAMILIES.values():
    sweep.add_command(_command(_family))


def _run(
    planned: Sequence[Planned], threads_text: str | None, device: str, profile_path: Path, export_to: Path | None,
    seed: int, reporter: Reporter, part: Part | None, *, strict: bool, networks: int,
) -> None:  # fmt: skip
    from opclock.formatting import SECONDS, counted, percent, quantity
    from opclock.sweeps.results import sweep_rows
    from opclock.sweeps.run import run_sweep

    counts, every, as_in_models = _threads(threads_text), planned, networks > 0
    if part is not None:
        planned = [one for pool in part.pools(every, seed, as_in_models=as_in_models) for one in pool]
        reporter.say(f"part {part}: {len(planned)} of {counted(len(every), 'kernel')}")
    with options.writable_profile(profile_path) as profile:
        with progress_display() as progress:
            _announce(planned, profile, counts, device, seed, reporter, progress, networks=networks)
            for count in counts:
                summary = run_sweep(
                    every, profile, threads=count, device=device, seed=seed, as_in_models=as_in_models,
                    networks=networks, part=part, progress=progress,
                )  # fmt: skip
                drawn = f"{counted(summary.networks, 'network')} timed, " if networks else ""
                with progress.away():
                    for reason, number in summary.skipped.items():
                        reporter.say(f"skipped {number}: {reason}")
                    reporter.say(
                        f"{counted(count, 'thread')}: {counted(summary.timed, 'kernel')} timed, {summary.known} known "
                        f"before, {drawn}{quantity(summary.seconds, SECONDS)}, {percent(summary.kernel_share)} of it "
                        f"in kernels and their warm-up; kept in {profile_path}"
                    )
        timed = [one.configuration for one in planned]
        rows = list(sweep_rows(profile, threads=counts, configurations=timed, device=device))
        shares = None if part is None else {"part": str(part), "kernels": len(planned), "of_kernels": len(every)}
        _report(rows, profile.board(), shares, export_to, reporter)
    flags = [flag for row in rows for flag in row.flags]
    show_flags(reporter, flags)
    check_strict(reporter, flags, strict=strict)


def _announce(
    planned: Sequence[Planned], profile: Profile, counts: Sequence[int], device: str, seed: int, reporter: Reporter,
    progress: Display, *, networks: int,
) -> None:  # fmt: skip
    """Print what will be timed and, on a CPU, about how long that takes."""
    from opclock.formatting import counted, duration
    from opclock.sweeps.duration import expected_s
    from opclock.timing.ceiling_runs import ceilings_left_s, measure_ceilings

    drawn = f" and {counted(networks, 'network')}" if networks else ""
    text = f"{counted(len(planned), 'kernel')}{drawn}, threads {', '.join(map(str, counts))}"
    if device == "cpu":
        if first_s := sum(ceilings_left_s(profile, count) for count in counts):
            with progress.away():
                reporter.say(f"first this board's ceilings, which the profile then keeps: about {duration(first_s)}")
        ceilings = [measure_ceilings(profile, count, progress) for count in counts]
        seconds = sum(expected_s(planned, one, seed=seed, networks=networks) for one in ceilings)
        text += f": about {duration(max(MIN_S, seconds))}"
    with progress.away():
        reporter.say(text)


def _report(
    rows: Sequence[SweepRow], board: dict[str, Any], part: dict[str, Any] | None, export_to: Path | None,
    reporter: Reporter,
) -> None:  # fmt: skip
    import math

    from opclock.report.sweep_tables import table
    from opclock.sweeps.results import sweep_table

    if export_to is not None:
        reporter.file(lambda: write_whole(export_to, exported(rows, board, export_to.suffix)))
    frame = sweep_table(rows)
    records = [
        {name: value for name, value in record.items() if not (isinstance(value, float) and math.isnan(value))}
        | {"flags": record["flags"].split()}
        for record in frame.to_dict("records")
    ]
    reporter.json({"schema": "opclock.sweep/1", "board": board, "part": part, "rows": records})
    reporter.table(table(frame))


def _part(text: str | None, *, split: bool) -> Part | None:
    """The part that this board measures; None for all. Raises OptionError where there are no boards to split for."""
    if split:
        raise OptionError("--split shares a sweep among boards: name them by --on")
    if text is None:
        return None
    from opclock.sweeps.parts import Part

    return Part.parse(text)


def _threads(text: str | None) -> list[int]:
    if text is None:
        return [options.checked_threads(None)]
    counts = parse(text, 1)
    if not all(isinstance(count, int) for count in counts):
        raise OptionError(f"--threads {text}: numbers are needed, several by commas")
    return [options.checked_threads(int(str(count))) for count in counts]
