"""The time of a language model's first token and of each later one, composed from kernels and host."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

from opclock.argument_checks import Count, ModelName, Seconds, checked
from opclock.board.accelerator import has_lanes
from opclock.errors import OptionError
from opclock.estimation.baselines import roofline
from opclock.estimation.ceilings import COUNTED_IN, DTYPES
from opclock.estimation.estimate import estimate
from opclock.generation.causal import CacheKind, CausalModel, causal_model
from opclock.generation.depths import Measured
from opclock.generation.plan import Plan, check_memory, plan
from opclock.generation.programs import Program, prompt_program, token_program
from opclock.generation.reference import GenerationReference
from opclock.generation.result import Ceiling, LanguageModelEstimate, Request
from opclock.generation.roles import weight_calls
from opclock.generation.session import Setup, generating, sample
from opclock.models.loading import Model, load_language_model
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.timing.ceiling_runs import measure_roofs
from opclock.timing.threads import thread_team
from opclock.tracing.macs import moved_bytes
from opclock.tracing.trace import Trace

MIN_GENERATE = 2  # the first token is the prompt's


@checked
def language_model(
    model: ModelName | Model, profile: Profile, *, prompt: Count = 128, generate: Count = 128, batch: Count = 1,
    cache: CacheKind = "dynamic", dtype: str = "auto", device: str = "cpu", depths: Sequence[int] | None = None,
    threads: Count, validate: bool = False, processes: Count = 2, seed: int = 0, max_s: Seconds | None = None,
    progress: Progress = silent,
) -> LanguageModelEstimate:  # fmt: skip
    """Estimate the time to the first token and the time of each later one from kernels and host, by depth.

    The prompt is one program and a token at a given depth another; both are traced, timed and played as any model. The
    cache is put back to its depth before each run. What changes with the depth is a few op calls: each is constant,
    linear or a step, fitted on the measured depths and tested on one that is held out.

    Args:
        model: a name as for ``load_model``, or what ``load_language_model`` returned: a causal model of transformers,
            or a factory that names ``prefill`` and ``decode``.
        profile: open for writing; what it has already is not timed again.
        prompt: tokens before the first generated one.
        generate: tokens to generate.
        batch: sequences at the same time.
        cache: "dynamic" grows with each token, "static" has room for all from the start.
        dtype: type of parameters; "auto" keeps the model's own. Only for a model that is given by name.
        device: where the model runs. Only for a model that is given by name.
        depths: numbers of tokens in the cache at which a token is timed; by default those of the first, the middle and
            the last token after the prompt. One more is added to test the curve between them.
        threads: PyTorch's threads.
        validate: also generate, in fresh processes that take turns with the kernels.
        processes: how many of these.
        seed: for every random order.
        max_s: largest number of wall seconds of rounds for each program; by default 3 s or 20 times its time, and three
            times that where other programs disturb the rounds.
        progress: receives a text and the fraction that is done.

    Returns:
        The estimate, in seconds.

    Raises:
        ModelError: there is no such model, it generates no text with a cache, or it raises.
        OptionError: more tokens than the model allows, too little memory for the last depth, or another wrong argument.
        TraceError, OpCallError: the model cannot be traced or timed.
        ProfileError: the profile cannot be written.
    """
    if generate < MIN_GENERATE:
        raise OptionError(f"generate={generate}: give at least {MIN_GENERATE}; the first token is the prompt's")
    request = Request(prompt, generate, batch, cache)
    chosen = plan(request, depths or ())
    progress("loading the model", 0.0)
    loaded = model if isinstance(model, Model) else load_language_model(model, dtype=dtype, device=device)
    causal = causal_model(loaded, cache, chosen.room)
    causal.check_length(prompt, generate, chosen.depths[-1])
    check_memory(causal, request, chosen, processes if validate else 0)
    if validate and loaded.specification is None:
        raise OptionError("validate=True: other processes load a model by its name: give the name of the model")
    work = _Work(loaded, causal, request, chosen, Setup(profile, threads, seed, max_s, progress))
    with nullcontext() if loaded.settings is None else loaded.settings.in_force(), thread_team(threads):
        return _estimated(work, processes if validate else 0)


@dataclass(frozen=True)
class _Work:
    """What is to be done."""

    loaded: Model
    causal: CausalModel
    request: Request
    plan: Plan
    setup: Setup


def _estimated(work: _Work, processes: int) -> LanguageModelEstimate:
    request, causal, setup = work.request, work.causal, work.setup
    setup.progress(f"tracing: {causal.name}", 0.0)
    prompt = prompt_program(causal, request.batch, request.prompt)
    tokens = [token_program(causal, request.batch, depth) for depth in work.plan.depths]
    with ExitStack() as stack:
        children = []
        if processes and work.loaded.specification is not None:
            children = stack.enter_context(generating(
                work.loaded.specification, processes, threads=setup.threads, cache=request.cache, room=work.plan.room,
                batch=request.batch, prompt=request.prompt, generate=request.generate,
            ))  # fmt: skip
        flags = sample([prompt, *tokens], setup, children)
        reference = (
            GenerationReference.joined(request.prompt, [child.request("samples") for child in children])
            if children
            else None
        )
    highest = _ceilings(prompt, tokens, setup)
    estimates = [estimate(one.trace, setup.profile, threads=setup.threads) for one in (prompt, *tokens)]
    measured = [
        Measured(depth, one.trace, estimated)
        for depth, one, estimated in zip(work.plan.depths, tokens, estimates[1:], strict=True)
    ]
    return LanguageModelEstimate(
        model=causal.name,
        request=request,
        board=setup.profile.board(),
        prompt_trace=prompt.trace,
        prompt=estimates[0],
        measured=tuple(measured),
        held_out=work.plan.held_out,
        weight_bytes=causal.weight_bytes,
        cache_bytes=tuple(one.cache_bytes for one in tokens),
        roofline=highest[0] if highest else None,
        mac_ceiling=highest[1] if highest else None,
        own_flags=tuple(flags),
        reference=reference,
    )


def _ceilings(prompt: Program, tokens: Sequence[Program], setup: Setup) -> tuple[Ceiling, Ceiling] | None:
    """The roofline, and the MACs alone over their ceiling; None on a device, whose ceilings are not measured."""
    if has_lanes(prompt.trace.device):
        return None
    dtype = COUNTED_IN.get(prompt.trace.dtype, "float32")
    assert dtype in DTYPES
    working_set = max(one.trace.working_set for one in tokens)
    peak, bandwidth = measure_roofs(setup.profile, working_set, setup.threads, dtype, "read")

    def both(trace: Trace) -> float:
        return roofline(trace, peak, bandwidth)

    def only_macs(trace: Trace) -> float:
        return roofline(trace, peak, float("inf"))

    weights = tuple(sum(map(moved_bytes, weight_calls(one.trace))) / bandwidth for one in tokens)
    return (
        Ceiling(both(prompt.trace), tuple(both(one.trace) for one in tokens), weights),
        Ceiling(only_macs(prompt.trace), tuple(only_macs(one.trace) for one in tokens)),
    )
