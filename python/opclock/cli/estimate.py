"""opclock estimate: a model's latency from a profile."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.machine_state import chosen_state, state_options
from opclock.cli.reporting import Reporter, waiting
from opclock.errors import EstimateError, OptionError
from opclock.formatting import counted
from opclock.models.output import model_output_apart

if TYPE_CHECKING:
    from opclock.estimation.result import Estimate
    from opclock.models.loading import Model
    from opclock.tracing.trace import Trace

AS_HELD = "[default: as measured in the profile]"


@click.command()
@options.model_argument
@options.input_option
@click.option("--dtype", help=f"Type of parameters and inputs.  {AS_HELD}")
@click.option("--device", help=f"Where the model runs.  {AS_HELD}")
@click.option("--threads", type=click.IntRange(min=1), help=f"PyTorch's threads.  {AS_HELD}")
@options.profile_option("opclock.sqlite")
@options.real_option
@click.option("--replace", "replacements", metavar="OLD=NEW", multiple=True,
              help="What if: also estimate the model with operator NEW in place of OLD, as in aten::gelu=aten::relu. "
              "Repeat for several.")  # fmt: skip
@state_options
@click.option("--measured-only", is_flag=True, help="Use measurements only; fail if an op call has none.")
@click.option("--depth", type=click.IntRange(min=0), default=1, show_default=True,
              help="Levels of the module path in the table.")  # fmt: skip
@strict_option
@options.timeline_option
@options.reporter_option
def estimate(
    model: str, input_text: str | None, dtype: str | None, device: str | None, threads: int | None,
    profile_path: Path, real: bool | None, replacements: tuple[str, ...], now: bool, state_path: Path | None,
    measured_only: bool, depth: int, strict: bool, timeline_to: Path | None, reporter: Reporter,
) -> None:  # fmt: skip
    """Estimate how long MODEL takes from a profile, and where the time goes.

    MODEL is named as for trace, or is a trace file (FILE.json), which needs no torch. With a copy of the profile this
    works on any machine. Op calls that were not measured are predicted from the profile's sweeps ('opclock sweep
    --preset board'). The default threads, device and dtype are the ones for which the profile has the most
    measurements of this model. The first line of the output shows them.

    The estimate holds for the usual state of the machine in the profile, by its control workloads; --now and --state
    choose another.
    """
    from opclock.estimation.estimate import estimate as compose
    from opclock.estimation.setting import choose_setting
    from opclock.estimation.variants import other_variants
    from opclock.profiles.profile import Profile

    with Profile.open(profile_path) as profile:
        with model_output_apart(), waiting("loading the model and its op calls"):
            loaded = None if model.endswith(".json") else _loaded(model, input_text, dtype, device)
            traced = _read(model) if loaded is None else options.traced(loaded, real=real)
        changed = traced.replace(_operators(replacements)) if replacements else None
        kind = None if dtype == "auto" else dtype
        wanted: dict[str, Any] = {"threads": threads, "device": _numbered(device), "dtype": kind}
        state = None
        if now or state_path is not None:
            setting = choose_setting(traced, profile, **wanted)
            state = chosen_state(profile, setting.threads, state_path, now=now, trace=traced, model=loaded)
        with waiting("composing, and predicting what was not measured"):
            estimated = compose(traced, profile, **wanted, measured_only=measured_only, state=state)
            other = None if changed is None else compose(changed, profile, **estimated.setting._asdict(),
                                                            measured_only=measured_only, state=state)  # fmt: skip
        variants = "" if estimated.complete else other_variants(traced, profile)
    if timeline_to is not None:
        from opclock.report.timelines import of_estimate

        reporter.file(partial(of_estimate(estimated).write, timeline_to))
    _report(estimated, other, depth, reporter)
    for one in (estimated, other):
        if one is not None and not one.complete:
            remedy = (f"run 'opclock measure' with this profile and --threads {one.setting.threads}{variants}"
                      if one is estimated else "run 'opclock sweep --preset board' with this profile")  # fmt: skip
            raise EstimateError(
                f"incomplete: {counted(len(one.unknown), 'op call')} of {one.model} have no number, first "
                f"{one.unknown[0]}; {remedy}"
            )
    check_strict(reporter, estimated.flags, strict=strict)


def _operators(replacements: tuple[str, ...]) -> dict[str, str]:
    """New operators by old ones. Raises OptionError for what is not written OLD=NEW."""
    pairs = [text.partition("=") for text in replacements]
    if wrong := [old for old, _, new in pairs if not old or not new]:
        raise OptionError(f"--replace {wrong[0]}: write OLD=NEW, such as aten::gelu=aten::relu")
    return {old.strip(): new.strip() for old, _, new in pairs}


def _report(estimated: Estimate, changed: Estimate | None, depth: int, reporter: Reporter) -> None:
    from opclock.estimation.estimate_file import document
    from opclock.report.estimate_tables import (
        change_table,
        controls_sentence,
        device_sentence,
        interruption_sentence,
        share_table,
        state_sentence,
        summary,
    )
    from opclock.report.process_sentences import of_estimate
    from opclock.report.trace_table import uncounted_sentence

    by_class, by_module = estimated.by_class(), estimated.by_module(depth)
    what_if = {} if changed is None else {"changed": document(changed, depth)}
    reporter.json({**document(estimated, depth), **what_if})
    reporter.say(summary(estimated))
    reporter.table(share_table("operator class", by_class, estimated.total_s))
    reporter.say("")
    reporter.table(share_table("module", by_module, estimated.total_s))
    if estimated.lanes is not None:
        reporter.say(device_sentence(estimated.lanes))
    sentences = (
        interruption_sentence(estimated),
        of_estimate(estimated.processes),
        state_sentence(estimated),
        controls_sentence(estimated),
    )
    for sentence in sentences:
        if sentence:
            reporter.say(sentence)
    if estimated.uncounted_operators:
        reporter.say(uncounted_sentence(estimated.uncounted_operators))
    if changed is not None:
        reporter.say("")
        reporter.say(summary(changed))
        if estimated.complete and changed.complete:  # a difference to what has no number would count it as 0
            reporter.table(change_table(estimated, changed))
    show_flags(reporter, estimated.flags)


def _numbered(device: str | None) -> str | None:
    """Name the device as traces and profiles do: "cuda:0" for "cuda". This machine need not have it."""
    return device if device in (None, "cpu") or ":" in str(device) else f"{device}:0"


def _read(path: str) -> Trace:
    from opclock.tracing.trace import Trace

    return Trace.load(Path(path))


def _loaded(model: str, input_text: str | None, dtype: str | None, device: str | None) -> Model:
    """Load the model, to be traced.

    A model's Python may ask for its device, so the trace is recorded on that device if this machine has it, and on
    the CPU otherwise.
    """
    from opclock.models.loading import load_model

    try:
        here = options.checked_device(device or "cpu")
    except OptionError:
        here = "cpu"
    return load_model(model, input_text=input_text, dtype=dtype or "auto", device=here)
