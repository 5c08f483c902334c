"""Chooses the setting for an estimate: threads, device and dtype."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opclock.errors import EstimateError
from opclock.estimation.variants import other_variants
from opclock.formatting import counted
from opclock.profiles.condition import Timing
from opclock.profiles.reader import ProfileReader
from opclock.tracing.placement import place
from opclock.tracing.trace import Trace

DTYPES = ("float32", "float16", "bfloat16", "float64")  # in which the profile is searched for a model


class Setting(NamedTuple):
    """How a model is run."""

    threads: int
    device: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.threads} thread{'' if self.threads == 1 else 's'} on {self.device} in {self.dtype}"


class Holding(NamedTuple):
    """What a profile has for a model in one setting."""

    setting: Setting
    op_calls: int  # distinct op calls of the model that were measured; 0: only sweeps to predict from


def choose_setting(
    trace: Trace,
    profile: ProfileReader,
    *,
    threads: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    timing: Timing = "in_model",
) -> Setting:
    """Choose the setting for an estimate. Given values are kept; the rest depends on what the profile has.

    Device and dtype are those of the trace if the profile has anything for the model there. Otherwise they are the only
    others with measurements of the model. The number of threads is the one with the most measured op calls of the
    model; of equals, the largest. Where there are only sweeps, it is the largest number of threads with sweeps.

    Args:
        trace: the model.
        profile: the measurements; only read.
        threads: PyTorch's threads, or None.
        device: "cpu" or "cuda:0", or None.
        dtype: type of parameters and activations, such as "float16", or None.
        timing: how the kernels were timed; predictions from sweeps count only for "in_model".

    Returns:
        The setting, complete.

    Raises:
        EstimateError: the profile has nothing for the model in this setting, or has it on several other devices or in
            several dtypes. The message lists what the profile has.
    """
    own = (device or trace.device, dtype or trace.dtype)
    held = _holdings(trace, profile, timing, [own], own[1])
    everywhere = held
    if not held:
        devices = sorted({condition.device for condition in profile.conditions()})
        others = [(name, kind) for name in devices for kind in sorted({*DTYPES, own[1]})]
        everywhere = _holdings(trace, profile, timing, others, own[1])
        held = [
            one for one in everywhere if device in (None, one.setting.device) and dtype in (None, one.setting.dtype)
        ]
    setting = select(held, threads)
    if setting is not None:
        return setting
    if len(_places(held)) > 1:
        raise EstimateError(f"{profile.path} holds {trace.model} with {_listed(held)}: choose by --device and --dtype")
    raise EstimateError(f"{no_measurement(trace, profile, threads, *own)}{_what_it_holds(trace, profile, everywhere)}")


def no_measurement(trace: Trace, profile: ProfileReader, threads: int | None, device: str, dtype: str) -> str:
    """The message, with the next step, where a profile has nothing for a model in a setting."""
    wanted = "any number of threads" if threads is None else counted(threads, "thread")
    option = "" if threads is None else f" --threads {threads}"
    return (
        f"{profile.path} has no measurement of {trace.model} with {wanted} on {device} in {dtype}; run 'opclock "
        f"measure MODEL{option}' with this profile (a language model: 'opclock llm'), or 'opclock sweep --preset "
        f"board{option}'"
    )


def select(held: Sequence[Holding], threads: int | None = None) -> Setting | None:
    """Choose a setting by the rule of ``choose_setting``.

    Args:
        held: what a profile has, in any order.
        threads: the wanted number of threads, or None.

    Returns:
        The setting; None where none fits, or where devices or dtypes differ.
    """
    if len(_places(held)) != 1:
        return None
    ((device, dtype),) = _places(held)
    fitting = [
        one for one in held if (one.setting.device, one.setting.dtype) == (device, dtype)
        and threads in (None, one.setting.threads)
    ]  # fmt: skip
    return max(fitting, key=lambda one: (one.op_calls, one.setting.threads)).setting if fitting else None


def _places(held: Sequence[Holding]) -> set[tuple[str, str]]:
    """Devices and dtypes with measurements of the model; where there are none, those with sweeps."""
    measured = [holding for holding in held if holding.op_calls] or held
    return {(setting.device, setting.dtype) for setting, _ in measured}


def _holdings(
    trace: Trace, profile: ProfileReader, timing: Timing, places: Iterable[tuple[str, str]], sweep_dtype: str
) -> list[Holding]:
    """What the profile has for the model on these devices in these dtypes. Sweeps count in one dtype only."""
    timings: tuple[Timing, ...] = ("in_model", "interleaved") if timing == "in_model" else (timing,)
    swept = profile.remembered("swept", lambda: _swept(profile)) if timing == "in_model" else set()
    held: list[Holding] = []
    for device, dtype in places:
        calls = place(trace, device, dtype).unique
        # Calls on integers only, such as those for masks, are the same in every dtype.
        keys = [key for key, call in calls.items() if any(spec.dtype == dtype for spec in call.tensors())]
        counts = profile.count_op_calls(keys or (calls if dtype == trace.dtype else ()), device, timings)
        if dtype == sweep_dtype:
            counts = {**{threads: 0 for other, threads in swept if other == device}, **counts}
        held += [Holding(Setting(threads, device, dtype), count) for threads, count in counts.items()]
    return held


def _swept(profile: ProfileReader) -> set[tuple[str, int]]:
    """Devices and numbers of threads with sweeps and with the ceilings that predictions need."""
    settings = {(one.device, one.threads) for one in profile.conditions() if one.timing == "interleaved"}
    return {
        (device, threads) for device, threads in settings
        if profile.ceilings(threads) and profile.pools(["interleaved"], device, threads, ended=True, most=1)
    }  # fmt: skip


def most_swept_threads(profile: ProfileReader, device: str = "cpu") -> int | None:
    """The largest number of threads with sweeps to predict from; None where there is none."""
    return max((threads for name, threads in _swept(profile) if name == device), default=None)


def _listed(held: Iterable[Holding]) -> str:
    return " and ".join(str(setting) for setting in sorted({holding.setting for holding in held}))


def _what_it_holds(trace: Trace, profile: ProfileReader, held: Sequence[Holding]) -> str:
    if held:
        return f". It has this model with {_listed(held)}"
    if variants := other_variants(trace, profile):
        return variants
    settings = sorted({(one.threads, one.device) for one in profile.conditions()})
    if not settings:
        return ". It has no measurement of any op call"
    listed = " and ".join(f"{counted(threads, 'thread')} on {name}" for threads, name in settings)
    return f". It has other op calls with {listed}"
