"""The two programs of a language model: its prompt, and one token at a depth with the cache as it is then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from opclock.generation.cache_snapshot import CacheSnapshot
from opclock.generation.causal import CausalModel, filled_cache, greedy
from opclock.generation.memory import MemoryNeed
from opclock.generation.plan import Plan
from opclock.generation.result import Request
from opclock.progress import Progress
from opclock.tracing.forward import Forward, Reset
from opclock.tracing.recorder import trace as record
from opclock.tracing.trace import Trace, check_calls

TRACED = 0.1  # of the whole work is done once all are traced


class _Prompt(torch.nn.Module):
    """Runs the prompt, makes the cache and chooses the first token."""

    def __init__(self, causal: CausalModel) -> None:
        super().__init__()
        self.model = causal.module
        self._prefill = causal.prefill

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, Any]:
        logits, cache = self._prefill(ids)
        return greedy(logits), cache


class _Token(torch.nn.Module):
    """Runs one token with a cache, and chooses the next one."""

    def __init__(self, causal: CausalModel, cache: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.model = causal.module
        self._decode = causal.decode
        self._cache = cache

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, Any]:
        logits, cache = self._decode(ids, self._cache)
        return greedy(logits), cache


@dataclass(frozen=True)
class Program:
    """One of the programs, ready to be traced, timed and played as any model.

    Attributes:
        depth: tokens in the cache when it begins; None for the prompt.
        trace: its op calls.
        forward: calls it. The cache is put back before each call. None where a profile keeps the trace alone.
        cache_bytes: of the cache when it begins; 0 for the prompt.
    """

    depth: int | None
    trace: Trace
    forward: Forward | None
    cache_bytes: int = 0


def prompt_program(causal: CausalModel, batch: int, tokens: int) -> Program:
    """The program of a prompt.

    Args:
        causal: the model.
        batch: number of sequences.
        tokens: of each prompt.

    Returns:
        The program, whose output is the first token.

    Raises:
        TraceError, ModelError: it cannot be traced or run.
    """
    module = _Prompt(causal).eval()
    return _program(module, causal.prompt(batch, tokens), f"{causal.name}, prompt of {tokens}", None)


def token_program(causal: CausalModel, batch: int, depth: int) -> Program:
    """The program of one token.

    Args:
        causal: the model.
        batch: number of sequences.
        depth: tokens in the cache before it.

    Returns:
        The program, whose output is the next token.

    Raises:
        TraceError, ModelError: it cannot be traced or run.
    """
    cache = filled_cache(causal, batch, depth)
    snapshot = CacheSnapshot(cache)
    module = _Token(causal, cache).eval()
    name = f"{causal.name}, token at depth {depth}"
    return _program(module, causal.prompt(batch, 1), name, depth, snapshot.restore, snapshot.nbytes)


def _program(
    module: torch.nn.Module,
    ids: torch.Tensor,
    name: str,
    depth: int | None,
    reset: Reset | None = None,
    nbytes: int = 0,
) -> Program:
    traced = record(module, (ids,), name=name, reset=reset)
    check_calls(traced)
    return Program(depth, traced, Forward(module, (ids,), reset, traced.steps), nbytes)


@dataclass(frozen=True)
class Programs:
    """The programs of one model: its prompt, and a token at each depth of a plan."""

    model: str
    weight_bytes: int
    prompt: Program
    tokens: tuple[Program, ...]


def traced_programs(causal: CausalModel, request: Request, plan: Plan, processes: int, progress: Progress) -> Programs:
    """Trace the programs of a model, once it is known that memory suffices for them.

    Args:
        causal: the model.
        request: prompt and generation.
        plan: the depths.
        processes: how many others load the model as well.
        progress: receives a text and the fraction that is done.

    Returns:
        The programs.

    Raises:
        OptionError: too little memory for the last depth. Nothing of that size has run then.
        TraceError, ModelError: a program cannot be traced or run.
    """
    progress(f"tracing: {causal.name}, the prompt", 0.0)
    need = MemoryNeed(causal, request, plan, processes)
    need.check()
    prompt = prompt_program(causal, request.batch, request.prompt)
    need.check(prompt.trace.run_bytes)
    tokens = []
    for number, depth in enumerate(plan.depths):
        progress(f"tracing: {causal.name}, a token at depth {depth}", TRACED * number / len(plan.depths))
        tokens.append(token_program(causal, request.batch, depth))
    return Programs(causal.name, causal.weight_bytes, prompt, tuple(tokens))
