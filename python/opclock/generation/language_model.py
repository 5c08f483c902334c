"""The time of a language model's first token and of each later one, composed from kernels and host."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from opclock.argument_checks import Count, ModelName, Seconds, checked
from opclock.errors import OptionError
from opclock.estimation.estimate import estimate
from opclock.flags import Flag
from opclock.generation.causal import CacheKind, causal_model
from opclock.generation.ceilings import ceilings, roofs
from opclock.generation.depths import Measured
from opclock.generation.kept_programs import fingerprint, keep, kept
from opclock.generation.plan import Plan, plan
from opclock.generation.programs import Programs, traced_programs
from opclock.generation.reference import GenerationReference
from opclock.generation.result import LanguageModelEstimate, Request
from opclock.generation.session import Setup, generating, sample
from opclock.models.loading import Model, Specification, load_language_model
from opclock.profiles.machine_state import MachineState
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.timing.missing import all_known
from opclock.timing.threads import thread_team

MIN_GENERATE = 2  # the first token is the prompt's


@checked
def language_model(
    model: ModelName | Model, profile: Profile, *, prompt: Count = 128, generate: Count = 128, batch: Count = 1,
    cache: CacheKind = "dynamic", dtype: str = "auto", device: str = "cpu", depths: Sequence[int] | None = None,
    threads: Count | None = None, validate: bool = False, predict: bool = False, processes: Count = 2,
    loops: bool = False, seed: int = 0, max_s: Seconds | None = None, state: MachineState | None = None,
    progress: Progress = silent,
) -> LanguageModelEstimate:  # fmt: skip
    """Estimate the time to the first token and the time of each later one from kernels and host, by depth.

    The prompt is one program and a token at a given depth another; both are traced, timed and played as any model. The
    cache is put back to its depth before each run. What changes with the depth is a few op calls: each is constant,
    linear or a step, fitted on the measured depths and tested on one that is held out.

    Args:
        model: a name as for ``load_model``, or what ``load_language_model`` returned: a causal model of transformers,
            or a factory that names ``prefill`` and ``decode``.
        profile: open for writing; what it has already is not timed again. With ``predict`` it is only read.
        prompt: tokens before the first generated one.
        generate: tokens to generate.
        batch: sequences at the same time.
        cache: "dynamic" grows with each token, "static" has room for all from the start.
        dtype: type of parameters; "auto" keeps the model's own. Only for a model that is given by name.
        device: where the model runs. Only for a model that is given by name.
        depths: numbers of tokens in the cache at which a token is timed; by default those of the first, the middle and
            the last token after the prompt. One more is added to test the curve between them.
        threads: PyTorch's threads; the current setting if None, and with ``predict`` those of the profile.
        validate: also generate, in fresh processes that take turns with the kernels.
        predict: time nothing, on any machine: what the profile lacks is predicted from its sweeps.
        processes: how many processes generate.
        loops: with ``validate``, also time what ``generate`` of transformers does between two tokens, by ``LOOPS`` of
            ``opclock.generation.loops``. It is no part of the estimate.
        seed: for every random order.
        max_s: largest number of wall seconds of rounds for each program; by default 3 s or 20 times its time, and three
            times that where other programs disturb the rounds. With ``validate``, up to three times that as well, until
            real generation ends.
        state: of the machine, for which the estimate holds, as for ``estimate``; not with ``validate``, whose reference
            is of the same minutes as the kernels.
        progress: receives a text and the fraction that is done.

    Returns:
        The estimate, in seconds.

    Raises:
        ModelError: there is no such model, it generates no text with a cache, or it raises.
        OptionError: more tokens than the model allows, too little memory for the last depth, or another wrong argument.
        TraceError, OpCallError: the model cannot be traced or timed.
        ProfileError: the profile cannot be written.
        EstimateError: with ``predict``, the profile has nothing to predict from; or a state is given, and the model is
            not on the CPU or the profile has no control workloads.
    """
    if generate < MIN_GENERATE:
        raise OptionError(f"generate={generate}: give at least {MIN_GENERATE}; the first token is the prompt's")
    if validate and predict:
        raise OptionError("predict=True times nothing: leave out validate=True")
    if validate and state is not None:
        raise OptionError("validate=True compares what is timed in the same minutes: leave the state out")
    if loops and not validate:
        raise OptionError("loops=True is for real generation: give validate=True, too")
    request = Request(prompt, generate, batch, cache)
    chosen = plan(request, depths or ())
    digest = fingerprint(model, dtype, device, request, chosen) if isinstance(model, str) else None
    count = (None if predict else torch.get_num_threads()) if threads is None else threads
    if digest and not validate and (programs := _kept(profile, digest, None if predict else count)):
        return _composed(programs, _Timed(), request, chosen, profile, count, state, measure=not predict)
    progress("loading the model", 0.0)
    loaded = model if isinstance(model, Model) else load_language_model(model, dtype=dtype, device=device)
    causal = causal_model(loaded, cache, chosen.room)
    causal.check_length(prompt, generate, chosen.depths[-1])
    real = _Real(_by_name(loaded), processes, loops) if validate else None
    if loops and causal.empty_cache is None:
        raise OptionError(f"loops=True: {causal.name} has its own loop, not generate of transformers; leave it out")
    with nullcontext() if loaded.settings is None else loaded.settings.in_force():
        programs = traced_programs(causal, request, chosen, real.processes if real else 0, progress)
        timed = _Timed()
        if count is not None and not predict:
            setup = Setup(profile, count, seed, max_s, progress)
            with thread_team(count):
                timed = _timed(programs, setup, request, chosen, real)
            if digest:
                keep(profile, digest, programs)
        return _composed(programs, timed, request, chosen, profile, count, state, measure=not predict)


def _by_name(model: Model) -> Specification:
    """How other processes load the model."""
    if model.specification is None:
        raise OptionError("validate=True: other processes load a model by its name: give the name of the model")
    return model.specification


@dataclass(frozen=True)
class _Real:
    """How a model generates beside the estimate: in how many processes, and whether ``generate`` is timed, too."""

    specification: Specification
    processes: int
    loops: bool


@dataclass(frozen=True)
class _Timed:
    """What timing found beside the measurements in the profile."""

    flags: tuple[Flag, ...] = ()
    reference: GenerationReference | None = None


def _timed(programs: Programs, setup: Setup, request: Request, chosen: Plan, real: _Real | None) -> _Timed:
    """Time the programs, in turn with real generation where that is asked for."""
    every = [programs.prompt, *programs.tokens]
    if real is None:
        return _Timed(tuple(sample(every, setup)))
    asked: dict[str, Any] = {
        "batch": request.batch, "prompt": request.prompt, "generate": request.generate, "cache": request.cache,
        "threads": setup.threads, "room": chosen.room,
    }  # fmt: skip
    setup.progress("loading the model in other processes", 0.1)
    with generating(real.specification, real.processes, **asked) as children:
        flags = sample(every, setup, children)
        reference = GenerationReference.joined(request.prompt, [child.request("samples") for child in children])
        if real.loops:
            setup.progress("generating in the loops of transformers", 1.0)
            reference = replace(reference, loops_s=children[0].request("loops")["seconds"])
    return _Timed(tuple(flags), reference)


def _kept(profile: Profile, digest: str, threads: int | None) -> Programs | None:
    """The programs that a profile keeps; None where threads are given and it lacks measurements of them."""
    programs = kept(profile, digest)
    if programs is None or threads is None:
        return programs
    every = (programs.prompt, *programs.tokens)
    return programs if all(all_known(one.trace, profile, threads) for one in every) else None


def _composed(
    programs: Programs, timed: _Timed, request: Request, chosen: Plan, profile: Profile,
    threads: int | None, state: MachineState | None, *, measure: bool,
) -> LanguageModelEstimate:  # fmt: skip
    traces = [one.trace for one in programs.tokens]
    prompt = estimate(programs.prompt.trace, profile, threads=threads, state=state)
    tokens = [estimate(one, profile, threads=prompt.threads, state=state) for one in traces]
    rates = roofs(traces[-1], profile, prompt.threads, measure=measure)
    highest = (None, None) if rates is None else ceilings(programs.prompt.trace, traces, rates)
    return LanguageModelEstimate(
        model=programs.model,
        request=request,
        board=profile.board(),
        prompt_trace=programs.prompt.trace,
        prompt=prompt,
        measured=tuple(Measured(*one) for one in zip(chosen.depths, traces, tokens, strict=True)),
        held_out=chosen.held_out,
        weight_bytes=programs.weight_bytes,
        cache_bytes=tuple(one.cache_bytes for one in programs.tokens),
        roofline=highest[0],
        mac_ceiling=highest[1],
        own_flags=timed.flags,
        reference=timed.reference,
    )
