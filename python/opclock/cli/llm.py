"""opclock llm: a language model's first token and each later one, by depth."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.machine_state import chosen_state, state_options
from opclock.cli.on import on_boards
from opclock.cli.outputs import check_output
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import EstimateError, OptionError
from opclock.extension import load_core
from opclock.files import write_whole
from opclock.formatting import counted
from opclock.models.output import model_output_apart

if TYPE_CHECKING:
    from opclock.generation.causal import CacheKind
    from opclock.generation.result import LanguageModelEstimate
    from opclock.profiles.profile import Profile


@click.command()
@options.model_argument
@click.option("--prompt", type=click.IntRange(min=1), default=128, show_default=True, help="Tokens of the prompt.")
@click.option("--generate", type=click.IntRange(min=2), default=128, show_default=True, help="Tokens to generate.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Sequences at the same time.")
@click.option("--cache", type=click.Choice(["dynamic", "static"]), default="dynamic", show_default=True,
              help="Grows with each token, or has room for all from the start.")  # fmt: skip
@click.option("--depths", "depths_text", metavar="N,...",
              help="Tokens in the cache at which a token is timed.  [default: first, middle and last]")  # fmt: skip
@options.dtype_option
@options.device_option
@options.threads_option
@options.cpus_option
@options.profile_option(None)
@options.seed_option
@click.option("--validate", is_flag=True, help="Also generate, in turn with the kernels, and compare.")
@click.option("--predict", is_flag=True,
              help="Time nothing: answer from the profile and, for what it lacks, from its sweeps.")  # fmt: skip
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True,
              help="Fresh processes that generate, with --validate.")  # fmt: skip
@click.option("--loops", is_flag=True,
              help="With --validate: also time what transformers' generate does between two tokens.")  # fmt: skip
@state_options
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the time of a token by depth: .png or .svg file.")
@strict_option
@options.reporter_option
@on_boards
def llm(
    model: str, prompt: int, generate: int, batch: int, cache: CacheKind, depths_text: str | None, dtype: str,
    device: str, threads: int | None, profile_path: Path | None, seed: int, validate: bool, predict: bool,
    processes: int, loops: bool, now: bool, state_path: Path | None, plot: Path | None, strict: bool,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Estimate MODEL's time to the first token and the time of each later token, from kernels and host.

    MODEL generates text: a causal language model of transformers (hf:FOLDER with a config.json), a factory that returns
    one, or a factory that names functions for prefill and decode.

    The estimate holds for the usual state of the machine in the profile, by its control workloads; --now and --state
    choose another.
    """
    from opclock.estimation.setting import most_swept_threads
    from opclock.generation.language_model import language_model

    if not predict:
        load_core()
    depths = _depths(depths_text)
    check_output("--plot", plot, (".png", ".svg"))
    device = options.checked_device(device)
    count = threads if predict else options.checked_threads(threads)
    if validate and (now or state_path is not None):
        raise OptionError("--validate compares what is timed in the same minutes: leave out --now and --state")
    with model_output_apart(), _profile(profile_path, predict=predict) as profile:
        state = None
        if now or state_path is not None:
            count = count or most_swept_threads(profile) or options.checked_threads(None)
            state = chosen_state(profile, count, state_path, now=now)
        with progress_display() as progress:
            result = language_model(model, profile, prompt=prompt, generate=generate, batch=batch, cache=cache,
                                    dtype=dtype, device=device, depths=depths, threads=count, validate=validate,
                                    predict=predict, processes=processes, loops=loops, seed=seed, state=state,
                                    progress=progress)  # fmt: skip
    _report(result, plot, reporter)
    show_flags(reporter, result.flags)
    if result.unknown:
        remedy = ("run 'opclock llm' with this profile and without --predict, or 'opclock sweep --preset board'"
                  if predict else "they cannot be timed here")  # fmt: skip
        raise EstimateError(
            f"incomplete: {counted(len(result.unknown), 'op call')} of {result.model} have no number, first "
            f"{result.unknown[0]}; {remedy}"
        )
    check_strict(reporter, result.flags, strict=strict)


def _profile(path: Path | None, *, predict: bool) -> AbstractContextManager[Profile]:
    """The profile, open for reading where nothing is timed. Raises OptionError where there is none to predict from."""
    if not predict:
        return options.writable_profile(path)
    if path is None:
        raise OptionError("--predict answers from a profile: name it with --profile")
    if not path.exists():
        raise OptionError(
            f"there is no profile {path} to predict from; write one with 'opclock sweep --preset board --profile "
            f"{path}', or measure: 'opclock llm' without --predict"
        )
    from opclock.profiles.profile import Profile

    return Profile.open(path)


def _depths(text: str | None) -> list[int] | None:
    """The numbers in a list such as 0,256,1024. Raises OptionError for another text."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise OptionError(f"--depths {text!r}: give numbers of tokens, such as 0,256,1024")
    return [int(word) for word in words]


def _report(result: LanguageModelEstimate, plot: Path | None, reporter: Reporter) -> None:
    from opclock.report import generation_tables as tables

    reporter.json(result.to_json())
    if plot is not None:
        from opclock.report.generation_plot import draw

        reporter.file(lambda: write_whole(plot, draw(result, plot.suffix[1:])))
    reporter.table(tables.depth_table(result))
    reporter.say(tables.summary(result))
    reporter.say("")
    reporter.table(tables.class_table(result))
    for sentence in (
        tables.ceilings_sentence,
        tables.memory_sentence,
        tables.curve_sentence,
        tables.machine_state_sentence,
        tables.reference_sentence,
        tables.loops_sentence,
    ):
        if text := sentence(result):
            reporter.say(text)
