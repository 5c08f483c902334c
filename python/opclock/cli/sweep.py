"""opclock sweep: kernels over parameter grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd

from opclock.cli import options
from opclock.cli.output import check_json, progress_bar, say, show_table, write_json
from opclock.errors import OptionError, SweepError
from opclock.files import write_whole
from opclock.sweeps import FAMILIES, Family
from opclock.sweeps.configuration import grid, parse
from opclock.sweeps.export import SUFFIXES, exported

if TYPE_CHECKING:
    from opclock.sweeps.binding import Planned

PRESET_NAMES = ("quick", "board")
MAX_SHOWN = 100  # rows on a screen; more are summed up by family
MEASURES = ("median_s", "low_s", "high_s", "mad_s", "samples", "macs", "bytes", "gmacs_per_s", "gb_per_s",
            "ceiling_share", "timing", "working_set", "calls_per_sample", "pool", "validity")  # fmt: skip

_shared = (
    click.option("--threads", "threads_text", metavar="N[,N...]", help="PyTorch's threads.  [default: all cores]"),
    options.device_option,
    options.cpus_option,
    options.profile_option("opclock.sqlite"),
    click.option("--export", "export_to", type=click.Path(path_type=Path),
                 help="Write .csv, .parquet, or .json as google-benchmark has it."),
    options.seed_option,
    options.json_option,
)  # fmt: skip


def _with_shared(function: Any) -> Any:  # noqa: ANN401
    for option in reversed(_shared):
        function = option(function)
    return function


@click.group(invoke_without_command=True, subcommand_metavar="[FAMILY [PARAMETERS]...]")
@click.option("--preset", type=click.Choice(PRESET_NAMES), help="quick: a look at every family; board: what "
              "estimates of unmeasured models need.")  # fmt: skip
@_with_shared
@click.pass_context
def sweep(
    context: click.Context, preset: str | None, threads_text: str | None, device: str, profile_path: Path,
    export_to: Path | None, seed: int, json_to: str | None,
) -> None:  # fmt: skip
    """Time a FAMILY of kernels over a grid of parameters, or a preset, into a profile.

    Values are numbers or texts, several by commas: 16,32; ranges with their end: 8:64:8; sizes by dimension: 1x7.
    Interrupted, the same command goes on where it stopped.
    """
    if context.invoked_subcommand is not None:
        if preset:
            raise OptionError("--preset is a sweep of its own: leave the family out")
        return
    if preset is None:
        raise OptionError(f"name a family ({', '.join(FAMILIES)}) or give --preset quick or board")
    from opclock.sweeps.presets import preset as planned_preset

    _checked(export_to, json_to)
    device = options.checked_device(device)
    _run(planned_preset(preset, device), threads_text, device, profile_path, export_to, seed, json_to,
         as_in_models=preset == "board")  # fmt: skip


def _command(family: Family) -> click.Command:
    @_with_shared
    def run(
        threads_text: str | None, device: str, profile_path: Path, export_to: Path | None, seed: int,
        json_to: str | None, **texts: str | None,
    ) -> None:  # fmt: skip
        from opclock.sweeps.binding import plan_all

        _checked(export_to, json_to)
        given = {name: parse(text, family.parameters[name]) for name, text in texts.items() if text is not None}
        points, skipped = grid(family.name, given)
        device = options.checked_device(device)
        planned, refused = plan_all(points, device)
        for reason, count in (skipped + refused).items():
            say(f"skipped {count}: {reason}", json_to)
        if not planned:
            raise SweepError(f"PyTorch accepts no combination of {family.name}'s parameters: {next(iter(refused))}")
        _run(planned, threads_text, device, profile_path, export_to, seed, json_to, as_in_models=False)

    for name, default in reversed(family.parameters.items()):
        needed = name in family.required
        text = "Needed." if needed else f"[default: {default}]"
        run = click.option("--" + name.replace("_", "-"), name, metavar="VALUES", required=needed, help=text)(run)
    return click.command(family.name, help=family.summary)(run)


for _family in FAMILIES.values():
    sweep.add_command(_command(_family))


def _checked(export_to: Path | None, json_to: str | None) -> None:
    check_json(json_to)
    if export_to is not None and export_to.suffix not in SUFFIXES:
        raise OptionError(f"--export {export_to}: the name must end in {', '.join(SUFFIXES)}")
    if export_to is not None and not export_to.parent.is_dir():
        raise OptionError(f"--export {export_to}: there is no such folder; name a file in a folder there is")


def _run(
    planned: Sequence[Planned], threads_text: str | None, device: str, profile_path: Path, export_to: Path | None,
    seed: int, json_to: str | None, *, as_in_models: bool,
) -> None:  # fmt: skip
    from opclock.board.identity import read_board
    from opclock.estimation.ceilings import measure_ceilings
    from opclock.profiles.profile import Profile
    from opclock.sweeps.results import sweep_rows, sweep_table
    from opclock.sweeps.run import expected_s, run_sweep, words

    counts = _threads(threads_text)
    with Profile.create_or_open(profile_path, read_board()) as profile:
        with progress_bar() as progress:
            beforehand = f"{len(planned)} kernels, threads {', '.join(map(str, counts))}"
            if device == "cpu":
                expected = sum(expected_s(planned, measure_ceilings(profile, count, progress)) for count in counts)
                beforehand += f": about {words(expected)}"
            say(beforehand, json_to)
            for count in counts:
                done = run_sweep(
                    planned, profile, threads=count, device=device, seed=seed, as_in_models=as_in_models,
                    progress=progress,
                )  # fmt: skip
                for reason, number in done.skipped.items():
                    say(f"skipped {number}: {reason}", json_to)
                say(
                    f"{count} threads: {done.timed} kernels timed, {done.known} known before, {done.seconds:.1f} s, "
                    f"{done.kernel_share:.0%} of them in kernels and their warm-up; kept in {profile_path}",
                    json_to,
                )
        timed = [one.configuration for one in planned]
        rows = list(sweep_rows(profile, threads=counts, configurations=timed, device=device))
        if export_to is not None:
            write_whole(export_to, exported(rows, profile.board(), export_to.suffix))
        table = sweep_table(rows)
        if json_to:
            records = [{name: value for name, value in record.items() if not _missing(value)}
                       for record in table.to_dict("records")]  # fmt: skip
            write_json(json_to, {"schema": "opclock.sweep/1", "board": profile.board(), "rows": records})
    show_table(_shown(table) if len(table) <= MAX_SHOWN else _summed_up(table), "", json_to)


def _missing(value: object) -> bool:
    return isinstance(value, float) and pd.isna(value)


def _threads(text: str | None) -> list[int]:
    if text is None:
        return [options.checked_threads(None)]
    counts = parse(text, 1)
    if not all(isinstance(count, int) for count in counts):
        raise OptionError(f"--threads {text}: numbers are needed, several by commas")
    return [options.checked_threads(int(str(count))) for count in counts]


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """What a person reads of each row: the parameters that vary, and the measures with their units."""
    parameters = [name for name in table if name not in (*MEASURES, "family") and table[name].nunique(dropna=False) > 1]
    reach = (table["high_s"] - table["low_s"]) / 2 / table["median_s"]
    return pd.DataFrame({
        **{str(name): table[name] for name in parameters or ["family"]},
        "median (us)": (table["median_s"] * 1e6).map("{:.2f}".format),
        "+-": reach.map("{:.1%}".format),
        "GMAC/s": table["gmacs_per_s"].map("{:.2f}".format),
        "GB/s": table["gb_per_s"].map("{:.2f}".format),
        "of ceiling": table["ceiling_share"].map("{:.1%}".format),
        "validity": table["validity"],
    })  # fmt: skip


def _summed_up(table: pd.DataFrame) -> pd.DataFrame:
    groups = table.groupby("family")
    return pd.DataFrame({
        "family": list(groups.groups),
        "kernels": list(groups.size()),
        "median (us)": [f"{value * 1e6:.1f}" for value in groups["median_s"].median()],
        "best GMAC/s": [f"{value:.1f}" for value in groups["gmacs_per_s"].max()],
        "best GB/s": [f"{value:.1f}" for value in groups["gb_per_s"].max()],
        "median of ceiling": [f"{value:.1%}" for value in groups["ceiling_share"].median()],
        "best of ceiling": [f"{value:.1%}" for value in groups["ceiling_share"].max()],
        "valid": [f"{value:.0%}" for value in groups["validity"].agg(lambda marks: (marks == "valid").mean())],
    })  # fmt: skip
