"""opclock ceilings: what this board reaches at most."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from opclock.cli import options
from opclock.cli.output import check_json, progress_bar, say, show_table, write_json
from opclock.errors import OptionError
from opclock.estimation.ceilings import Ceilings, measure_ceilings, remeasure_ceilings
from opclock.profiles.profile import Profile

PICTURES = (".png", ".svg")


@click.command()
@options.threads_option
@options.cpus_option
@options.profile_option("opclock.sqlite")
@click.option("--roofline", type=click.Path(path_type=Path), help="Draw them, with the profile's sweep: .png or .svg.")
@click.option("--model", help="Draw this model's op calls as well, as the profile has them.")
@options.input_option
@click.option("--again", is_flag=True, help="Measure again; the higher rates stay.")
@options.json_option
def ceilings(
    threads: int | None, profile_path: Path, roofline: Path | None, model: str | None, input_text: str | None,
    again: bool, json_to: str | None,
) -> None:  # fmt: skip
    """Measure multiply-adds by dtype, bandwidth by working set and pattern, and load latency, into the profile."""
    from opclock.board.identity import read_board

    check_json(json_to)
    if roofline is not None and (roofline.suffix not in PICTURES or not roofline.parent.is_dir()):
        raise OptionError(f"--roofline {roofline}: name a .png or .svg file in a folder there is")
    if model is not None and roofline is None:
        raise OptionError("--model is drawn on a roofline: give --roofline FILE.png as well")
    count = options.checked_threads(threads)
    with Profile.create_or_open(profile_path, read_board()) as profile:
        with progress_bar() as progress:
            if again:
                remeasure_ceilings(profile, count, progress)
            found = measure_ceilings(profile, count, progress)
        if roofline is not None:
            _draw(profile, found, roofline, model, input_text)
    if json_to:
        write_json(json_to, {"schema": "opclock.ceilings/1", **found.to_json()})
    show_table(_multiply_adds(found), f"{count} threads", json_to)
    show_table(_memory(found), "", json_to)
    if roofline is not None:
        say(f"drawn: {roofline}", json_to)


def _draw(profile: Profile, found: Ceilings, roofline: Path, model: str | None, input_text: str | None) -> None:
    import io

    from opclock.estimation.estimate import estimate
    from opclock.files import write_whole
    from opclock.models.loading import load_model
    from opclock.report.roofline import model_points, roofline_figure, sweep_points
    from opclock.sweeps.results import sweep_rows
    from opclock.tracing.recorder import trace

    points = sweep_points(sweep_rows(profile, threads=[found.threads]))
    if model is not None:
        loaded = load_model(model, input_text=input_text)
        traced = trace(loaded.module, loaded.inputs, name=loaded.name)
        points += model_points(traced, estimate(traced, profile, threads=found.threads))
    buffer = io.BytesIO()
    roofline_figure(found, points).savefig(buffer, format=roofline.suffix[1:])
    write_whole(roofline, buffer.getvalue())


def _multiply_adds(found: Ceilings) -> pd.DataFrame:
    from opclock.extension import load_core

    core = load_core()
    return pd.DataFrame(
        [
            {"dtype": dtype, "GMAC/s": f"{rate / 1e9:.1f}", "instructions": core.vector_instructions(dtype)}
            for dtype, rate in found.multiply_adds.items()
        ]
    )


def _memory(found: Ceilings) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "working set": f"{size >> 10} KiB" if size < 1 << 20 else f"{size >> 20} MiB",
                **{f"{name} (GB/s)": f"{rates[size] / 1e9:.1f}" for name, rates in found.bytes_per_s.items()},
                "latency (ns)": f"{1e9 / found.loads_per_s[size]:.1f}",
            }
            for size in found.loads_per_s
        ]
    )
